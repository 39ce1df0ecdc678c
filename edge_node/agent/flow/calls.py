"""All calls in the media engine of the node: what the engine tells goes to the call that it is about."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from edge_node.agent.flow.asking import Asking
from edge_node.agent.flow.caller import Caller, Leg, now_ms
from edge_node.agent.flow.loop import Loop, Terminate
from edge_node.agent.flow.steps import Steps
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, MediaEngine
from edge_node.agent.metrics import Metrics
from edge_node.agent.prompts.sounds import Sounds
from edge_node.agent.reports import MediaState, Reports
from tandem.contracts.legs import ACCOUNT_HEADER, CALL_HEADER

# Ends and refusals are told soon; what nobody asks for is forgotten.
_REMEMBERED: Final = 1000
_STOP_SEC: Final = 4.0
_FORBIDDEN: Final = 403
V = TypeVar("V")


class Calls:
    """The engine's `Sink`. Without an engine (`attach`) nothing is answered here. `outlived`: as `Loop` has it."""

    def __init__(
        self,
        asking: Asking,
        reports: Reports,
        terminate: Terminate,
        metrics: Metrics,
        log: Log,
        *,
        outlived: bool = False,
    ) -> None:
        self._outlived = outlived
        self._asking = asking
        self._reports = reports
        self._terminate = terminate
        self._metrics = metrics
        self._log = log
        self._engine: MediaEngine | None = None
        self._loop: Loop | None = None
        self._callers: dict[str, Caller] = {}
        self._legs: dict[str, Leg] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        # Legs may end before they are known by their channel.
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._refusals: OrderedDict[str, int] = OrderedDict()

    def attach(self, engine: MediaEngine, sounds: Sounds) -> None:
        steps = Steps(engine, sounds, self._adopt, self._log)
        self._engine = engine
        self._loop = Loop(
            self._asking, steps, self._terminate, self._refused, self._metrics, self._log, outlived=self._outlived
        )

    @property
    def callers(self) -> int:
        return len(self._callers)

    @property
    def engine(self) -> MediaEngine | None:
        return self._engine

    @property
    def channels(self) -> int:
        return 0 if self._engine is None else self._engine.channels

    def seat(self) -> str | None:
        """Where the next call goes (`host:port`); None: there is no room, or no engine."""
        return self._engine.seat() if self._engine is not None and self._engine.up else None

    def refusal(self, call_id: str) -> int | None:
        """The SIP code with which the flow of a call refused it; told once."""
        return self._refusals.pop(call_id, None)

    async def close(self) -> None:
        """Ends every call, within some seconds: nobody would drive it any longer. Of those that outlive the agent it
        tells nothing more: that the engine hangs up on the agent is no end of theirs."""
        tasks = [*self._tasks.values(), *self._others]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SEC)
        if self._outlived:
            self._callers = {channel: caller for channel, caller in self._callers.items() if not caller.connected}
            self._legs.clear()

    # --- what the engine tells

    def arrived(self, channel: str, headers: dict[str, str]) -> None:
        call_id, account_id = headers.get(CALL_HEADER.lower(), ""), headers.get(ACCOUNT_HEADER.lower(), "")
        if self._loop is None or not call_id or not account_id:
            self._log.warning("call without a name in the engine", channel=channel)
            self._spawn(self._hang_up(channel, _FORBIDDEN))
            return
        caller = Caller(channel, call_id, account_id, asyncio.get_running_loop().create_future())
        self._callers[channel] = caller
        self._metrics.media_callers.set(len(self._callers))
        task = asyncio.create_task(self._loop.run(caller), name=f"flow of {call_id}")
        self._tasks[channel] = task
        task.add_done_callback(lambda done: self._over(caller, done))

    def digit(self, channel: str, digit: str) -> None:
        if (caller := self._callers.get(channel)) is not None:
            caller.keys.press(digit, now_ms())

    def ended(self, channel: str, cause: str) -> None:
        if (caller := self._callers.pop(channel, None)) is not None:
            self._metrics.media_callers.set(len(self._callers))
            self._left(caller)
            if caller.usage.began:
                self._report(caller, "ended")
            if not caller.gone.done():
                caller.gone.set_result(cause)
            self._lost(caller.call_id, cause)
            if caller.placing is not None:
                self._lost(caller.placing, cause)
        elif (leg := self._legs.pop(channel, None)) is not None:
            if not leg.ended.done():
                leg.ended.set_result(cause)
            self._lost(leg.leg_id, cause)
        else:
            _remember(self._ended, channel, cause)

    def in_path(self, channel: str, in_path: bool) -> None:
        caller = self._callers.get(channel)
        if caller is None:
            return
        if in_path and caller.usage.enter(now_ms()):
            self._report(caller, "held")
        elif not in_path and self._left(caller):
            self._report(caller, "released")

    # --- the rest

    def _adopt(self, caller: Caller, leg_id: str, channel: str) -> Leg:
        leg = Leg(leg_id, channel, asyncio.get_running_loop().create_future())
        cause = self._ended.pop(channel, None)
        if cause is None:
            self._legs[channel] = leg
        else:
            leg.ended.set_result(cause)
        return leg

    def _refused(self, call_id: str, code: int) -> None:
        _remember(self._refusals, call_id, code)

    def _left(self, caller: Caller) -> bool:
        """The audio passes the engine no longer; False when it did not before."""
        lasted = caller.usage.leave(now_ms())
        if lasted is not None:
            self._metrics.media_app_seconds.inc(lasted / 1000)
        return lasted is not None

    def _report(self, caller: Caller, state: MediaState) -> None:
        self._reports.media(caller.call_id, caller.account_id, state, caller.usage.total(now_ms()))

    def _lost(self, call_id: str, cause: str) -> None:
        """Its engine died: Kamailio still has the call, and the party on it, or the one whom a leg rings."""
        if cause == "engine_lost":
            self._spawn(self._terminate(call_id, cause))

    async def _hang_up(self, channel: str, code: int) -> None:
        if self._engine is not None:
            try:
                await self._engine.hang_up(channel, code)
            except EngineError as error:
                self._log.warning("engine did not hang up", channel=channel, error=str(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    def _over(self, caller: Caller, task: asyncio.Task[None]) -> None:
        self._tasks.pop(caller.channel, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("flow broke", call_id=caller.call_id, error=repr(error))
            self._spawn(self._terminate(caller.call_id, "flow_broke"))


def _remember(table: OrderedDict[str, V], key: str, value: V) -> None:
    table[key] = value
    if len(table) > _REMEMBERED:
        table.popitem(last=False)
