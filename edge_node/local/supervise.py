"""The supervisor of a local installation: supervisord's file, and its answers over its own socket.

No systemd: one supervisord a node (node 1's also runs the brain), with everything below `.local/`.
"""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_node.local.settings import REPOSITORY, Settings
from edge_node.local.waiting import wait_until

STOP_SEC: Final = 20


class SupervisorError(Exception):
    """The supervisor did not start; the message carries its own words."""


@dataclass(frozen=True)
class Program:
    """One supervised process; `stop_signal` as supervisord names it."""

    name: str
    command: Sequence[str]
    stop_signal: str = "TERM"
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ProcessState:
    """`state` is supervisord's: RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL."""

    name: str
    state: str
    pid: int
    error: str


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.node_state / "run"
        self._socket = self._folder / "supervisor.sock"
        self._pid_file = self._folder / "supervisord.pid"

    def start(self, programs: Sequence[Program]) -> None:
        """Writes the configuration and starts supervisord with every program; it goes on in the background."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settings.logs.mkdir(parents=True, exist_ok=True)
        path = self._folder / "supervisord.conf"
        path.write_text(self._configuration(programs))
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
            cwd=REPOSITORY,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        if done.returncode != 0:
            raise SupervisorError(f"The supervisor did not start: {done.stderr.strip().splitlines()[0]}")
        wait_until(self.is_running, 10, "the supervisor to answer")

    def is_running(self) -> bool:
        try:
            self._rpc().supervisor.getState()
        except OSError:
            return False
        return True

    def states(self) -> dict[str, ProcessState]:
        """Every program by name; empty when the supervisor is down."""
        try:
            infos: Any = self._rpc().supervisor.getAllProcessInfo()
        except OSError:
            return {}
        return {
            info["name"]: ProcessState(info["name"], info["statename"], info["pid"], info["spawnerr"]) for info in infos
        }

    def restart(self, name: str) -> None:
        server = self._rpc().supervisor
        server.stopProcess(name)
        server.startProcess(name)

    def signal(self, name: str, signal_name: str) -> None:
        self._rpc().supervisor.signalProcess(name, signal_name)

    def stop_process(self, name: str) -> None:
        self._rpc().supervisor.stopProcess(name)

    def start_process(self, name: str) -> None:
        self._rpc().supervisor.startProcess(name)

    def stop(self) -> None:
        """Stops every program and the supervisor; nothing else."""
        try:
            self._rpc().supervisor.shutdown()
        except OSError:
            self._kill_stale()
            return
        wait_until(lambda: not self.is_running() and not self._pid_alive(), STOP_SEC, "the parts to stop")

    def _kill_stale(self) -> None:
        """A supervisor that no longer answers on its socket is told by its pid."""
        if self._pid_alive():
            os.kill(int(self._pid_file.read_text()), signal.SIGTERM)
            wait_until(lambda: not self._pid_alive(), STOP_SEC, "the supervisor to stop")

    def _pid_alive(self) -> bool:
        try:
            pid = int(self._pid_file.read_text())
            return b"supervisord" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return False

    def _rpc(self) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy("http://localhost", transport=_SocketTransport(str(self._socket)))

    def _configuration(self, programs: Sequence[Program]) -> str:
        folder = self._folder
        parts = [
            f"[unix_http_server]\nfile={self._socket}\nchmod=0600\n",
            f"[supervisord]\npidfile={self._pid_file}\nlogfile={folder / 'supervisord.log'}\nminfds=4096\n"
            f"childlogdir={folder}\ndirectory={REPOSITORY}\nsilent=true\n"
            + ("user=root\n" if os.geteuid() == 0 else ""),
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
        ]
        for number, program in enumerate(programs):
            log = self._settings.logs / f"{program.name}{_node_suffix(self._settings)}.log"
            environment = ",".join(f'{key}="{value}"' for key, value in program.environment)
            command = shlex.join(program.command).replace("%", "%%")
            parts.append(
                f"[program:{program.name}]\ncommand={command}\nautorestart=true\nstartsecs=1\nstartretries=1000\n"
                f"stopsignal={program.stop_signal}\nstopwaitsecs=10\nstopasgroup=true\nkillasgroup=true\n"
                f"redirect_stderr=true\nstdout_logfile={log}\nstdout_logfile_maxbytes=20MB\nstdout_logfile_backups=2\n"
                f"priority={number}\n" + (f"environment={environment}\n" if environment else "")
            )
        return "\n".join(parts)


def _node_suffix(settings: Settings) -> str:
    return "" if settings.node == 1 else str(settings.node)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(15)
        self.sock.connect(self._path)


class _SocketTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _SocketConnection(self._path)
