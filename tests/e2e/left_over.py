"""What the edge still has of calls: Kamailio's dialogs, rtpengine's sessions, and the engine's process of a call."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from edge_node.agent.kamailio import Kamailio, Rpc
from edge_node.local.waiting import wait_until
from tests.e2e.installation import Installation
from tests.edge.raw_sip import LOOPBACK


def wait_nothing(tandem: Installation, seconds: float) -> None:
    wait_until(lambda: dialogs(tandem) == 0, seconds, "Kamailio to forget every dialog")
    wait_until(lambda: relayed(tandem) == 0, seconds, "rtpengine to forget every call")


def dialogs(tandem: Installation) -> int:
    async def count() -> int:
        async with Rpc(f"http://{LOOPBACK}:{tandem.settings.rpc_port}/rpc") as rpc:
            return len(await Kamailio(rpc).calls())

    return asyncio.run(count())


def relayed(tandem: Installation) -> int:
    """Calls that rtpengine holds: its `list` command, of whose bencoded answer the list's strings are counted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ng:
        ng.settimeout(5)
        ng.sendto(b"1 d7:command4:liste", (LOOPBACK, tandem.settings.ng_port))
        answer = ng.recv(65_535)
    calls, _, result = answer.partition(b"5:callsl")[2].partition(b"e6:result")
    assert result.startswith(b"2:ok"), answer
    count = 0
    while calls:
        length, _, rest = calls.partition(b":")
        calls = rest[int(length) :]
        count += 1
    return count


def engine_pid(tandem: Installation, caller: str) -> int:
    """The process of the embedded engine that answered the one call of this extension."""

    async def listed() -> Any:
        async with Rpc(f"http://{LOOPBACK}:{tandem.settings.rpc_port}/rpc") as rpc:
            return await rpc.call("dlg.list")

    contacts = [
        str(one["callee"]["contact"])
        for one in asyncio.run(listed())
        if str(one["from_uri"]).startswith(f"sip:{caller}@") and "engine_b" in str(one["variables"])
    ]
    (contact,) = contacts
    port = int(contact.removeprefix("<").partition(">")[0].partition(";")[0].rpartition(":")[2])
    return _holder(port)


def _holder(port: int) -> int:
    """Who has this UDP port open (proc(5))."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if int(row[1].rpartition(":")[2], 16) == port}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(entry.readlink()) in inodes for entry in folder.iterdir()):
                return int(folder.parent.name)
        except OSError:  # another's process, or one that is over
            continue
    raise AssertionError(f"nobody listens at UDP port {port}")
