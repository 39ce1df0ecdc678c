"""Sound for nodes: signed, cached by its ETag, and what one node has spoken is there for all."""

from __future__ import annotations

import json

import pytest

from tandem.runtime import Reply
from tests.support import node
from tests.support.local_brain import LocalBrain
from tests.support.sounds import MP3, wav
from tests.unit.brain import ACME

KEY = f"{ACME.account_id}/media/media_{'0' * 26}/{'0' * 26}"
SPEECH = f"/media/tts/{'0123456789abcdef' * 4}"


class Large:
    size = 2 * 1024 * 1024 + 1

    async def head(self, count: int) -> bytes:
        raise AssertionError("the sound was looked into")

    async def read(self) -> bytes:
        raise AssertionError("the sound was read")

    async def discard(self) -> None:
        pass


async def sound(reply: Reply) -> bytes:
    assert reply.content is not None
    return await reply.content.read()


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.text)["error"]["code"]


@pytest.fixture
async def etag(brain: LocalBrain) -> str:
    return (await brain.media.put(KEY, wav(), "audio/wav")).etag


async def test_a_node_gets_a_sound_once(brain: LocalBrain, etag: str) -> None:
    path = f"/media/{KEY}"
    reply = await brain.node_media("GET", path)
    assert (reply.status, await sound(reply)) == (200, wav())
    assert reply.headers == {"etag": f'"{etag}"', "content-type": "audio/wav"}
    known = await brain.node_media("GET", path, if_none_match=f'"{etag}"')
    assert (known.status, known.content, known.text, known.headers) == (304, None, "", {"etag": f'"{etag}"'})
    await brain.media.put(KEY, wav(level=2), "audio/wav")
    changed = await brain.node_media("GET", path, if_none_match=f'"{etag}"')
    assert (changed.status, await sound(changed)) == (200, wav(level=2))


@pytest.mark.parametrize("path", [f"/media/{KEY}", SPEECH])
async def test_only_nodes_get_sounds(brain: LocalBrain, etag: str, path: str) -> None:
    assert code(await brain.node_media("GET", path, headers={})) == (401, "unsigned_request")
    of_another = node.signed("GET", f"{path}x", "", brain.now)
    assert code(await brain.node_media("GET", path, headers=of_another)) == (401, "bad_signature")
    old = node.signed("GET", path, "", brain.now - 60_000)
    assert code(await brain.node_media("GET", path, headers=old)) == (401, "stale_request")
    brain.write([("UPDATE node SET status = 'retired'", ())])
    await brain.advance(61_000)
    assert code(await brain.node_media("GET", path)) == (401, "unknown_node")


@pytest.mark.parametrize(
    "key",
    [
        f"{ACME.account_id}/media/other/x",
        "system/en-US/female/welcome.wav",
        "tts/0000000000000000",
        "",
        "secret",
        "../media",
        f"{ACME.account_id}/../x",
        f"{ACME.account_id}/.hidden",
        "tts/%2e%2e/x",
        f"tts/{'x' * 500}",
    ],
)
async def test_a_sound_that_is_not_there(brain: LocalBrain, key: str) -> None:
    await brain.media.put("secret", b"x", "text/plain")
    assert code(await brain.node_media("GET", f"/media/{key}")) == (404, "not_found")


async def test_what_one_node_has_spoken_is_there_for_all(brain: LocalBrain) -> None:
    assert code(await brain.node_media("GET", SPEECH)) == (404, "not_found")
    first = await brain.node_media("PUT", SPEECH, wav(level=1))
    assert (first.status, json.loads(first.text)) == (201, {"ok": True, "stored": True})
    second = await brain.node_media("PUT", SPEECH, wav(level=2))
    assert (second.status, json.loads(second.text)) == (200, {"ok": True, "stored": False})
    found = await brain.node_media("GET", SPEECH)
    assert (await sound(found), found.headers["etag"]) == (wav(level=1), first.headers["etag"])
    assert (await brain.node_media("GET", SPEECH, if_none_match=found.headers["etag"])).status == 304


async def test_what_is_spoken_has_to_be_signed_and_wav(brain: LocalBrain) -> None:
    forged = node.signed_bytes("PUT", SPEECH, wav(level=1), brain.now)
    assert code(await brain.node_media("PUT", SPEECH, wav(level=2), headers=forged)) == (401, "bad_signature")
    assert code(await brain.node_media("PUT", SPEECH, wav(), headers={})) == (401, "unsigned_request")
    assert code(await brain.node_media("PUT", SPEECH, MP3)) == (422, "unreadable_media")
    assert code(await brain.node_media("PUT", SPEECH, b"")) == (422, "unreadable_media")
    assert code(await brain.node_media("PUT", SPEECH, wav()[:-1])) == (422, "unreadable_media")
    assert code(await brain.node_media("PUT", SPEECH)) == (411, "length_required")
    assert code(await brain.node_media("PUT", SPEECH, Large())) == (413, "too_large")
    for name in ("x", "0" * 15, "0" * 65, "A" * 64, "0" * 32 + "/x"):
        assert code(await brain.node_media("PUT", f"/media/tts/{name}", wav())) == (400, "invalid_request")
    assert brain.media.objects == {}


@pytest.mark.parametrize(("method", "key"), [("PUT", KEY), ("POST", KEY), ("DELETE", SPEECH.removeprefix("/media/"))])
async def test_nothing_else_can_be_done(brain: LocalBrain, etag: str, method: str, key: str) -> None:
    assert code(await brain.node_media(method, f"/media/{key}", wav(level=2))) == (405, "method_not_allowed")
    assert set(brain.media.objects) == {KEY}


async def test_the_bucket_may_be_away(brain: LocalBrain, etag: str) -> None:
    brain.media.available = False
    assert code(await brain.node_media("GET", f"/media/{KEY}")) == (503, "unavailable")
    assert code(await brain.node_media("PUT", SPEECH, wav())) == (503, "unavailable")


async def test_a_fault_is_told_in_the_one_shape(brain: LocalBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*how: str) -> None:
        raise ValueError("secret detail")

    monkeypatch.setattr(brain.media, "get", broken)
    reply = await brain.node_media("GET", f"/media/{KEY}")
    assert code(reply) == (500, "internal_error")
    assert "secret" not in reply.text
