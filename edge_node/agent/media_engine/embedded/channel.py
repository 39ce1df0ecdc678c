"""One leg at the embedded engine: a call of one of its processes, and what is waited for of it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from edge_node.agent.media_engine.base import EngineError, Sink
from edge_node.agent.media_engine.embedded.messages import Description, Failure
from edge_node.agent.media_engine.embedded.process import Process

if TYPE_CHECKING:
    from edge_node.agent.media_engine.embedded.bridge import Bridge

# Kamailio gives up on a silent party after 5 s.
REINVITE_SEC: Final = 6.0
_GLARE: Final = 491
_NO_REPLY: Final = 408


class Channel:
    """`both_ways`: its party sends and receives. `away`: its audio goes past the engine. `sounds`: plays under way.
    `doubtful`: it is not away as far as is known, but its relay was told so.

    A leg has a `caller`, who is to hear it before its answer if `early`; `heard` is what he does: `ringing`, `audio`.
    """

    def __init__(
        self, process: Process, number: int, sink: Sink, *, caller: Channel | None = None, early: bool = False
    ) -> None:
        self.name = f"em{process.serial}-{number}" if number > 0 else f"em{process.serial}-leg{-number}"
        self.process = process
        self.number = number
        self.caller = caller
        self.early = early
        self.heard = ""
        self.answered = False
        self.over = False
        self.both_ways = False
        self.away = False
        self.doubtful = False
        self.sounds = 0
        self.bridge: Bridge | None = None
        self._sink = sink
        self._plays = itertools.count(1)
        self._playing: dict[int, asyncio.Future[Any]] = {}
        self._reinvited: asyncio.Future[Any] | None = None
        self._answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._reinviting = asyncio.Lock()

    @property
    def astray(self) -> bool:
        """Its audio is not, or may not be, with the engine."""
        return self.away or self.doubtful

    async def do(self, verb: str, **arguments: object) -> Any:
        """Raises `EngineError`."""
        if self.over:
            raise self.gone()
        return await self.process.command(verb, call=self.number, **arguments)

    def gone(self) -> EngineError:
        return EngineError(Failure.GONE, f"the channel {self.name} is over")

    async def play(self, files: list[str], loop: int) -> None:
        """Until they are over, or were stopped. Raises `EngineError`."""
        play, over = next(self._plays), asyncio.get_running_loop().create_future()
        self._playing[play] = over
        try:
            if await self.do("play", play=play, files=files, loop=loop):
                await self._wait(over)
        except asyncio.CancelledError:
            self.process.send("quiet", call=self.number, play=play)
            raise
        finally:
            del self._playing[play]

    async def answer_of_leg(self, timeout_sec: float) -> int:
        """200 when the leg was answered, else the final code. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_sec):
            return int(await self._wait(self._answer))

    async def confirmed(self) -> None:
        """Our answer has been acknowledged. Raises `EngineError`."""
        await self._wait(self._answer)
        if not self.answered:
            raise self.gone()

    async def describe(self) -> Description | None:
        """Where the party's side wants its audio. Raises `EngineError`."""
        fields = await self.do("describe")
        return None if fields is None else Description(**fields)

    async def come_back(self) -> None:
        """Its audio passes the engine. Raises `EngineError`: `media` when the party will not have it."""
        async with self._reinviting:
            if not self.astray:
                return
            accepted = await self._reinvite(None, lambda: self.astray)
            if self.away and not accepted:
                raise EngineError(Failure.MEDIA, "the party did not give its audio back")

    async def go_away(self, elsewhere: Description, still: Callable[[], bool]) -> bool:
        """Its audio goes there, unless its party refuses. `still`: after a glare, it is still wanted.

        The relay follows an offer at once, whatever the party answers: who refused is to `come_back` all the same.
        """
        async with self._reinviting:
            return await self._reinvite(elsewhere, still)

    async def _reinvite(self, elsewhere: Description | None, still: Callable[[], bool]) -> bool:
        """RFC 3261 section 14.1: who made the Call-ID waits 2.1 to 4 s after a 491, the other up to 2 s."""
        code = await self._reinvite_once(elsewhere)
        if code == _GLARE:
            pause = random.uniform(0, 2) if self.caller is None else random.uniform(2.1, 4)  # noqa: S311 - no secret
            await asyncio.sleep(pause)
            if still():
                code = await self._reinvite_once(elsewhere)
        return code // 100 == 2

    async def _reinvite_once(self, elsewhere: Description | None) -> int:
        """The final code. One that comes too late counts as none; what it led to is told as `negotiated`."""
        self.doubtful |= elsewhere is not None
        self._reinvited = asyncio.get_running_loop().create_future()
        try:
            await self.do("reinvite", elsewhere=None if elsewhere is None else elsewhere.fields())
            async with asyncio.timeout(REINVITE_SEC):
                code = int(await self._wait(self._reinvited))
        except TimeoutError:
            return _NO_REPLY
        except EngineError as error:
            if error.code == Failure.REFUSED:
                return _GLARE  # something of the party's is under way
            raise
        finally:
            self._reinvited = None
        if elsewhere is None:
            self.doubtful = False  # the relay has seen our own offer, whatever the party made of it
        return code

    async def _wait(self, future: asyncio.Future[Any]) -> Any:
        if self.over and not future.done():
            raise self.gone()
        return await future

    # --- what its process says

    def was_answered(self) -> None:
        self.answered = True
        if not self._answer.done():
            self._answer.set_result(200)
        self._sink.in_path(self.name, True)

    def negotiated(self, away: bool, both_ways: bool) -> None:
        self.both_ways, self.doubtful = both_ways, False
        if away != self.away:
            self.away = away
            self._sink.in_path(self.name, not away)

    def was_reinvited(self, code: int) -> None:
        if self._reinvited is not None and not self._reinvited.done():
            self._reinvited.set_result(code)

    def played(self, play: int) -> None:
        future = self._playing.get(play)
        if future is not None and not future.done():
            future.set_result(None)

    def abandon(self) -> None:
        """Its caller is gone before it was answered."""
        if not self._answer.done():
            self._answer.set_exception(self.gone())
            self._answer.exception()  # nobody may be waiting yet, or any more

    def ended(self, code: int) -> None:
        """`code`: the final one of a leg that was not answered."""
        self.over = True
        if not self._answer.done():
            self._answer.set_result(code)
        for future in (*self._playing.values(), self._reinvited):
            if future is not None and not future.done():
                future.set_exception(self.gone())
