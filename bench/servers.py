"""The two servers under test: the brain and its JavaScript twin, each a workerd behind one socket of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from bench.load import connect
from bench.world import Sql, get
from edge_node.local import bundle, nodejs
from edge_node.local.settings import REPOSITORY, load
from tests.support import control_db
from tests.support.seeds import MASTER_KEY

START_SEC: Final = 60.0
STOP_SEC: Final = 10.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    control: int
    launcher: subprocess.Popen[str]
    workerd: int
    started_in: float

    def cpu_seconds(self) -> float:
        """User and system time that workerd took so far."""
        fields = Path(f"/proc/{self.workerd}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        """Resident set of workerd."""
        for line in Path(f"/proc/{self.workerd}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    def write(self, rows: Sequence[Sql]) -> None:
        """Writes rows to the control database."""
        batch = [{"sql": sql, "params": list(params)} for sql, params in rows]
        self._control("/d1", {"batch": batch})

    def _control(self, path: str, body: dict[str, Any]) -> None:
        request = Request(f"http://127.0.0.1:{self.control}{path}", json.dumps(body).encode(), method="POST")
        with urlopen(request, timeout=30) as reply:
            reply.read()

    def stop(self) -> None:
        self.launcher.send_signal(signal.SIGTERM)
        try:
            self.launcher.wait(STOP_SEC)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
            self.launcher.wait()


def busy_seconds() -> float:
    """CPU seconds that the whole machine spent working so far."""
    user, nice, system, _, _, interrupts, soft = (int(one) for one in Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + interrupts + soft) / _TICKS


def migrated(folder: Path, names: Sequence[str]) -> None:
    """State folders below `folder` with a migrated control database."""
    for name in names:
        control_db.put(load({"TANDEM_STATE": str(folder / name)}))


def start_brain(state: Path, root: Path = REPOSITORY, snapshots: bool = True) -> Server:
    """As a local installation starts it; `snapshots` False boots the interpreter from nothing."""
    settings = load({"TANDEM_STATE": str(state)})
    state.mkdir(parents=True, exist_ok=True)
    cache = load().state / "bundle"
    bundle.pack(REPOSITORY / "node_modules", cache)
    variables = state / "vars.json"
    variables.write_text(json.dumps({"MASTER_KEY": MASTER_KEY}))
    script = root / "edge_node" / "local" / "brain.mjs"
    options = [f"--root={root}", f"--state={settings.brain_state}", f"--bundle={cache}", f"--vars={variables}"]
    return _start("brain", [str(script), *options, *(["--snapshots"] if snapshots else [])])


def start_twin(state: Path, statements: dict[str, str], facts: dict[str, Any]) -> Server:
    """`facts`: what its sessions begin with."""
    settings = load({"TANDEM_STATE": str(state)})
    state.mkdir(parents=True, exist_ok=True)
    variables = state / "vars.json"
    variables.write_text(json.dumps({"MASTER_KEY": MASTER_KEY, "SQL": statements, "FACTS": facts}))
    script = Path(__file__).parent / "twin" / "twin.mjs"
    return _start(
        "twin", [str(script), f"--root={REPOSITORY}", f"--state={settings.brain_state}", f"--vars={variables}"]
    )


def _start(name: str, arguments: list[str]) -> Server:
    begun = time.perf_counter()
    launcher = subprocess.Popen(
        [str(nodejs.binary()), *arguments, "--port=0", "--control=0"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CI": "1", "WRANGLER_SEND_METRICS": "false"},
    )
    assert launcher.stdout is not None
    line = launcher.stdout.readline()
    if not line:
        raise RuntimeError(f"the {name} did not start")
    ready = json.loads(line)
    return Server(name, ready["port"], ready["control"], launcher, ready["workerd_pid"], time.perf_counter() - begun)


async def first_answer(server: Server) -> float:
    """Seconds from now to the first answer of `/healthz`."""
    begun = time.perf_counter()
    async with asyncio.timeout(START_SEC):
        connection = await connect(server.port)
        await connection.ask(get("/healthz"))
        connection.close()
    return time.perf_counter() - begun
