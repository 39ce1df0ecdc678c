"""What only a real FreeSWITCH can show: its crash, its restart, many calls, and what a node-agent leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, LegFailedError, Order
from edge_node.agent.media_engine.freeswitch import FreeSwitchEngine
from edge_node.local import audio
from tests.engine import switch
from tests.engine.party import Party
from tests.engine.relay import Relay
from tests.engine.scene import DEADLINE, Told, ends, until
from tests.engine.switch import RealSwitch

CALLS = 200


@pytest.fixture(scope="module")
def running(relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSwitch]:
    """One of its own, for it is killed."""
    if switch.program() is None:
        pytest.skip(switch.ABSENT)
    with RealSwitch(tmp_path_factory.mktemp("switch"), relay.sip).running() as found:
        yield found


@contextlib.asynccontextmanager
async def engine_of(running: RealSwitch) -> AsyncIterator[tuple[FreeSwitchEngine, Told]]:
    told = Told()
    async with FreeSwitchEngine(running.settings(), told, Log()) as engine:
        await until(lambda: engine.up, "the engine is not up", 30)
        yield engine, told


async def _answered(engine: FreeSwitchEngine, told: Told, party: Party) -> str:
    before = len(told.arrivals)
    seat = engine.seat()
    assert seat is not None
    calling = asyncio.create_task(party.call(seat))
    await until(lambda: len(told.arrivals) > before, "no call arrived")
    channel = told.arrivals[-1][0]
    await engine.answer(channel)
    await ends(calling)
    return channel


async def test_a_switch_that_crashes_ends_its_calls_and_takes_new_ones_once_it_is_back(
    running: RealSwitch, relay: Relay, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.wav"
    audio.write_tone(prompt, 620, seconds=30.0)
    async with engine_of(running) as (engine, told):
        async with Party("2000", relay.sip) as party:
            channel = await _answered(engine, told, party)
            playing = asyncio.create_task(engine.play(channel, [prompt]))
            await party.hears(0.0)
            await asyncio.to_thread(running.kill)
            with pytest.raises(EngineError) as caught:
                await ends(playing)
            assert caught.value.code == "gone"
            await until(lambda: told.ends == {channel: "engine_lost"}, "the end is not told")
            await until(lambda: not engine.up, "it is still up")
            assert engine.seat() is None
        await asyncio.to_thread(running.start)
        await until(lambda: engine.up, "it is not up again", 30)
        async with Party("2001", relay.sip) as party:
            channel = await _answered(engine, told, party)
            await party.hang_up()
            await until(lambda: told.ends.get(channel) == "normal", "the end is not told")


async def test_what_a_dead_node_agent_leaves_is_ended_or_ends_by_itself(running: RealSwitch, relay: Relay) -> None:
    async with contextlib.AsyncExitStack() as stack:
        idle, near, far = [await stack.enter_async_context(Party(f"210{one}", relay.sip)) for one in range(3)]
        async with engine_of(running) as (engine, told):
            await _answered(engine, told, idle)
            one, two = await _answered(engine, told, near), await _answered(engine, told, far)
            await engine.bridge(one, two)
        # The switch's own doing: who waits for commands that nobody gives is let go.
        await idle.request("BYE", DEADLINE)
        async with engine_of(running) as (engine, told):
            # Those who talk go on until one hangs up, and then both are gone.
            await until(lambda: len(running.channels()) == 2, "those who talked are gone, or more are left")
            await until(running.ends_together, "they were not looked after")
            await near.hang_up()
            await far.request("BYE", DEADLINE)
            await until(lambda: not running.channels(), "a channel is left over")


async def test_many_calls_at_once(running: RealSwitch, relay: Relay, tmp_path: Path) -> None:
    """Each is answered, hears its prompt, presses a digit, is refused a leg, and ends."""
    prompt = tmp_path / "prompt.wav"
    audio.write_tone(prompt, 620, seconds=0.5)
    async with contextlib.AsyncExitStack() as stack:
        engine, told = await stack.enter_async_context(engine_of(running))
        # Two hundred voices at once would be more than a Python that listens too can send.
        callers = (Party(f"3{one:03}", relay.sip, suppresses_silence=True) for one in range(CALLS))
        parties = [await stack.enter_async_context(caller) for caller in callers]
        channels = [await _answered(engine, told, party) for party in parties]
        assert engine.channels == CALLS

        async def visit(number: int) -> None:
            channel, party = channels[number], parties[number]
            await engine.play(channel, [prompt])
            party.press(str(number % 10))
            await until(lambda: told.typed(channel) == str(number % 10), "the digit is missing")
            with pytest.raises(LegFailedError):
                await engine.originate(channel, Order("sip:nobody@127.0.0.1:9", (), 5))

        await asyncio.gather(*(visit(number) for number in range(CALLS)))
        await asyncio.gather(*(engine.hang_up(channel) for channel in channels))
        await until(lambda: len(told.ends) == CALLS, "an end is not told")
        assert engine.channels == 0
