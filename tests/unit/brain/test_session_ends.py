"""A call's flow that ends, with its call or without, and what is left of it."""

from __future__ import annotations

import pytest

from tests.support import scene
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME
from tests.unit.brain.sessions import FRONT, Fields, answered, arrive, away, prepared, to_menu


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    return await prepared(brain)


async def keep_up(brain: LocalBrain, listed: Fields, seconds: int) -> None:
    """Time passes, and the node lists the call."""
    for _ in range(seconds // 60):
        await brain.advance(60_000)
        await scene.send(brain, scene.snapshot(brain, ACME, [listed]))


async def test_a_flow_whose_call_is_gone_ends_within_minutes(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    await keep_up(phones, await answered(phones, runner), 1_200)
    assert runner.trace() == []
    await phones.advance(1_000)
    await scene.send(phones, scene.snapshot(phones, ACME, []))
    runner.evict()
    await phones.advance(301_000)
    assert runner.trace() == []  # it may return
    await phones.advance(600_000)
    assert runner.trace()[-1]["data"] == {"reason": "call_gone"}


async def test_a_flow_whose_call_is_over_ends_with_its_record(phones: LocalBrain) -> None:
    """Its node died, and said nothing of it."""
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    listed = await answered(phones, runner)
    runner.evict()
    await scene.send(phones, scene.event(phones, ACME, "dialog", seq=9, **(listed | {"state": "end"})))
    await phones.advance(5_000)
    assert runner.trace()[-1]["data"] == {"reason": "call_gone"}
    assert (await runner.step(3, "digits", digits="1"))["cmd"] == "hangup"


async def test_a_flow_that_could_not_be_told_ends_at_the_next_look(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    listed = await answered(phones, runner)
    away(phones.sessions, "call_over")
    await scene.send(phones, scene.event(phones, ACME, "dialog", seq=9, **(listed | {"state": "end"})))
    await phones.advance(5_000)
    assert runner.trace() == []
    await phones.advance(301_000)
    assert runner.trace()[-1]["data"] == {"reason": "call_gone"}


async def test_the_end_of_a_call_whose_flow_never_began_makes_no_session(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    listed = await answered(phones, runner)
    await scene.send(phones, scene.event(phones, ACME, "dialog", seq=9, **(listed | {"state": "end"})))
    await phones.advance(301_000)
    assert runner.trace() == []
    assert (await runner.ask())[0] == 404


async def test_a_presence_that_is_away_ends_no_flow(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    listed = await answered(phones, runner)
    away(phones.presence, "call_alive")
    await keep_up(phones, listed, 1_200)
    assert (await runner.step(3, "digits", digits="1"))["cmd"] == "dial"


async def test_a_flow_ends_after_a_day(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    await keep_up(phones, await answered(phones, runner), 86_400 - 120)
    assert runner.trace() == []
    await keep_up(phones, await answered(phones, runner), 180)
    assert runner.trace()[-1]["data"] == {"reason": "expired"}
    assert (await runner.step(3, "timeout"))["cmd"] == "hangup"


async def test_the_trace_waits_for_d1(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    await runner.step(3, "hangup")
    phones.control.available = False
    await phones.advance(60_000)
    runner.evict()
    phones.control.available = True
    await phones.advance(60_000)
    assert len(runner.trace()) == 5
    runner.evict()
    await phones.advance(60_000)
    assert len(runner.trace()) == 5


async def test_a_session_is_erased_some_hours_after_its_end(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    last = await runner.step(3, "hangup")
    listed = await answered(phones, runner)
    await scene.send(phones, scene.event(phones, ACME, "dialog", seq=9, **(listed | {"state": "end"})))
    await phones.advance(3 * 3_600_000)
    assert await runner.step(3, "hangup") == last
    await phones.advance(2 * 3_600_000)
    connection = phones.sessions.contexts[runner.call_id].connection
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    assert phones.sessions.contexts[runner.call_id].alarm.due is None
    for evict in (False, True):
        if evict:
            runner.evict()
        for fields in ({}, {"seq": 3, "outcome": "hangup"}):
            assert (await runner.ask(**fields))[0] == 404
    assert len(runner.trace()) == 5


async def test_a_write_that_fails_leaves_the_step_undone(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    connection = phones.sessions.contexts[runner.call_id].connection
    connection.execute("ALTER TABLE trace RENAME TO hidden")
    status, reply = await runner.ask(seq=3, outcome="digits", data={"digits": "1"})
    assert (status, reply["error"]["code"]) == (500, "internal_error")
    connection.execute("ALTER TABLE hidden RENAME TO trace")
    assert (await runner.step(3, "digits", digits="1"))["cmd"] == "dial"
    await runner.step(4, "hangup")
    await phones.advance(1_000)
    assert [one["seq"] for one in runner.trace()] == list(range(6))


async def test_a_story_without_end_is_cut_but_for_its_last_line(
    phones: LocalBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.store.session.MOST_ENTRIES", 4)
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    await runner.step(3, "digits", digits="1")
    runner.evict()
    await runner.step(4, "no_answer")
    await runner.step(5, "hangup")
    await phones.advance(1_000)
    assert [one["kind"] for one in runner.trace()] == ["start", "entry", "say", "menu", "end"]
