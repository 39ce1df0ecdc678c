"""`POST /route` without credentials: trunks by address, numbers, hours, who is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.runtime.cpython import clock
from tests.support import node, rows, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME, GLOBEX

ALICE, BOB = ACME.people["1001"], ACME.people["1002"]
NUMBER, OPEN, GLOBEX_NUMBER = "12025550100", "12025550101", "12025550200"
CARRIER, OWN, PBX, STRANGER = "203.0.113.9", "203.0.113.66", "198.51.100.9", "192.0.2.99"
MONDAY = 1_783_332_000_000  # 2026-07-06 10:00 UTC


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    brain.write(
        [
            rows.did(ACME, 1, NUMBER, dest_kind="user", dest_id=BOB.user_id),
            rows.did(ACME, 2, OPEN, dest_kind="user", dest_id=BOB.user_id, accept_any_source=1),
            rows.did(GLOBEX, 3, GLOBEX_NUMBER, dest_kind="user", dest_id=GLOBEX.people["1002"].user_id),
            *rows.trunk(None, 1, "203.0.113.0/24"),
            *rows.trunk(ACME, 2, f"{OWN}/32", max_channels=1),
            *rows.trunk(ACME, 3, PBX, role="pbx", name="Branch", cid_number=NUMBER),
        ]
    )
    for tenant in (ACME, GLOBEX):
        for digits in tenant.people:
            await brain.register(tenant, digits)
    return brain


async def change(brain: LocalBrain, *statements: rows.Row) -> None:
    for statement, params in statements:
        await scene.reconfigure(brain, ACME, statement, *params)


async def called(brain: LocalBrain, source: str, to: str, **changes: Any) -> tuple[int, dict[str, Any]]:
    """As a node asks: user parts, and the domain of From apart."""
    body = json.loads(node.invite_body(ACME, "x", to)) | {
        "from": "+442071838750",
        "fromDomain": "peer.example",
        "to": to,
        "ruri": f"sip:{to}@198.51.100.1",
        "sourceIp": source,
    }
    return await brain.post("/route", json.dumps(body | changes))


async def routed(brain: LocalBrain, source: str, to: str, **changes: Any) -> dict[str, Any]:
    status, reply = await called(brain, source, to, **changes)
    assert status == 200, reply
    found: dict[str, Any] = reply["rtjson"]
    return found


async def test_a_carrier_s_call_is_recorded_as_inbound(phones: LocalBrain) -> None:
    found = await routed(phones, CARRIER, f"+{NUMBER}", pai='"Ann" <sip:+442071838751@peer.example>')
    assert found["account_id"] == ACME.account_id
    (route,) = found["routes"]
    assert route["uri"] == f"sip:{BOB.device_id}@{ACME.domain}"
    assert route["headers"]["from"] == {"display": "Ann", "uri": f"sip:+442071838751@{ACME.domain}"}
    assert found["cdr"] == {"callee_user_id": BOB.user_id, "did_id": f"did_{suffix(1)}"}
    await phones.advance(5_000)
    record = scene.record(phones, found["call_id"])
    names = ("direction", "from_num", "to_num", "did_id", "trunk_id", "user_id", "callee_user_id")
    assert [record[name] for name in names] == [
        "inbound",
        "442071838751",
        NUMBER,
        f"did_{suffix(1)}",
        f"tr_{suffix(1)}",
        None,
        BOB.user_id,
    ]


async def test_one_carrier_serves_several_accounts(phones: LocalBrain) -> None:
    found = await routed(phones, CARRIER, f"+{GLOBEX_NUMBER}")
    assert found["account_id"] == GLOBEX.account_id
    assert found["routes"][0]["uri"] == f"sip:{GLOBEX.people['1002'].device_id}@{GLOBEX.domain}"


async def test_an_account_s_own_trunk_brings_its_own_numbers_alone(phones: LocalBrain) -> None:
    assert (await routed(phones, OWN, f"+{NUMBER}"))["action"] == "proxy"
    refused = await routed(phones, OWN, f"+{NUMBER}")
    assert (refused["code"], refused["headers"]) == (503, ['Reason: Q.850;cause=42;text="trunk_channels"'])


@pytest.mark.parametrize(
    ("source", "to"),
    [(CARRIER, "+12025550199"), (STRANGER, f"+{NUMBER}"), (STRANGER, "1002"), (STRANGER, "+12025550199")],
)
async def test_what_nobody_takes_looks_the_same(phones: LocalBrain, source: str, to: str) -> None:
    status, reply = await called(phones, source, to)
    assert status == 404
    assert reply["error"]["message"] == "Nobody here takes this call."


async def test_a_stranger_reaches_an_open_number(phones: LocalBrain) -> None:
    found = await routed(phones, STRANGER, f"+{OPEN}", pai='"Ann" <sip:+442071838751@peer.example>')
    assert found["routes"][0]["headers"]["from"] == {"display": "", "uri": f"sip:+442071838750@{ACME.domain}"}


async def test_a_repeated_first_question_takes_nothing(phones: LocalBrain) -> None:
    first = await routed(phones, CARRIER, f"+{NUMBER}", sipCallId="one", fromTag="t", cseq="1")
    assert await routed(phones, CARRIER, f"+{NUMBER}", sipCallId="one", fromTag="t", cseq="1") == first
    assert len(scene.rows(phones, ACME, "call")) == 1


async def test_the_outcome_of_an_inbound_call(phones: LocalBrain) -> None:
    await change(phones, rows.update("sip_user", BOB.user_id, fwd_noanswer_kind="user", fwd_noanswer_id=ALICE.user_id))
    first = await routed(phones, CARRIER, f"+{NUMBER}", sipCallId="one", fromTag="t", cseq="1")
    again = {"callId": first["call_id"], "accountId": ACME.account_id, "outcome": "no_answer"}
    second = await routed(phones, CARRIER, f"+{NUMBER}", sipCallId="one", fromTag="t", cseq="1", **again)
    assert second["routes"][0]["uri"] == f"sip:{ALICE.device_id}@{ACME.domain}"
    assert second["routes"][0]["headers"]["from"]["uri"] == f"sip:+442071838750@{ACME.domain}"


async def test_anonymous_calls(phones: LocalBrain) -> None:
    hidden = {"from": "anonymous", "fromDomain": "anonymous.invalid"}
    found = await routed(phones, CARRIER, f"+{NUMBER}", **hidden)
    assert found["routes"][0]["headers"]["from"] == {
        "display": "Anonymous",
        "uri": "sip:anonymous@anonymous.invalid",
    }
    await change(phones, rows.update("did", f"did_{suffix(1)}", allow_anonymous=0))
    for changes in (hidden, {"privacy": "id"}, {"fromDomain": "anonymous.invalid"}):
        refused = await routed(phones, CARRIER, f"+{NUMBER}", **changes)
        assert (refused["code"], refused["reason"]) == (433, "Anonymity Disallowed")
    assert (await routed(phones, CARRIER, f"+{NUMBER}"))["action"] == "proxy"


@pytest.mark.parametrize("status", ["disabled", "virtual"])
async def test_a_number_that_is_off(phones: LocalBrain, status: str) -> None:
    await change(phones, rows.update("did", f"did_{suffix(1)}", status=status))
    assert (await routed(phones, CARRIER, f"+{NUMBER}"))["code"] == 404


async def test_the_default_target_is_inherited(phones: LocalBrain) -> None:
    await change(phones, rows.update("did", f"did_{suffix(1)}", dest_kind=None, dest_id=None))
    assert (await routed(phones, CARRIER, f"+{NUMBER}"))["code"] == 404
    target = {"did_default_dest_kind": "user", "did_default_dest_id": ALICE.user_id}
    await change(phones, rows.update("account", ACME.account_id, **target))
    assert (await routed(phones, CARRIER, f"+{NUMBER}"))["routes"][0]["uri"].startswith(f"sip:{ALICE.device_id}@")


# Opening hours Monday 9 to 17 in Berlin; 6 July is a Monday. (hours after MONDAY, who rings or the code)
@pytest.mark.parametrize(
    ("hours", "expected"),
    [(0, BOB.device_id), (4, BOB.device_id), (5, ALICE.device_id), (24, ALICE.device_id), (7 * 24, 603)],
)
async def test_hours_at_injected_times(phones: LocalBrain, hours: int, expected: str | int) -> None:
    await change(
        phones,
        rows.schedule(ACME, 1, timezone="Europe/Berlin"),
        rows.schedule_rule(ACME, 1, 1, dow=1, start_time="09:00", end_time="17:00"),
        rows.schedule_rule(ACME, 2, 1, "date", start_date="2026-07-13", is_closed=1),
        rows.update(
            "did",
            f"did_{suffix(1)}",
            schedule_id=f"sch_{suffix(1)}",
            closed_dest_kind="user",
            closed_dest_id=ALICE.user_id,
            holiday_dest_kind="hangup",
            holiday_dest_id="",
        ),
    )
    clock.fixed = MONDAY + hours * 3_600_000
    found = await routed(phones, CARRIER, f"+{NUMBER}")
    if isinstance(expected, int):
        assert found["code"] == expected
    else:
        assert found["routes"][0]["uri"].startswith(f"sip:{expected}@")


async def test_a_pbx_calls_as_its_account(phones: LocalBrain) -> None:
    found = await routed(phones, PBX, "1002", **{"from": "201"})
    assert found["routes"][0]["headers"]["from"] == {"display": "Branch", "uri": f"sip:+{NUMBER}@{ACME.domain}"}
    found = await routed(phones, PBX, "1002", **{"from": f"+{OPEN}"})
    assert found["routes"][0]["headers"]["from"]["uri"] == f"sip:+{OPEN}@{ACME.domain}"
    assert (await routed(phones, PBX, "4711"))["code"] == 404
    assert (await routed(phones, PBX, "+442071838750"))["reason"] == "No Outbound Trunk"


async def test_a_pbx_at_a_carrier_s_address_is_not_believed(phones: LocalBrain) -> None:
    await change(phones, *rows.trunk(ACME, 4, CARRIER, role="pbx"))
    found = await routed(phones, CARRIER, f"+{NUMBER}")
    assert (found["action"], found["cdr"]["did_id"]) == ("proxy", f"did_{suffix(1)}")
    assert (await called(phones, CARRIER, "1002"))[0] == 404


async def test_limits_of_the_account_and_the_number(phones: LocalBrain) -> None:
    await change(phones, rows.update("did", f"did_{suffix(1)}", max_channels=1))
    first = await routed(phones, CARRIER, f"+{NUMBER}")
    assert first["action"] == "proxy"
    refused = await routed(phones, CARRIER, f"+{NUMBER}")
    assert refused["headers"] == ['Reason: Q.850;cause=42;text="did_channels"']
    await change(phones, rows.update("account", ACME.account_id, max_in=1))
    refused = await routed(phones, CARRIER, f"+{OPEN}")
    assert refused["headers"] == ['Reason: Q.850;cause=42;text="account_in"']


async def test_an_account_below_a_suspended_one_does_nothing(phones: LocalBrain) -> None:
    top = rows.account(900)
    child = rows.account(901, "acc_" + suffix(900))
    below = node_tenant()
    phones.write([top, child, *child_rows(below)])
    await phones.register(below, "1001")
    number = rows.did(below, 9, "12025550900", dest_kind="user", dest_id=below.people["1001"].user_id)
    await scene.reconfigure(phones, below, *_flat(number))
    assert (await routed(phones, CARRIER, "+12025550900"))["action"] == "proxy"
    await scene.reconfigure(phones, below, *_flat(rows.update("account", "acc_" + suffix(900), status="suspended")))
    status, reply = await called(phones, CARRIER, "+12025550900")
    assert (status, reply["error"]["code"]) == (403, "account_suspended")
    status, reply = await phones.register(below, "1001")
    assert (status, reply["error"]["code"]) == (403, "account_suspended")


def _flat(row: rows.Row) -> tuple[Any, ...]:
    statement, params = row
    return (statement, *params)


def node_tenant() -> seeds.Tenant:
    return seeds.tenant(901, "below.tandem.test", ("1001",))


def child_rows(tenant: seeds.Tenant) -> list[rows.Row]:
    """The tenant's rows without its account, which is there already."""
    return [row for row in seeds.rows_of(tenant) if not row[0].startswith("INSERT INTO account")]
