#!/bin/sh
# Brings what Python itself cannot bring: the venv with everything pinned in requirements/dev.lock, and node_modules.
# Quick when nothing changed. Everything stays in the repository's folder, except for Debian's python3-venv.
set -eu
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "$*"; }

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "Tandem needs Python 3.11 or newer as python3 (Debian 12 has it: apt-get install python3)." >&2
    exit 1
fi

stamp=.venv/.tandem-stamp
wanted=$(cat requirements/uv.lock requirements/dev.lock | sha256sum)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    say "Python packages: installing (a minute the first time) ..."
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        if [ "$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi
        if ! { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; } >/dev/null; then
            say "Debian's package python3-venv is missing and could not be installed; run as root or with passwordless sudo." >&2
            exit 1
        fi
    fi
    rm -rf .venv .wrangler/uv
    python3 -m venv .wrangler/uv
    .wrangler/uv/bin/python -m pip install --quiet --no-input --require-hashes --requirement requirements/uv.lock
    .wrangler/uv/bin/uv venv --quiet --python "$(command -v python3)" .venv
    .wrangler/uv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.lock
    printf '%s' "$wanted" >"$stamp"
fi

stamp=node_modules/.tandem-stamp
wanted=$(cat package.json package-lock.json | sha256sum)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    say "Node packages: installing ..."
    log=.wrangler/npm.log
    mkdir -p .wrangler
    # `npm ci` refuses a lock without the optional packages of other platforms, which not every mirror has.
    if ! PATH="$PWD/.venv/bin:$PATH" npm install --no-save --ignore-scripts --no-audit --no-fund >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        say "npm could not install the packages of package-lock.json; see $log." >&2
        exit 1
    fi
    printf '%s' "$wanted" >"$stamp"
fi
