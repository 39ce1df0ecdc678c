"""Nodes that are lost, return, and a brain that was away (spec 50)."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.domain.fleet import LOST_AFTER_MS
from tests.support import scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME, GLOBEX

ALICE = ACME.people["1001"].user_id
BOB = ACME.people["1002"].user_id
BOTH = {ALICE: 1, BOB: 1}
HERE = seeds.NODE_ID
THERE = "node_00000000000000000000000002"
BUSY = {"dialogs": "aaaaaaaaaaaaaaaa", "contacts": "bbbbbbbbbbbbbbbb"}
DIGESTS = {ACME.account_id: BUSY}


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    brain.write([("INSERT INTO node (id, region, status, created_at) VALUES (?, 'local', 'active', 0)", (THERE,))])
    await scene.hello(brain, digests=DIGESTS)
    for digits in ACME.people:
        await brain.register(ACME, digits)
    return brain


async def answered_call(brain: LocalBrain) -> dict[str, Any]:
    routed = await brain.invite(ACME, "1001", "1002")
    assert routed["action"] == "proxy"
    await scene.send(brain, scene.dialog(brain, ACME, routed, "answer", 1))
    return routed


async def silence(brain: LocalBrain) -> None:
    """Long enough for the node to be lost, without a gap of the brain's own."""
    await brain.advance(LOST_AFTER_MS + 100)


async def test_hello_gives_the_clock_the_desired_state_and_what_to_send(brain: LocalBrain) -> None:
    reply = await scene.hello(brain, digests=DIGESTS)
    assert reply == {
        "ok": True,
        "now": brain.now,
        "status": "active",
        "send": [ACME.account_id],
        "desired": {"drain": False, "bans": [], "trunks": [], "fleet": []},
    }
    assert (await scene.hello(brain, digests={GLOBEX.account_id: BUSY}))["send"] == [
        ACME.account_id,
        GLOBEX.account_id,
    ]
    assert (await scene.hello(brain))["send"] == [GLOBEX.account_id]


async def test_a_heartbeat_before_any_hello_is_told_to_say_it(brain: LocalBrain) -> None:
    status, reply = await scene.heartbeat(brain)
    assert (status, reply["error"]["code"]) == (409, "hello_required")


async def test_a_heartbeat_with_another_boot_id_is_told_to_say_hello(phones: LocalBrain) -> None:
    assert (await scene.heartbeat(phones))[0] == 200
    restarted = {"agent": "a1", "kamailio": "k2", "rtpengine": "r1"}
    status, reply = await scene.heartbeat(phones, bootIds=restarted)
    assert (status, reply["error"]["code"]) == (409, "hello_required")
    await scene.hello(phones, bootIds=restarted)
    assert (await scene.heartbeat(phones, bootIds=restarted))[0] == 200


async def test_heartbeats_keep_a_node_and_its_calls(phones: LocalBrain) -> None:
    await answered_call(phones)
    await scene.heartbeats(phones, 60, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == BOTH


async def test_a_silent_node_is_lost_with_its_calls_and_contacts(phones: LocalBrain) -> None:
    routed = await answered_call(phones)
    await phones.advance(LOST_AFTER_MS - 1)
    assert await scene.usage(phones, ACME) == BOTH
    await phones.advance(101)
    assert await scene.usage(phones, ACME) == {}
    assert (await phones.invite(ACME, "1003", "1002"))["code"] == 480
    await phones.advance(5_000)
    found = scene.record(phones, routed["call_id"])
    assert (found["disposition"], found["hangup_cause"], found["duration_sec"]) == ("answered", "node_lost", 6)
    status, reply = await scene.heartbeat(phones)
    assert (status, reply["error"]["code"]) == (409, "hello_required")


async def test_only_the_accounts_on_the_lost_node_hear_of_it(phones: LocalBrain) -> None:
    await phones.register(GLOBEX, "1001")
    await phones.register(GLOBEX, "1002")
    await phones.invite(GLOBEX, "1001", "1002")
    await silence(phones)
    assert len(await scene.usage(phones, GLOBEX)) == 2
    assert scene.rows(phones, GLOBEX, "lost_node") == []
    assert len(scene.rows(phones, ACME, "lost_node")) == 1


async def test_another_node_s_loss_touches_no_call_here(phones: LocalBrain) -> None:
    await answered_call(phones)
    await scene.hello(phones, THERE, DIGESTS)
    await scene.heartbeats(phones, 20, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == BOTH
    assert len(scene.rows(phones, ACME, "lost_node")) == 1


async def test_a_node_that_returns_with_its_call_re_opens_it(phones: LocalBrain) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET max_simultaneous = 1 WHERE id = ?", ALICE)
    routed = await answered_call(phones)
    answered_at = phones.now
    await silence(phones)
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["disposition"] == "answered"
    assert (await scene.hello(phones, digests=DIGESTS))["send"] == [ACME.account_id]
    contacts = [scene.contact_of(ACME, digits, phones.now + 600_000) for digits in ACME.people]
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed)], contacts, BUSY))
    assert await scene.usage(phones, ACME) == BOTH
    await scene.heartbeats(phones, 6, digests=DIGESTS)
    reopened = scene.record(phones, routed["call_id"])
    assert (reopened["disposition"], reopened["end_ts"], reopened["hangup_cause"]) == (None, None, None)
    await scene.send(phones, scene.dialog(phones, ACME, routed, "end", 2, cause="200", hungUpBy="caller"))
    ended_at = phones.now
    await scene.heartbeats(phones, 6, digests=DIGESTS)
    final = scene.record(phones, routed["call_id"])
    assert (final["answer_ts"], final["end_ts"], final["hangup_by"]) == (answered_at, ended_at, "caller")
    assert await scene.usage(phones, ACME) == {}
    assert (await phones.invite(ACME, "1003", "1002"))["action"] == "proxy"


async def test_a_readmitted_call_may_exceed_the_limit(phones: LocalBrain) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET max_simultaneous = 1 WHERE id = ?", ALICE)
    first = await answered_call(phones)
    await silence(phones)
    await scene.hello(phones, digests=DIGESTS)
    contacts = [scene.contact_of(ACME, digits, phones.now + 600_000) for digits in ACME.people]
    await scene.send(phones, scene.snapshot(phones, ACME, [], contacts))
    second = await answered_call(phones)
    await phones.advance(1_000)
    await scene.send(
        phones, scene.snapshot(phones, ACME, [scene.listing(first), scene.listing(second)], contacts, BUSY)
    )
    assert await scene.usage(phones, ACME) == {ALICE: 2, BOB: 2}
    assert (await phones.invite(ACME, "1001", "1003"))["code"] == 486


async def test_the_real_end_of_a_lost_call_is_taken_from_the_node(phones: LocalBrain) -> None:
    routed = await answered_call(phones)
    await phones.advance(3_000)
    end = scene.dialog(phones, ACME, routed, "end", 2, cause="200", hungUpBy="callee")
    ended_at = phones.now
    await silence(phones)
    await scene.hello(phones)
    await scene.send(phones, end)
    await phones.advance(5_000)
    found = scene.record(phones, routed["call_id"])
    assert (found["end_ts"], found["hangup_cause"], found["hangup_by"]) == (ended_at, "200", "callee")


@pytest.mark.parametrize("evicted", [True, False])
async def test_a_brain_that_was_away_for_minutes_settles_nothing(phones: LocalBrain, evicted: bool) -> None:
    await answered_call(phones)
    await scene.heartbeats(phones, 10, digests=DIGESTS)
    if evicted:
        phones.presence.evict(ACME.account_id)
        phones.fleet.evict("local")
    await away(phones, 300_000)
    assert await scene.usage(phones, ACME) == BOTH
    assert (await scene.heartbeat(phones, digests=DIGESTS))[0] == 200
    await scene.heartbeats(phones, 60, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == BOTH
    assert scene.rows(phones, ACME, "lost_node") == []


async def test_a_node_that_stays_silent_after_the_brain_s_absence_is_lost_in_6_s(phones: LocalBrain) -> None:
    await answered_call(phones)
    await away(phones, 300_000)
    await phones.advance(LOST_AFTER_MS - 100)
    assert await scene.usage(phones, ACME) == BOTH
    await phones.advance(200)
    assert await scene.usage(phones, ACME) == {}


async def away(brain: LocalBrain, milliseconds: int) -> None:
    """The whole brain stands still: the clock goes on, no alarm rings; then those that are due ring late."""
    from tandem.runtime.cpython import clock

    clock.fixed = brain.now + milliseconds
    await brain.advance(0)


async def test_a_lease_that_runs_out_asks_the_fleet(phones: LocalBrain) -> None:
    routed = await answered_call(phones)
    await phones.advance(2_000)
    listed = scene.snapshot(phones, ACME, [scene.listing(routed)], [], BUSY)
    await scene.send(phones, listed)
    await scene.heartbeats(phones, 400, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == BOTH


async def test_a_lease_is_not_renewed_by_a_list_that_fleet_knows_to_be_old(phones: LocalBrain) -> None:
    routed = await answered_call(phones)
    await phones.advance(2_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed)], [], BUSY))
    other = {ACME.account_id: {"dialogs": "cccccccccccccccc", "contacts": "bbbbbbbbbbbbbbbb"}}
    await scene.heartbeats(phones, 200, digests=other)
    assert await scene.usage(phones, ACME) == BOTH
    await scene.send(phones, scene.snapshot(phones, ACME, [], [], other[ACME.account_id]))
    assert await scene.usage(phones, ACME) == {}


async def test_a_call_that_its_node_never_heard_of_is_released_when_its_lease_ends(phones: LocalBrain) -> None:
    """The reply to `/route` was lost together with the node-agent's memory of the question."""
    await phones.invite(ACME, "1001", "1002")
    await scene.heartbeats(phones, 120)
    assert await scene.usage(phones, ACME) == {}


async def test_a_call_that_the_newest_list_does_not_name_is_released_when_its_lease_ends(phones: LocalBrain) -> None:
    await phones.advance(1_000)
    contacts = [scene.contact_of(ACME, digits, phones.now + 900_000) for digits in ACME.people]
    await scene.send(phones, scene.snapshot(phones, ACME, [], contacts, BUSY))
    await phones.invite(ACME, "1001", "1002")
    await scene.heartbeats(phones, 10, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == BOTH
    await scene.heartbeats(phones, 110, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == {}


async def test_a_call_on_a_node_that_nobody_knows_is_kept_until_somebody_does(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    await brain.invite(ACME, "1001", "1002")
    await brain.advance(200_000)
    assert await scene.usage(brain, ACME) == BOTH
    await scene.hello(brain)
    await brain.advance(30_000)
    assert await scene.usage(brain, ACME) == {}


async def test_a_fleet_that_cannot_answer_costs_no_call(phones: LocalBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    await phones.invite(ACME, "1001", "1002")

    async def unreachable(text: str) -> str:
        raise ConnectionError("FLEET is not there")

    monkeypatch.setattr(phones.fleet.get("local"), "node_state", unreachable)
    await scene.heartbeats(phones, 200, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == BOTH


async def test_an_account_that_hears_of_the_loss_after_the_return_loses_nothing(
    phones: LocalBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    routed = await answered_call(phones)
    account = phones.presence.get(ACME.account_id)
    node_changed = account.node_changed

    async def unreachable(*texts: str) -> str:
        raise ConnectionError("the object is overloaded")

    monkeypatch.setattr(account, "node_changed", unreachable)
    await silence(phones)
    assert await scene.usage(phones, ACME) == BOTH
    await scene.hello(phones, digests=DIGESTS)
    contacts = [scene.contact_of(ACME, digits, phones.now + 900_000) for digits in ACME.people]
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed)], contacts, BUSY))
    monkeypatch.setattr(account, "node_changed", node_changed)
    await scene.heartbeats(phones, 60, digests=DIGESTS)
    assert await scene.usage(phones, ACME) == BOTH
    assert (await phones.invite(ACME, "1003", "1002"))["action"] == "proxy"


async def test_an_account_that_cannot_be_told_keeps_no_other_waiting(
    phones: LocalBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.heartbeat(phones, digests=DIGESTS | {"acc_0": BUSY, GLOBEX.account_id: BUSY})
    await answered_call(phones)

    async def broken(*texts: str) -> str:
        raise ConnectionError("the object is overloaded")

    monkeypatch.setattr(phones.presence.get("acc_0"), "node_changed", broken)
    await silence(phones)
    assert await scene.usage(phones, ACME) == {}
    assert len(scene.rows(phones, GLOBEX, "lost_node")) == 1
    await phones.advance(120_000)
    connection = phones.fleet.contexts["local"].connection
    assert connection.execute("SELECT account_id FROM outbox").fetchall() == [("acc_0",)]


async def test_tellings_survive_the_fleet_object(phones: LocalBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    await answered_call(phones)
    account = phones.presence.get(ACME.account_id)
    node_changed = account.node_changed

    async def unreachable(*texts: str) -> str:
        raise ConnectionError("the object is overloaded")

    monkeypatch.setattr(account, "node_changed", unreachable)
    await silence(phones)
    phones.fleet.evict("local")
    monkeypatch.setattr(account, "node_changed", node_changed)
    await phones.advance(60_000)
    assert await scene.usage(phones, ACME) == {}
    assert len(scene.rows(phones, ACME, "lost_node")) == 1
