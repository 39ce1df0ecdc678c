"""Ends calls whose media is gone: rtpengine lost them (it restarted), or one side has sent nothing for too long.

rtpengine itself reports a call only when all its streams are silent. A leg on hold may be silent: its media is not both
`send` and `recv`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from edge_node.agent.kamailio import Kamailio, KamailioError
from edge_node.agent.load import RtpEngine
from edge_node.agent.log import Log
from edge_node.agent.ng import Ng, NgError

CHECK_SEC: Final = 30.0
SILENT_SEC: Final = 120
# A call's own signalling may still be under way to rtpengine.
_YOUNG_SEC: Final = 5


class MediaWatch:
    """`check` looks at every answered call once; `run` does so every 30 s, and at once after a start of rtpengine."""

    def __init__(self, kamailio: Kamailio, rtpengine: RtpEngine, ng: Ng, log: Log) -> None:
        self._kamailio = kamailio
        self._rtpengine = rtpengine
        self._ng = ng
        self._log = log

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._rtpengine.restarted.clear()
            try:
                await self.check()
            except KamailioError as error:
                self._log.warning("media not checked", error=str(error))
            try:
                async with asyncio.timeout(CHECK_SEC):
                    await self._rtpengine.restarted.wait()
                # now even the youngest call of before the start is old enough to be judged
                await asyncio.sleep(_YOUNG_SEC)
            except TimeoutError:
                continue

    async def check(self) -> None:
        """Raises `KamailioError`. An rtpengine that does not answer proves nothing: the round ends there."""
        for call in await self._kamailio.media_calls(time.time() - _YOUNG_SEC):
            try:
                reply = await self._ng.ask("query", call_id=call.sip_call_id)
            except NgError as error:
                self._log.warning("media not checked", error=str(error))
                return
            cause = verdict(reply, call.tags, time.time() - SILENT_SEC)
            if cause is not None:
                self._log.warning("call without media", call_id=call.call_id, cause=cause)
                await self._kamailio.end_dialog(call.entry, call.number, cause)


def verdict(reply: dict[str, Any], tags: tuple[str, ...], since: float) -> str | None:
    """`no_media` for a call that rtpengine does not know, or with a leg that was silent since then (epoch s)."""
    if reply.get("result") == "error":
        return "no_media" if "unknown call" in str(reply.get("error-reason", "")).lower() else None
    legs = reply.get("tags", {})
    return "no_media" if any(_silent(legs.get(tag, {}), since) for tag in tags) else None


def _silent(leg: dict[str, Any], since: float) -> bool:
    talking = [media for media in leg.get("medias", []) if {"send", "recv"} <= set(media.get("flags", []))]
    packets = [
        stream.get("last packet", 0)
        for media in talking
        for stream in media.get("streams", [])
        if "RTP" in stream.get("flags", []) and stream.get("endpoint", {}).get("port")
    ]
    return bool(packets) and max(packets) < since
