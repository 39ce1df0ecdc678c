"""The live view: digests, snapshots, and lists that race with events."""

from __future__ import annotations

import hashlib
from typing import Literal

import pytest

from edge_node.agent.live import SETTLE_SEC, Asked, Call, Live, digest
from tandem.contracts.events import NOTHING, ContactState


class Watch:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def live(watch: Watch) -> Live:
    view = Live(watch)
    view.learn("dev_1", "acc_1", "Acme.test")
    view.learn("dev_2", "acc_2", "globex.test")
    return view


def call(
    name: str,
    account: str = "acc_1",
    state: Literal["early", "answered"] = "early",
    since: float = 1000.0,
    handle: str = "",
) -> Call:
    return Call(name, account, f"sip-{name}", "ft", "1", state, since)


def contact(uri: str, device: str = "dev_1") -> ContactState:
    return ContactState(device_id=device, contact=uri, expires_at=5)


def test_digests_name_the_state(live: Live) -> None:
    live.put_call(call("call_b"))
    live.put_call(call("call_a"))
    live.put_contact("acc_1", contact("sip:x"))
    found = live.digests()["acc_1"]
    assert found.dialogs == hashlib.sha256(b"call_a\ncall_b").hexdigest()[:16]
    assert found.contacts == hashlib.sha256(b"dev_1 sip:x").hexdigest()[:16]
    assert "acc_2" not in live.digests()


def test_an_account_with_nothing_left_says_so(live: Live) -> None:
    live.put_call(call("call_a"))
    live.end_call("call_a")
    assert live.digests()["acc_1"].dialogs == NOTHING.dialogs
    assert live.calls == 0


def test_both_sides_know_the_digest_of_nothing() -> None:
    assert digest(()) == NOTHING.dialogs == NOTHING.contacts == hashlib.sha256(b"").hexdigest()[:16]


def test_a_refreshed_contact_changes_no_digest(live: Live) -> None:
    live.put_contact("acc_1", contact("sip:x"))
    before = live.digests()["acc_1"]
    live.put_contact("acc_1", contact("sip:x").model_copy(update={"expires_at": 9}))
    assert live.digests()["acc_1"] == before
    assert live.snapshot("acc_1").contacts[0].expires_at == 9


def test_an_answered_call_does_not_ring_again(live: Live) -> None:
    live.put_call(call("call_a", state="answered"))
    live.put_call(call("call_a", since=2000.0))
    known = live.call("call_a")
    assert known is not None
    assert (known.state, known.since) == ("answered", 1000.0)


@pytest.mark.parametrize("uri", ["*", ""])
def test_all_contacts_of_a_device(live: Live, uri: str) -> None:
    live.put_contact("acc_1", contact("sip:x"))
    live.put_contact("acc_1", contact("sip:y"))
    live.put_contact("acc_2", contact("sip:z", "dev_2"))
    live.drop_contact("dev_1", uri)
    assert live.contacts == 1
    live.drop_contact("dev_unknown", uri)
    live.drop_contact("dev_2", "sip:other")
    assert live.contacts == 1


def test_a_snapshot_lists_questions_in_flight_of_that_account_only(live: Live) -> None:
    live.put_call(call("call_a"))
    live.asked("1:1", Asked("acme.test", "sip-q", "ft", "7"))
    live.asked("1:2", Asked("globex.test", "sip-other", "ft", "7"))
    first, second = live.snapshot("acc_1").dialogs
    assert first.call_id == "call_a"
    assert (second.call_id, second.sip_call_id, second.cseq) == (None, "sip-q", "7")
    live.answered("1:1")
    assert len(live.snapshot("acc_1").dialogs) == 1
    assert live.snapshot("acc_unknown").digests.dialogs == NOTHING.dialogs


def test_a_list_replaces_what_is_known(live: Live, watch: Watch) -> None:
    live.put_call(call("call_gone"))
    live.put_contact("acc_1", contact("sip:gone"))
    watch.now += SETTLE_SEC + 1
    live.begin_rebuild()
    live.rebuild(
        [call("call_new", "acc_2", "answered")],
        [contact("sip:new"), contact("sip:whose", "dev_unknown")],
    )
    assert live.call("call_gone") is None
    assert live.call("call_new") is not None
    assert [one.contact for one in live.snapshot("acc_1").contacts] == ["sip:new"]
    assert live.digests()["acc_1"].dialogs == NOTHING.dialogs


def test_what_moved_while_the_list_was_fetched_is_newer(live: Live, watch: Watch) -> None:
    live.put_call(call("call_ended"))
    live.put_contact("acc_1", contact("sip:unregistered"))
    watch.now += SETTLE_SEC + 1
    live.begin_rebuild()
    live.end_call("call_ended")
    live.drop_contact("dev_1", "sip:unregistered")
    live.put_call(call("call_started", since=0.0))
    live.put_call(call("call_answered", state="answered"))
    live.put_contact("acc_1", contact("sip:registered"))
    live.rebuild(
        [call("call_ended"), call("call_answered", state="early")],
        [contact("sip:unregistered")],
    )
    assert live.call("call_ended") is None
    assert live.call("call_started") is not None
    answered = live.call("call_answered")
    assert answered is not None
    assert answered.state == "answered"
    assert [one.contact for one in live.snapshot("acc_1").contacts] == ["sip:registered"]


def test_a_decision_has_time_to_become_a_dialog(live: Live, watch: Watch) -> None:
    live.put_call(call("call_young", since=watch.now))
    watch.now += SETTLE_SEC - 1
    live.begin_rebuild()
    live.rebuild([], [])
    assert live.call("call_young") is not None
    watch.now += 2
    live.begin_rebuild()
    live.rebuild([], [])
    assert live.call("call_young") is None


def test_a_new_kamailio_knows_no_directive_of_before(live: Live, watch: Watch) -> None:
    live.put_call(call("call_young", since=watch.now))
    live.begin_rebuild()
    live.put_call(call("call_since", since=watch.now))
    live.rebuild([], [], settle=0.0)
    assert live.call("call_young") is None
    assert live.call("call_since") is not None


def test_a_list_that_did_not_come_changes_nothing(live: Live) -> None:
    live.put_call(call("call_a"))
    live.begin_rebuild()
    live.cancel_rebuild()
    assert live.call("call_a") is not None


def test_idle_accounts_are_forgotten_when_there_are_too_many(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_node.agent.live.MAX_DIGESTS", 2)
    for n in range(3):
        live.put_call(call(f"call_{n}", f"acc_{n}"))
    live.end_call("call_0")
    assert set(live.digests()) == {"acc_1", "acc_2"}
