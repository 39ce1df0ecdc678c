"""Prompts from a brain that is away, slow, or asked for too much at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from edge_node.agent.brain import Brain
from edge_node.agent.clock import Clock
from edge_node.agent.prompts import library
from edge_node.agent.prompts.library import AT_ONCE
from edge_node.agent.prompts.sound_files import convert
from edge_node.agent.prompts.sounds import MissingError
from edge_node.agent.prompts.speech import EspeakNg, Synthesiser
from tandem.contracts.flow import Media
from tests.support.sounds import wav
from tests.unit.agent.shelf import KEY, Shelf, check, speech
from tests.unit.agent.stubs import CREDENTIAL, NODE, StubBrain, eventually

WANTED = Media(key=KEY, etag="e1")
PATH = f"/media/{KEY}"
LINE = "/media/tts/0123456789abcdef"


@contextlib.asynccontextmanager
async def a_shelf(
    brain: StubBrain, folder: Path, patience: float, synthesiser: Synthesiser | None
) -> AsyncIterator[Shelf]:
    async with Brain(f"http://127.0.0.1:{brain.port}", NODE, CREDENTIAL, Clock()) as client:
        found = Shelf(brain, client, folder / "prompts", synthesiser, patience)
        yield found
        await found.library.close()


@pytest.fixture
async def patient(brain: StubBrain, tmp_path: Path) -> AsyncIterator[Shelf]:
    async with a_shelf(brain, tmp_path, 30.0, EspeakNg()) as found:
        yield found


@pytest.fixture
async def mute(brain: StubBrain, tmp_path: Path) -> AsyncIterator[Shelf]:
    async with a_shelf(brain, tmp_path, 30.0, None) as found:
        yield found


def failing(
    brain: StubBrain, path: str, status: int, code: str | None, times: int
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """So many times, then as it lies there. Without `code`: not in the brain's words."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if brain.gets.count(path) > times:
            content, etag = brain.files[path]
            return web.Response(body=content, headers={"etag": etag})
        if code is None:
            return web.Response(status=status, text="<html>")
        return web.json_response({"ok": False, "error": {"code": code, "message": "No."}}, status=status)

    return answer


async def test_a_brain_that_is_published_anew_is_waited_for(patient: Shelf, brain: StubBrain) -> None:
    brain.files[PATH] = (wav(1_000), '"e1"')
    await brain.stop()
    asked = asyncio.create_task(patient.library.file(WANTED))
    await eventually(lambda: any("prompt waits for the brain" in line for line in patient.lines))
    await brain.start()
    check(await asked, 1.0)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "unavailable"), (502, None), (429, "rate_limited"), (429, None), (401, "stale_request")],
)
async def test_what_is_no_refusal_is_asked_again(
    patient: Shelf, brain: StubBrain, status: int, code: str | None
) -> None:
    brain.files[PATH] = (wav(1_000), '"e1"')
    brain.serve[PATH] = failing(brain, PATH, status, code, 2)
    check(await patient.library.file(WANTED), 1.0)
    assert brain.gets == [PATH] * 3


async def test_a_brain_that_stays_away_is_given_up(shelf: Shelf, brain: StubBrain) -> None:
    brain.serve[PATH] = failing(brain, PATH, 503, "unavailable", 1_000)
    with pytest.raises(MissingError, match="unavailable"):
        await shelf.library.file(WANTED)
    assert len(brain.gets) >= 2


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (403, "forbidden"), (400, None)])
async def test_a_refusal_is_taken_at_once(patient: Shelf, brain: StubBrain, status: int, code: str | None) -> None:
    brain.serve[PATH] = failing(brain, PATH, status, code, 1_000)
    with pytest.raises(MissingError, match=code or "unreadable"):
        await patient.library.file(WANTED)
    assert brain.gets == [PATH]


async def test_what_is_too_large_is_not_fetched_for_each_caller(
    patient: Shelf, brain: StubBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "LARGEST_FILE", 1_000)
    brain.files[PATH] = (wav(1_000), '"e1"')
    for _ in range(2):
        with pytest.raises(MissingError, match="larger than 1000 bytes"):
            await patient.library.file(WANTED)
    assert brain.gets == [PATH]


async def test_a_node_without_speech_waits_for_what_another_has_spoken(mute: Shelf, brain: StubBrain) -> None:
    brain.files[LINE] = (wav(1_000), '"e"')
    brain.serve[LINE] = failing(brain, LINE, 503, "unavailable", 1)
    check(await mute.library.file(speech()), 1.0)
    assert brain.gets == [LINE] * 2


async def test_speaking_takes_less_time_than_asking_again(patient: Shelf, brain: StubBrain) -> None:
    brain.serve[LINE] = failing(brain, LINE, 503, "unavailable", 1_000)
    await patient.library.file(speech())
    assert brain.gets == [LINE]
    assert patient.count("spoken") == 1


async def test_a_file_that_comes_slowly_is_waited_for(
    shelf: Shelf, brain: StubBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it moves: all of it takes longer than it may stand still."""
    monkeypatch.setattr(library, "_STALLED_SEC", 0.6)
    content = wav(1_000)

    async def slowly(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"etag": '"e1"'})
        await reply.prepare(request)
        for start in range(0, len(content), 2_000):
            await reply.write(content[start : start + 2_000])
            await asyncio.sleep(0.1)
        return reply

    brain.serve[PATH] = slowly
    check(await shelf.library.file(WANTED), 1.0)
    assert brain.gets == [PATH]


async def test_a_file_that_stands_still_is_given_up(
    shelf: Shelf, brain: StubBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_STALLED_SEC", 0.1)
    over = asyncio.Event()

    async def never(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b"RIFF")
        await over.wait()
        return reply

    brain.serve[PATH] = never
    with pytest.raises(MissingError, match="timeout"):
        await shelf.library.file(WANTED)
    over.set()


async def test_few_files_are_fetched_and_converted_at_once(
    shelf: Shelf, brain: StubBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a line to be spoken does not wait for them."""
    at_once, most, full = 0, 0, asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await full.wait()
        return web.Response(body=wav(), headers={"etag": '"e1"'})

    async def counted(source: Path, target: Path, rate: int) -> None:
        nonlocal at_once
        await convert(source, target, rate)
        at_once -= 1

    keys = [f"acc_1/{number}.wav" for number in range(4 * AT_ONCE)]
    brain.serve = dict.fromkeys((f"/media/{key}" for key in keys), held)
    asked = [asyncio.create_task(shelf.library.file(Media(key=key, etag="e1"))) for key in keys]
    await eventually(lambda: at_once == AT_ONCE)
    await shelf.library.file(speech())
    assert most == AT_ONCE
    monkeypatch.setattr(library, "convert", counted)
    full.set()
    assert len(set(await asyncio.gather(*asked))) == len(keys)
    assert most == AT_ONCE
