"""Counts UDP packets on the loopback interface: a process of its own, since only root may listen there.

with Wire(range(32000, 32100), folder) as wire:
    before = time.monotonic()
    …
    assert not wire.packets(after=before + 1)
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_ROOT: Final = Path(__file__).resolve().parents[2]
_IPV4: Final = 0x0800
_UDP: Final = 17
_OUTGOING: Final = 4  # PACKET_OUTGOING: each packet is seen twice on this interface
READY_SEC: Final = 10.0


@dataclass(frozen=True)
class Packet:
    """`at` is monotonic, in s."""

    at: float
    source: int
    destination: int


class Wire:
    """Listens to packets from or to those ports."""

    def __init__(self, ports: range, folder: Path) -> None:
        self._path = folder / "wire.txt"
        self._command = [sys.executable, "-m", "tests.engine.wire", str(ports.start), str(ports.stop), str(self._path)]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        process = self._stack.enter_context(subprocess.Popen([*sudo, *self._command], cwd=_ROOT, stdin=subprocess.PIPE))
        end = time.monotonic() + READY_SEC
        while not self._path.exists():
            assert process.poll() is None, "nobody may listen on the loopback interface: neither root nor sudo"
            assert time.monotonic() < end, "the listener does not start"
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()  # its input closes, so it ends

    def packets(self, *, after: float = 0.0, before: float = float("inf")) -> list[Packet]:
        *lines, _ = self._path.read_text().split("\n")
        fields = (line.split() for line in lines)
        found = (Packet(float(at), int(source), int(destination)) for at, source, destination in fields)
        return [packet for packet in found if after <= packet.at < before]


def main(start: int, stop: int, path: str) -> None:
    ports = range(start, stop)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_IPV4)) as listener:
        listener.bind(("lo", _IPV4))
        with Path(path).open("w", buffering=1) as file:
            while not _closed():
                listener.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    data, address = listener.recvfrom(128)
                    header = (data[0] & 15) * 4
                    if address[2] == _OUTGOING or data[9] != _UDP:
                        continue
                    source, destination = struct.unpack_from("!HH", data, header)
                    if source in ports or destination in ports:
                        file.write(f"{time.monotonic()} {source} {destination}\n")


def _closed() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0]) and not os.read(0, 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
