"""Ports in a row for what a test starts; other runs of the suite on the machine get others."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_SIZE: Final = 400
# Above the kernel's own range; see tests/support/ports.py for who has which.
_BLOCKS: Final = range(61_000, 65_400, _SIZE)


@contextlib.contextmanager
def block() -> Iterator[range]:
    """So many UDP ports, ours while the context lasts: the TCP port of the first one says so to others."""
    for first in _BLOCKS:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
            try:
                held.bind((LOOPBACK, first))
                held.listen()
            except OSError:
                continue
            yield range(first, first + _SIZE)
            return
    raise AssertionError("all blocks of ports are taken")
