"""The deployed brain on workerd, for tests: its own state folder and ports; it can be killed at a chosen moment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge_node.local import bundle, nodejs, vendor
from edge_node.local.settings import LOOPBACK, REPOSITORY, Settings, load
from edge_node.local.waiting import wait_until
from tests.support import control_db

START_SEC = 30
STOP_SEC = 10
ANSWER_SEC = 20


class Brain:
    """`with Brain(state, {"MASTER_KEY": …}) as brain:`; the port stays the same over restarts, and so does the state.

    `state` is laid out as the state folder of an installation. `root` is a folder with another wrangler.toml.
    """

    def __init__(
        self, state: Path, variables: Mapping[str, str], port: int | None = None, root: Path = REPOSITORY
    ) -> None:
        self.port = port or free_port()
        self.settings: Settings = load({"TANDEM_STATE": str(state), "TANDEM_BRAIN_PORT": str(self.port)})
        self.log = state / "brain.log"
        self._control = free_port()
        self._variables = dict(variables)
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._workerd = 0

    @property
    def url(self) -> str:
        return self.settings.brain_url

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Prepares what is missing (runtime, packages, migrations), starts, and returns when requests are served."""
        cache = load().state / "bundle"
        bundle.pack(REPOSITORY / "node_modules", cache)
        if self._root == REPOSITORY:
            vendor.vendor()
            control_db.put(self.settings)
        self.settings.state.mkdir(parents=True, exist_ok=True)
        variables = self.settings.state / "variables.json"
        variables.write_text(json.dumps(self._variables))
        command = [
            str(nodejs.binary()),
            str(REPOSITORY / "edge_node/local/brain.mjs"),
            f"--root={self._root}",
            f"--state={self.settings.brain_state}",
            f"--bundle={cache}",
            f"--vars={variables}",
            f"--port={self.port}",
            f"--control={self._control}",
            "--snapshots",
        ]
        said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: self._read_ready(said), START_SEC, "the brain")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """As a supervisor stops it; the state stays. Nothing happens when it is not running."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill9(self) -> None:
        """Ends workerd in the middle of whatever it does; returns when nothing serves the port any more."""
        process, self._process = self._process, None
        assert process is not None
        os.kill(self._workerd, signal.SIGKILL)
        code = process.wait(STOP_SEC)
        assert code == 1, f"the launcher ended with {code}"

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def pids(self) -> tuple[int, int]:
        """The launcher's and workerd's."""
        assert self._process is not None
        return self._process.pid, self._workerd

    def d1(self, sql: str, *params: str | int | float | None) -> list[dict[str, Any]]:
        """The rows of a statement on the running brain's control database. Raises `ValueError` with D1's message."""
        rows: list[dict[str, Any]] = self._ask_control({"sql": sql, "params": params})
        return rows

    def d1_batch(self, *statements: tuple[str, tuple[str | int | float | None, ...]]) -> list[list[dict[str, Any]]]:
        """(SQL, parameters) each, in one transaction; the rows of each."""
        rows: list[list[dict[str, Any]]] = self._ask_control(
            {"batch": [{"sql": sql, "params": params} for sql, params in statements]}
        )
        return rows

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        return _ask(f"{self.url}{path}", None, headers)

    def post(self, path: str, body: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        return _ask(f"{self.url}{path}", body, headers)

    def _ask_control(self, asked: dict[str, Any]) -> Any:
        status, text = _ask(f"http://{LOOPBACK}:{self._control}/d1", json.dumps(asked), None)
        if status != 200:
            raise ValueError(json.loads(text)["error"])
        return json.loads(text)

    def _read_ready(self, offset: int) -> bool:
        assert self._process is not None
        said = self.log.read_bytes()[offset:].decode(errors="replace")
        for line in said.splitlines(keepends=True):
            if line.startswith('{"ready":true') and line.endswith("\n"):
                self._workerd = int(json.loads(line)["workerd_pid"])
                return True
        if self._process.poll() is not None:
            raise RuntimeError(f"the brain did not start:\n{said[-3000:]}")
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _ask(url: str, body: str | None, headers: Mapping[str, str] | None) -> tuple[int, str]:
    """(status, text), errors of HTTP included. Raises `OSError` when there is no answer."""
    request = urllib.request.Request(url, None if body is None else body.encode(), dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SEC) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
