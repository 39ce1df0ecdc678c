"""The brain end to end on CPython: what a node asks and what comes back."""

from __future__ import annotations

import json

import pytest

from tests.support import node, seeds
from tests.support.local_brain import LocalBrain

ACME = seeds.tenant(1, "acme.tandem.test")
GLOBEX = seeds.tenant(2, "globex.tandem.test")


@pytest.fixture
def brain() -> LocalBrain:
    brain = LocalBrain()
    brain.write(seeds.rows_of(ACME))
    brain.write(seeds.rows_of(GLOBEX))
    return brain


async def test_a_call_is_counted_ended_and_recorded(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        status, reply = await brain.register(ACME, digits)
        assert status == 200
        assert reply["context"]["aor"] == f"sip:{ACME.people[digits].device_id}@acme.tandem.test"
    routed = await brain.invite(ACME, "1001", "1002")
    assert routed["action"] == "proxy"
    assert [route["uri"] for route in routed["routes"]] == [f"sip:{ACME.people['1002'].device_id}@acme.tandem.test"]
    _, cac = await brain.get(f"/cac?accountId={ACME.account_id}")
    assert {use["subject"]: use["used"] for use in cac["dimensions"]} == {
        ACME.people["1001"].user_id: 1,
        ACME.people["1002"].user_id: 1,
    }
    for seq, (state, wait) in enumerate([("early", 1000), ("answer", 2000), ("end", 30_500)]):
        await brain.advance(wait)
        event = {
            "eventId": node.event_id(brain.now),
            "type": "dialog",
            "accountId": ACME.account_id,
            "at": brain.now,
            "callId": routed["call_id"],
            "sipCallId": routed["asked"]["sipCallId"],
            "fromTag": routed["asked"]["fromTag"],
            "seq": seq,
            "state": state,
            "hungUpBy": "caller" if state == "end" else None,
        }
        status, reply = await brain.post(
            "/presence/event",
            json.dumps({"node": seeds.NODE_ID, "events": [{k: v for k, v in event.items() if v} | {"seq": seq}]}),
        )
        assert (status, reply["acked"]) == (200, [event["eventId"]])
    _, cac = await brain.get(f"/cac?accountId={ACME.account_id}")
    assert cac["dimensions"] == []
    await brain.advance(5000)
    row = dict(brain.control.connection.execute("SELECT * FROM call_cdr").fetchone())
    assert row["call_id"] == routed["call_id"]
    assert (row["disposition"], row["billsec"], row["hangup_by"]) == ("answered", 31, "caller")


async def test_two_tenants_with_the_same_extensions_never_meet(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001")
    await brain.register(GLOBEX, "1002")
    routed = await brain.invite(ACME, "1001", "1002")
    assert (routed["action"], routed["code"]) == ("reject", 480)
