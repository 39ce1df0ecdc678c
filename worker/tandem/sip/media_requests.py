"""Sound for nodes: `GET /media/<key>`, and `/media/tts/<hash>`, where what one node has spoken is there for all.

Signed like all that a node asks; cached by it under the ETag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable
from typing import Final, TypeVar

from tandem.contracts.errors import TandemError
from tandem.contracts.etags import quoted, unquoted
from tandem.domain.audio import HEAD_BYTES, UnreadableError, identify
from tandem.runtime import Env, Reply, Request
from tandem.runtime.log import log
from tandem.sip import asking
from tandem.store.control import Control

PREFIX: Final = "/media/"
LARGEST_SPEECH: Final = 2 * 1024 * 1024
_NAME: Final = r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,127}"
_KEY: Final = re.compile(rf"(?:acc_[0-9a-z]{{26}}|tts|system)(?:/{_NAME}){{1,5}}")
_SPEECH: Final = re.compile(r"tts/[0-9a-f]{16,64}")
_JSON: Final = {"content-type": "application/json"}
T = TypeVar("T")


def is_media(path: str) -> bool:
    return path.startswith(PREFIX)


def is_upload(method: str, path: str) -> bool:
    return method == "PUT" and is_media(path)


class MediaRequests:
    def __init__(self, env: Env, control: Control) -> None:
        self._env = env
        self._control = control

    async def answer(self, request: Request) -> Reply:
        """Raises `TandemError`."""
        key = request.path.removeprefix(PREFIX)
        if request.method == "GET":
            return await self._give(request, key)
        if request.method == "PUT" and key.startswith("tts/"):
            return await self._keep(request, key)
        raise TandemError("method_not_allowed", f"{request.path[:200]} does not take {request.method}.")

    async def _give(self, request: Request, key: str) -> Reply:
        await asking.signed(self._control, self._env.master_key, request, b"")
        found = None
        if _KEY.fullmatch(key):
            found = await _reached(self._env.media.get(key, unquoted(request.header("if-none-match"))))
        if found is None:
            raise TandemError("not_found", "There is no such sound.")
        headers = {"etag": quoted(found.etag)}
        if found.content is None:
            return Reply(304, "", headers)
        return Reply(200, "", {**headers, "content-type": found.media_type}, content=found.content)

    async def _keep(self, request: Request, key: str) -> Reply:
        """What was there first stays, and is as good."""
        content = request.content
        if content is None:
            raise TandemError("length_required", "Send the sound with its Content-Length.")
        if content.size > LARGEST_SPEECH:
            raise TandemError("too_large", f"The sound is larger than {LARGEST_SPEECH} bytes.")
        sound = await _reached(content.read())
        await asking.signed(self._control, self._env.master_key, request, sound)
        if not _SPEECH.fullmatch(key):
            raise TandemError("invalid_request", "What is spoken is named by a hash of 16 to 64 hex digits.")
        try:
            audio = identify(sound[:HEAD_BYTES], len(sound))
        except UnreadableError as error:
            raise TandemError("unreadable_media", f"The sound cannot be used: {error}.") from None
        if audio.format != "wav":
            raise TandemError("unreadable_media", f"The sound is {audio.format}; send WAV.")
        stored = await _reached(self._env.media.put_new(key, sound, "audio/wav"))
        if stored is None:
            return Reply(200, json.dumps({"ok": True, "stored": False}), _JSON)
        return Reply(201, json.dumps({"ok": True, "stored": True}), {**_JSON, "etag": quoted(stored.etag)})


async def _reached(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except ConnectionError as error:
        log("warning", "media_broke_off", error=str(error)[:300])
        raise TandemError("unavailable", "The sound, or the store of sounds, cannot be reached; retry.") from error
