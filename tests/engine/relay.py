"""A Kamailio and an rtpengine of a test's own, with a configuration that only relays."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tests.engine.ports import LOOPBACK, block
from tests.engine.switch import RealSwitch

READY_SEC: Final = 15.0
_TEMPLATE: Final = Path(__file__).parent / "relay.cfg"
_MODULES: Final = "/usr/lib/x86_64-linux-gnu/kamailio/modules"


class Relay:
    """`sip` is Kamailio's port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sip = 0
        self._ng = 0
        self._stack = contextlib.ExitStack()
        self._beside: RealSwitch | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.sip}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Relay]:
        with self._stack as stack:
            # Four for the sound of each of two hundred callers.
            ports = stack.enter_context(block(9))
            self.sip, self._ng = ports[1], ports[2]
            self._start(stack, "rtpengine", self._rtpengine(ports[10:]))
            # Kamailio asks once, and leaves one that does not answer alone for a while
            self._wait("rtpengine", self._ng, b"1 d7:command4:pinge", b"1 d6:result4:pong")
            self._start(stack, "kamailio", self._kamailio())
            self._wait("kamailio", self.sip, self._options(), b"SIP/2.0 200")
            yield self

    def beside(self, start: Callable[[Path], AbstractContextManager[RealSwitch]]) -> RealSwitch:
        """A switch that runs as long as the relay; started by the first who asks."""
        if self._beside is None:
            folder = self.folder / "switch"
            folder.mkdir()
            self._beside = self._stack.enter_context(start(folder))
        return self._beside

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _kamailio(self) -> list[str]:
        config = self.folder / "relay.cfg"
        text = _TEMPLATE.read_text().replace("@SIP@", str(self.sip)).replace("@NG@", str(self._ng))
        config.write_text(text.replace("@MODULES@", _MODULES))
        run = self.folder / "run"
        run.mkdir()
        return [_found("kamailio"), "-DD", "-E", "-f", str(config), "-Y", str(run), "-P", str(run / "pid"), "-m", "64"]

    def _rtpengine(self, ports: range) -> list[str]:
        return [
            _found("rtpengine"),
            "--config-file=none",
            "--foreground",
            "--log-stderr",
            "--table=-1",
            f"--interface={LOOPBACK}",
            f"--listen-ng={LOOPBACK}:{self._ng}",
            f"--port-min={ports.start}",
            f"--port-max={ports.stop - 1}",
            "--log-level=5",
            "--num-threads=2",
            "--delete-delay=0",
        ]

    def _start(self, stack: contextlib.ExitStack, name: str, command: list[str]) -> None:
        log = stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(process.terminate)

    def _options(self) -> bytes:
        return (
            f"OPTIONS sip:{self.address} SIP/2.0\r\nVia: SIP/2.0/UDP {LOOPBACK};rport;branch=z9hG4bKready\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:test@{LOOPBACK}>;tag=1\r\nTo: <sip:test@{LOOPBACK}>\r\n"
            f"Call-ID: ready\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def _wait(self, name: str, port: int, question: bytes, answer: bytes) -> None:
        end = time.monotonic() + READY_SEC
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK, 0))
            probe.settimeout(0.2)
            while True:
                probe.sendto(question, (LOOPBACK, port))
                with contextlib.suppress(TimeoutError):
                    if probe.recv(4096).startswith(answer):
                        return
                assert time.monotonic() < end, self.log(name)[-2000:]


def _found(program: str) -> str:
    """Debian puts daemons where not everybody looks."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    assert path is not None, f"{program} is not installed"
    return path
