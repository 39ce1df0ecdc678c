"""What a CALL_SESSION does by itself: it notices that the call is gone, brings its trace to D1, and forgets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tandem.contracts.objects import open_envelope
from tandem.contracts.session import CallAlive, CallQuery
from tandem.runtime import Env
from tandem.sip.session import CallFlow
from tandem.store.session import flush

LONGEST_MS: Final = 24 * 3_600_000
CHECK_EVERY_MS: Final = 300_000
KEEP_ENDED_MS: Final = 4 * 3_600_000  # for a node's late repeat
EXPIRED: Final = "expired"
CALL_GONE: Final = "call_gone"


class Watch:
    """Ends a flow that runs for 24 h, and one whose call the account does not have any more."""

    name = "watch"

    def __init__(self, flow: CallFlow, env: Env) -> None:
        self._flow = flow
        self._env = env

    def next_due(self, now: int) -> int | None:
        kept = self._flow.kept
        if kept is None or kept.ended_at is not None:
            return None
        return min(kept.started_at + LONGEST_MS, kept.checked_at + CHECK_EVERY_MS)

    async def run(self, now: int) -> None:
        kept = self._flow.kept
        if kept is None:
            return
        if now >= kept.started_at + LONGEST_MS:
            await self._flow.end(EXPIRED)
            return
        query = CallQuery(call_id=kept.call_id)
        reply = await self._env.presence.call(kept.account_id, "call_alive", kept.account_id, query.wire())
        status, text = open_envelope(reply)
        if status != 200:
            raise ConnectionError(f"PRESENCE answered {status}")
        if CallAlive.model_validate_json(text).live:
            self._flow.checked(now)
        else:
            await self._flow.end(CALL_GONE)


class Flush:
    """The trace of a flow that is over goes to D1 as a whole."""

    name = "flush"

    def __init__(self, flow: CallFlow, env: Env) -> None:
        self._flow = flow
        self._env = env

    def next_due(self, now: int) -> int | None:
        kept = self._flow.kept
        return None if kept is None or kept.flushed else kept.ended_at

    async def run(self, now: int) -> None:
        kept = self._flow.kept
        if kept is not None:
            await flush(self._env.control, kept, self._flow.trace())
            self._flow.flushed()


class Forget:
    """A session that is over and told of is erased after a few hours."""

    name = "forget"

    def __init__(self, flow: CallFlow, erase: Callable[[], Awaitable[None]]) -> None:
        self._flow = flow
        self._erase = erase

    def next_due(self, now: int) -> int | None:
        kept = self._flow.kept
        if kept is None or not kept.flushed or kept.ended_at is None:
            return None
        return kept.ended_at + KEEP_ENDED_MS

    async def run(self, now: int) -> None:
        await self._erase()
        self._flow.erased()
