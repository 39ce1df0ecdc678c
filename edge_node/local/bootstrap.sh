#!/bin/sh
# Brings what Python itself cannot bring: Python and its venv module from Debian where they are missing, the venv with
# everything pinned in requirements/dev.lock, and node_modules. Quick when nothing changed. Apart from those two packages
# everything stays in the repository's folder.
set -eu
cd "$(dirname "$0")/../.."

NEEDED_MB=1500
log=.wrangler/bootstrap.log

say() { printf '%s\n' "$*"; }
fail() {
    say "$*" >&2
    exit 1
}
# Runs a command quietly; its last words and one sentence when it fails.
quietly() {
    sentence=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 4 "$log" >&2
        fail "$sentence; its output is in $log."
    fi
}
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

[ -x .venv/bin/python ] && [ -d node_modules ] || {
    free=$(df -Pm . | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$NEEDED_MB" ] || fail "Only $free MB of disk are free here; the packages of Tandem need $NEEDED_MB MB."
}
mkdir -p .wrangler 2>/dev/null || fail "$PWD cannot be written to by $(id -un)."

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    command -v apt-get >/dev/null || fail "Tandem needs Python 3.11 or newer with its venv module as python3."
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
        fail "Debian's package python3-venv is missing and installing it needs root: run \`apt-get install python3-venv\` as root, or start again as root."
    say "Debian's package python3-venv: installing ..."
    quietly "apt-get could not read its package lists" as_root apt-get update -qq
    quietly "apt-get could not install python3-venv" \
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Tandem needs Python 3.11 or newer as python3, not $(python3 -V 2>&1) (Debian 12 has 3.11)."

stamp=.venv/.tandem-stamp
wanted=$(cat requirements/uv.lock requirements/dev.lock | sha256sum)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    say "Python packages: installing (a minute the first time) ..."
    rm -rf .venv .wrangler/uv
    quietly "Python could not make a virtual environment" python3 -m venv .wrangler/uv
    quietly "pip could not install uv from its package index" \
        .wrangler/uv/bin/python -m pip install --quiet --no-input --require-hashes --requirement requirements/uv.lock
    quietly "uv could not make the virtual environment" \
        .wrangler/uv/bin/uv venv --quiet --python "$(command -v python3)" .venv
    quietly "uv could not install the packages of requirements/dev.lock" \
        .wrangler/uv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.lock
    printf '%s' "$wanted" >"$stamp"
fi

stamp=node_modules/.tandem-stamp
wanted=$(cat package.json package-lock.json | sha256sum)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    say "Node packages: installing ..."
    # `npm ci` refuses a lock without the optional packages of other platforms, which not every mirror has.
    quietly "npm could not install the packages of package-lock.json" \
        env PATH="$PWD/.venv/bin:$PATH" npm install --no-save --ignore-scripts --no-audit --no-fund
    printf '%s' "$wanted" >"$stamp"
fi
