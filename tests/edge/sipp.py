"""Runs SIPp with the scenarios of `tests/edge/sipp/` and reads its statistics.

    with (
        sipp.registered(callee_account, edge) as port,
        sipp.start("uas_answer", edge=edge, port=port, folder=tmp_path) as callee,
    ):
        caller = sipp.run("uac_call", edge=edge, callers=[caller_account], folder=tmp_path)
        assert caller.clean and callee.wait(10).clean

SIPp 3.6.1 answers MD5 challenges only and stumbles over others: over UDP the runner keeps those from it (`md5_only`).
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.edge.md5_only import md5_only
from tests.edge.raw_sip import LOOPBACK, RawPhone

SCENARIOS = Path(__file__).parent / "sipp"
READY_SECONDS = 5.0
# What SIPp may take beyond its own time-out to write its files and end.
GRACE_SECONDS = 5.0
_RUNS = itertools.count(1)


@dataclass(frozen=True)
class Account:
    """A line of the injection file: whose call it is, and the extension it calls."""

    user: str
    password: str
    domain: str
    calls: str = ""


@dataclass(frozen=True)
class Result:
    """What one SIPp process saw. `response_ms` is the mean time from the authorised request to its 2xx."""

    exit_code: int
    created: int
    successful: int
    failed: int
    retransmissions: int
    response_ms: float
    errors: str
    log: str

    @property
    def clean(self) -> bool:
        """Every call went as the scenario says, and there was one."""
        return self.exit_code == 0 and self.failed == 0 and self.successful == self.created > 0


class Process:
    """A SIPp that is running."""

    def __init__(self, process: subprocess.Popen[bytes], base: Path) -> None:
        self._process = process
        self._base = base

    def wait(self, deadline: float) -> Result:
        """Wait for its end. Raises `subprocess.TimeoutExpired` after `deadline` seconds."""
        code = self._process.wait(deadline)
        return _result(code, self._base)

    def stop(self) -> Result:
        """End it now if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        return self.wait(GRACE_SECONDS)


@contextlib.contextmanager
def start(
    scenario: str,
    *,
    edge: tuple[str, int],
    folder: Path,
    callers: Sequence[Account] = (),
    calls: int = 1,
    rate: float = 10.0,
    at_once: int = 0,
    talk_ms: int = 200,
    timeout: float = 30.0,
    port: int = 0,
    tcp: bool = False,
) -> Iterator[Process]:
    """Start a scenario, wait until its port is open, stop it at the end of the block.

    `calls` is how many it makes or takes before it ends; `rate` new ones a second, `at_once` the most in progress (0:
    SIPp's own limit); `talk_ms` the length of a scenario's open pause; `port` 0 any free one.
    """
    port = port or free_port()
    base = folder / f"{next(_RUNS):02}-{scenario}"
    command = ["-sf", str(SCENARIOS / f"{scenario}.xml"), "-nostdin", "-skip_rlimit"]
    command += ["-i", LOOPBACK, "-mi", LOOPBACK, "-p", str(port), "-t", "t1" if tcp else "u1"]
    command += ["-m", str(calls), "-r", str(rate), "-d", str(talk_ms), "-timeout", f"{timeout:g}s", "-timeout_error"]
    command += ["-trace_err", "-error_file", f"{base}.errors", "-trace_logs", "-log_file", f"{base}.log"]
    command += ["-trace_stat", "-stf", f"{base}.csv", "-fd", "1"]
    if at_once:
        command += ["-l", str(at_once)]
    if callers:
        lines = [
            f"{one.user};[authentication username={one.user} password={one.password}];{one.domain};{one.calls};"
            for one in callers
        ]
        base.with_suffix(".users").write_text("\n".join(["SEQUENTIAL", *lines]) + "\n")
        command += ["-inf", f"{base}.users"]
        # SIPp knows one digest URI a process: right when all call the same extension, else that of the first.
        whom = callers[0].domain if scenario == "uac_register" else f"{callers[0].calls}@{callers[0].domain}"
        command += ["-auth_uri", whom]
    with contextlib.ExitStack() as stack:
        target = edge if tcp or not callers else stack.enter_context(md5_only(edge, port))
        screen = stack.enter_context(base.with_suffix(".screen").open("wb"))
        command = ["sipp", f"{target[0]}:{target[1]}", *command]
        process = stack.enter_context(
            subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen)
        )
        running = Process(process, base)
        try:
            _wait_for_port(process, port, tcp and scenario.startswith("uas"))
            yield running
        finally:
            running.stop()


def run(scenario: str, *, timeout: float = 30.0, **options: Any) -> Result:
    """Run a scenario to its end; the options are those of `start`."""
    with start(scenario, timeout=timeout, **options) as process:
        return process.wait(timeout + GRACE_SECONDS)


@contextlib.contextmanager
def registered(account: Account, edge: tuple[str, int]) -> Iterator[int]:
    """A port for a callee scenario, registered until the end of the block.

    It is registered from that very port, since an edge may take the source of a REGISTER for the contact.
    """
    with RawPhone(account.user, account.password, account.domain, edge) as phone:
        final = phone.register()
        assert final.status == 200, f"{account.user} could not register: {final.start}"
        port = phone.port
    try:
        yield port
    finally:
        with RawPhone(account.user, account.password, account.domain, edge, port=port) as phone:
            phone.register(expires=0)


def free_port() -> int:
    """A UDP port of the loopback address that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_for_port(process: subprocess.Popen[bytes], port: int, tcp: bool) -> None:
    table = Path("/proc/net/tcp" if tcp else "/proc/net/udp")
    end = time.monotonic() + READY_SECONDS
    while f":{port:04X} " not in table.read_text():
        if process.poll() is not None:
            return  # ended already; its result tells how
        if time.monotonic() > end:
            raise TimeoutError(f"SIPp did not open port {port} in {READY_SECONDS:g} s")
        time.sleep(0.02)


def _result(code: int, base: Path) -> Result:
    rows: list[dict[str, str]] = []
    statistics = base.with_suffix(".csv")
    if statistics.exists():
        with statistics.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
    last = rows[-1] if rows else {}
    return Result(
        exit_code=code,
        created=int(last.get("TotalCallCreated") or 0),
        successful=int(last.get("SuccessfulCall(C)") or 0),
        failed=int(last.get("FailedCall(C)") or 0),
        retransmissions=int(last.get("Retransmissions(C)") or 0),
        response_ms=_milliseconds(last.get("ResponseTime1(C)") or ""),
        errors=_text(base.with_suffix(".errors")),
        log=_text(base.with_suffix(".log")),
    )


def _milliseconds(clock: str) -> float:
    """`00:00:00:012000` (hours, minutes, seconds, microseconds) as milliseconds."""
    parts = clock.split(":")
    if len(parts) != 4:
        return 0.0
    hours, minutes, seconds, micros = (int(part) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + micros / 1000


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
