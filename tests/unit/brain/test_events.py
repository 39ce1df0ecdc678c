"""`POST /presence/event`: disorder, duplicates, snapshots, strangers."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.support import scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME, GLOBEX

ALICE = ACME.people["1001"].user_id
BOB = ACME.people["1002"].user_id
BOTH = {ALICE: 1, BOB: 1}
OTHER_NODE = "node_00000000000000000000000002"


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    for digits in ACME.people:
        await brain.register(ACME, digits)
    brain.write([("INSERT INTO node (id, region, status, created_at) VALUES (?, 'local', 'active', 0)", (OTHER_NODE,))])
    return brain


async def shipped(brain: LocalBrain, call_id: str) -> dict[str, Any]:
    await brain.advance(5_000)
    return scene.record(brain, call_id)


def story(brain: LocalBrain, routed: dict[str, Any]) -> list[dict[str, Any]]:
    """Start, ringing, answer 2 s and end 9.5 s after now."""
    at = brain.now
    return [
        scene.dialog(brain, ACME, routed, "start", 0, at=at + 100),
        scene.dialog(brain, ACME, routed, "early", 1, at=at + 200),
        scene.dialog(brain, ACME, routed, "answer", 2, at=at + 2_000),
        scene.dialog(brain, ACME, routed, "end", 3, at=at + 9_500, cause="200", hungUpBy="callee", stats={"mos": 4.1}),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=lambda order: "".join(map(str, order)))
async def test_any_order_of_reports_leaves_the_same_record(phones: LocalBrain, order: tuple[int, ...]) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    events = story(phones, routed)
    await phones.advance(10_000)
    for index in order:
        reply = await scene.send(phones, events[index])
        assert reply == {"ok": True, "acked": [events[index]["eventId"]], "refused": {}}
    assert await scene.usage(phones, ACME) == {}
    found = await shipped(phones, routed["call_id"])
    assert (found["answered"], found["disposition"], found["billsec"], found["duration_sec"]) == (1, "answered", 8, 10)
    assert (found["hangup_by"], found["hangup_cause"], found["mos"]) == ("callee", "200", 4.1)


async def test_a_repeated_event_changes_nothing(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    events = story(phones, routed)
    await phones.advance(10_000)
    await scene.send(phones, *events)
    before = await shipped(phones, routed["call_id"])
    for _ in range(2):
        reply = await scene.send(phones, *events, events[0])
        assert set(reply["acked"]) == {event["eventId"] for event in events}
        phones.presence.evict(ACME.account_id)
    assert await shipped(phones, routed["call_id"]) == before


async def test_an_event_id_is_remembered_although_the_content_differs(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    answer = scene.dialog(phones, ACME, routed, "answer", 1)
    await scene.send(phones, answer)
    await scene.send(phones, answer | {"state": "end"})
    assert await scene.usage(phones, ACME) == BOTH


@pytest.mark.parametrize("state", ["end", "failed"])
async def test_a_call_is_released_once_however_often_its_end_is_told(phones: LocalBrain, state: str) -> None:
    first = await phones.invite(ACME, "1001", "1002")
    await phones.invite(ACME, "1001", "1002")
    for seq in range(3):
        await scene.send(phones, scene.dialog(phones, ACME, first, state, seq, cause="486"))
    assert await scene.usage(phones, ACME) == BOTH


async def test_times_are_the_brain_s(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    started = phones.now
    await phones.advance(1_000)
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1, at=0))
    await scene.send(phones, scene.dialog(phones, ACME, routed, "end", 2, at=phones.now + 10**9))
    found = await shipped(phones, routed["call_id"])
    assert (found["answer_ts"], found["end_ts"]) == (started, started + 1_000)


async def test_a_node_that_gave_up_names_the_call_by_its_sip_identifiers(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    given_up = scene.dialog(phones, ACME, routed, "failed", 0, callId=None, cseq=routed["asked"]["cseq"], cause="503")
    await scene.send(phones, given_up)
    assert await scene.usage(phones, ACME) == {}
    assert (await shipped(phones, routed["call_id"]))["disposition"] == "failed"


async def test_reports_of_unknown_calls_are_done_with(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    strangers = [
        scene.dialog(phones, ACME, routed, "end", 1, callId="call_nope"),
        scene.dialog(phones, ACME, routed, "end", 1, callId=None),
        scene.dialog(phones, ACME, routed, "end", 1, callId=None, cseq="99"),
        scene.dialog(phones, GLOBEX, routed, "end", 1),
    ]
    reply = await scene.send(phones, *strangers)
    assert set(reply["acked"]) == {event["eventId"] for event in strangers}
    assert await scene.usage(phones, ACME) == BOTH


async def test_an_unknown_account_s_events_are_refused_for_good_and_stop_nobody(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    stray = scene.dialog(phones, ACME, routed, "end", 1, accountId="acc_gone")
    end = scene.dialog(phones, ACME, routed, "end", 1)
    reply = await scene.send(phones, stray, end)
    assert set(reply["acked"]) == {stray["eventId"], end["eventId"]}
    assert reply["refused"] == {stray["eventId"]: "unknown_account"}
    assert "acc_gone" not in phones.presence.contexts
    assert await scene.usage(phones, ACME) == {}


@pytest.mark.parametrize(("failure", "status"), [("inside", 500), ("outside", 503)])
async def test_an_account_that_cannot_answer_holds_up_no_other(
    phones: LocalBrain, monkeypatch: pytest.MonkeyPatch, failure: str, status: int
) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await phones.register(GLOBEX, "1001")
    stuck = scene.event(phones, GLOBEX, "register", state="removed", **scene.contact_of(GLOBEX, "1001", 0))
    end = scene.dialog(phones, ACME, routed, "end", 1)

    async def unreachable(*texts: str) -> str:
        raise ConnectionError("the object is overloaded")

    if failure == "inside":
        phones.presence.contexts[GLOBEX.account_id].connection.execute("DROP TABLE seen_event")
    else:
        monkeypatch.setattr(phones.presence.get(GLOBEX.account_id), "event", unreachable)
    reply = await scene.send(phones, stuck, end)
    assert reply["acked"] == [end["eventId"]]
    assert await scene.usage(phones, ACME) == {}
    alone = {"node": seeds.NODE_ID, "events": [stuck]}
    assert (await scene.post_as(phones, seeds.NODE_ID, "/presence/event", alone))[0] == status


@pytest.mark.parametrize(
    "change",
    [
        {"eventId": ""},
        {"eventId": "x" * 129},
        {"type": "weather"},
        {"type": None},
        {"at": "now"},
        {"seq": -1},
        {"seq": None},
        {"state": "confused"},
        {"accountId": None},
        {"sipCallId": None},
        {"stats": {"mos": "good"}},
    ],
    ids=str,
)
async def test_one_wrong_event_refuses_the_batch_and_writes_nothing(phones: LocalBrain, change: dict[str, Any]) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    good = scene.dialog(phones, ACME, routed, "end", 1)
    bad = scene.dialog(phones, ACME, routed, "end", 1) | change
    body = json.dumps({"node": seeds.NODE_ID, "events": [good, bad]})
    status, reply = await phones.post("/presence/event", body)
    assert (status, reply["error"]["code"]) == (400, "invalid_request")
    assert reply["error"]["field"].startswith("events.1")
    assert await scene.usage(phones, ACME) == BOTH
    assert scene.rows(phones, ACME, "seen_event") == []


@pytest.mark.parametrize("count", [0, 101])
async def test_a_batch_has_1_to_100_events(phones: LocalBrain, count: int) -> None:
    events = [scene.snapshot(phones, ACME, []) for _ in range(count)]
    status, _ = await phones.post("/presence/event", json.dumps({"node": seeds.NODE_ID, "events": events}))
    assert status == 400


def registration(brain: LocalBrain, state: str, expires_in: int, **fields: Any) -> dict[str, Any]:
    contact = scene.contact_of(ACME, "1003", brain.now + expires_in)
    return scene.event(brain, ACME, "register", state=state, **(contact | fields))


@pytest.mark.parametrize(("state", "code"), [("added", None), ("refreshed", None), ("expired", 480), ("removed", 480)])
async def test_register_events_move_reachability(phones: LocalBrain, state: str, code: int | None) -> None:
    await phones.advance(1_000)
    await scene.send(phones, registration(phones, state, 60_000))
    assert (await phones.invite(ACME, "1001", "1003")).get("code") == code


async def test_an_older_registration_report_changes_nothing(phones: LocalBrain) -> None:
    await phones.advance(1_000)
    await scene.send(phones, registration(phones, "refreshed", 60_000))
    await scene.send(phones, registration(phones, "removed", 60_000, at=phones.now - 500))
    await scene.send(phones, registration(phones, "removed", 60_000, at=phones.now - 500, contact="*"))
    assert (await phones.invite(ACME, "1001", "1003"))["action"] == "proxy"


async def test_a_registration_from_the_future_can_be_removed(phones: LocalBrain) -> None:
    await scene.send(phones, registration(phones, "added", 60_000, at=phones.now + 10**9))
    await phones.advance(1_000)
    await scene.send(phones, registration(phones, "removed", 60_000))
    assert (await phones.invite(ACME, "1001", "1003"))["code"] == 480


@pytest.mark.parametrize("uri", [None, "*", ""])
async def test_an_older_registration_does_not_bring_a_removed_contact_back(phones: LocalBrain, uri: str | None) -> None:
    await phones.advance(1_000)
    named = {} if uri is None else {"contact": uri}
    await scene.send(phones, registration(phones, "removed", 60_000, **named))
    stale = {"at": phones.now - 500}
    await scene.send(phones, registration(phones, "added", 60_000, **stale))
    await phones.advance(31_000)
    await scene.send(phones, registration(phones, "refreshed", 60_000, at=phones.now - 31_500))
    assert (await phones.invite(ACME, "1001", "1003"))["code"] == 480
    await scene.send(phones, registration(phones, "added", 60_000))
    assert (await phones.invite(ACME, "1001", "1003"))["action"] == "proxy"


async def test_an_older_registration_does_not_bring_back_what_a_snapshot_missed(phones: LocalBrain) -> None:
    await phones.advance(1_000)
    await scene.send(phones, scene.snapshot(phones, ACME, []))
    await scene.send(phones, registration(phones, "added", 60_000, at=phones.now - 500))
    assert (await phones.invite(ACME, "1001", "1003"))["code"] == 480


async def test_a_contact_of_a_foreign_device_rings_nobody(phones: LocalBrain) -> None:
    await phones.register(GLOBEX, "1001")
    stray = registration(phones, "added", 60_000, deviceId=ACME.people["1002"].device_id, accountId=GLOBEX.account_id)
    await scene.send(phones, stray)
    assert (await phones.invite(GLOBEX, "1001", "1002"))["code"] == 480


async def test_a_snapshot_ends_ghosts_and_keeps_what_is_listed(phones: LocalBrain) -> None:
    kept = await phones.invite(ACME, "1001", "1002")
    ghost = await phones.invite(ACME, "1003", "1002")
    for routed in (kept, ghost):
        await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    await phones.advance(6_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(kept)]))
    assert await scene.usage(phones, ACME) == BOTH
    found = await shipped(phones, ghost["call_id"])
    assert (found["hangup_cause"], found["disposition"], found["duration_sec"]) == ("not_on_node", "answered", 6)


async def test_a_snapshot_spares_a_call_that_is_younger_than_its_news(phones: LocalBrain) -> None:
    await phones.invite(ACME, "1001", "1002")
    await phones.advance(5_000)
    await scene.send(phones, scene.snapshot(phones, ACME, []))
    assert await scene.usage(phones, ACME) == BOTH
    await phones.advance(10_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [], asOf=phones.now - 11_000))
    assert await scene.usage(phones, ACME) == BOTH
    await scene.send(phones, scene.snapshot(phones, ACME, []))
    assert await scene.usage(phones, ACME) == {}


async def test_a_snapshot_of_another_node_says_nothing_about_this_one_s_calls(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await phones.advance(60_000)
    await scene.send(phones, scene.snapshot(phones, ACME, []), node_id=OTHER_NODE)
    assert await scene.usage(phones, ACME) == BOTH
    assert (await phones.invite(ACME, "1003", "1002"))["action"] == "proxy"
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed)]), node_id=OTHER_NODE)
    await scene.send(phones, scene.snapshot(phones, ACME, []))
    assert (await scene.usage(phones, ACME)).get(ALICE) is None
    await phones.advance(1_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed)]), node_id=OTHER_NODE)
    assert (await scene.usage(phones, ACME)).get(ALICE) is None


async def test_an_old_snapshot_is_ignored_and_the_future_is_now(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await phones.advance(20_000)
    late = scene.snapshot(phones, ACME, [], asOf=phones.now - 1_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed)], asOf=phones.now + 10**9))
    await scene.send(phones, late)
    assert await scene.usage(phones, ACME) == BOTH
    await phones.advance(1_000)
    await scene.send(phones, scene.snapshot(phones, ACME, []))
    assert await scene.usage(phones, ACME) == {}


async def test_a_snapshot_s_contacts_replace_the_node_s(phones: LocalBrain) -> None:
    await phones.advance(1_000)
    contacts = [scene.contact_of(ACME, "1002", phones.now + 60_000)]
    await scene.send(phones, scene.snapshot(phones, ACME, [], contacts))
    assert (await phones.invite(ACME, "1001", "1002"))["action"] == "proxy"
    assert (await phones.invite(ACME, "1001", "1003"))["code"] == 480


async def test_a_snapshot_does_not_undo_a_later_registration(phones: LocalBrain) -> None:
    taken = phones.now
    await phones.advance(1_000)
    await phones.register(ACME, "1002", cseq="2")
    await scene.send(phones, scene.snapshot(phones, ACME, [], [], asOf=taken))
    assert (await phones.invite(ACME, "1001", "1002"))["action"] == "proxy"
    assert (await phones.invite(ACME, "1001", "1003"))["code"] == 480


async def test_a_snapshot_tells_of_an_answer_that_was_not_heard(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await phones.advance(1_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed, "early")]))
    assert (await shipped(phones, routed["call_id"]))["answered"] == 0
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed, "answered")]))
    assert (await shipped(phones, routed["call_id"]))["answered"] == 1


async def test_a_call_in_a_snapshot_without_our_id_is_found_by_its_sip_identifiers(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await phones.advance(10_000)
    named = scene.listing(routed, "early") | {"callId": None, "cseq": routed["asked"]["cseq"]}
    nameless = scene.listing(routed, "early") | {"callId": None}
    strip = {key: value for key, value in named.items() if value is not None}
    await scene.send(phones, scene.snapshot(phones, ACME, [strip]))
    assert await scene.usage(phones, ACME) == BOTH
    await phones.advance(10_000)
    await scene.send(
        phones, scene.snapshot(phones, ACME, [{key: value for key, value in nameless.items() if value is not None}])
    )
    assert await scene.usage(phones, ACME) == {}
