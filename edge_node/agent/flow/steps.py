"""What each command does to a call. The outcomes are those of the table in `domain/flows/commands.py`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_node.agent.flow import gather
from edge_node.agent.flow.caller import Caller, Leg, now_ms
from edge_node.agent.flow.comfort import Comfort
from edge_node.agent.flow.gather import Gathering, Phase
from edge_node.agent.flow.niceties import Niceties
from edge_node.agent.flow.playing import Playing
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, LegFailedError, MediaEngine, Order
from edge_node.agent.prompts.sounds import MissingError, Sounds
from tandem.contracts.flow import Answer, Bridge, Command, Dial, FlowData, Gather, HangUp, Noop, Play, Sound
from tandem.contracts.legs import ACCOUNT_HEADER, HEADER


@dataclass(frozen=True, slots=True)
class Outcome:
    word: str
    data: FlowData = field(default_factory=FlowData)


class Steps:
    """`adopt(caller, leg_id, channel)` makes a leg that was answered known by its channel, so that its end is heard."""

    def __init__(self, engine: MediaEngine, sounds: Sounds, adopt: Callable[[Caller, str, str], Leg], log: Log) -> None:
        self._engine = engine
        self._sounds = sounds
        self._adopt = adopt
        self._log = log

    async def execute(self, caller: Caller, command: Command) -> Outcome:
        """Raises `EngineError`."""
        try:
            match command:
                case Answer():
                    return await self._answer(caller)
                case Play():
                    return await self._play(caller, command)
                case Gather():
                    return await self._gather(caller, command)
                case Dial():
                    return await self._dial(caller, command)
                case Bridge():
                    return await self._bridge(caller, command)
                case HangUp():
                    return await self.hang_up(caller, command.cause)
                case Noop():
                    # Nothing is wanted of us: it ends with the caller.
                    return Outcome("hangup", FlowData(cause=await asyncio.shield(caller.gone)))
        except MissingError as error:
            self._log.warning("prompt missing", call_id=caller.call_id, error=str(error))
            return Outcome("missing", FlowData(message=str(error)[:1024]))

    async def _answer(self, caller: Caller) -> Outcome:
        if not caller.answered:
            await self._engine.answer(caller.channel)
            caller.answered = True
        return Outcome("answered")

    async def _play(self, caller: Caller, command: Play) -> Outcome:
        await self._playing(caller, command.sounds, command.loop).task
        return Outcome("done")

    def _playing(self, caller: Caller, sounds: tuple[Sound, ...], loop: int = 1) -> Playing:
        return Playing(self._engine, self._sounds, caller.channel, sounds, lambda: self.comfort(caller), loop)

    async def _gather(self, caller: Caller, command: Gather) -> Outcome:
        """Who has typed ahead hears no prompt that he may interrupt."""
        sounds = () if command.barge_in and caller.keys else command.sounds
        state = gather.begin(command, now_ms(), sounds=bool(sounds))
        playing = self._playing(caller, sounds) if sounds else None
        try:
            while not state.over:
                state = await self._collect(caller, state, playing)
                if playing is not None and state.phase is not Phase.SOUNDS:
                    await playing.stop()
                    playing = None
        finally:
            if playing is not None:
                playing.task.cancel()
        caller.keys.closed(state, now_ms())
        return Outcome(state.result, FlowData(digits=state.digits, terminator=state.terminator))

    async def _collect(self, caller: Caller, state: Gathering, playing: Playing | None) -> Gathering:
        """Waits for the next thing that happens: a digit, the end of the sounds, or of the time."""
        sounding = state.phase is Phase.SOUNDS and playing is not None
        listening = not sounding or state.rules.barge_in
        if listening and caller.keys:
            return gather.digit(state, *caller.keys.take())
        waits: set[asyncio.Future[Any]] = set()
        key = asyncio.create_task(caller.keys.any.wait()) if listening else None
        if key is not None:
            waits.add(key)
        if playing is not None and sounding:
            waits.add(playing.task)
        left = None if state.deadline is None else max(0, state.deadline - now_ms()) / 1000
        try:
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if key is not None:
                key.cancel()
        if playing is not None and playing.task.done():
            playing.task.result()
            state = gather.sounds_over(state, now_ms())
        # A digit that came in time counts, even if the time is over as well by now.
        return state if listening and caller.keys else gather.expired(state, now_ms())

    async def _dial(self, caller: Caller, command: Dial) -> Outcome:
        await self.end_leg(caller)
        niceties = Niceties(self._engine, self._sounds, caller, command, lambda: self.comfort(caller), self._log)
        async with niceties:
            try:
                channel = await self._originate(caller, command, await niceties.begin_music())
            except (LegFailedError, EngineError) as error:
                await niceties.end_music()
                await self.quiet(caller)
                if isinstance(error, EngineError):
                    raise
                cause = str(error.code) if error.code else None
                return Outcome(error.outcome, FlowData(cause=cause, message=niceties.missing))
            leg = caller.leg = self._adopt(caller, command.leg_id, channel)
            if files := await niceties.whisper():
                await self._whisper(leg, files)
            if leg.ended.done():
                await niceties.end_music()
                await self.quiet(caller)
                caller.leg = None
                return Outcome("failed", FlowData(cause=leg.ended.result(), message=niceties.missing))
            return Outcome("answered", FlowData(message=niceties.missing))

    async def _originate(self, caller: Caller, command: Dial, early: bool) -> str:
        headers = ((HEADER, command.token), (ACCOUNT_HEADER, caller.account_id))
        order = Order(command.uri, headers, command.timeout_sec, early)
        caller.placing = command.leg_id
        try:
            channel = await self._engine.originate(caller.channel, order)
        except EngineError as error:
            # Of an engine that died the caller's end is told next, and then it counts which leg was being placed.
            if error.code != "gone" or not await _soon(caller.gone):
                caller.placing = None
            raise
        except LegFailedError:
            caller.placing = None
            raise
        caller.placing = None
        return channel

    async def _whisper(self, leg: Leg, files: list[Path]) -> None:
        try:
            await self._engine.play(leg.channel, files)
        except EngineError as error:
            self._log.info("whisper not heard", leg_id=leg.leg_id, error=str(error))
            await _soon(leg.ended)

    async def _bridge(self, caller: Caller, command: Bridge) -> Outcome:
        """What is typed while two people talk is not for the flow."""
        leg = caller.leg
        if leg is None or leg.leg_id != command.leg_id:
            return Outcome("error", FlowData(message=f"There is no leg {command.leg_id}."[:1024]))
        try:
            await self._engine.bridge(caller.channel, leg.channel)
        except EngineError:
            if not await _soon(leg.ended):
                await self.end_leg(caller)
                raise
            await self.quiet(caller)
        else:
            caller.connected = True
            if command.release:
                await self._release(caller, leg)
        cause = await asyncio.shield(leg.ended)
        caller.connected = False
        caller.leg = None
        caller.keys.forget()
        return Outcome("ended", FlowData(cause=cause))

    async def _release(self, caller: Caller, leg: Leg) -> None:
        """They are connected whatever becomes of it: by way of the engine at worst."""
        try:
            became = str(await self._engine.release(caller.channel, leg.channel))
        except EngineError as error:
            became = str(error)
        self._log.info("bridged", call_id=caller.call_id, leg_id=leg.leg_id, media=became)

    async def hang_up(self, caller: Caller, cause: str) -> Outcome:
        await self.end_leg(caller)
        code = int(cause) if cause.isdecimal() else 0
        await self._engine.hang_up(caller.channel, code)
        return Outcome("ended")

    async def end_leg(self, caller: Caller) -> None:
        leg, caller.leg = caller.leg, None
        if leg is not None and not leg.ended.done():
            with contextlib.suppress(EngineError):
                await self._engine.hang_up(leg.channel)

    def comfort(self, caller: Caller) -> Comfort:
        """Around what the caller waits for: he hears ringing rather than silence."""
        return Comfort(lambda: self._ring(caller), lambda: self._unring(caller))

    async def _ring(self, caller: Caller) -> None:
        if caller.leg is None and not caller.gone.done():
            with contextlib.suppress(EngineError):
                await self._engine.ringback(caller.channel)

    async def _unring(self, caller: Caller) -> None:
        """Before the answer, ringing is what a caller expects."""
        if caller.answered:
            await self.quiet(caller)

    async def quiet(self, caller: Caller) -> None:
        if not caller.gone.done():
            with contextlib.suppress(EngineError):
                await self._engine.stop(caller.channel)


async def _soon(future: asyncio.Future[str], seconds: float = 1.0) -> bool:
    """What was told as an error may be told as an end a moment later."""
    await asyncio.wait({future}, timeout=seconds)
    return future.done()
