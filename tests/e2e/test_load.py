"""A thousand calls at 20 a second: none fails, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from edge_node.agent.kamailio import Kamailio, Rpc
from edge_node.local.waiting import wait_until
from tests.e2e.installation import Installation
from tests.edge import load
from tests.edge.raw_sip import LOOPBACK
from tests.edge.sipp import Account

CALLS = 1000
RATE = 20.0
SETTLE_SECONDS = 15.0


@pytest.mark.timeout(240)
def test_a_thousand_calls_leave_nothing_behind(tandem: Installation) -> None:
    callers = [_account(tandem, "1001", 0), _account(tandem, "1001", 1)]
    callees = [_account(tandem, "1002", 0), _account(tandem, "1002", 1)]
    edge = (LOOPBACK, tandem.settings.sip_port)
    report = asyncio.run(load.place(edge, callers, callees, calls=CALLS, rate=RATE))
    print(report)
    assert not report.failures, report.failures[:10]
    for account in (0, 1):
        tandem.wait_live(0, SETTLE_SECONDS, account)
    wait_until(lambda: _dialogs(tandem) == 0, SETTLE_SECONDS, "Kamailio to forget every dialog")
    wait_until(lambda: _relayed(tandem) == 0, SETTLE_SECONDS, "rtpengine to forget every call")


def _account(tandem: Installation, extension: str, account: int) -> Account:
    user = tandem.user(extension, account)
    return Account(user["auth_username"], user["password"], tandem.account(account)["domain"])


def _dialogs(tandem: Installation) -> int:
    async def count() -> int:
        async with Rpc(f"http://{LOOPBACK}:{tandem.settings.rpc_port}/rpc") as rpc:
            return len(await Kamailio(rpc).calls())

    return asyncio.run(count())


def _relayed(tandem: Installation) -> int:
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
