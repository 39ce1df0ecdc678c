"""The parent's end of one PJSIP process: starts it, has it do things, hears what it says, notices its death."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.embedded.messages import Failure, ProcessConfig, Told

PROGRAM: Final = "edge_node.pjsip.engine.process"
_ROOT: Final = Path(__file__).resolve().parents[4]
_COMMAND_SEC: Final = 5.0
_PING_SEC: Final = 2.0
_STOP_SEC: Final = 2.0
_REAP_SEC: Final = 0.02


class Process:
    """`event` gets what it tells, `lost` is called once when it is gone without having been told to stop.

    `config.sip_port` names it. `serial` tells it from one that was there before.
    """

    def __init__(
        self,
        serial: int,
        config: ProcessConfig,
        event: Callable[[Process, dict[str, Any]], None],
        lost: Callable[[Process], None],
        log: Log,
    ) -> None:
        self.serial = serial
        self.config = config
        self.ready = False
        self.gone = False
        self._event = event
        self._lost = lost
        self._log = log
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._input: asyncio.WriteTransport | None = None
        self._unwritten: list[bytes] = []  # before there is an input
        self._watch: asyncio.Task[None] | None = None
        self._reaped = asyncio.Event()

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def address(self) -> str:
        return f"{self.config.host}:{self.config.sip_port}"

    def start(self) -> None:
        """Raises `OSError` when the machine cannot start one more."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._write(dataclasses.asdict(self.config))
        self._watch = asyncio.create_task(self._attend(self._process), name=f"media process {self.address}")

    async def stop(self) -> None:
        """Has it hang up and end; kills it when it does not."""
        if not self.gone:
            self.gone = True
            self._write({"id": next(self._numbers), "do": "stop"})
        try:
            async with asyncio.timeout(_STOP_SEC):
                await self._reaped.wait()
        except TimeoutError:
            self.kill()
            await self._reaped.wait()

    def kill(self) -> None:
        assert self._process is not None, "not started"
        self._process.kill()

    async def command(self, verb: str, **arguments: object) -> Any:
        """Raises `EngineError`: `gone` when the process or the call is not there any more, or why it would not."""
        if self.gone:
            raise _lost()
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._write({"id": number, "do": verb, **arguments})
            async with asyncio.timeout(_COMMAND_SEC):
                return await future
        except TimeoutError:
            self._log.error("media process hangs", address=self.address, command=verb)
            self.kill()
            raise _lost() from None
        finally:
            self._waiting.pop(number, None)

    def send(self, verb: str, **arguments: object) -> None:
        """A command whose answer nobody waits for."""
        if not self.gone:
            self._write({"id": next(self._numbers), "do": verb, **arguments})

    def _write(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        if self._input is None:
            self._unwritten.append(line)
        else:
            self._input.write(line)

    def _said(self, line: bytes) -> None:
        message = json.loads(line)
        if "event" not in message:
            future = self._waiting.get(message["re"])
            if future is None or future.done():
                return
            if "error" in message:
                future.set_exception(EngineError(message["code"], message["error"]))
            else:
                future.set_result(message["ok"])
            return
        if message["event"] == Told.READY:
            self.ready = True
        self._event(self, message)

    def _closed(self) -> None:
        """Its output ended, so it has: by itself, by a signal, or as it was told."""
        expected, self.gone, self.ready = self.gone, True, False
        if self._watch is not None:
            self._watch.cancel()
        if self._input is not None:
            self._input.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_lost())
        self.kill()
        self._watch = asyncio.create_task(self._reap(), name=f"reap media process {self.address}")
        if not expected:
            self._lost(self)

    async def _reap(self) -> None:
        assert self._process is not None, "not started"
        while self._process.poll() is None:  # noqa: ASYNC110 - asyncio's own way takes a thread a process
            await asyncio.sleep(_REAP_SEC)
        self._reaped.set()

    async def _attend(self, process: subprocess.Popen[bytes]) -> None:
        """Takes hold of its pipes, and asks now and then whether it is well."""
        loop = asyncio.get_running_loop()
        self._input, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        self._input.writelines(self._unwritten)
        await loop.connect_read_pipe(lambda: _Lines(self._said, self._closed), process.stdout)
        while True:
            await asyncio.sleep(_PING_SEC)
            try:
                await self.command("ping")
            except EngineError:
                return


class _Lines(asyncio.Protocol):
    def __init__(self, line: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        self._line = line
        self._closed = closed
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()


def _lost() -> EngineError:
    return EngineError(Failure.GONE, "the media process is gone")
