"""What a party says to a re-INVITE, which the switch tells in variables only.

A release sends one to each party, and the switch lets go of the audio before the answers are there: a refusal would be
ten seconds of silence. So each is asked first, with the description that he has: what refuses that refuses the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Final

from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch.session import Session

# Set by a refusal (on both parties, and taken away from one by a reply to the other), and by an acceptance.
_REFUSED: Final = "sip_invite_failure_status"
_ACCEPTED: Final = "sip_cseq"
# A phone answers within the blink of an eye; what is silent for so long is asked no more.
_ANSWER_SEC: Final = 4.0
_LOOK_SEC: Final = 0.05
# For an answer to reach the party, and its ACK to come back.
_BACK_SEC: Final = 0.5
SILENT: Final = 408
GLARE: Final = 491


class Answers:
    """To the re-INVITEs of two parties, from now on. Raises `EngineError` when a channel is over."""

    def __init__(self, *sessions: Session) -> None:
        self._sessions = sessions
        self._before: list[str] = []

    async def begin(self) -> None:
        """Before the first of them is sent."""
        self._before = [await session.read(_ACCEPTED) for session in self._sessions]
        for session in self._sessions:
            await session.set(**{_REFUSED: ""})

    async def look(self) -> int | None:
        """0: all accepted; a SIP code: one refused; None: neither yet."""
        for session in self._sessions:
            if (code := await session.read(_REFUSED)).isdecimal():
                return int(code)
        now = [await session.read(_ACCEPTED) for session in self._sessions]
        return 0 if all(one != before for one, before in zip(now, self._before, strict=True)) else None

    async def wait(self) -> int:
        """As `look`, and `SILENT` when nothing came in time."""
        try:
            async with asyncio.timeout(_ANSWER_SEC):
                while (code := await self.look()) is None:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(_LOOK_SEC)
        except TimeoutError:
            return SILENT
        return code


async def passed_on(other: Session) -> None:
    """A party's hold, handed on by the switch, is answered by the other one, and its answer is back: before, nobody may
    send another re-INVITE. Raises `EngineError`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_SEC):
            while await other.direction() == "sendrecv":  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(_LOOK_SEC)
    await asyncio.sleep(_BACK_SEC)


async def accepts(session: Session) -> bool:
    """Whether the party takes a re-INVITE that changes nothing. Raises `EngineError`."""
    code = await _ask(session)
    if code == GLARE:
        await asyncio.sleep(_pause_sec(session))
        code = await _ask(session)
    return code == 0


async def _ask(session: Session) -> int:
    answers = Answers(session)
    await answers.begin()
    try:
        await session.link.api(f"uuid_media_reneg {session.channel}")
    except EngineError as error:
        if error.code == "refused":
            return GLARE
        raise
    return await answers.wait()


def _pause_sec(session: Session) -> float:
    """RFC 3261 section 14.1: whoever made the Call-ID waits longer."""
    lowest, highest = (0.0, 2.0) if session.inbound else (2.1, 4.0)
    return random.uniform(lowest, highest)  # noqa: S311 - jitter is no secret
