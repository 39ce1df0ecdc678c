"""Debian's packages of the edge node: only what is missing, and without starting any service."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

EDGE = ("kamailio", "kamailio-extra-modules", "kamailio-sqlite-modules", "rtpengine-daemon")
PROMPTS = ("sox", "libsox-fmt-mp3", "opus-tools", "espeak-ng")
LOCAL = ("runit",)
TESTS = ("sip-tester",)
# Their maintainer scripts enable these; a local installation starts its own processes.
UNITS = ("kamailio", "rtpengine-daemon")
POLICY = Path("/usr/sbin/policy-rc.d")


class PackagesError(Exception):
    """One sentence that says what is missing and what to do."""


def missing(names: Sequence[str] = EDGE + PROMPTS + LOCAL + TESTS) -> list[str]:
    """Those that are not installed, by dpkg's own list."""
    try:
        found = subprocess.run(
            ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise PackagesError(f"The edge node needs Debian's packages {', '.join(names)}; this is no Debian.") from error
    installed = {line.split(" ")[0] for line in found.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def install(names: Sequence[str] = EDGE + PROMPTS + LOCAL + TESTS) -> bool:
    """Installs what is missing; False when nothing was. A service that ran before is left as it is.

    Raises `PackagesError` without root and without passwordless sudo, or with apt's last words.
    """
    wanted = missing(names)
    if not wanted:
        return False
    prefix = _as_root(wanted)
    known = set(_enabled(UNITS))
    with _no_service_starts(prefix):
        _apt([*prefix, "apt-get", "update", "-qq"])
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        _apt([*prefix, *quiet, *wanted])
    for unit in _enabled(UNITS):
        if unit not in known:
            subprocess.run([*prefix, "systemctl", "disable", "--quiet", unit], capture_output=True, check=False)
    return True


def _as_root(wanted: Sequence[str]) -> list[str]:
    if os.geteuid() == 0:
        return []
    try:
        allowed = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        raise PackagesError(
            f"Debian's packages {' '.join(wanted)} are missing and installing them needs root: "
            f"run `sudo apt-get install {' '.join(wanted)}`, or start again as root."
        )
    return ["sudo", "-n"]


def _enabled(units: Sequence[str]) -> list[str]:
    """Those that systemd would start at boot; none where there is no systemd."""
    found = []
    for unit in units:
        try:
            state = subprocess.run(["systemctl", "is-enabled", unit], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return []
        if state.stdout.strip() == "enabled":
            found.append(unit)
    return found


@contextmanager
def _no_service_starts(prefix: Sequence[str]) -> Iterator[None]:
    """Denies service starts by policy-rc.d (invoke-rc.d's own hook) and puts back what was there."""
    kept = POLICY.with_name(f"{POLICY.name}.tandem-{secrets.token_hex(4)}")
    had_one = os.path.lexists(POLICY)
    if had_one:
        _run([*prefix, "mv", str(POLICY), str(kept)])
    try:
        _run([*prefix, "tee", str(POLICY)], text="#!/bin/sh\nexit 101\n")
        _run([*prefix, "chmod", "755", str(POLICY)])
        yield
    finally:
        _run([*prefix, "rm", "-f", str(POLICY)])
        if had_one:
            _run([*prefix, "mv", str(kept), str(POLICY)])


def _run(command: Sequence[str], text: str | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackagesError(f"{' '.join(command)} failed: {done.stderr.strip()}.")


def _apt(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise PackagesError(f"{' '.join(command)} failed: {' '.join(last)}")
