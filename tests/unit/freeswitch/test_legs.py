"""Legs: what is asked of the switch, what becomes of them, and that none is left over."""

from __future__ import annotations

import asyncio

import pytest

from edge_node.agent.media_engine.base import EngineError, LegFailedError, Order
from tests.unit.agent.stubs import eventually
from tests.unit.freeswitch.channel import Channel
from tests.unit.freeswitch.conftest import Scene, order
from tests.unit.freeswitch.double import FarEnd


async def test_a_leg_is_placed_by_way_of_kamailio_with_its_own_headers_only(scene: Scene) -> None:
    near = await scene.caller(
        {"X-Tandem-Call": "call_1", "X-Secret": "no", "Diversion": "no", "P-Asserted-Identity": "no"}
    )
    near.variables["sip_h_X-Set-Meanwhile"] = "no"
    far = await scene.far(near)
    placed = scene.switch.placed[0]
    kamailio = scene.switch.settings.kamailio
    assert placed["uri"] == "sip:leg@acme.test"
    assert placed["sip_route_uri"] == f"sip:127.0.0.1:{kamailio.port}"
    assert {key: value for key, value in placed.items() if key.startswith("sip_h_")} == {
        "sip_h_X-Tandem-Leg": "leg_1.1.x-_",
        "sip_h_X-Tandem-Account": "acc_1",
    }
    assert placed["absolute_codec_string"] == "PCMU"
    assert placed["outbound_redirect_fatal"] == "true"
    assert placed["sip_copy_custom_headers"] == "false"
    assert placed["sip_cid_type"] == "none"
    assert placed["origination_uuid"] == far.id
    assert scene.switch.jobs[0].startswith("originate "), "it would hold the connection up"
    assert scene.told.of("in_path", far.id) == [True]
    assert scene.engine.channels == 2


@pytest.mark.parametrize(
    ("code", "outcome"), [(486, "busy"), (404, "failed"), (480, "no_answer"), (503, "failed"), (488, "failed")]
)
async def test_a_refusal_is_told_with_its_code(scene: Scene, code: int, outcome: str) -> None:
    near = await scene.caller()
    scene.switch.far_ends.append(FarEnd(answers=None, refuses=0.02, code=code))
    with pytest.raises(LegFailedError) as caught:
        await scene.engine.originate(near.id, order())
    assert (caught.value.outcome, caught.value.code) == (outcome, code)
    assert scene.engine.channels == 1
    assert [name for name, _, _ in scene.told.log if name == "ended"] == []
    await scene.engine.play(near.id, [scene.sound()])


async def test_a_leg_that_the_switch_cannot_place_fails(scene: Scene) -> None:
    near = await scene.caller()

    async def refuse(line: str) -> str:
        return "-ERR INVALID_PROFILE\n"

    scene.switch.api = refuse  # type: ignore[method-assign]
    near.variables["read_codec"] = "PCMU"
    with pytest.raises(EngineError):
        await scene.engine.originate(near.id, order())


async def test_time_is_up_to_the_second_whatever_the_switch_counts(scene: Scene) -> None:
    near = await scene.caller()
    for end in (FarEnd(answers=None), FarEnd(answers=None, early=0.01)):
        scene.switch.far_ends.append(end)
        began = asyncio.get_running_loop().time()
        with pytest.raises(LegFailedError) as caught:
            await scene.engine.originate(near.id, order(timeout_sec=1))
        assert 0.9 < asyncio.get_running_loop().time() - began < 1.6
        assert (caught.value.outcome, caught.value.code) == ("no_answer", 487)
        await eventually(lambda: list(scene.switch.channels) == [near.id])
        assert scene.switch.made[-1].cause == "NO_ANSWER"
    assert int(scene.switch.placed[0]["originate_timeout"]) > 1
    await scene.engine.play(near.id, [scene.sound()])


@pytest.mark.parametrize(
    "end", [FarEnd(answers=None), FarEnd(answers=None, early=0.0), FarEnd(rings=None, answers=None)]
)
async def test_a_cancelled_leg_is_cancelled_at_the_switch(scene: Scene, end: FarEnd) -> None:
    near = await scene.caller()
    scene.switch.far_ends.append(end)
    placing = asyncio.create_task(scene.engine.originate(near.id, order()))
    await eventually(lambda: len(scene.switch.channels) == 2)
    await asyncio.sleep(0.05)
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    await eventually(lambda: list(scene.switch.channels) == [near.id])
    assert scene.switch.made[-1].cause == "ORIGINATOR_CANCEL"
    await scene.engine.play(near.id, [scene.sound()])
    await eventually(lambda: scene.engine.channels == 1)


async def test_a_leg_that_is_cancelled_before_the_switch_knows_it_is_ended_all_the_same(scene: Scene) -> None:
    near = await scene.caller()
    scene.switch.stuck = True
    placing = asyncio.create_task(scene.engine.originate(near.id, order()))
    await asyncio.sleep(0.02)
    placing.cancel()
    await asyncio.sleep(0)
    scene.switch.stuck = False
    with pytest.raises(asyncio.CancelledError):
        await placing
    await eventually(lambda: list(scene.switch.channels) == [near.id])
    await eventually(lambda: scene.engine.channels == 1)
    assert len(scene.told.of("ended", near.id)) == 0


async def test_a_caller_who_goes_takes_his_leg_with_him(scene: Scene) -> None:
    near = await scene.caller()
    scene.switch.far_ends.append(FarEnd(answers=None))
    placing = asyncio.create_task(scene.engine.originate(near.id, order()))
    await eventually(lambda: len(scene.switch.channels) == 2)
    near.hang_up("NORMAL_CLEARING")
    with pytest.raises(EngineError) as caught:
        await placing
    assert caught.value.code == "gone"
    await eventually(lambda: not scene.switch.channels)
    assert scene.engine.channels == 0


async def test_a_leg_that_answers_and_goes_at_once_is_told_or_not_handed_out(scene: Scene) -> None:
    near = await scene.caller()
    for _ in range(5):
        scene.switch.far_ends.append(FarEnd(answers=0.01, refuses=0.012, code=503))
        try:
            far = await scene.engine.originate(near.id, order())
        except LegFailedError:
            far = scene.switch.made[-1].id
            assert not scene.told.of("ended", far)
        else:
            await eventually(lambda name=far: scene.told.of("ended", name))  # type: ignore[misc]
        await eventually(lambda: scene.engine.channels == 1)


async def test_the_caller_hears_ringing_until_the_bridge(scene: Scene) -> None:
    near = await scene.caller()
    far = await scene.far(near, FarEnd(rings=0.0, answers=0.1))
    assert _rings(near)
    await scene.engine.play(far.id, [scene.sound("whisper")])
    assert not near.idle, "he goes on hearing it"
    await scene.engine.bridge(near.id, far.id)
    assert near.partner is far


async def test_a_caller_whose_leg_fails_hears_no_more_ringing(scene: Scene) -> None:
    near = await scene.caller()
    scene.switch.far_ends.append(FarEnd(rings=0.0, answers=None, refuses=0.1))
    with pytest.raises(LegFailedError):
        await scene.engine.originate(near.id, order())
    assert _rings(near)
    await eventually(lambda: near.idle)


async def test_who_waits_with_music_hears_no_ringing_and_nothing_early(scene: Scene) -> None:
    near = await scene.caller()
    music = scene.sound("music", 3600)
    await scene.engine.hold_music(near.id, music)
    scene.switch.far_ends.append(FarEnd(rings=0.0, early=0.01, answers=0.05))
    far = await scene.engine.originate(near.id, order(early=False))
    assert near.heard == [str(music)]
    assert not near.idle, "the music goes on"
    assert scene.switch.placed[0]["ignore_early_media"] == "true"
    await scene.engine.bridge(near.id, far)
    assert near.partner is scene.switch.channels[far]


async def test_early_media_passes_both_ways_and_there_is_no_gap_at_the_answer(scene: Scene) -> None:
    near = await scene.caller()
    scene.switch.far_ends.append(FarEnd(rings=0.0, early=0.02, answers=0.2))
    placing = asyncio.create_task(scene.engine.originate(near.id, order()))
    await eventually(lambda: near.partner is not None)
    assert not placing.done()
    far = await placing
    assert near.partner is scene.switch.channels[far]
    await scene.engine.bridge(near.id, far)
    assert sum("api uuid_bridge " in command for command in scene.commands()) == 1


async def test_a_caller_not_answered_yet_hears_early_media_before_the_answer(scene: Scene) -> None:
    near = await scene.caller(answered=False)
    await scene.far(near, FarEnd(rings=0.0, early=0.05, answers=0.2))
    assert near.said == ["180", "183"]


async def test_what_is_played_to_an_early_leg_is_not_heard_by_the_other(scene: Scene) -> None:
    """A whisper, for one: he hears ringing meanwhile."""
    near = await scene.caller()
    far = await scene.far(near, FarEnd(rings=None, early=0.0, answers=0.05))
    assert near.other == far.id
    assert not _rings(near)
    await scene.engine.play(far.id, [scene.sound("whisper")])
    assert near.other == ""
    assert _rings(near)
    assert not near.idle
    assert far.heard == [str(scene.folder / "whisper.wav")]
    await scene.engine.bridge(near.id, far.id)
    assert near.partner is far


@pytest.mark.parametrize("lag", [0.0, 0.05])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_early_leg_that_fails_as_it_is_heard_leaves_the_caller_to_the_flow(
    scene: Scene, moment: str, lag: float
) -> None:
    near = await scene.caller()
    scene.switch.lag = lag
    setattr(scene.switch, f"quits_{moment}_a_bridge", True)
    scene.switch.far_ends.append(FarEnd(early=0.0, answers=None))
    with pytest.raises(LegFailedError) as caught:
        await scene.engine.originate(near.id, order())
    assert caught.value.code == 486
    await scene.engine.play(near.id, [scene.sound()])
    assert near.heard[-1].endswith("a.wav")


async def test_an_early_leg_that_fails_leaves_the_caller_to_the_flow(scene: Scene) -> None:
    near = await scene.caller()
    scene.switch.far_ends.append(FarEnd(early=0.0, answers=None, refuses=0.1, code=486))
    with pytest.raises(LegFailedError) as caught:
        await scene.engine.originate(near.id, order())
    assert caught.value.code == 486
    assert near.variables["park_after_early_bridge"] == near.variables["continue_on_fail"] == "true"
    await scene.engine.play(near.id, [scene.sound()])
    assert near.heard[-1].endswith("a.wav")


@pytest.mark.parametrize(
    ("uri", "headers"),
    [
        ("sip:a@b,sofia/tandem/sip:evil@c", ()),
        ("sip:a@b|user/1", ()),
        ("sip:a b", ()),
        ("sip:a@b'", ()),
        ("sip:${x}@b", ()),
        ("error/user_busy", ()),
        ("sip:a@b\nexit", ()),
        ("sip:a@b", (("X-Tandem-Leg", "a,sip_h_X-Evil=1"),)),
        ("sip:a@b", (("X-Tandem-Leg", "a}user/1"),)),
        ("sip:a@b", (("X-Tandem-Leg", "a\r\nX-Evil: 1"),)),
        ("sip:a@b", (("X-Tandem-Leg", "'"),)),
        ("sip:a@b", (("X Evil", "1"),)),
        ("sip:a@b", (("X-Tandem-Leg", "${x}"),)),
    ],
)
async def test_nothing_can_be_slipped_into_a_leg(scene: Scene, uri: str, headers: tuple[tuple[str, str], ...]) -> None:
    near = await scene.caller()
    with pytest.raises(EngineError) as caught:
        await scene.engine.originate(near.id, Order(uri, headers, 5))
    assert caught.value.code == "refused"
    assert not scene.switch.jobs


async def test_a_leg_of_nobody_is_ended_when_it_comes(scene: Scene) -> None:
    """Placed by a node-agent that is no more."""
    channel = Channel("outbound", scene.switch.fire, {})
    channel.answer_state = "answered"
    scene.switch.channels[channel.id] = channel
    await scene.switch.socket(channel)
    await eventually(lambda: channel.cause == "ORIGINATOR_CANCEL")
    assert not scene.told.log


async def test_the_codec_is_the_callers(scene: Scene) -> None:
    near = await scene.caller(answered=False)
    near.variables["ep_codec_string"] = "CORE_PCM_MODULE.PCMA@8000h@20i@64000b,CORE_PCM_MODULE.PCMU@8000h@20i@64000b"
    await scene.far(near)
    near.variables["read_codec"] = "PCMU"
    await scene.far(near)
    assert [placed["absolute_codec_string"] for placed in scene.switch.placed] == ["PCMA", "PCMU"]


@pytest.mark.parametrize(("offered", "name"), [(120, "tandem-120"), (101, "tandem"), (119, "tandem"), (0, "tandem")])
async def test_a_leg_is_offered_digits_as_the_caller_sends_them(scene: Scene, offered: int, name: str) -> None:
    """So that their audio can go past the switch, where a profile of the switch can do it."""
    scene.switch.digit_type = offered
    near = await scene.caller()
    await scene.far(near)
    assert scene.switch.placed[0]["profile"] == name


def _rings(channel: Channel) -> bool:
    """It has heard ringing."""
    return any(sound.startswith("tone_stream:") for sound in channel.heard)
