"""What a caller hears in a flow while sounds are got, one by one; and music and whispers, which a call may lack."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import pytest

from edge_node.agent.brain import Brain
from edge_node.agent.clock import Clock
from edge_node.agent.flow import comfort
from edge_node.agent.flow.comfort import Comfort
from edge_node.agent.flow.playing import Playing
from edge_node.agent.media_engine.base import EngineError
from tandem.contracts.flow import Media
from tandem.domain.flows import commands as cmd
from tests.support.sounds import wav
from tests.unit.agent.engine_double import CALLER
from tests.unit.agent.flow_scene import ANSWER, BRIDGE, DIAL, DIRECTED, HANG_UP, LEG, Scene, gather, media, play
from tests.unit.agent.shelf import Shelf
from tests.unit.agent.stubs import CALL, CREDENTIAL, NODE, FakeKamailio, StubBrain, eventually, live_dialog

SEVERAL = DIAL.model_copy(update={"music": (media("one"), media("two"), media("three"))})
WHISPERED = DIAL.model_copy(update={"whisper": (media("psst"),)})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is long soon."""
    monkeypatch.setattr(comfort, "SILENT_SEC", 0.05)


def after(scene: Scene, *methods: str) -> list[tuple[object, ...]]:
    """Of what the engine was told, that which is about these."""
    return [one for one in scene.engine.told if one[0] in methods]


# --- no silence on the line


@pytest.mark.parametrize("command", [play("hello"), gather("hello")])
@pytest.mark.usefixtures("impatient")
async def test_who_waits_for_a_prompt_hears_ringing_and_then_the_prompt(scene: Scene, command: cmd.Command) -> None:
    there = scene.sounds.slow["hello"] = asyncio.Event()
    scene.run(ANSWER, command)
    await scene.told("ringback")
    there.set()
    await scene.told("play")
    assert after(scene, "ringback", "stop", "play") == [
        ("ringback", CALLER),
        ("stop", CALLER),
        ("play", CALLER, "hello", 1),
    ]


async def test_a_prompt_that_is_there_needs_no_ringing(scene: Scene) -> None:
    scene.run(ANSWER, play("hello"))
    await scene.told("play")
    assert after(scene, "ringback", "stop", "play") == [("play", CALLER, "hello", 1)]


@pytest.mark.usefixtures("impatient")
async def test_the_ringing_ends_when_the_prompt_does_not_come(scene: Scene) -> None:
    there = scene.sounds.slow["hello"] = asyncio.Event()
    scene.sounds.missing.add("hello")
    scene.run(ANSWER, play("hello"), gather(timeout_ms=60_000))
    await scene.told("ringback")
    there.set()
    await eventually(lambda: len(scene.outcomes) >= 2)
    assert scene.outcomes[1] == ("missing", {"message": "hello: not found"})
    assert after(scene, "ringback", "stop") == [("ringback", CALLER), ("stop", CALLER)]


@pytest.mark.usefixtures("impatient")
async def test_who_types_while_the_prompt_is_got_does_not_wait_for_it(scene: Scene) -> None:
    scene.sounds.slow["menu"] = asyncio.Event()
    scene.run(ANSWER, gather("menu"), HANG_UP)
    await scene.told("ringback")
    scene.engine.press("3")
    await scene.heard("answered", "digits", "ended")
    assert after(scene, "ringback", "stop", "play")[:2] == [("ringback", CALLER), ("stop", CALLER)]
    assert not scene.engine.did("play")


@pytest.mark.usefixtures("impatient")
async def test_who_hangs_up_while_the_prompt_is_got(scene: Scene) -> None:
    scene.sounds.slow["hello"] = asyncio.Event()
    scene.run(ANSWER, play("hello"))
    await scene.told("ringback")
    scene.engine.end()
    await scene.heard("answered", "hangup")
    await scene.over()


# --- one after the other


async def test_the_first_of_several_is_heard_while_the_next_is_got(scene: Scene) -> None:
    there = scene.sounds.slow["again"] = asyncio.Event()
    scene.run(ANSWER, play("hello", "again", loop=2), HANG_UP)
    for number, name in enumerate(("hello", "again", "hello", "again"), 1):
        assert await scene.told("play", number) == ("play", CALLER, name, 1)
        assert CALLER in scene.engine.playing
        there.set()
        scene.engine.played()
    await scene.heard("answered", "done", "ended")
    assert len(scene.engine.did("play")) == 4


async def test_a_digit_stops_what_is_heard_and_what_would_follow(scene: Scene) -> None:
    scene.run(ANSWER, gather("wrong", "menu"), HANG_UP)
    await scene.told("play")
    scene.engine.press("1")
    await scene.heard("answered", "digits", "ended")
    assert scene.engine.did("play") == [("play", CALLER, "wrong", 1)]


async def test_one_of_several_that_is_missing(scene: Scene) -> None:
    scene.sounds.missing.add("gone")
    scene.run(ANSWER, play("hello", "gone"), HANG_UP)
    await scene.told("play")
    scene.engine.played()
    await scene.heard("answered", "missing", "ended")
    assert scene.outcomes[1][1] == {"message": "gone: not found"}


async def test_a_playlist_larger_than_the_disk_is_heard_whole(
    scene: Scene, brain: StubBrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is there when its turn comes."""
    keys = [f"acc_1/{number}.wav" for number in range(8)]
    brain.files |= {f"/media/{key}": (wav(100 * (number + 1)), '"e1"') for number, key in enumerate(keys)}
    heard: list[int] = []

    async def heard_at_once(channel: str, files: list[Path], loop: int = 1) -> None:
        with wave.open(str(files[0])) as file:
            heard.append(file.getnframes() // 800)

    monkeypatch.setattr(scene.engine, "play", heard_at_once)
    async with Brain(f"http://127.0.0.1:{brain.port}", NODE, CREDENTIAL, Clock()) as client:
        small = Shelf(brain, client, tmp_path / "prompts", None, limit=2 * len(wav(800)))
        wanted = [Media(key=key, etag="e1") for key in keys]
        await Playing(scene.engine, small.library, CALLER, wanted, _nothing).task
    assert heard == list(range(1, 9))
    assert len(small.left()) < len(keys)


def _nothing() -> Comfort:
    async def silence() -> None:
        return

    return Comfort(silence, silence)


# --- music and whisper


async def test_music_instead_of_ringing(scene: Scene) -> None:
    scene.run(ANSWER, DIRECTED, HANG_UP)
    await scene.told("originate")
    assert scene.engine.did("hold_music") == [("hold_music", CALLER, "waltz")]
    assert not scene.engine.did("ringback")
    assert not scene.engine.orders[0].early
    scene.engine.leg_fails(486)
    await scene.heard("answered", "busy", "ended")


async def test_music_of_several_pieces(scene: Scene) -> None:
    scene.run(ANSWER, SEVERAL, HANG_UP)
    await scene.told("originate")
    for number, name in enumerate(("one", "two", "three", "one"), 1):
        assert await scene.told("play", number) == ("play", CALLER, name, 1)
        if number < 4:
            scene.engine.played()
    assert not scene.engine.orders[0].early
    scene.engine.leg_fails(486)
    await scene.heard("answered", "busy", "ended")
    assert len(scene.engine.did("play")) == 4, "nothing of it is heard after it was stopped"
    assert scene.engine.told[-2][0] == "stop"


async def test_music_goes_on_while_the_whisper_is_heard(scene: Scene) -> None:
    scene.run(ANSWER, SEVERAL.model_copy(update={"whisper": (media("psst"),)}), BRIDGE)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await eventually(lambda: leg in scene.engine.playing)
    assert CALLER in scene.engine.playing
    scene.engine.played(leg)
    await scene.told("bridge")


async def test_music_that_is_missing_gives_ringing_and_is_told(scene: Scene) -> None:
    scene.sounds.missing.add("waltz")
    scene.run(ANSWER, DIRECTED, HANG_UP)
    await scene.told("originate")
    assert scene.engine.did("ringback")
    assert scene.engine.orders[0].early
    scene.engine.leg_fails(486)
    await scene.heard("answered", "busy", "ended")
    assert scene.outcomes[1][1] == {"cause": "486", "message": "music: waltz: not found"}


async def test_a_later_piece_that_is_missing_gives_ringing_and_is_told(scene: Scene) -> None:
    scene.sounds.missing.add("two")
    scene.run(ANSWER, SEVERAL, BRIDGE)
    await scene.told("play")
    scene.engine.played()
    await scene.told("ringback")
    scene.engine.leg_answers()
    await scene.told("bridge")
    assert scene.outcomes[1] == ("answered", {"message": "music: two: not found"})


@pytest.mark.usefixtures("impatient")
async def test_a_leg_does_not_wait_for_its_music(scene: Scene) -> None:
    scene.sounds.slow["waltz"] = asyncio.Event()
    scene.run(ANSWER, DIRECTED, BRIDGE)
    await scene.told("originate")
    assert scene.engine.did("ringback")
    scene.engine.leg_answers()
    await scene.told("bridge")
    assert scene.outcomes[1] == ("answered", {"message": "music: not there within 0.05 s"})


async def test_a_whisper_is_heard_before_the_answer_is_told(scene: Scene) -> None:
    scene.run(ANSWER, DIAL.model_copy(update={"whisper": (media("psst"),)}), BRIDGE)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    assert await scene.told("play") == ("play", leg, "psst", 1)
    assert len(scene.outcomes) == 1
    scene.engine.played(leg)
    await scene.told("bridge")
    assert scene.outcomes[1] == ("answered", {})


async def test_a_whisper_that_is_missing_stops_nobody_and_is_told(scene: Scene) -> None:
    scene.sounds.missing.add("psst")
    scene.run(ANSWER, WHISPERED, BRIDGE)
    await scene.told("originate")
    scene.engine.leg_answers()
    await scene.told("bridge")
    assert scene.outcomes[1] == ("answered", {"message": "whisper: psst: not found"})


@pytest.mark.usefixtures("impatient")
async def test_a_whisper_may_come_as_long_as_it_rings(scene: Scene) -> None:
    there = scene.sounds.slow["psst"] = asyncio.Event()
    scene.run(ANSWER, WHISPERED, BRIDGE)
    await scene.told("originate")
    # The time itself is what is tested: once the leg has answered, so long would be too long.
    await asyncio.sleep(2 * comfort.SILENT_SEC)
    there.set()
    leg = scene.engine.leg_answers()
    assert await scene.told("play") == ("play", leg, "psst", 1)


@pytest.mark.usefixtures("impatient")
async def test_nobody_waits_long_for_a_whisper(scene: Scene) -> None:
    scene.sounds.slow["psst"] = asyncio.Event()
    scene.run(ANSWER, WHISPERED, BRIDGE)
    await scene.told("originate")
    scene.engine.leg_answers()
    await scene.told("bridge")
    assert scene.outcomes[1] == ("answered", {"message": "whisper: not there within 0.05 s"})


# --- a leg that the engine does not place


@pytest.mark.parametrize("dial", [DIAL, DIRECTED, SEVERAL])
async def test_a_leg_that_the_engine_does_not_place_leaves_nothing_behind(
    scene: Scene, kamailio: FakeKamailio, dial: cmd.Dial
) -> None:
    kamailio.dialogs = [live_dialog(CALL), live_dialog(LEG, state=2)]
    scene.engine.fail["originate"] = EngineError("full", "no room")
    scene.run(ANSWER, dial, gather(timeout_ms=60_000))
    await eventually(lambda: len(scene.outcomes) >= 2)
    assert scene.outcomes[1] == ("error", {"message": "full: no room"})
    assert scene.engine.told[-1] == ("stop", CALLER), "it is quiet"
    assert not scene.engine.playing
    scene.engine.end(cause="engine_lost")
    await eventually(lambda: [method for method, _ in kamailio.rpc_calls if method == "dlg.end_dlg"])
    assert kamailio.hangups == [], "no leg was being placed"


async def test_a_leg_of_an_engine_that_is_gone_is_still_being_placed(scene: Scene, kamailio: FakeKamailio) -> None:
    """The error may come before the end of the caller does."""
    kamailio.dialogs = [live_dialog(CALL), live_dialog(LEG, state=2)]
    scene.run(ANSWER, DIAL)
    await scene.told("originate")
    scene.engine.dialled[CALLER].set_exception(EngineError("gone", "the engine is gone"))
    await asyncio.sleep(0.05)
    scene.engine.end(cause="engine_lost")
    await scene.heard("answered", "hangup")
    await eventually(lambda: kamailio.hangups)
    assert [one["cause"] for one in kamailio.hangups] == ["engine_lost"]
