"""The supervisor of a local installation: runit's tools over service folders below `.local/`.

No systemd: one runsvdir a node (node 1's also has the brain). A part that dies is started again at once.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_node.local.settings import REPOSITORY, Settings
from edge_node.local.waiting import wait_until

STOP_SEC: Final = 12
DEAD_SEC: Final = 10


class SupervisorError(Exception):
    """The supervisor did not start, or did not do what it was told; the message carries its own words."""


@dataclass(frozen=True)
class Program:
    """One supervised process; it ends on SIGTERM and logs to stderr or stdout."""

    name: str
    command: Sequence[str]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ProcessState:
    """`pid` is 0 when the process is down."""

    name: str
    running: bool
    pid: int


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services = settings.node_state / "run/services"
        self._pid_file = settings.node_state / "run/supervisor.pid"

    def log_file(self, name: str) -> Path:
        """Where the newest output of a program is."""
        return self._log_folder(name) / "current"

    def start(self, programs: Sequence[Program]) -> None:
        """Writes the service folders and starts every program; they go on in the background."""
        shutil.rmtree(self._services, ignore_errors=True)
        for program in programs:
            self._write(program)
        log = (self._services.parent / "supervisor.log").open("ab")
        with log:
            process = subprocess.Popen(
                ["runsvdir", "-P", str(self._services)],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid_file.write_text(str(process.pid))
        # It is not ours to wait for: it outlives this command.
        process.returncode = 0
        wait_until(lambda: len(self.states()) == len(programs), 10, "the supervisor to take up its services")

    def is_running(self) -> bool:
        return self._pid() is not None

    def states(self) -> dict[str, ProcessState]:
        """Every program by name; empty when the supervisor is down."""
        if not self.is_running():
            return {}
        found = {}
        for folder in sorted(self._services.glob("*")):
            try:
                pid = (folder / "supervise/pid").read_text().strip()
            except OSError:
                continue
            found[folder.name] = ProcessState(folder.name, bool(pid), int(pid or 0))
        return found

    def restart(self, name: str) -> None:
        self.stop_process(name)
        self.start_process(name)

    def stop_process(self, name: str) -> None:
        self._sv("force-stop", name)

    def start_process(self, name: str) -> None:
        self._sv("start", name)

    def stop(self) -> None:
        """Stops every program and the supervisor; nothing else."""
        pid = self._pid()
        if pid is None:
            return
        names = list(self.states())
        if names:
            self._sv("force-stop", *names)
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: self._pid() is None, STOP_SEC, "the supervisor to stop")

    def wipe(self) -> None:
        """Removes what a stopped node left: its folder, and the logs of its programs."""
        for folder in self._services.glob("*"):
            shutil.rmtree(self._log_folder(folder.name), ignore_errors=True)
        shutil.rmtree(self._settings.node_state, ignore_errors=True)

    def _sv(self, action: str, *names: str) -> None:
        folders = [str(self._services / name) for name in names]
        done = subprocess.run(
            ["sv", "-w", str(DEAD_SEC), action, *folders], capture_output=True, text=True, check=False
        )
        # `sv` counts the services that it had to kill; they are as dead as the others.
        if done.returncode != 0 and action == "start":
            raise SupervisorError(f"{' '.join(names)} did not {action}: {done.stdout.strip()}")

    def _pid(self) -> int | None:
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self._services).encode() in command else None

    def _write(self, program: Program) -> None:
        folder, log = self._services / program.name, self._log_folder(program.name)
        (folder / "log").mkdir(parents=True)
        log.mkdir(parents=True, exist_ok=True)
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in program.environment)
        place = shlex.quote(str(REPOSITORY))
        # A process group of its own (-P), so that killing a part with all its children leaves the supervisor alone.
        _script(folder / "run", f"cd {place}\n{exports}exec 2>&1\nexec chpst -P {shlex.join(program.command)}\n")
        _script(folder / "log/run", f"exec svlogd {shlex.quote(str(log))}\n")

    def _log_folder(self, name: str) -> Path:
        return self._settings.logs / (name if self._settings.node == 1 else f"{name}{self._settings.node}")


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(0o755)
