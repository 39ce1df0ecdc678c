"""Ports in a row for what a test starts; other runs of the suite on the machine get others."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

LOOPBACK: Final = "127.0.0.1"
# Above the kernel's own range; see tests/support/ports.py for who has which.
_HUNDREDS: Final = range(61_000, 65_400, 100)


@contextlib.contextmanager
def block(hundreds: int = 4) -> Iterator[range]:
    """So many hundred UDP ports, ours while the context lasts: the TCP port of each hundred says so to others."""
    for first in _HUNDREDS[: len(_HUNDREDS) - hundreds + 1]:
        ports = range(first, first + 100 * hundreds)
        with contextlib.ExitStack() as stack:
            try:
                for taken in ports[::100]:
                    held = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                    held.bind((LOOPBACK, taken))
                    held.listen()
            except OSError:
                continue
            yield ports
            return
    raise AssertionError(f"no {hundreds} hundred ports in a row are left")
