"""Ports for what tests start: each process of a run has a place of its own, and with it ranges that no other touches.

| ports | whose |
|---|---|
| 9 900 + place | taken: says to others that the place is |
| 12 000 to 15 200 | media engines of single nodes (tests/edge) |
| 13 200 to 19 200 | media engines of installations (tests/e2e) |
| 20 000 to 31 200 | one by one, by `free` |
| 41 000 to 49 000, 57 000 to 57 800 | relays of installations and of single nodes |
| 61 000 to 65 400 | in a row, by `tests.engine.ports` |
"""

from __future__ import annotations

import atexit
import functools
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
PLACES: Final = 4
_FIRST: Final = 20_000
_EACH: Final = 2_800
_given: set[int] = set()


@functools.cache
def place() -> int:
    """This process's, from 0 to 3, to its end."""
    for number in range(PLACES):
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            held.bind((LOOPBACK, 9_900 + number))
            held.listen()
        except OSError:
            held.close()
            continue
        atexit.register(held.close)
        return number
    raise AssertionError(f"more than {PLACES} processes test real parts on this machine at once")


def free(count: int = 1) -> list[int]:
    """Ports that are free for UDP and TCP, and were not given before."""
    found: list[int] = []
    first = _FIRST + place() * _EACH
    for port in range(first, first + _EACH):
        if len(found) == count:
            return found
        if port not in _given and _is_free(port):
            _given.add(port)
            found.append(port)
    raise AssertionError("no free port left")


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind((LOOPBACK, port))
    except OSError:
        return False
    return True
