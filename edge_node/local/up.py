"""`make up`: everything that is missing, then the parts, then the demo call; quick when all of it is there."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from edge_node.local import bundle, demo_call, demo_data, migrate, packages, ports, probe, render, vendor
from edge_node.local.installation import programs
from edge_node.local.settings import REPOSITORY, Settings
from edge_node.local.supervise import Supervisor
from edge_node.local.waiting import WaitError, wait_until

NEEDED_MB = 500
READY_SEC = 60


class UpError(Exception):
    """One sentence: what is in the way, and what to do."""


def up(settings: Settings) -> None:
    """Raises `UpError`, or the error of a step, each with one clear sentence."""
    started = time.monotonic()
    supervisor = Supervisor(settings)
    running = supervisor.is_running()
    if settings.node != 1 and not probe.brain_version(settings):
        raise UpError("Node 2 joins a running installation: run `make up` first.")
    check_disk(settings)
    if settings.media_engine == "freeswitch" and not Path(settings.freeswitch).is_file():
        raise UpError(
            f"There is no FreeSWITCH at {settings.freeswitch}: install the vendor's package, name the program by "
            "TANDEM_FREESWITCH, or leave TANDEM_MEDIA_ENGINE alone."
        )
    _step("Debian packages", packages.install)
    if not running:
        ports.check(settings)
    _step("Python runtime of workerd", lambda: _pack(settings))
    _step("packages of the Worker", vendor.vendor)
    if settings.node == 1:
        _step("control database", lambda: migrate.apply(settings))
        _step("demo accounts", lambda: demo_data.prepare(settings))
    changed = _step("edge configuration", lambda: render.render(settings))
    if not running:
        _step("parts", lambda: _start(supervisor, settings))
    elif changed:
        _step("parts", lambda: _restart_edge(supervisor))
    _wait_ready(settings)
    if settings.node == 1:
        _demo(settings, call=not running or changed)
    print(f"Tandem is up ({time.monotonic() - started:.1f} s).")


def check_disk(settings: Settings) -> None:
    """Raises `UpError` when the disk of the state folder, which need not be there yet, has too little room."""
    there = next(folder for folder in (settings.state, *settings.state.parents) if folder.exists())
    free_mb = shutil.disk_usage(there).free // 2**20
    if free_mb < NEEDED_MB:
        raise UpError(f"Only {free_mb} MB of disk are free at {there}; Tandem needs {NEEDED_MB} MB for its state.")


def _step(what: str, run: Callable[[], object]) -> bool:
    """Runs a step; prints it with its time when it did something."""
    print(f"  {what} ...", end="", flush=True)
    began = time.monotonic()
    done = run() is not False
    print(f" done ({time.monotonic() - began:.1f} s)" if done else " up to date", flush=True)
    return done


def _pack(settings: Settings) -> bool:
    target = settings.state / "bundle"
    before = {path: path.stat().st_mtime_ns for path in target.glob("*")}
    bundle.pack(REPOSITORY / "node_modules", target)
    return before != {path: path.stat().st_mtime_ns for path in target.glob("*")}


def _start(supervisor: Supervisor, settings: Settings) -> None:
    supervisor.start(programs(settings))


def _restart_edge(supervisor: Supervisor) -> None:
    for name in supervisor.states():
        if name != "brain":
            supervisor.restart(name)


def _wait_ready(settings: Settings) -> None:
    """Each part answers for itself: HTTP, the ng protocol, SIP."""
    for name, check in probe.checks(settings).items():
        try:
            wait_until(lambda check=check: check() is not None, READY_SEC, name)  # type: ignore[misc]  # mypy cannot infer a lambda's default
        except WaitError as error:
            log = Supervisor(settings).log_file("agent" if name == "engine" else name)
            tail = log.read_text(errors="replace").splitlines()[-5:] if log.is_file() else []
            raise UpError(
                f"{name} did not get ready in {READY_SEC} s; its log {log} ends:\n" + "\n".join(tail)
            ) from error


def _demo(settings: Settings, call: bool) -> None:
    demo = json.loads((settings.state / "demo.json").read_text())
    if call or not demo_call.was_heard(settings):
        demo_call.place(settings, demo)
    acme = demo["accounts"][0]
    user = acme["users"][0]
    print(
        f"Register a phone: server {demo['sip']} (UDP or TCP), domain {acme['domain']}, user {user['auth_username']}, "
        f"password {user['password']}; then call {acme['users'][1]['extension']}, or 600 for the main flow. "
        f"All logins: {settings.state / 'demo.json'}"
    )
