"""What each command does to a call. The outcomes are those of the table in `domain/flows/commands.py`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge_node.agent.flow import gather
from edge_node.agent.flow.caller import Caller, Leg, now_ms
from edge_node.agent.flow.gather import Gathering, Phase
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, LegFailedError, MediaEngine, Order
from edge_node.agent.prompts.sounds import MissingError, Sounds
from tandem.contracts.flow import Answer, Bridge, Command, Dial, FlowData, Gather, HangUp, Noop, Play, Sound
from tandem.contracts.legs import ACCOUNT_HEADER, HEADER

# A stop that came before the playing began is said again.
_STOP_AGAIN_SEC: Final = 0.1
# Music that consists of several files is played over and over; nobody waits so long for an answer.
_LOOPS: Final = 1000


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
        files = await self._sounds.files(command.sounds)
        if files:
            await self._engine.play(caller.channel, files, command.loop)
        return Outcome("done")

    async def _gather(self, caller: Caller, command: Gather) -> Outcome:
        """Who has typed ahead hears no prompt that he may interrupt."""
        files: list[Path] = []
        if not (command.barge_in and caller.keys):
            files = await self._sounds.files(command.sounds)
        state = gather.begin(command, now_ms(), sounds=bool(files))
        playing = asyncio.create_task(self._engine.play(caller.channel, files)) if files else None
        try:
            while not state.over:
                state = await self._collect(caller, state, playing)
                if playing is not None and state.phase is not Phase.SOUNDS:
                    await self._stop(caller, playing)
                    playing = None
        finally:
            if playing is not None:
                playing.cancel()
        caller.keys.closed(state, now_ms())
        return Outcome(state.result, FlowData(digits=state.digits, terminator=state.terminator))

    async def _collect(self, caller: Caller, state: Gathering, playing: asyncio.Task[None] | None) -> Gathering:
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
            waits.add(playing)
        left = None if state.deadline is None else max(0, state.deadline - now_ms()) / 1000
        try:
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if key is not None:
                key.cancel()
        if playing is not None and playing.done():
            playing.result()
            state = gather.sounds_over(state, now_ms())
        # A digit that came in time counts, even if the time is over as well by now.
        return state if listening and caller.keys else gather.expired(state, now_ms())

    async def _stop(self, caller: Caller, playing: asyncio.Task[None]) -> None:
        while not playing.done():
            await self._engine.stop(caller.channel)
            await asyncio.wait({playing}, timeout=_STOP_AGAIN_SEC)
        playing.result()

    async def _dial(self, caller: Caller, command: Dial) -> Outcome:
        """Music and whisper are niceties: without them the call goes on."""
        await self.end_leg(caller)
        whisper = asyncio.create_task(self._nicety(caller, command.whisper))
        try:
            early, music = await self._wait_sound(caller, command.music)
            try:
                headers = ((HEADER, command.token), (ACCOUNT_HEADER, caller.account_id))
                order = Order(command.uri, headers, command.timeout_sec, early)
                caller.placing = command.leg_id
                channel = await self._engine.originate(caller.channel, order)
            except LegFailedError as error:
                caller.placing = None
                await self.quiet(caller)
                return Outcome(error.outcome, FlowData(cause=str(error.code) if error.code else None))
            finally:
                if music is not None:
                    music.cancel()
            caller.placing = None
            leg = caller.leg = self._adopt(caller, command.leg_id, channel)
            if files := await whisper:
                await self._whisper(leg, files)
            if leg.ended.done():
                await self.quiet(caller)
                caller.leg = None
                return Outcome("failed", FlowData(cause=leg.ended.result()))
            return Outcome("answered")
        finally:
            whisper.cancel()

    async def _whisper(self, leg: Leg, files: list[Path]) -> None:
        try:
            await self._engine.play(leg.channel, files)
        except EngineError as error:
            self._log.info("whisper not heard", leg_id=leg.leg_id, error=str(error))
            await _soon(leg.ended)

    async def _wait_sound(self, caller: Caller, music: Sequence[Sound]) -> tuple[bool, asyncio.Task[None] | None]:
        """What the caller hears until the leg is answered; whether he is to hear the far end too, and the task that
        plays if one is needed."""
        files = await self._nicety(caller, music)
        if not files:
            await self._engine.ringback(caller.channel)
            return True, None
        if len(files) == 1:
            await self._engine.hold_music(caller.channel, files[0])
            return False, None
        return False, asyncio.create_task(self._over_and_over(caller, files))

    async def _over_and_over(self, caller: Caller, files: list[Path]) -> None:
        with contextlib.suppress(EngineError):
            await self._engine.play(caller.channel, files, _LOOPS)

    async def _nicety(self, caller: Caller, sounds: Sequence[Sound]) -> list[Path]:
        try:
            return await self._sounds.files(sounds) if sounds else []
        except MissingError as error:
            self._log.warning("prompt missing", call_id=caller.call_id, error=str(error))
            return []

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

    async def comfort(self, caller: Caller) -> None:
        """Nothing new is known and the caller waits: he hears ringing rather than silence."""
        if caller.leg is None and not caller.gone.done():
            with contextlib.suppress(EngineError):
                await self._engine.ringback(caller.channel)

    async def quiet(self, caller: Caller) -> None:
        if not caller.gone.done():
            with contextlib.suppress(EngineError):
                await self._engine.stop(caller.channel)


async def _soon(future: asyncio.Future[str], seconds: float = 1.0) -> bool:
    """What was told as an error may be told as an end a moment later."""
    await asyncio.wait({future}, timeout=seconds)
    return future.done()
