"""Routing in the deployed brain: what its own platform brings in, time zones and numbering plans, and round trips."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import node, rows, seeds
from tests.support.seeds import suffix
from tests.worker.brain import Brain
from tests.worker.caller import OPERATOR, VARIABLES, Caller, Fields

CARRIER = "203.0.113.9"
NUMBER = "493023125000"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Brain(tmp_path_factory.mktemp("routing"), VARIABLES) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


def inbound(caller: Caller, tenant: seeds.Tenant, to: str, **changes: Any) -> Fields:
    body = json.loads(node.invite_body(tenant, "x", to))
    body |= {"from": "+442071838750", "fromDomain": "peer.example", "ruri": f"sip:{to}@198.51.100.1"}
    status, reply = caller.post("/route", body | {"sourceIp": CARRIER} | changes)
    assert status == 200, reply
    return {**reply["rtjson"], "asked": body}


def test_a_german_number_with_hours_in_berlin(caller: Caller) -> None:
    tenant = caller.tenant()
    first, second = (person.user_id for person in tenant.people.values())
    closed = {"closed_dest_kind": "user", "closed_dest_id": second}
    target = {"dest_kind": "user", "dest_id": first, "schedule_id": f"sch_{suffix(1)}"}
    caller.brain.d1_batch(
        rows.update("account", tenant.account_id, country="DE", timezone="America/New_York"),
        rows.did(tenant, 1, NUMBER, **target, **closed),
        rows.schedule(tenant, 1, timezone="Asia/Tokyo"),
        *rows.trunk(tenant, 1, f"{CARRIER}/32"),
    )
    poked(caller, tenant)
    # No rule opens: closed. The number in the form of its country, from the account's own trunk.
    found = inbound(caller, tenant, "03023125000")
    assert found["routes"][0]["uri"].startswith(f"sip:{tenant.people['1002'].device_id}@"), found
    rules = [rows.schedule_rule(tenant, 10 + dow, 1, dow=dow) for dow in range(7)]
    caller.brain.d1_batch(*rules, rows.update("time_schedule", f"sch_{suffix(1)}", timezone="Europe/Berlin"))
    poked(caller, tenant)
    found = inbound(caller, tenant, f"+{NUMBER}")
    assert found["routes"][0]["uri"].startswith(f"sip:{tenant.people['1001'].device_id}@")
    assert found["routes"][0]["headers"]["from"]["uri"] == f"sip:+442071838750@{tenant.domain}"


def test_hours_at_an_injected_time_are_those_of_the_zone(caller: Caller) -> None:
    """29 March 2026, Berlin: at 01:00 UTC the clock goes from 02:00 to 03:00."""
    tenant = caller.tenant()
    caller.brain.d1_batch(
        rows.extension(tenant, 50, "50", "hangup", "486", schedule_id=f"sch_{suffix(50)}"),
        rows.schedule(tenant, 50, timezone="Europe/Berlin"),
        rows.schedule_rule(tenant, 50, 50, dow=0, start_time="03:00", end_time="04:00"),
        rows.insert(
            "api_key",
            id=f"key_{suffix(50)}",
            name="all",
            hash=hashlib.sha256(b"sk_all").hexdigest(),
            scopes="*",
            created_at=0,
        ),
    )
    poked(caller, tenant)
    at = 1_774_746_000_000
    assert time.gmtime(at / 1000)[:5] == (2026, 3, 29, 1, 0)
    codes = []
    for moment in (at - 1_000, at, at + 3_599_000, at + 3_600_000):
        asked = {"account_id": tenant.account_id, "from": "1001", "to": "50", "at": moment}
        status, reply = caller.post("/v1/explain", asked, {"x-api-key": "sk_all", "content-type": "application/json"})
        assert status == 200, reply
        codes.append(reply["directive"]["code"])
    assert codes == [480, 486, 486, 480]


def test_a_forward_after_no_answer(caller: Caller) -> None:
    tenant = caller.tenant(("1001", "1002", "1003"))
    target = {"fwd_noanswer_kind": "user", "fwd_noanswer_id": tenant.people["1003"].user_id}
    caller.brain.d1_batch(rows.update("sip_user", tenant.people["1002"].user_id, **target))
    poked(caller, tenant)
    first = caller.call(tenant)
    assert first["action"] == "proxy"
    asked = first["asked"] | {"callId": first["call_id"], "accountId": tenant.account_id, "outcome": "no_answer"}
    replies = [caller.post("/route", asked | {"questionId": "q1"})[1]["rtjson"] for _ in range(2)]
    assert replies[0] == replies[1]
    assert replies[0]["routes"][0]["uri"].startswith(f"sip:{tenant.people['1003'].device_id}@")
    assert "reason=no-answer" in replies[0]["routes"][0]["headers"]["extra"]


def poked(caller: Caller, tenant: seeds.Tenant) -> None:
    status, reply = caller.post("/config/poke", {"accountId": tenant.account_id}, OPERATOR)
    assert status == 200, reply
