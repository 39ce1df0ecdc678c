"""What the brain's directives become on the wire: ring strategies, forwards, groups, calls from the demo carrier."""

from __future__ import annotations

import time

from edge_node.local.settings import LOOPBACK
from tests.e2e.by_hand import QUIET_SEC, RINGS_SEC, changed, dial, hangs_up, is_cancelled, is_quiet, refuses, rings
from tests.e2e.conftest import Group, Registered
from tests.e2e.installation import Installation
from tests.edge.raw_sip import RawPhone, reply


def test_devices_ring_one_after_the_other(tandem: Installation, registered: Registered) -> None:
    caller, first, second = registered("1001"), registered("1002"), registered("1002", "1002-second")
    tandem.sql("UPDATE sip_device SET ring_order = 5 WHERE auth_username = ?", second.user)
    changed(tandem, "1002", ring_strategy="sequential", ring_timeout_sec=20)
    try:
        invite = dial(caller, "1002")
        arrived = rings(first)
        is_quiet(second)
        refuses(first, arrived)
        hangs_up(caller, invite, (second, rings(second)))
    finally:
        changed(tandem, "1002", ring_strategy="simultaneous", ring_timeout_sec=25)


def test_only_the_chosen_device_rings(tandem: Installation, registered: Registered) -> None:
    caller, plain, chosen = registered("1001"), registered("1002"), registered("1002", "1002-chosen")
    tandem.sql("UPDATE sip_device SET ring_specific = 1 WHERE auth_username = ?", chosen.user)
    changed(tandem, "1002", ring_strategy="specific")
    try:
        invite = dial(caller, "1002")
        arrived = rings(chosen)
        is_quiet(plain)
        hangs_up(caller, invite, (chosen, arrived))
    finally:
        changed(tandem, "1002", ring_strategy="simultaneous")


def test_a_forward_says_whom_the_caller_wanted(tandem: Installation, registered: Registered) -> None:
    caller, away, deputy = registered("1001"), registered("1002"), registered("1003")
    changed(tandem, "1002", fwd_always_kind="user", fwd_always_id=tandem.user("1003")["id"])
    try:
        invite = dial(caller, "1002")
        arrived = rings(deputy)
        assert arrived.get("Diversion").startswith("<sip:1002@")
        is_quiet(away)
        hangs_up(caller, invite, (deputy, arrived))
    finally:
        changed(tandem, "1002", fwd_always_kind=None, fwd_always_id=None)


def test_busy_goes_to_the_deputy(tandem: Installation, registered: Registered) -> None:
    caller, busy, deputy = registered("1001"), registered("1002"), registered("1003")
    changed(tandem, "1002", fwd_busy_kind="user", fwd_busy_id=tandem.user("1003")["id"])
    try:
        invite = dial(caller, "1002")
        refuses(busy, rings(busy))
        hangs_up(caller, invite, (deputy, rings(deputy)))
    finally:
        changed(tandem, "1002", fwd_busy_kind=None, fwd_busy_id=None)


def test_a_redirection_is_a_forward(tandem: Installation, registered: Registered) -> None:
    caller, away, deputy = registered("1001"), registered("1002"), registered("1003")
    invite = dial(caller, "1002")
    arrived = rings(away)
    moved = reply(arrived, 302, "Moved Temporarily", to_tag="callee").with_headers(
        Contact=f"<sip:1003@{caller.domain}>"
    )
    away.send(moved, away.source)
    hangs_up(caller, invite, (deputy, rings(deputy)))


def test_a_later_member_joins_and_answers(tandem: Installation, registered: Registered, group: Group) -> None:
    caller, first, second = registered("1001"), registered("1002"), registered("1003")
    group(("1002", 0, None), ("1003", 2, None))
    began = time.monotonic()
    invite = dial(caller, "650")
    early = rings(first)
    late = rings(second)
    assert time.monotonic() - began >= 2
    answer = reply(late, 200, "OK", to_tag="callee", body=second.sdp(), extra=[("Contact", second.contact)])
    second.send(answer, second.source)
    final = caller.receive(RINGS_SEC, lambda message: message.status == 200)
    assert final is not None
    caller.send(caller.ack(invite, final))
    is_cancelled(first, early)
    tandem.wait_live(1)
    caller.send(caller.within("BYE", final, cseq=invite.cseq + 1))
    bye = second.receive(RINGS_SEC, lambda message: message.start.startswith("BYE"))
    assert bye is not None
    second.send(reply(bye, 200, "OK"), second.source)
    tandem.wait_live(0)


def test_a_members_time_ends_his_branch_alone(tandem: Installation, registered: Registered, group: Group) -> None:
    caller, first, second = registered("1001"), registered("1002"), registered("1003")
    group(("1002", 0, 2), ("1003", 0, None))
    invite = dial(caller, "650")
    short, long = rings(first), rings(second)
    is_cancelled(first, short)
    assert second.receive(QUIET_SEC, lambda message: message.start.startswith("CANCEL")) is None
    hangs_up(caller, invite, (second, long))


def test_all_decline_before_the_next_is_due(tandem: Installation, registered: Registered, group: Group) -> None:
    caller, first, second = registered("1001"), registered("1002"), registered("1003")
    group(("1002", 0, None), ("1003", 3, None))
    invite = dial(caller, "650")
    refuses(first, rings(first))
    arrived = rings(second)
    refuses(second, arrived)
    final = caller.receive(RINGS_SEC, lambda message: message.status >= 400)
    assert final is not None
    caller.send(caller.ack(invite, final))


def test_a_call_from_the_carrier_rings_the_numbers_owner(tandem: Installation, registered: Registered) -> None:
    callee, trunk = registered("1001"), tandem.demo["trunk"]
    edge = (LOOPBACK, tandem.settings.sip_port)
    with RawPhone("12025550199", "", "carrier.example", edge, host=trunk["source_ip"], port=trunk["port"]) as carrier:
        number = tandem.account()["dids"][0]["e164"]
        invite = carrier.request("INVITE", f"sip:+{number}@{LOOPBACK}", body=carrier.sdp())
        carrier.send(invite)
        arrived = rings(callee)
        assert "12025550199" in arrived.get("From")
        tandem.wait_live(1)
        hangs_up(carrier, invite, (callee, arrived))
        unknown = carrier.request("INVITE", f"sip:+19995550000@{LOOPBACK}", body=carrier.sdp())
        assert carrier.final(unknown).status == 404


def test_a_call_from_the_carrier_goes_on_to_the_deputy(tandem: Installation, registered: Registered) -> None:
    callee, deputy, trunk = registered("1001"), registered("1003"), tandem.demo["trunk"]
    changed(tandem, "1001", fwd_busy_kind="user", fwd_busy_id=tandem.user("1003")["id"])
    edge = (LOOPBACK, tandem.settings.sip_port)
    try:
        with RawPhone("12025550199", "", "carrier.example", edge, host=trunk["source_ip"]) as carrier:
            number = tandem.account()["dids"][0]["e164"]
            invite = carrier.request("INVITE", f"sip:+{number}@{LOOPBACK}", body=carrier.sdp())
            carrier.send(invite)
            refuses(callee, rings(callee))
            arrived = rings(deputy)
            assert "reason=user-busy" in arrived.get("Diversion")
            hangs_up(carrier, invite, (deputy, arrived))
    finally:
        changed(tandem, "1001", fwd_busy_kind=None, fwd_busy_id=None)


def test_a_callers_limit_is_met_and_freed(tandem: Installation, registered: Registered) -> None:
    caller, callee = registered("1001"), registered("1002")
    changed(tandem, "1001", max_simultaneous=1)
    try:
        invite = dial(caller, "1002")
        arrived = rings(callee)
        refused = caller.request("INVITE", f"sip:1002@{caller.domain}", body=caller.sdp())
        refused = caller.authorised(refused, caller.final(refused))
        final = caller.final(refused)
        assert final.status == 486
        assert "cause=17" in final.get("Reason")
        hangs_up(caller, invite, (callee, arrived))
        tandem.wait_live(0)
        again = dial(caller, "1002")
        hangs_up(caller, again, (callee, rings(callee)))
    finally:
        changed(tandem, "1001", max_simultaneous=None)
