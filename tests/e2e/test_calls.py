"""Canonical path 2: extension calls extension, and all the ways in which a call can go."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import Open, OpenRaw
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones, until

ANSWER_SEC = 10


def test_both_hear_each_other_and_the_call_is_on_record(open_phone: Open, phones: Phones, tandem: Installation) -> None:
    caller, callee = open_phone("1001"), open_phone("1002")
    phones.connect(caller, callee)
    tandem.wait_live(1)
    held = {use["subject"]: use["used"] for use in tandem.cac()["dimensions"]}
    assert held == {tandem.user("1001")["id"]: 1, tandem.user("1002")["id"]: 1}
    phones.converse(caller, callee)
    caller.hang_up()
    callee.wait_for("ended", 5)
    tandem.wait_live(0)
    record = tandem.wait_record(lambda one: one["answered"] == 1 and one["end_ts"] is not None)
    assert (record["from_num"], record["to_num"]) == ("1001", "1002")
    assert (record["disposition"], record["hangup_by"]) == ("answered", "caller")
    assert record["start_ts"] < record["answer_ts"] < record["end_ts"]
    assert record["media_app_ms"] == 0


def test_the_callee_hangs_up(open_phone: Open, phones: Phones, tandem: Installation) -> None:
    caller, callee = open_phone("1001"), open_phone("1002")
    phones.connect(caller, callee)
    callee.hang_up()
    caller.wait_for("ended", 5)
    record = tandem.wait_record(lambda one: one["hangup_by"] == "callee")
    assert record["disposition"] == "answered"


def test_a_caller_over_tcp(open_phone: Open, phones: Phones) -> None:
    caller, callee = open_phone("1001", transport="tcp"), open_phone("1002")
    phones.connect(caller, callee)
    phones.converse(caller, callee)
    callee.hang_up()
    caller.wait_for("ended", 5)


def test_a_late_offer(open_phone: Open, phones: Phones) -> None:
    caller, callee = open_phone("1001"), open_phone("1002")
    phones.connect(caller, callee, late_offer=True)
    phones.converse(caller, callee)
    caller.hang_up()
    callee.wait_for("ended", 5)


def test_busy(open_phone: Open, tandem: Installation) -> None:
    caller, callee = open_phone("1001"), open_phone("1002")
    callee.auto_answer(code=486)
    call = caller.call("1002")
    assert caller.wait_for("ended", ANSWER_SEC, call=call).code == 486
    tandem.wait_live(0)
    record = tandem.wait_record(lambda one: one["disposition"] == "busy")
    assert record["hangup_cause"] == "486"


def test_busy_beside_a_contact_that_is_gone(open_phone: Open, open_raw: OpenRaw, tandem: Installation) -> None:
    """A phone that restarted leaves its old contact behind; the caller still hears that the user is busy."""
    caller, callee, gone = open_phone("1001"), open_phone("1002"), open_raw("1002")
    assert gone.register().status == 200
    callee.auto_answer(code=486)
    call = caller.call("1002")
    assert caller.wait_for("ended", ANSWER_SEC, call=call).code == 486
    assert gone.register(expires=0).status == 200
    tandem.wait_live(0)


def test_nobody_answers(open_phone: Open, tandem: Installation) -> None:
    caller, callee = open_phone("1001"), open_phone("1002")
    tandem.sql("UPDATE sip_user SET ring_timeout_sec = 2 WHERE id = ?", tandem.user("1002")["id"])
    try:
        call = caller.call("1002")
        callee.wait_for("incoming", ANSWER_SEC)
        assert caller.wait_for("ended", ANSWER_SEC, call=call).code == 480
        callee.wait_for("ended", 5)
        record = tandem.wait_record(lambda one: one["disposition"] == "no_answer" and one["hangup_cause"] == "480")
        assert record["billsec"] == 0
    finally:
        tandem.sql("UPDATE sip_user SET ring_timeout_sec = 25 WHERE id = ?", tandem.user("1002")["id"])


def test_the_caller_gives_up(open_phone: Open, tandem: Installation) -> None:
    caller, callee = open_phone("1001"), open_phone("1002")
    call = caller.call("1002")
    caller.wait_for("ringing", ANSWER_SEC, call=call)
    caller.hang_up(call)
    assert caller.wait_for("ended", 5, call=call).code == 487
    callee.wait_for("ended", 5)
    tandem.wait_live(0)
    record = tandem.wait_record(lambda one: one["disposition"] == "abandoned")
    assert record["answered"] == 0


def test_an_extension_that_does_not_exist(open_phone: Open, tandem: Installation) -> None:
    caller = open_phone("1001")
    call = caller.call("4711")
    assert caller.wait_for("ended", ANSWER_SEC, call=call).code == 404
    assert tandem.live_calls() == 0


def test_hold_and_audio_afterwards(open_phone: Open, phones: Phones) -> None:
    caller, callee = open_phone("1001"), open_phone("1002")
    phones.connect(caller, callee)
    for holder, held in ((caller, callee), (callee, caller)):
        holder.hold()
        held.wait_for("media_remote_held", 5)
        phones.hears_nobody(held)
        holder.unhold()
        held.wait_for("media_active", 5)
        phones.converse(caller, callee)
    caller.update()
    assert caller.wait_for("transaction", 5, method="UPDATE").code == 200
    caller.reinvite(late_offer=True)
    assert caller.wait_for("transaction", 5, method="INVITE").code == 200
    phones.converse(caller, callee)
    caller.hang_up()
    callee.wait_for("ended", 5)


def test_two_tenants_with_the_same_extensions_at_once(open_phone: Open, phones: Phones, tandem: Installation) -> None:
    acme = open_phone("1001"), open_phone("1002")
    globex = open_phone("1001", 1), open_phone("1002", 1)
    phones.connect(*acme)
    phones.connect(*globex)
    assert (tandem.live_calls(0), tandem.live_calls(1)) == (1, 1)
    phones.converse(*acme)
    phones.converse(*globex)
    acme[0].hang_up()
    acme[1].wait_for("ended", 5)
    phones.converse(*globex)
    globex[1].hang_up()
    globex[0].wait_for("ended", 5)


def test_two_devices_of_one_user_ring_and_one_takes_the_call(
    open_phone: Open, phones: Phones, tandem: Installation
) -> None:
    second = tandem.add_device("1002", "1002-desk")
    caller, mobile = open_phone("1001"), open_phone("1002")
    desk = phones.open("1002-desk", second, tandem.account()["domain"])
    call = caller.call("1002")
    for device in (mobile, desk):
        device.wait_for("incoming", ANSWER_SEC)
    assert {use["subject"]: use["used"] for use in tandem.cac()["dimensions"]}[tandem.user("1002")["id"]] == 1
    desk.answer()
    caller.wait_for("answered", ANSWER_SEC, call=call)
    mobile.wait_for("ended", 5)
    phones.converse(caller, desk)
    caller.hang_up()
    desk.wait_for("ended", 5)


def test_a_phone_that_dies_in_a_call(open_phone: Open, phones: Phones, tandem: Installation) -> None:
    """The keep-alive finds it: the other side gets a BYE, the call is released and recorded."""
    caller, callee = open_phone("1001"), open_phone("1002")
    phones.connect(caller, callee)
    callee.die()
    assert caller.wait_for("ended", 60).name == "ended"
    tandem.wait_live(0)
    record = tandem.wait_record(lambda one: one["hangup_by"] == "platform" and one["answered"] == 1)
    assert record["hangup_cause"] in ("no_keepalive", "no_media")


def test_a_retransmitted_invite_is_admitted_once(open_phone: Open, open_raw: OpenRaw, tandem: Installation) -> None:
    callee, caller = open_phone("1002"), open_raw("1001")
    invite = caller.request("INVITE", f"sip:1002@{caller.domain}", body=caller.sdp())
    challenged = caller.final(invite)
    before = tandem.proxy.passed["/route"]
    invite = caller.authorised(invite, challenged)
    for _ in range(3):
        caller.send(invite)
    callee.wait_for("incoming", ANSWER_SEC)
    caller.send(invite)
    assert tandem.live_calls() == 1
    assert tandem.proxy.passed["/route"] - before == 1
    caller.send(caller.cancel(invite))
    refused = caller.receive(5, lambda message: message.status >= 300 and message.method == "INVITE")
    assert refused is not None
    caller.send(caller.ack(invite, refused))
    assert refused.status == 487
    callee.wait_for("ended", 5)


def test_a_reused_call_id_is_a_new_call(open_phone: Open, open_raw: OpenRaw, tandem: Installation) -> None:
    callee, caller = open_phone("1002"), open_raw("1001")
    callee.auto_answer()
    known = {record["call_id"] for record in tandem.records()}
    for from_tag in ("first", "second"):
        invite, final = caller.call(f"sip:1002@{caller.domain}", call_id="always-the-same", from_tag=from_tag)
        assert final.status == 200
        caller.send(caller.ack(invite, final))
        bye = caller.within("BYE", final, cseq=invite.cseq + 1)
        assert caller.final(bye).status == 200
        callee.wait_for("ended", 5)
    until(
        lambda: len([r for r in tandem.records() if r["call_id"] not in known and r["end_ts"] and r["answered"]]) == 2,
        15,
        "two records",
    )


def test_bye_twice_releases_once(open_phone: Open, open_raw: OpenRaw, tandem: Installation) -> None:
    callee, caller = open_phone("1002"), open_raw("1001")
    callee.auto_answer()
    known = {record["call_id"] for record in tandem.records()}
    invite, final = caller.call(f"sip:1002@{caller.domain}")
    caller.send(caller.ack(invite, final))
    tandem.wait_live(1)
    bye = caller.within("BYE", final, cseq=invite.cseq + 1)
    assert caller.final(bye).status == 200
    caller.send(bye)
    assert caller.collect(bye, 3)[-1].status == 200
    again = caller.within("BYE", final, cseq=invite.cseq + 2)
    assert caller.final(again).status in (200, 481)
    tandem.wait_live(0)
    until(
        lambda: [r["hangup_by"] for r in tandem.records() if r["call_id"] not in known] == ["caller"], 10, "one record"
    )


def test_a_wrong_password_places_no_call(open_raw: OpenRaw, tandem: Installation) -> None:
    caller = open_raw("1001", password="wrong")
    _, final = caller.call(f"sip:1002@{caller.domain}")
    assert final.status == 407
    assert tandem.live_calls() == 0


def test_a_plain_call_touches_nothing_but_the_edge_and_the_decision_lane(
    open_phone: Open, phones: Phones, tandem: Installation, tmp_path: Path
) -> None:
    """After its routing a call asks the brain nothing more: one `/route` with credentials, then only events."""
    caller, callee = open_phone("1001"), open_phone("1002")
    before = dict(tandem.proxy.passed)
    phones.connect(caller, callee)
    phones.converse(caller, callee)
    caller.hang_up()
    callee.wait_for("ended", 5)
    tandem.wait_live(0)
    asked = {path: count - before.get(path, 0) for path, count in tandem.proxy.passed.items()}
    assert asked.pop("/route") == 2  # the challenge (which costs no hop), then the decision
    assert {path for path, count in asked.items() if count} <= {"/presence/event", "/fleet/heartbeat"}
