"""The switch as a whole: it comes, goes, hangs, is restarted; seats; what a node-agent before us left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch import FreeSwitchEngine, link, orphans, switch
from tests.unit.agent.stubs import eventually
from tests.unit.freeswitch.channel import Channel
from tests.unit.freeswitch.conftest import Scene, Told, order
from tests.unit.freeswitch.double import Double, FarEnd


@pytest.fixture
async def away() -> AsyncIterator[Double]:
    """A switch that is not there yet."""
    found = Double()
    yield found
    await found.die()


async def test_an_engine_waits_for_its_switch(away: Double) -> None:
    lines: list[str] = []
    async with FreeSwitchEngine(away.settings, Told(), Log(lines.append)) as engine:
        assert (engine.up, engine.seat(), engine.version) == (False, None, "")
        await eventually(lambda: any("no connection to the switch" in line for line in lines))
        await away.start()
        await eventually(lambda: engine.up)
        assert (engine.name, engine.version, engine.limits.rate) == ("freeswitch", "1.11.3", 8_000)
        assert engine.seat() == f"127.0.0.1:{away.settings.sip.port}"
    assert sum("no connection to the switch" in line for line in lines) == 1, "said once"
    assert away.password not in "".join(lines)


async def test_a_switch_whose_sip_is_not_up_takes_no_calls(away: Double) -> None:
    away.profiles, profiles = [], away.profiles
    await away.start()
    lines: list[str] = []
    async with FreeSwitchEngine(away.settings, Told(), Log(lines.append)) as engine:
        await eventually(lambda: any("no SIP profile" in line for line in lines))
        assert (engine.up, engine.seat()) == (False, None)
        away.profiles = profiles
        await eventually(lambda: engine.up)


async def test_a_wrong_password_is_said_and_tried_again(away: Double) -> None:
    lines: list[str] = []
    settings = replace(away.settings, password="wrong")
    await away.start()
    async with FreeSwitchEngine(settings, Told(), Log(lines.append)) as engine:
        await eventually(lambda: any("refused auth" in line for line in lines))
        assert not engine.up
        away.password = "wrong"
        await eventually(lambda: engine.up)
    assert "wrong" not in "".join(lines)
    assert "wrong" not in repr(settings)


async def test_commands_before_the_login_are_not_found(away: Double) -> None:
    await away.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", away.settings.esl.port)
    writer.write(b"api status\n\n")
    assert b"auth/request" in await reader.readuntil(b"\n\n")
    assert b"-ERR command not found" in await reader.readuntil(b"\n\n")
    writer.close()


async def test_a_port_that_is_taken_is_an_error_at_once(scene: Scene) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with FreeSwitchEngine(scene.switch.settings, Told(), Log(lambda _: None)):
            pass


async def test_a_lost_connection_comes_back_and_calls_do_not_notice(scene: Scene) -> None:
    near, far = await scene.pair()
    scene.switch.drop_inbound()
    await eventually(lambda: not scene.engine.up)
    assert scene.engine.seat() is None
    with pytest.raises(EngineError) as caught:
        await scene.engine.originate(near.id, order())
    assert caught.value.code == "gone"
    await eventually(lambda: scene.engine.up)
    await scene.engine.unbridge(near.id, far.id)
    await scene.engine.play(near.id, [scene.sound()])
    assert [name for name, _, _ in scene.told.log if name == "ended"] == []


async def test_a_leg_under_way_when_the_connection_breaks_is_ended(scene: Scene) -> None:
    near = await scene.caller()
    scene.switch.far_ends.append(FarEnd(answers=None))
    placing = asyncio.create_task(scene.engine.originate(near.id, order()))
    await eventually(lambda: len(scene.switch.channels) == 2)
    scene.switch.drop_inbound()
    with pytest.raises(EngineError) as caught:
        await placing
    assert caught.value.code == "gone"
    await eventually(lambda: list(scene.switch.channels) == [near.id], what="by way of the caller's own connection")


async def test_a_switch_that_dies_takes_its_channels_and_comes_back(scene: Scene) -> None:
    near, far = await scene.pair()
    third = await scene.caller()
    waits = [
        asyncio.create_task(scene.engine.play(third.id, [scene.sound(seconds=3600)])),
        asyncio.create_task(scene.engine.originate(third.id, order())),
    ]
    scene.switch.far_ends.append(FarEnd(answers=None))
    await eventually(lambda: third.heard)
    await scene.switch.die()
    for wait in waits:
        with pytest.raises(EngineError) as caught:
            await wait
        assert caught.value.code == "gone"
    for channel in (near, far, third):
        await eventually(lambda name=channel.id: scene.told.of("ended", name) == ["engine_lost"])  # type: ignore[misc]
    await eventually(lambda: not scene.engine.up)
    assert scene.engine.channels == 0
    await scene.switch.start()
    await eventually(lambda: scene.engine.up)
    await scene.caller()


async def test_a_switch_that_hangs_is_not_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = await scene.caller()
    monkeypatch.setattr(link, "REPLY_SEC", 0.1)
    monkeypatch.setattr(switch, "_PING_SEC", 0.05)
    scene.switch.stuck = True
    with pytest.raises(EngineError) as caught:
        await scene.engine.play(channel.id, [scene.sound()])
    assert caught.value.code == "timeout"
    # The pause before the next question was begun before it was shortened.
    await eventually(lambda: not scene.engine.up, deadline=8)
    scene.switch.stuck = False
    monkeypatch.setattr(link, "REPLY_SEC", 5.0)
    await eventually(lambda: scene.engine.up)
    await scene.engine.play(channel.id, [scene.sound()])


async def test_an_answer_that_comes_late_is_not_the_next_ones(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = await scene.caller()
    session = scene.engine._channels[channel.id].session
    monkeypatch.setattr(link, "REPLY_SEC", 0.05)
    scene.switch.stuck = True
    with pytest.raises(EngineError):
        await session.read("sip_cseq")
    scene.switch.stuck = False
    monkeypatch.setattr(link, "REPLY_SEC", 5.0)
    assert await session.read("read_codec") == ""
    assert await session.read("sip_cseq") == "1"


async def test_where_nobody_listens_the_call_is_refused(away: Double) -> None:
    await away.start()
    channel = await away.call()
    assert channel.said == ["503"]


async def test_what_an_engine_leaves_ends_by_itself_and_bridges_go_on(switch: Double, tmp_path: object) -> None:
    told = Told()
    engine = FreeSwitchEngine(switch.settings, told, Log(lambda _: None))
    async with engine:
        await eventually(lambda: engine.up)
        scene = Scene(switch, engine, told, tmp_path, [])  # type: ignore[arg-type]
        near, far = await scene.pair()
        idle = await scene.caller()
        unanswered = await scene.caller(answered=False)
    await eventually(lambda: idle.over and unanswered.over)
    assert (idle.said[-1], unanswered.said[-1]) == ("BYE", "503")
    assert near.partner is far


async def test_what_another_left_is_looked_after(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "_AGAIN_SEC", 0.1)
    ours = await scene.caller()
    found = {name: Channel("inbound", scene.switch.fire, {}) for name in ("parked", "near", "far", "young")}
    for name, channel in found.items():
        channel.state = "CS_PARK" if name == "parked" else "CS_EXECUTE"
        channel.facts["created"] = "59000000" if name == "young" else "0"
        scene.switch.channels[channel.id] = channel
    near, far = found["near"], found["far"]
    near.partner, far.partner, near.state, far.state = far, near, "CS_SOFT_EXECUTE", "CS_EXCHANGE_MEDIA"
    scene.switch.drop_inbound()
    await eventually(lambda: found["parked"].over)
    await eventually(lambda: far.variables.get("park_after_bridge") == "false")
    assert near.variables["hangup_after_bridge"] == "true"
    assert not found["young"].over
    assert not ours.over
    assert not near.over
    near.hang_up("NORMAL_CLEARING")
    assert far.over, "both end with the first"
    found["young"].facts["created"] = "0"
    await eventually(lambda: found["young"].over, what="it is looked at again")


async def test_seats_run_out_and_come_back(switch: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_node.agent.media_engine.freeswitch.engine._SEAT_SEC", 0.2)
    told = Told()
    async with FreeSwitchEngine(replace(switch.settings, callers=2), told, Log(lambda _: None)) as engine:
        await eventually(lambda: engine.up)
        assert engine.limits.callers == 2
        assert engine.seat() is not None
        assert engine.seat() is not None
        assert engine.seat() is None
        await eventually(lambda: engine.seat() is not None, what="nobody took them")
        channels = [await switch.call() for _ in range(2)]
        await eventually(lambda: engine.channels == 2)
        await asyncio.sleep(0.25)
        assert engine.seat() is None
        channels[0].hang_up("NORMAL_CLEARING")
        await eventually(lambda: engine.seat() is not None)


async def test_two_hundred_calls_at_once(scene: Scene) -> None:
    """Each answered, played to, its digit taken, connected with a leg, and ended; none mixed up with another."""
    count = 200
    prompt = scene.sound(seconds=0.05)

    async def call(number: int) -> None:
        channel = await scene.caller({"X-Tandem-Call": f"call_{number}"})
        await scene.engine.play(channel.id, [prompt])
        channel.digit(str(number % 10))
        await eventually(lambda: scene.told.of("digit", channel.id) == [str(number % 10)], deadline=60)
        far = await scene.engine.originate(channel.id, order(timeout_sec=60, leg=f"leg_{number}"))
        await scene.engine.bridge(channel.id, far)
        assert channel.partner is not None
        assert scene.told.headers[channel.id] == {"x-tandem-call": f"call_{number}"}
        assert channel.partner.variables["sip_h_X-Tandem-Leg"] == f"leg_{number}"
        await scene.engine.hang_up(channel.id)
        await scene.engine.hang_up(far)

    await asyncio.gather(*(call(number) for number in range(count)))
    await eventually(lambda: scene.engine.channels == 0, deadline=60)
    ends = [name for kind, name, _ in scene.told.log if kind == "ended"]
    assert len(ends) == len(set(ends)) == 2 * count
    await eventually(lambda: len(scene.switch.listeners) == 1, deadline=60)
