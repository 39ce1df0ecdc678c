"""Calls from outside: who may, to what, and as whom they are shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tandem.domain.account import Account
from tandem.domain.cac import Dimension, Leg
from tandem.domain.calls import Direction
from tandem.domain.hours import Rule, Schedule
from tandem.domain.routing import (
    Arrival,
    Attached,
    Context,
    Decision,
    Device,
    Did,
    Extension,
    Forward,
    Limit,
    Peer,
    Reject,
    Ring,
    Target,
    Trunk,
    User,
    arrive,
    recognise,
)
from tests.support.exchange import DOMAIN, NODE, NOW, Exchange

BOB = User("us_b", "1002", "Bob", None, 20, dnd=False, active=True)
CARL = User("us_c", "1003", "Carl", None, 20, dnd=False, active=True)
NUMBER = "12025550100"
TO_BOB, TO_CARL = Target("user", "us_b"), Target("user", "us_c")
DID = Did("did_1", NUMBER, Attached(TO_BOB))
CARRIER = Trunk("tr_1", "Carrier", "carrier", owned=False)
OWN = Trunk("tr_2", "Own", "carrier", owned=True, max_channels=1)
PBX = Trunk("tr_3", "Branch", "pbx", owned=True, cid_number="12025550111")
FROM_CARRIER, FROM_OWN, FROM_PBX, STRANGER = "203.0.113.1", "203.0.113.2", "203.0.113.3", "192.0.2.1"


def exchange(did: Did = DID, **changes: Any) -> Exchange:
    return Exchange(
        own=replace(Account("acc_1", "Acme"), **changes),
        users={"us_b": BOB, "us_c": CARL},
        devices={
            "us_b": [Device("dev_b", DOMAIN, is_webrtc=False, node_id=NODE)],
            "us_c": [Device("dev_c", DOMAIN, is_webrtc=False, node_id=NODE)],
        },
        dids={did.e164: did},
        extensions={"1002": Extension("ext_1", "1002", Attached(TO_BOB))},
        trunks={FROM_CARRIER: [CARRIER], FROM_OWN: [OWN], FROM_PBX: [PBX]},
    )


def arrival(source: str = FROM_CARRIER, to: str = "+12025550100", **changes: Any) -> Arrival:
    uri = f"sip:{to}@198.51.100.1"
    return replace(Arrival(source, 5060, uri, uri, "sip:+442071838750@peer.example"), **changes)


def came(at: Exchange, what: Arrival, context: Context | None = None) -> Decision | None:
    context = context or at.context()
    peer = recognise(context, what)
    return None if peer is None else arrive(context, what, peer)


def code(decision: Decision | None) -> int:
    assert isinstance(decision, Reject), decision
    return decision.code


def rung(decision: Decision | None) -> list[str]:
    assert isinstance(decision, Ring), decision
    return [branch.device.device_id for branch in decision.branches]


def test_a_carrier_brings_a_call_to_a_number() -> None:
    at = exchange()
    context = at.context()
    assert rung(came(at, arrival(), context)) == ["dev_b"]
    assert (context.direction, context.did_id, context.trunk_id) == (Direction.INBOUND, "did_1", "tr_1")
    assert {(row[1], row[2], row[3]) for row in at.ledger.rows["call_1"]} == {
        (Leg.CALLER, Dimension.ACCOUNT_IN, "acc_1"),
        (Leg.CALLER, Dimension.DID_CHANNELS, "did_1"),
        (Leg.CALLEE, Dimension.USER_SIMULTANEOUS, "us_b"),
    }


@pytest.mark.parametrize("to", ["+12025550100", "12025550100", "2025550100", "0012025550100"])
def test_forms_of_the_number(to: str) -> None:
    assert rung(came(exchange(), arrival(to=to))) == ["dev_b"]


@pytest.mark.parametrize(
    ("number_from", "changes", "found"),
    [
        ("ruri", {}, True),
        ("ruri", {"ruri": "sip:x@1.2.3.4"}, False),
        ("to", {"ruri": "sip:x@1.2.3.4"}, True),
        ("to", {"to": "sip:x@1.2.3.4"}, False),
        ("p_called_party_id", {}, False),
        ("p_called_party_id", {"headers": {"p-called-party-id": "sip:+12025550100@x"}}, True),
        ("p_called_party_id", {"headers": {"p-called-party-id": '"N" <sip:+12025550100@x>;a=b'}}, True),
    ],
)
def test_where_the_number_stands(number_from: str, changes: dict[str, Any], found: bool) -> None:
    at = exchange()
    at.trunks[FROM_CARRIER] = [replace(CARRIER, number_from=number_from)]
    assert (came(at, arrival(**changes)) is not None) is found


@pytest.mark.parametrize(
    ("source", "any_source", "known"),
    [(FROM_CARRIER, False, True), (STRANGER, False, False), (STRANGER, True, True)],
)
def test_a_stranger_reaches_open_numbers_alone(source: str, any_source: bool, known: bool) -> None:
    at = exchange(replace(DID, accept_any_source=any_source))
    assert (came(at, arrival(source)) is not None) is known
    assert came(at, arrival(source, "+12025550199")) is None
    assert came(at, arrival(STRANGER, "1002")) is None


def test_a_carrier_that_does_not_bring_the_number_leaves_it_to_the_next() -> None:
    at = exchange()
    at.trunks[FROM_CARRIER] = [replace(OWN, number_from="to"), CARRIER, PBX]
    context = at.context()
    assert rung(came(at, arrival(to="+12025550100"), context)) == ["dev_b"]
    assert context.trunk_id == "tr_2"
    context = at.context("call_2")
    assert rung(came(at, arrival(to="+12025550199", ruri="sip:+12025550100@x"), context)) == ["dev_b"]
    assert context.trunk_id == "tr_1"
    context = at.context("call_3")
    assert rung(came(at, arrival(to="1002"), context)) == ["dev_b"]
    assert context.trunk_id == "tr_3"


def test_an_open_number_may_be_called_from_a_carrier_s_address_too() -> None:
    at = exchange(replace(DID, accept_any_source=True))
    at.trunks[FROM_CARRIER] = [replace(CARRIER, number_from="p_called_party_id")]
    context = at.context()
    assert rung(came(at, arrival(), context)) == ["dev_b"]
    assert context.trunk_id is None


@pytest.mark.parametrize("status", ["disabled", "virtual"])
def test_a_number_that_is_off_is_not_found(status: str) -> None:
    at = exchange(replace(DID, status=status))
    assert code(came(at, arrival())) == 404
    assert not at.ledger.rows


def test_a_peer_without_number_and_trunk_gets_nothing() -> None:
    at = exchange()
    assert code(arrive(at.context(), arrival(), Peer(None, None, ""))) == 404


@pytest.mark.parametrize(
    ("allowed", "changes", "expected"),
    [
        (False, {}, None),
        (True, {"privacy": "id"}, None),
        (False, {"privacy": "id"}, 433),
        (False, {"from_uri": "sip:anonymous@anonymous.invalid"}, 433),
    ],
)
def test_the_anonymous_policy(allowed: bool, changes: dict[str, Any], expected: int | None) -> None:
    at = exchange(replace(DID, allow_anonymous=allowed))
    decision = came(at, arrival(**changes))
    if expected is None:
        assert rung(decision) == ["dev_b"]
    else:
        assert code(decision) == expected


@pytest.mark.parametrize(
    ("source", "changes", "shown"),
    [
        (FROM_CARRIER, {}, ("", f"sip:+442071838750@{DOMAIN}")),
        (FROM_CARRIER, {"from_uri": "sip:2025550123@x"}, ("", f"sip:+12025550123@{DOMAIN}")),
        (FROM_CARRIER, {"asserted": '"Ann" <sip:+12025550123@x>'}, ("Ann", f"sip:+12025550123@{DOMAIN}")),
        (STRANGER, {"asserted": '"Ann" <sip:+12025550123@x>'}, ("", f"sip:+442071838750@{DOMAIN}")),
        (FROM_CARRIER, {"privacy": "id"}, ("Anonymous", "sip:anonymous@anonymous.invalid")),
    ],
)
def test_who_is_shown(source: str, changes: dict[str, Any], shown: tuple[str, str]) -> None:
    at = exchange(replace(DID, accept_any_source=True))
    decision = came(at, arrival(source, **changes))
    assert isinstance(decision, Ring)
    assert (decision.plan.caller.shown_name, decision.plan.caller.shown_uri) == shown


def test_a_number_without_a_target_goes_to_the_account_s_default() -> None:
    bare = replace(DID, attached=Attached(None))
    assert code(came(exchange(bare), arrival())) == 404
    assert rung(came(exchange(bare, did_default=TO_CARL), arrival())) == ["dev_c"]
    assert rung(came(exchange(did_default=TO_CARL), arrival())) == ["dev_b"]


@pytest.mark.parametrize(
    ("rules", "closed", "holiday", "expected"),
    [
        ((Rule(dow=1),), None, None, ["dev_b"]),
        ((), None, None, 480),
        ((), TO_CARL, None, ["dev_c"]),
        ("holiday", TO_CARL, None, ["dev_c"]),
        ("holiday", None, TO_CARL, ["dev_c"]),
        ("holiday", Target("hangup", "486"), TO_CARL, ["dev_c"]),
        ("holiday", None, None, 480),
    ],
)
def test_hours_of_a_number(rules: Any, closed: Target | None, holiday: Target | None, expected: Any) -> None:
    if rules == "holiday":
        rules = (Rule(first=date(2026, 7, 6), last=date(2026, 7, 6), is_closed=True), Rule(dow=1))
    at = exchange(replace(DID, attached=Attached(TO_BOB, "sch_1", closed, holiday)))
    at.schedules["sch_1"] = Schedule("sch_1", None, rules)
    decision = came(at, arrival())
    assert (code(decision) if isinstance(expected, int) else rung(decision)) == expected


def test_hours_are_those_of_the_account_s_zone() -> None:
    at = exchange(replace(DID, attached=Attached(TO_BOB, "sch_1")), timezone="Asia/Tokyo")
    at.schedules["sch_1"] = Schedule("sch_1", None, (Rule(9 * 60, 17 * 60, dow=1),))
    assert code(came(at, arrival(), at.context(at=NOW))) == 480  # 19:00 in Tokyo
    assert rung(came(at, arrival(), at.context(at=NOW - 3 * 3_600_000))) == ["dev_b"]


@pytest.mark.parametrize(
    ("changes", "did", "source", "dimension"),
    [
        ({"max_in": 0}, DID, FROM_CARRIER, Dimension.ACCOUNT_IN),
        ({}, replace(DID, max_channels=0), FROM_CARRIER, Dimension.DID_CHANNELS),
        ({}, DID, FROM_OWN, Dimension.TRUNK_CHANNELS),
    ],
)
def test_limits_of_a_call_from_outside(changes: Any, did: Did, source: str, dimension: Dimension) -> None:
    at = exchange(did, **changes)
    if dimension is Dimension.TRUNK_CHANNELS:
        assert rung(came(at, arrival(source), at.context("call_0"))) == ["dev_b"]
    decision = came(at, arrival(source))
    assert isinstance(decision, Reject)
    assert (decision.code, decision.dimension, decision.retry_after_sec) == (503, dimension, 10)
    assert decision.header == f'Reason: Q.850;cause=42;text="{dimension}"'
    assert "call_1" not in at.ledger.rows


def test_windows_of_a_call_from_outside() -> None:
    at = exchange()
    at.windows = [(f"in - did_1 {NUMBER}", Limit("lim_1", "did_1", 60, 0, hard=True))]
    assert code(came(at, arrival())) == 503


def test_a_window_of_numbers_sees_the_called_one_in_any_country() -> None:
    number = "302101234567"  # Greece's; dialled in Germany without a plus it is one of Berlin's
    at = exchange(replace(DID, e164=number), country="DE")
    at.windows = [(f"in - did_1 {number}", Limit("lim_1", "30", 60, 0, hard=True))]
    assert code(came(at, arrival(to=f"+{number}"))) == 503


def test_a_pbx_calls_as_its_account() -> None:
    at = exchange()
    context = at.context()
    assert rung(came(at, arrival(FROM_PBX, "1002"), context)) == ["dev_b"]
    assert (context.direction, context.trunk_id, context.did_id) == (Direction.INTERNAL, "tr_3", None)
    assert (Leg.CALLER, Dimension.TRUNK_CHANNELS) in {row[1:3] for row in at.ledger.rows["call_1"]}
    assert code(came(at, arrival(FROM_PBX, "4711"))) == 404
    assert code(came(at, arrival(FROM_PBX, "+442071838750"))) == 503


@pytest.mark.parametrize(
    ("claimed", "trunk_number", "default", "shown"),
    [
        ("+12025550100", "12025550111", "12025550122", "+12025550100"),
        ("+12025550177", "12025550111", "12025550122", "+12025550177"),
        ("+12025550188", "12025550111", "12025550122", "+12025550122"),
        ("+12025550188", "12025550111", "12025550199", "+12025550111"),
        ("201", None, "12025550122", "+12025550122"),
        ("201", "12025550198", "12025550199", "unknown"),
        ("201", None, None, "unknown"),
    ],
)
def test_a_pbx_shows_only_numbers_of_its_account(
    claimed: str, trunk_number: str | None, default: str | None, shown: str
) -> None:
    at = exchange(default_cid_number=default)
    at.trunks[FROM_PBX] = [replace(PBX, cid_number=trunk_number)]
    at.verified = {"12025550177", "12025550111", "12025550122"}
    decision = came(at, arrival(FROM_PBX, "1002", from_uri=f"sip:{claimed}@pbx.example"))
    assert isinstance(decision, Ring)
    assert (decision.plan.caller.user, decision.plan.caller.display) == (shown, "Branch")


def test_a_call_that_is_forwarded_outside_stays_inbound() -> None:
    at = exchange(replace(DID, attached=Attached(Target("forward", "fwd_1"))))
    at.forwards["fwd_1"] = Forward("fwd_1", "442071838750")
    context = at.context()
    assert code(came(at, arrival(), context)) == 503
    assert context.direction is Direction.INBOUND


def test_a_device_is_addressed_by_its_own_id() -> None:
    assert Device("dev_b", DOMAIN, is_webrtc=False).aor == f"sip:dev_b@{DOMAIN}"
