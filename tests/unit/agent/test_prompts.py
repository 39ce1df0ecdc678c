"""Prompts: from the disk, from the brain, or spoken here; with the real SoX and espeak-ng."""

from __future__ import annotations

import asyncio
import os
import subprocess
import wave
from pathlib import Path

import pytest

from edge_node.agent.brain import Brain
from edge_node.agent.clock import Clock
from edge_node.agent.prompts.cache import Cache, name_of
from edge_node.agent.prompts.programs import ProgramError, run
from edge_node.agent.prompts.sound_files import BrokenSoundError, frames, kind_of
from edge_node.agent.prompts.sounds import MissingError
from edge_node.agent.prompts.speech import EspeakNg
from edge_node.local import audio
from tandem.contracts.flow import Media
from tests.unit.agent.shelf import KEY, RATE, Shelf, check, speech
from tests.unit.agent.stubs import CREDENTIAL, NODE, StubBrain, eventually


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A second of 440 Hz at 44.1 kHz in stereo, of each kind; a file without any sound; and two hours of silence."""
    folder = tmp_path_factory.mktemp("recordings")
    made: dict[str, tuple[str, ...]] = {
        "empty": ("8000", "empty.wav", "trim", "0", "0"),
        "hours": ("8000", "hours.flac", "trim", "0", "7200"),
    }
    made |= {kind: ("44100", f"tone.{kind}", "synth", "1", "sine", "440") for kind in ("wav", "mp3", "ogg", "flac")}
    found = {}
    for name, (rate, file, *effect) in made.items():
        subprocess.run(["sox", "-n", "-r", rate, "-c", "2", str(folder / file), *effect], check=True)
        found[name] = (folder / file).read_bytes()
    plain, opus = folder / "plain.wav", folder / "tone.opus"
    subprocess.run(["sox", str(folder / "tone.wav"), "-b", "16", str(plain)], check=True)
    subprocess.run(["opusenc", "--quiet", str(plain), str(opus)], check=True)
    found["opus"] = opus.read_bytes()
    return found


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "flac", "opus"])
async def test_an_uploaded_file_is_fetched_once_and_converted(
    shelf: Shelf, recordings: dict[str, bytes], kind: str
) -> None:
    shelf.brain.files[f"/media/{KEY}"] = (recordings[kind], '"e1"')
    media = Media(key=KEY, etag="e1")
    first = await shelf.library.file(media)
    check(first, 1.0)
    assert audio.heard(first, 440).lasted(0.7)
    assert [await shelf.library.file(media) for _ in range(2)] == [first, first]
    assert shelf.brain.gets == [f"/media/{KEY}"]
    assert (shelf.count("fetched"), shelf.count("disk")) == (1, 2)


async def test_the_disk_is_remembered_by_the_next_agent(
    shelf: Shelf, brain: StubBrain, recordings: dict[str, bytes], tmp_path: Path
) -> None:
    brain.files[f"/media/{KEY}"] = (recordings["wav"], '"e1"')
    path = await shelf.library.file(Media(key=KEY, etag="e1"))
    async with Brain("http://127.0.0.1:1", NODE, CREDENTIAL, Clock()) as away:
        later = Shelf(brain, away, tmp_path / "prompts", None)
        assert await later.library.file(Media(key=KEY, etag="e1")) == path


async def test_a_new_content_is_a_new_file(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    shelf.brain.files[f"/media/{KEY}"] = (recordings["wav"], '"e1"')
    old = await shelf.library.file(Media(key=KEY, etag="e1"))
    shelf.brain.files[f"/media/{KEY}"] = (recordings["wav"], '"e2"')
    new = await shelf.library.file(Media(key=KEY, etag="e2"))
    assert new != old
    assert len(shelf.brain.gets) == 2


async def test_a_file_that_changed_meanwhile_is_kept_as_what_it_is(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    shelf.brain.files[f"/media/{KEY}"] = (recordings["wav"], '"e2"')
    heard = await shelf.library.file(Media(key=KEY, etag="e1"))
    assert await shelf.library.file(Media(key=KEY, etag="e2")) == heard
    assert len(shelf.brain.gets) == 1


async def test_two_accounts_never_share_a_file(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    for account in ("acc_1", "acc_2"):
        shelf.brain.files[f"/media/{account}/m.wav"] = (recordings["wav"], '"e1"')
    one, other = [await shelf.library.file(Media(key=f"{a}/m.wav", etag="e1")) for a in ("acc_1", "acc_2")]
    assert one != other


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a WAV"),
        (b"#!/bin/sh\nrm -rf /\n", "not a WAV"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "sox"),
        (b"ID3" + bytes(4000), "sox"),
        (b"OggS" + os.urandom(4000), "sox"),
        (b"fLaC" + os.urandom(4000), "sox"),
        (b"OggS" + bytes(24) + b"OpusHead" + os.urandom(4000), "opusdec"),
    ],
)
async def test_a_broken_file_is_missing_and_not_fetched_for_each_caller(
    shelf: Shelf, content: bytes, says: str
) -> None:
    shelf.brain.files[f"/media/{KEY}"] = (content, '"e1"')
    for _ in range(2):
        with pytest.raises(MissingError, match=says):
            await shelf.library.file(Media(key=KEY, etag="e1"))
    assert len(shelf.brain.gets) == 1
    assert shelf.left() == [], "nothing half-made"


async def test_a_file_without_sound_is_missing(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    shelf.brain.files[f"/media/{KEY}"] = (recordings["empty"], '"e1"')
    with pytest.raises(MissingError, match="no sound"):
        await shelf.library.file(Media(key=KEY, etag="e1"))


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "a/../b", "", "a?b=c", "a//b", "a b"])
async def test_a_key_that_is_none(shelf: Shelf, key: str) -> None:
    with pytest.raises(MissingError):
        await shelf.library.file(Media(key=key, etag="e"))
    assert not shelf.brain.gets


async def test_a_file_that_is_not_there(shelf: Shelf) -> None:
    with pytest.raises(MissingError, match="not_found"):
        await shelf.library.file(Media(key=KEY, etag="e1"))


async def test_many_callers_wait_for_one_conversion(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    shelf.brain.files[f"/media/{KEY}"] = (recordings["wav"], '"e1"')
    found = await asyncio.gather(*(shelf.library.file(Media(key=KEY, etag="e1")) for _ in range(10)))
    assert len(set(found)) == 1
    assert len(shelf.brain.gets) == 1


async def test_a_caller_who_leaves_does_not_undo_it_for_others(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    shelf.brain.files[f"/media/{KEY}"] = (recordings["wav"], '"e1"')
    wanted = Media(key=KEY, etag="e1")
    first = asyncio.create_task(shelf.library.file(wanted))
    await eventually(lambda: shelf.library._making)
    second = asyncio.create_task(shelf.library.file(wanted))
    first.cancel()
    check(await second, 1.0)


async def test_a_text_is_spoken_played_and_brought_to_the_brain(shelf: Shelf) -> None:
    path = await shelf.library.file(speech())
    assert frames(path) > RATE / 4
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
    await eventually(lambda: shelf.brain.put)
    [(where, content)] = shelf.brain.put.items()
    assert where == "/media/tts/0123456789abcdef"
    assert content.startswith(b"RIFF")
    assert await shelf.library.file(speech()) == path
    assert shelf.brain.gets == [where]
    assert (shelf.count("spoken"), shelf.count("disk")) == (1, 1)


async def test_what_holds_a_variable_never_leaves_the_node(shelf: Shelf) -> None:
    pin = speech("Your PIN is 4711.", shared=False)
    path = await shelf.library.file(pin)
    assert frames(path) > RATE / 4
    assert await shelf.library.file(pin) == path
    assert (shelf.count("spoken"), shelf.count("disk")) == (1, 1)
    # One that is shared is brought there: whatever was begun for the other has had its time.
    await shelf.library.file(speech(hash_="fedcba9876543210"))
    await eventually(lambda: shelf.brain.put)
    assert shelf.brain.gets == ["/media/tts/fedcba9876543210"]
    assert list(shelf.brain.put) == ["/media/tts/fedcba9876543210"]


async def test_what_holds_a_variable_is_not_named_by_its_hash(shelf: Shelf, brain: StubBrain, tmp_path: Path) -> None:
    """Who knows the rest of the text would find it by trying."""
    async with Brain(f"http://127.0.0.1:{brain.port}", NODE, CREDENTIAL, Clock()) as client:
        mute = Shelf(brain, client, tmp_path / "mute", None)
        with pytest.raises(MissingError, match=r"^a text with variables: nobody has spoken it yet"):
            await mute.library.file(speech(shared=False))


async def test_what_another_node_has_spoken_is_not_spoken_again(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    shelf.brain.files["/media/tts/0123456789abcdef"] = (recordings["wav"], '"e"')
    path = await shelf.library.file(speech())
    assert audio.heard(path, 440).lasted(0.7)
    assert not shelf.brain.put
    assert shelf.count("spoken") == 0


async def test_what_is_broken_in_the_store_is_spoken_here(shelf: Shelf) -> None:
    shelf.brain.files["/media/tts/0123456789abcdef"] = (b"nonsense", '"e"')
    path = await shelf.library.file(speech())
    assert frames(path) > 0


async def test_a_brain_that_is_away_is_no_silence(tmp_path: Path, brain: StubBrain) -> None:
    async with Brain("http://127.0.0.1:1", NODE, CREDENTIAL, Clock()) as away:
        shelf = Shelf(brain, away, tmp_path / "prompts", EspeakNg())
        path = await shelf.library.file(speech())
        assert frames(path) > 0
        await shelf.library.close()


async def test_an_upload_is_tried_again(shelf: Shelf, brain: StubBrain) -> None:
    await brain.stop()
    await shelf.library.file(speech())
    await brain.start()
    await eventually(lambda: brain.put)


async def test_a_language_that_nobody_speaks_is_said_in_english(shelf: Shelf) -> None:
    path = await shelf.library.file(speech(language="tlh-XX"))
    assert frames(path) > 0
    assert "language not spoken" in shelf.lines[0]
    assert not shelf.library._uploads, "it is not what its hash names"


LANGUAGES = "en-US es-ES fr-FR de-DE it-IT pt-BR nl-NL pl-PL ru-RU tr-TR ar-XA he-IL hi-IN ja-JP ko-KR cmn-CN en-AU"


@pytest.mark.parametrize("language", LANGUAGES.split())
async def test_languages(language: str) -> None:
    assert await EspeakNg().speaks(language)


async def test_without_speech_of_its_own_a_node_says_so(shelf: Shelf, brain: StubBrain, tmp_path: Path) -> None:
    async with Brain(f"http://127.0.0.1:{brain.port}", NODE, CREDENTIAL, Clock()) as client:
        mute = Shelf(brain, client, tmp_path / "mute", None)
        with pytest.raises(MissingError, match="no speech of its own"):
            await mute.library.file(speech())


async def test_texts_are_no_options_and_no_markup(shelf: Shelf) -> None:
    texts = ["--help", "-w /tmp/x", "<speak>a</speak>", "a\0b", "x" * 2_000]
    found = [await shelf.library.file(speech(text, hash_=f"{number:016}")) for number, text in enumerate(texts)]
    assert all(frames(path) > 0 for path in found)


@pytest.mark.parametrize("hash_", ["../../../x", "", "a/b", "short"])
async def test_a_hash_that_is_none(shelf: Shelf, hash_: str) -> None:
    with pytest.raises(MissingError):
        await shelf.library.file(speech(hash_=hash_))


def test_kinds_are_told_by_content() -> None:
    assert kind_of(b"\xff\xfb\x90\x00") == "mp3"
    assert kind_of(b"\xff\xf3\x90\x00") == "mp3"
    with pytest.raises(BrokenSoundError):
        kind_of(b"\xff\xff")
    with pytest.raises(BrokenSoundError):
        kind_of(b"")


async def test_programs_have_limits() -> None:
    with pytest.raises(ProgramError, match="took longer"):
        await run(["sleep", "60"], 0.2)
    with pytest.raises(ProgramError, match="ended with"):
        await run(["false"], 5)
    with pytest.raises(ProgramError, match="no-such-program"):
        await run(["no-such-program"], 5)


async def test_a_small_file_does_not_fill_the_disk(shelf: Shelf, recordings: dict[str, bytes]) -> None:
    assert len(recordings["hours"]) < 2**20
    shelf.brain.files[f"/media/{KEY}"] = (recordings["hours"], '"e1"')
    path = await shelf.library.file(Media(key=KEY, etag="e1"))
    assert frames(path) == 3600 * RATE


def _put(cache: Cache, name: str, size: int) -> Path:
    unfinished = cache.unfinished()
    unfinished.write_bytes(bytes(size))
    return cache.keep(name, unfinished)


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 3_000)
    paths = {name: _put(cache, name, 1_000) for name in "abc"}
    for number, path in enumerate(paths.values()):
        os.utime(path, (number + 1, number + 1))
    cache = Cache(tmp_path, 3_000)
    assert cache.find("a") == paths["a"]
    _put(cache, "d", 1_000)
    assert cache.find("b") is None
    assert cache.size == 3_000
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "c", "d"}
    big = _put(cache, "e", 5_000)
    assert [path.stem for path in tmp_path.iterdir()] == ["e"]
    assert cache.find("e") == big


def test_the_cache_after_a_crash_and_a_hand_that_deletes(tmp_path: Path) -> None:
    (tmp_path / "half.part").write_bytes(b"x")
    cache = Cache(tmp_path, 10_000)
    assert not list(tmp_path.iterdir())
    _put(cache, "a", 10).unlink()
    assert cache.find("a") is None
    assert cache.size == 0
    assert name_of("a", "bc") != name_of("ab", "c")
