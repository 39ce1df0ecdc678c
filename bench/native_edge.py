"""A Kamailio that routes natively from its own SQLite: what the edge is compared with."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edge_node.local.waiting import wait_until
from tandem.domain.digest import md5
from tests.edge.sipp import Account, free_port

TEMPLATE: Final = Path(__file__).parent / "native" / "kamailio.cfg"
READY_SEC: Final = 10.0


@contextlib.contextmanager
def native_edge(folder: Path, users: Sequence[Account], ng_port: int, workers: int) -> Iterator[tuple[int, int]]:
    """SIP port and process id of a running one; `users` register and are called under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "routing.sqlite"
    _fill(database, users)
    port = free_port()
    text = TEMPLATE.read_text()
    for name, value in {
        "WORKERS": workers,
        "SIP_PORT": port,
        "NG_PORT": ng_port,
        "DATABASE": database,
    }.items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / "kamailio.cfg"
    config.write_text(text)
    command = ["/usr/sbin/kamailio", "-DD", "-E", "-f", str(config), "-Y", str(folder), "-m", "256", "-M", "16"]
    with (folder / "kamailio.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port), READY_SEC, "the native Kamailio")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(READY_SEC)


def _fill(database: Path, users: Sequence[Account]) -> None:
    database.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TABLE subscriber (username TEXT, domain TEXT, ha1 TEXT, PRIMARY KEY (username, domain))"
        )
        connection.execute(
            "CREATE TABLE extension (domain TEXT, digits TEXT, username TEXT, PRIMARY KEY (domain, digits))"
        )
        for user in users:
            ha1 = md5(f"{user.user}:{user.domain}:{user.password}")
            connection.execute("INSERT INTO subscriber VALUES (?, ?, ?)", (user.user, user.domain, ha1))
            connection.execute("INSERT INTO extension VALUES (?, ?, ?)", (user.domain, user.user, user.user))


def _listens(port: int) -> bool:
    return f":{port:04X} " in Path("/proc/net/udp").read_text()
