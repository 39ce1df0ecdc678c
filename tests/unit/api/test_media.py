"""Media files: what is taken for one, where it is kept, and who gets it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.runtime import Request, Upload
from tandem.runtime.cpython import MemoryBucket
from tests.support.sounds import FLAC, MP3, OGG, wav
from tests.unit.api.support import Api, Fields, World


class Endless:
    """A body that claims a size; nobody may read it whole."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.discarded = False

    async def head(self, count: int) -> bytes:
        return wav()[:count]

    async def read(self) -> bytes:
        raise AssertionError("the content was read")

    async def discard(self) -> None:
        self.discarded = True


def keys(api: Api, media: Fields) -> tuple[str | None, str | None]:
    found = api.brain.control.connection.execute(
        "SELECT object_key, previous_key FROM media_file WHERE id = ?", (media["id"],)
    )
    return tuple(found.fetchone())


async def content_of(api: Api, media: Fields, **headers: str) -> tuple[int, bytes | None, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = await api.raw("GET", f"/v1/media/{media['id']}/content", headers=named)
    return reply.status, None if reply.content is None else await reply.content.read(), dict(reply.headers)


@pytest.mark.parametrize(
    ("content", "media_type", "expected"),
    [
        (wav(250), "audio/wav", {"format": "wav", "duration_ms": 250, "size": 4_044}),
        (wav(100, 16_000), "audio/x-wav; codecs=1", {"format": "wav", "duration_ms": 100, "size": 3_244}),
        (MP3, "audio/mpeg", {"format": "mp3", "duration_ms": None, "size": 417}),
        (OGG, "AUDIO/OGG", {"format": "ogg", "duration_ms": None, "size": 106}),
        (FLAC, "audio/flac", {"format": "flac", "duration_ms": None, "size": 108}),
    ],
)
async def test_a_file_is_described_by_its_content(acme: Api, content: bytes, media_type: str, expected: Fields) -> None:
    media = await acme.make("media", name="welcome")
    assert {media[name] for name in ("format", "size", "etag", "duration_ms")} == {None}
    status, reply = await acme.upload(media, content, media_type)
    assert (status, reply["item"]) == (200, {**media, **expected, "etag": reply["item"]["etag"], "revision": 2})
    assert (await acme.get(f"/v1/media/{media['id']}"))["item"] == reply["item"]
    status, found, headers = await content_of(acme, media)
    assert (status, found) == (200, content)
    assert headers["etag"] == f'"{reply["item"]["etag"]}"'
    assert headers["content-type"] == media_type.lower().partition(";")[0].replace("x-", "")
    assert headers["x-content-type-options"] == "nosniff"


async def test_what_is_known_already_is_not_sent_again(acme: Api) -> None:
    media = await acme.make("media", name="welcome")
    _, reply = await acme.upload(media, wav())
    etag = reply["item"]["etag"]
    for known in (f'"{etag}"', f'W/"{etag}"'):
        assert (await content_of(acme, media, if_none_match=known))[:2] == (304, None)
    assert (await content_of(acme, media, if_none_match='"other"'))[:2] == (200, wav())


REFUSED: list[tuple[Any, str, tuple[int, str], str]] = [
    (wav(), "text/plain", (415, "unsupported_media_type"), "audio/wav"),
    (wav(), "", (415, "unsupported_media_type"), "audio/wav"),
    (wav(), "application/json", (415, "unsupported_media_type"), "audio/wav"),
    (b"", "audio/wav", (422, "unreadable_media"), "neither"),
    (b"<html></html>", "audio/wav", (422, "unreadable_media"), "neither"),
    (MP3, "audio/wav", (422, "unreadable_media"), "is mp3"),
    (wav()[:-10], "audio/wav", (422, "unreadable_media"), "10 bytes are missing"),
    (wav(0), "audio/wav", (422, "unreadable_media"), "no sound"),
]


@pytest.mark.parametrize(("content", "media_type", "error", "words"), REFUSED)
async def test_what_is_no_sound_is_refused(
    acme: Api, content: bytes, media_type: str, error: tuple[int, str], words: str
) -> None:
    media = await acme.make("media", name="welcome")
    status, reply = await acme.upload(media, content, media_type)
    assert (status, reply["error"]["code"]) == error
    assert words in reply["error"]["message"]
    assert (await acme.get(f"/v1/media/{media['id']}"))["item"] == media
    assert acme.brain.media.objects == {}


async def _put(api: Api, media: Fields, content: Upload | None) -> tuple[int, str]:
    headers = {**api.credential(), "content-type": "audio/wav"}
    path = f"/v1/media/{media['id']}/content"
    request = Request("PUT", path, {}, path, lambda name: headers.get(name, ""), "", content)
    reply = await api.front.handle(request)
    return reply.status, json.loads(reply.text)["error"]["code"]


async def test_the_length_is_needed_and_bounded(acme: Api) -> None:
    media = await acme.make("media", name="welcome")
    assert await _put(acme, media, None) == (411, "length_required")
    large = Endless(20 * 1024 * 1024 + 1)
    assert await _put(acme, media, large) == (413, "too_large")
    assert large.discarded  # so that the refusal is read
    assert acme.brain.media.objects == {}


async def test_another_content_takes_the_place_and_calls_that_began_before_find_the_old_one(acme: Api) -> None:
    media = await acme.make("media", name="welcome")
    sounds = [wav(level=level) for level in range(1, 5)]
    kept: list[str | None] = []
    for sound in sounds:
        status, reply = await acme.upload(media, sound)
        assert status == 200
        assert (await content_of(acme, media))[1] == sound
        kept.append(keys(acme, media)[0])
    assert keys(acme, media) == (kept[3], kept[2])
    assert set(acme.brain.media.objects) == {kept[3], kept[2]}
    again = await acme.upload(media, sounds[-1])
    assert again == (200, {"ok": True, "item": reply["item"]})
    assert set(acme.brain.media.objects) == {kept[3], kept[2]}


async def test_if_match_is_heeded(acme: Api) -> None:
    media = await acme.make("media", name="welcome")
    status, reply = await acme.upload(media, wav(), if_match='"7"')
    assert (status, reply["error"]["code"]) == (412, "precondition_failed")
    assert acme.brain.media.objects == {}
    assert (await acme.upload(media, wav(), if_match='"1"'))[0] == 200


async def test_a_file_that_changed_meanwhile_is_tried_again(acme: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    media = await acme.make("media", name="welcome")
    put = MemoryBucket.put

    async def slow(self: MemoryBucket, *how: Any) -> Any:
        await acme.patch("media", media, name="renamed")
        monkeypatch.setattr(MemoryBucket, "put", put)
        return await put(self, *how)

    monkeypatch.setattr(MemoryBucket, "put", slow)
    status, reply = await acme.upload(media, wav())
    assert (status, reply["item"]["name"], reply["item"]["revision"]) == (200, "renamed", 3)


async def test_a_file_that_was_deleted_meanwhile_leaves_nothing(acme: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    media = await acme.make("media", name="welcome")
    put = MemoryBucket.put

    async def slow(self: MemoryBucket, *how: Any) -> Any:
        assert (await acme.ask("DELETE", f"/v1/media/{media['id']}"))[0] == 200
        return await put(self, *how)

    monkeypatch.setattr(MemoryBucket, "put", slow)
    assert (await acme.upload(media, wav()))[0] == 404
    assert acme.brain.media.objects == {}


async def test_the_bucket_may_be_away(acme: Api) -> None:
    media = await acme.make("media", name="welcome")
    await acme.upload(media, wav())
    acme.brain.media.available = False
    status, reply = await acme.upload(media, wav(level=2))
    assert (status, reply["error"]["code"]) == (503, "unavailable")
    assert (await content_of(acme, media))[0] == 503
    # The row is what counts; its content is left behind.
    assert (await acme.ask("DELETE", f"/v1/media/{media['id']}"))[0] == 200
    await acme.refused((404, "not_found"), "GET", f"/v1/media/{media['id']}")


async def test_a_deleted_file_takes_its_content_along(acme: Api) -> None:
    media = await acme.make("media", name="welcome")
    playlist = await acme.make("playlists", name="music", media_ids=[media["id"]])
    for level in (1, 2):
        await acme.upload(media, wav(level=level))
    error = await acme.refused((409, "in_use"), "DELETE", f"/v1/media/{media['id']}")
    assert error["referrers"] == [{"object": "playlists", "id": playlist["id"], "field": "media_ids"}]
    assert len(acme.brain.media.objects) == 2
    await acme.ask("DELETE", f"/v1/playlists/{playlist['id']}")
    assert (await acme.ask("DELETE", f"/v1/media/{media['id']}"))[0] == 200
    assert acme.brain.media.objects == {}


async def test_content_is_the_account_s(world: World) -> None:
    media = await world.acme.make("media", name="welcome")
    await world.acme.upload(media, wav())
    for stranger in (world.globex, world.reseller):
        assert (await stranger.upload(media, wav(level=9)))[0] == 404
        assert (await content_of(stranger, media))[0] == 404
    assert (await content_of(world.operator, media))[:2] == (200, wav())
    (key,) = world.operator.brain.media.objects
    assert key.startswith(f"{world.ids['acme']}/media/")
    some = await world.scoped(world.acme, "users")
    status, reply = await some.upload(media, wav())
    assert (status, reply["error"]["code"]) == (403, "missing_scope")


async def test_a_file_without_content_has_none(acme: Api) -> None:
    media = await acme.make("media", name="welcome")
    await acme.refused((404, "not_found"), "GET", f"/v1/media/{media['id']}/content")


async def test_an_upload_is_in_the_replica_at_once(acme: Api) -> None:
    account_id = (await acme.get("/v1/accounts"))["items"][0]["id"]
    await acme.ask("POST", "/v1/explain", {"from": "1", "to": "2"})
    media = await acme.make("media", name="welcome")
    await acme.upload(media, wav())
    held = acme.brain.presence.contexts[account_id].connection.execute(
        "SELECT object_key, etag, format, duration_ms FROM media_file"
    )
    etag = (await acme.get(f"/v1/media/{media['id']}"))["item"]["etag"]
    assert held.fetchall() == [(keys(acme, media)[0], etag, "wav", 100)]
    entry = (await acme.get(f"/v1/audit?object_id={media['id']}&action=upload"))["items"][0]
    assert entry["after"]["etag"] == etag
