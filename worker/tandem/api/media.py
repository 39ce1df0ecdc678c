"""The content of media files: looked into, and passed on to the bucket without being held."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from fastapi import Response
from starlette.types import Receive, Scope, Send

from tandem.api import objects
from tandem.api.drafts import Draft
from tandem.api.work import Work, item_reply
from tandem.contracts.errors import TandemError
from tandem.contracts.etags import quoted, unquoted
from tandem.contracts.ids import ulid
from tandem.contracts.v1.media import MEDIA_TYPES, MOST_MEDIA_BYTES
from tandem.domain.audio import HEAD_BYTES, Audio, UnreadableError, identify
from tandem.runtime import Content, Row, Stored, Upload, now_ms, random_bytes
from tandem.runtime.log import log
from tandem.store.config_tables import TABLES
from tandem.store.flow_facts import SQL

# The key under which a response hands its content to the front (`api.front`).
CONTENT: Final = "tandem.content"
SERVED_AS: Final = {"wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg", "flac": "audio/flac"}
_UPLOAD: Final = re.compile(r"/v1/media/[^/]+/content")
_TABLE: Final = TABLES["media"]
T = TypeVar("T")


def is_upload(method: str, path: str) -> bool:
    return method == "PUT" and _UPLOAD.fullmatch(path) is not None


class ContentResponse(Response):
    """A response whose body stays where it is until the platform sends it."""

    def __init__(self, content: Content, headers: dict[str, str]) -> None:
        super().__init__(status_code=200, headers=headers)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", CONTENT: self._content})


async def upload(work: Work, media_id: str, media_type: str, content: Upload | None) -> Response:
    """The content of a media file, the first or another. What it replaces is kept until the next upload, for calls that
    began before. Raises `length_required`, `too_large`, `unsupported_media_type` or `unreadable_media`."""
    before = await objects.find(work, _TABLE, media_id)
    objects.match(work, before)
    audio, content = await _looked_into(media_type, content)
    key = f"{before['account_id']}/media/{media_id}/{ulid(now_ms(), random_bytes(10))}"
    stored = await _reached(work.env.media.put(key, content, SERVED_AS[audio.format]))
    try:
        response, gone = await _take(work, media_id, key, audio, stored)
    except BaseException:
        await _forget(work, key)
        raise
    await _forget(work, gone)
    return response


async def _take(work: Work, media_id: str, key: str, audio: Audio, stored: Stored) -> tuple[Response, str | None]:
    """Makes the object at `key` the content; the reply, and the key of what nobody needs any more."""
    for attempt in range(1, objects.RETRIES + 1):
        before = await objects.find(work, _TABLE, media_id)
        objects.match(work, before)
        if (before["etag"], before["format"]) == (stored.etag, audio.format):
            return item_reply(200, before), key
        keys = await _keys(work, before)
        described = {"format": audio.format, "size": stored.size, "etag": stored.etag, "duration_ms": audio.duration_ms}
        draft = Draft({**before, **described, "revision": before["revision"] + 1}, {}, before)
        draft.hidden |= {"object_key": key, "previous_key": keys["object_key"]}
        try:
            await objects.save(work, _TABLE, await objects.account_of(work, _TABLE, before), draft, "upload")
        except TandemError as error:
            if error.code != "precondition_failed" or work.if_match or attempt == objects.RETRIES:
                raise
            continue
        return item_reply(200, draft.fields), keys["previous_key"]
    raise AssertionError("the last try returned or raised")


async def _looked_into(media_type: str, content: Upload | None) -> tuple[Audio, Upload]:
    declared = MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower())
    if declared is None:
        message = "Send a sound file as audio/wav, audio/mpeg, audio/ogg or audio/flac."
        raise TandemError("unsupported_media_type", message)
    if content is None:
        raise TandemError("length_required", "Send the file with its Content-Length.")
    if content.size > MOST_MEDIA_BYTES:
        raise TandemError("too_large", f"The file is larger than {MOST_MEDIA_BYTES} bytes.")
    try:
        audio = identify(await _reached(content.head(HEAD_BYTES)), content.size)
    except UnreadableError as error:
        raise TandemError("unreadable_media", f"The file cannot be used: {error}.") from None
    if audio.format != declared:
        raise TandemError("unreadable_media", f"The file is {audio.format}, which is not what Content-Type says.")
    return audio, content


async def download(work: Work, media_id: str, known: str) -> Response:
    """The content; 304 when it is still the one that `known` (If-None-Match) names. Raises `not_found`."""
    item = await objects.find(work, _TABLE, media_id)
    key = (await _keys(work, item))["object_key"]
    found = None if key is None else await _reached(work.env.media.get(key, unquoted(known)))
    if found is None:
        raise TandemError("not_found", f"The media file {item['id']} has no content yet.")
    headers = {"etag": quoted(found.etag), "cache-control": "private, no-cache"}
    if found.content is None:
        return Response(None, 304, headers)
    safe = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
    return ContentResponse(found.content, {**headers, **safe, "content-type": found.media_type})


async def delete(work: Work, media_id: str) -> Response:
    """The file with its content."""
    item = await objects.find(work, _TABLE, media_id)
    keys = await _keys(work, item)
    response = await objects.delete(work, _TABLE, media_id)
    await _forget(work, keys["object_key"], keys["previous_key"])
    return response


async def _keys(work: Work, item: dict[str, Any]) -> Row:
    (rows,) = await work.rows((SQL["media_keys"], (item["account_id"], item["id"])))
    return rows[0] if rows else {"object_key": None, "previous_key": None}


async def _reached(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except ConnectionError as error:
        log("warning", "media_broke_off", error=str(error)[:300])
        raise TandemError("unavailable", "The file, or the store of media files, cannot be reached; retry.") from error


async def _forget(work: Work, *keys: str | None) -> None:
    """What is left behind when the bucket cannot be reached costs room and nothing else."""
    gone = [key for key in keys if key is not None]
    try:
        if gone:
            await work.env.media.delete(*gone)
    except ConnectionError as error:
        log("warning", "media_left_behind", keys=" ".join(gone), error=str(error)[:300])
