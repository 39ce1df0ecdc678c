"""One channel: its arrival, what runs on it, its digits, its end."""

from __future__ import annotations

import asyncio

import pytest

from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch.session import _App
from tests.unit.agent.stubs import eventually
from tests.unit.freeswitch.channel import KNOWN, Channel
from tests.unit.freeswitch.conftest import HEADERS, Scene


async def test_a_call_arrives_before_it_is_answered(scene: Scene) -> None:
    channel = await scene.caller(HEADERS | {"X-Other": "no", "Diversion": "no"}, answered=False)
    assert scene.told.headers[channel.id] == {"x-tandem-call": "call_1", "x-tandem-account": "acc_1"}
    assert channel.said == []
    assert scene.engine.channels == 1
    await scene.engine.answer(channel.id)
    await scene.engine.answer(channel.id)
    assert channel.said == ["200"]
    assert scene.told.of("in_path", channel.id) == [True]


async def test_a_late_offer_is_answered_in_the_channels_own_thread(scene: Scene) -> None:
    """The command for it would hold the connection up for ever."""
    channel = await scene.switch.call(HEADERS, late_offer=True)
    await eventually(lambda: scene.told.of("arrived", channel.id))
    await scene.engine.answer(channel.id)
    assert channel.said == ["200"]


@pytest.mark.parametrize("value", ["a%20b", "a b", "100%", "é;%3B", "%"])
async def test_a_header_comes_as_it_was_sent_with_its_percent_signs(scene: Scene, value: str) -> None:
    channel = await scene.caller({"X-Tandem-Call": value}, answered=False)
    assert scene.told.headers[channel.id] == {"x-tandem-call": value}


async def test_files_play_one_after_the_other_as_often_as_told(scene: Scene) -> None:
    channel = await scene.caller()
    files = [scene.sound("a"), scene.sound("b")]
    await scene.engine.play(channel.id, files, loop=2)
    assert channel.heard == [str(file) for file in files] * 2


async def test_nothing_is_executed_inside_what_runs(scene: Scene) -> None:
    """Without the lock a second playback would begin at once, and end first."""
    channel = await scene.caller()
    await scene.engine.play(channel.id, [scene.sound()], loop=2)
    executed = [command for command in scene.commands() if "call-command: execute" in command]
    assert len(executed) == 2
    assert all("event-lock: true" in command and "Event-UUID: " in command for command in executed)
    assert not any("loops" in command for command in executed), "the switch does not heed it"


async def test_an_answer_is_told_by_its_number_not_by_its_name(scene: Scene) -> None:
    """Another playback's end, and that of `socket`, are not the answer to ours."""
    channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)]))
    await eventually(lambda: channel.heard)
    for number in ("other", ""):
        headers = {"Application": "playback", "Application-UUID": number, "Application-Response": "FILE PLAYED"}
        scene.switch.fire("CHANNEL_EXECUTE_COMPLETE", channel, headers)
    channel.digit("1")
    await eventually(lambda: scene.told.of("digit", channel.id))
    assert not playing.done()
    await scene.engine.stop(channel.id)
    await playing


async def test_a_file_that_the_switch_does_not_find_is_an_error(scene: Scene) -> None:
    channel = await scene.caller()
    file = scene.sound()
    del scene.switch.files[str(file)]
    with pytest.raises(EngineError, match="missing") as caught:
        await scene.engine.play(channel.id, [file])
    assert caught.value.code == "media"


async def test_nothing_is_heard_when_any_file_is_missing_or_broken(scene: Scene) -> None:
    channel = await scene.caller()
    broken = scene.folder / "broken.wav"
    broken.write_bytes(b"RIFF....WAVEgarbage")
    for bad in (scene.folder / "missing.wav", broken):
        for work in (scene.engine.play(channel.id, [scene.sound(), bad]), scene.engine.hold_music(channel.id, bad)):
            with pytest.raises(EngineError) as caught:
                await work
            assert caught.value.code == "media"
    assert channel.heard == []


@pytest.mark.parametrize("name", ["${variable}", "two\nlines"])
async def test_a_file_name_is_nothing_but_a_name(scene: Scene, name: str) -> None:
    channel = await scene.caller()
    with pytest.raises(EngineError) as caught:
        await scene.engine.play(channel.id, [scene.sound(name)])
    assert caught.value.code == "refused"
    assert channel.heard == []


async def test_a_play_is_stopped_with_all_that_was_to_follow(scene: Scene) -> None:
    channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)] * 3, loop=9))
    await eventually(lambda: channel.heard)
    await scene.engine.stop(channel.id)
    await playing
    assert len(channel.heard) == 1
    await scene.engine.stop(channel.id)


async def test_a_break_that_comes_too_early_is_sent_again(scene: Scene) -> None:
    """The switch forgets a break when an application begins."""
    channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)]))
    await eventually(lambda: any("app-name: playback" in command for command in scene.commands()))
    await scene.engine.stop(channel.id)
    await playing
    assert not channel.breaking


async def test_a_cancelled_play_ends_at_the_switch_too(scene: Scene) -> None:
    channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)]))
    await eventually(lambda: channel.heard)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    await eventually(lambda: channel.idle)


async def test_hold_music_goes_on_until_something_else_is_to_be_heard(scene: Scene) -> None:
    channel = await scene.caller()
    music = scene.sound("music", 0.02)
    await scene.engine.hold_music(channel.id, music)
    await eventually(lambda: channel.heard.count(str(music)) >= 3)
    prompt = scene.sound("prompt")
    await scene.engine.play(channel.id, [prompt])
    assert channel.heard[-1] == str(prompt)
    assert channel.idle


async def test_music_that_the_switch_cannot_play_is_logged_and_no_storm(scene: Scene) -> None:
    channel = await scene.caller()
    music = scene.sound("music")
    del scene.switch.files[str(music)]
    await scene.engine.hold_music(channel.id, music)
    await eventually(lambda: any("sound ended" in line for line in scene.log))
    assert sum("app-name: playback" in command for command in scene.commands()) == 1


async def test_ringing_is_the_callers_own_before_the_answer_and_ours_after(scene: Scene) -> None:
    channel = await scene.caller(answered=False)
    await scene.engine.ringback(channel.id)
    assert channel.said == ["180"]
    await scene.engine.answer(channel.id)
    await scene.engine.ringback(channel.id)
    await eventually(lambda: channel.heard)
    assert channel.heard[0].startswith("tone_stream:")
    await scene.engine.stop(channel.id)


@pytest.mark.parametrize("source", ["RTP", "ENDPOINT"])
async def test_digits_come_from_both_sources_and_stop_nothing(scene: Scene, source: str) -> None:
    channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)]))
    await eventually(lambda: channel.heard)
    for digit in "0*#aD":
        channel.digit(digit, source)
    channel.digit("F", source)
    channel.digit("w", source)
    await eventually(lambda: len(scene.told.of("digit", channel.id)) >= 5)
    assert scene.told.of("digit", channel.id) == ["0", "*", "#", "A", "D"]
    assert not playing.done()
    assert channel.variables["playback_terminators"] == "none", "the switch's default is *"
    await scene.engine.stop(channel.id)
    await playing


async def test_events_of_others_are_not_ours(scene: Scene) -> None:
    """`event plain` alone would bring those of every channel."""
    one, other = await scene.caller(), await scene.caller()
    one.digit("1")
    other.digit("2")
    await eventually(lambda: scene.told.of("digit", other.id))
    assert scene.told.of("digit", one.id) == ["1"]
    assert scene.told.of("digit", other.id) == ["2"]


@pytest.mark.parametrize(("code", "said"), [(0, "603"), (486, "486"), (480, "480")])
async def test_an_unanswered_call_is_refused_with_the_code(scene: Scene, code: int, said: str) -> None:
    channel = await scene.caller(answered=False)
    await scene.engine.hang_up(channel.id, code)
    assert channel.said == [said]
    await eventually(lambda: scene.told.of("ended", channel.id))
    assert scene.engine.channels == 0


async def test_what_plays_before_the_answer_does_not_hold_the_answer_up(scene: Scene) -> None:
    channel = await scene.caller(answered=False)
    playing = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)]))
    await eventually(lambda: channel.heard)
    await scene.engine.answer(channel.id)
    assert not playing.done()
    await scene.engine.stop(channel.id)
    await playing


async def test_what_plays_before_the_answer_does_not_hold_a_refusal_up(scene: Scene) -> None:
    channel = await scene.caller(answered=False)
    playing = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)]))
    await eventually(lambda: channel.heard)
    await scene.engine.hang_up(channel.id, 486)
    assert channel.said == ["486"]
    with pytest.raises(EngineError) as caught:
        await playing
    assert caught.value.code == "gone"


async def test_an_answered_call_ends_with_a_reason_and_never_with_anothers(scene: Scene) -> None:
    for code, said in ((503, "BYE SIP;cause=503"), (0, "BYE")):
        channel = await scene.caller()
        channel.variables["sip_reason"] = "Q.850;cause=99"
        await scene.engine.hang_up(channel.id, code)
        assert channel.said[-1] == said
        await eventually(lambda name=channel.id: scene.told.of("ended", name) == ["normal"])  # type: ignore[misc]
        await scene.engine.hang_up(channel.id)


@pytest.mark.parametrize(
    ("cause", "code", "told"),
    [
        ("NORMAL_CLEARING", 0, "normal"),
        ("ORIGINATOR_CANCEL", 0, "487"),
        ("USER_BUSY", 0, "486"),
        ("MEDIA_TIMEOUT", 0, "408"),
        ("NORMAL_UNSPECIFIED", 488, "488"),
        ("SOMETHING_NEW", 0, "500"),
    ],
)
async def test_an_end_is_told_once_with_its_cause(scene: Scene, cause: str, code: int, told: str) -> None:
    channel = await scene.caller()
    waiting = asyncio.create_task(scene.engine.play(channel.id, [scene.sound(seconds=3600)]))
    await eventually(lambda: channel.heard)
    channel.hang_up(cause, code=code)
    with pytest.raises(EngineError) as caught:
        await waiting
    assert caught.value.code == "gone"
    await eventually(lambda: scene.told.of("ended", channel.id))
    await eventually(lambda: not any(listener.channel is channel for listener in scene.switch.listeners))
    assert scene.told.of("ended", channel.id) == [told]


async def test_a_channel_that_never_was_is_gone(scene: Scene) -> None:
    work = (
        scene.engine.answer("x"),
        scene.engine.play("x", [scene.sound()]),
        scene.engine.stop("x"),
        scene.engine.hold_music("x", scene.sound()),
        scene.engine.ringback("x"),
        scene.engine.bridge("x", "y"),
        scene.engine.unbridge("x", "y"),
        scene.engine.release("x", "y"),
        scene.engine.take_back("x", "y"),
    )
    for one in work:
        with pytest.raises(EngineError) as caught:
            await one
        assert caught.value.code == "gone"
    await scene.engine.hang_up("x")


async def test_only_applications_that_the_switch_has_are_ever_executed(scene: Scene) -> None:
    """One that it does not know ends the channel, and the command for it says yes."""
    assert {app.value for app in _App} <= KNOWN
    channel = await scene.caller()
    session = next(iter(scene.engine._channels.values())).session
    reply = await session.link.command(
        f"sendmsg {channel.id}", (("call-command", "execute"), ("execute-app-name", "no_such_thing"))
    )
    assert reply.text == "+OK"
    await eventually(lambda: channel.cause == "DESTINATION_OUT_OF_ORDER")
    await eventually(lambda: scene.told.of("ended", channel.id) == ["502"])


async def test_the_second_connection_of_a_channel_leaves_the_first_alone(scene: Scene) -> None:
    channel = await scene.caller()
    await scene.switch.socket(channel)
    await eventually(lambda: any("channel not taken" in line for line in scene.log))
    assert len(scene.told.of("arrived", channel.id)) == 1
    channel.hang_up("NORMAL_CLEARING")
    await eventually(lambda: scene.told.of("ended", channel.id) == ["normal"])


async def test_a_stranger_on_our_port_is_sent_away(scene: Scene) -> None:
    """Whoever does not speak for the switch's process that we are connected to."""
    stranger = Channel("inbound", lambda *_: None, {})
    scene.switch.core, core = "another", scene.switch.core
    scene.switch.channels[stranger.id] = stranger
    await scene.switch.socket(stranger)
    await eventually(lambda: any("channel not taken" in line for line in scene.log))
    await eventually(lambda: stranger.said == ["503"])
    assert not scene.told.log
    scene.switch.core = core


async def test_garbage_on_our_port_is_sent_away(scene: Scene) -> None:
    socket = scene.switch.settings.socket
    reader, writer = await asyncio.open_connection(socket.host, socket.port)
    writer.write(b"GET / HTTP/1.1\n\n")
    assert await reader.read() == b"connect\n\n"
    writer.close()
    await writer.wait_closed()
    assert scene.engine.up
