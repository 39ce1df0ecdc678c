"""Calls at a steady rate: none fails, nothing of them stays behind, and the configuration may change meanwhile."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cli.client import Client
from cli.settings import Access
from edge_node.local.waiting import wait_until
from tests.e2e import left_over
from tests.e2e.installation import Installation
from tests.edge import load
from tests.edge.raw_sip import LOOPBACK
from tests.edge.sipp import Account

CALLS = 1000
RATE = 20.0
SETTLE_SECONDS = 15.0
LIVE_SECONDS = 2.0
CHANGES = 8


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
    left_over.wait_nothing(tandem, SETTLE_SECONDS)


def test_changes_are_live_within_two_seconds_while_calls_run(tandem: Installation) -> None:
    """Ten calls a second go on unharmed while an operator makes extensions, and takes them away again."""
    account = tandem.account(0)
    user = tandem.user("1001")["id"]
    edge = (LOOPBACK, tandem.settings.sip_port)
    placed = load.place(edge, [_account(tandem, "1001", 0)], [_account(tandem, "1002", 0)], calls=100, rate=10.0)
    with (
        ThreadPoolExecutor(1) as pool,
        Client(Access(f"http://{LOOPBACK}:{tandem.settings.brain_port}", account["api_key"], None)) as client,
    ):
        calls = pool.submit(asyncio.run, placed)
        lags = []
        for number in range(CHANGES):
            digits = f"88{number:02d}"
            made = client.post("/v1/extensions", {"digits": digits, "dest_kind": "user", "dest_id": user})["item"]
            lags.append(_until_code(client, digits, rejected=False))
            client.delete(f"/v1/extensions/{made['id']}")
            lags.append(_until_code(client, digits, rejected=True))
        report = calls.result()
    print(report, f"changes live after at most {max(lags):.2f} s")
    assert not report.failures, report.failures[:10]
    assert max(lags) < LIVE_SECONDS
    tandem.wait_live(0, SETTLE_SECONDS)


def _until_code(client: Client, digits: str, *, rejected: bool) -> float:
    """Seconds until a call to the digits is refused with 404, or not any more."""
    start = time.monotonic()

    def changed() -> bool:
        directive = client.post("/v1/explain", {"from": "1002", "to": digits})["directive"]
        return (directive.get("code") == 404) is rejected

    wait_until(changed, 10, f"the change of extension {digits}")
    return time.monotonic() - start


def _account(tandem: Installation, extension: str, account: int) -> Account:
    user = tandem.user(extension, account)
    return Account(user["auth_username"], user["password"], tandem.account(account)["domain"])
