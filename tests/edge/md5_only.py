"""A UDP relay that lets an old client see MD5 challenges only.

SIPp 3.6.1 gives up on a response whose first challenge is SHA-256 (RFC 8760 puts the strongest first). The relay stands
between it and the edge, and takes those challenges away; every other byte passes as it is. Responses find their way
through `rport` (RFC 3581); what the edge sends to the client's contact goes there directly.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
_DATAGRAM = 65_535
_STRONGER = re.compile(rb"(?:WWW|Proxy)-Authenticate:[^\r\n]*algorithm=\"?SHA[^\r\n]*\r\n", re.IGNORECASE)


@contextlib.contextmanager
def md5_only(edge: tuple[str, int], client: int) -> Iterator[tuple[str, int]]:
    """Relay between `edge` and the client's port of the loopback address; yields where the client must send."""
    stop_here, stop_there = socket.socketpair()
    with (
        stop_here,
        stop_there,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inner,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outer,
    ):
        inner.bind((LOOPBACK, 0))
        outer.bind((LOOPBACK, 0))

        def relay() -> None:
            while True:
                ready = select.select([inner, outer, stop_there], [], [])[0]
                if stop_there in ready:
                    return
                # A port that nobody listens on any more is reported at the next use of the socket: the client is gone.
                with contextlib.suppress(ConnectionError):
                    if inner in ready:
                        outer.sendto(inner.recv(_DATAGRAM), edge)
                    if outer in ready:
                        inner.sendto(_STRONGER.sub(b"", outer.recv(_DATAGRAM)), (LOOPBACK, client))

        thread = threading.Thread(target=relay, name="md5 only")
        thread.start()
        try:
            yield inner.getsockname()
        finally:
            stop_here.send(b".")
            thread.join()
