"""Killing the brain in the middle of a question."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_node.local.settings import LOOPBACK
from tests.support import node
from tests.worker.brain import Brain
from tests.worker.caller import Fields, now_ms

# From "the request is hardly read" to "the reply was sent long ago".
MOMENTS_MS = (0.1, 5.0, 12.0, 40.0)
LONGEST_WRITE_SEC = 5.0
Moment = Callable[[socket.socket], object]


def ask_and_kill(brain: Brain, question: Fields, moment: Moment) -> bytes:
    """Sends `/route` and kills workerd when `moment` returns; what was answered by then."""
    body = json.dumps(question)
    headers = node.signed("POST", "/route", body, now_ms()) | {"host": "brain", "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((LOOPBACK, brain.port)) as connection:
        connection.sendall(f"POST /route HTTP/1.1\r\n{head}\r\n{body}".encode())
        moment(connection)
        brain.kill9()
        with suppress(OSError):
            return connection.recv(65536)
    return b""


def about(milliseconds: float) -> Moment:
    """That much after the question, give or take; sooner when a reply comes."""
    return within(milliseconds * random.uniform(0.6, 1.4) / 1000)


def within(seconds: float) -> Moment:
    """When a reply comes, but no later than that."""

    def wait(connection: socket.socket) -> None:
        connection.settimeout(seconds)
        with suppress(TimeoutError):
            connection.recv(65536, socket.MSG_PEEK)

    return wait


def written(brain: Brain) -> Moment:
    """As soon as the one object that is not there yet when this is called writes anything after the question: it writes
    before it replies."""
    folder = brain.settings.brain_state / "v3/do/tandem-Presence"
    known = set(folder.glob("*-wal"))

    def wait(_: socket.socket) -> None:
        [log] = set(folder.glob("*-wal")) - known
        before = _age_and_size(log)
        deadline = time.monotonic() + LONGEST_WRITE_SEC
        while _age_and_size(log) == before:
            assert time.monotonic() < deadline, "nothing was written"

    return wait


def _age_and_size(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
