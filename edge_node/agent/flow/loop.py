"""The life of one call in the media engine: start, execute, tell the outcome, execute what comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pydantic import ValidationError

from edge_node.agent.flow.asking import Asking, AwayError, RefusedError
from edge_node.agent.flow.caller import Caller
from edge_node.agent.flow.steps import Outcome, Steps
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.metrics import Metrics
from tandem.contracts.flow import Command, FlowData, FlowReply, FlowRequest, HangUp, command_of

# An engine that says so of what it was told says it of the channel a moment later at most.
_GONE: Final = ("gone", "engine_lost", "unknown")
_GONE_SEC: Final = 1.0
Terminate = Callable[[str, str], Coroutine[Any, Any, None]]


class Loop:
    """`terminate(call_id, cause)` has Kamailio end a call both ways. `refused(call_id, code)` remembers with which code
    a flow does not answer its call. `outlived`: two who are connected go on talking in an engine without an agent."""

    def __init__(
        self,
        asking: Asking,
        steps: Steps,
        terminate: Terminate,
        refused: Callable[[str, int], None],
        metrics: Metrics,
        log: Log,
        *,
        outlived: bool = False,
    ) -> None:
        self._outlived = outlived
        self._asking = asking
        self._steps = steps
        self._terminate = terminate
        self._refused = refused
        self._metrics = metrics
        self._log = log

    async def run(self, caller: Caller) -> None:
        """Until the call is over for the platform. Raises nothing but what is a fault of ours."""
        reply: FlowReply | None = None
        try:
            request = FlowRequest(call_id=caller.call_id, account_id=caller.account_id)
            while True:
                reply = await self._ask(caller, request)
                command = _read(reply)
                outcome = await self._perform(caller, command, reply.cmd)
                self._metrics.flow_outcomes.labels(reply.cmd if command else "unknown", outcome.word).inc()
                request = self._request(caller, reply, outcome)
                if outcome.word == "hangup" or isinstance(command, HangUp):
                    if outcome.word == "error":
                        await self._end(caller, "engine_refused")
                    await self._last_word(caller, request)
                    return
        except RefusedError as error:
            self._log.warning("flow refused", call_id=caller.call_id, error=str(error))
            await self._end(caller, "flow_refused")
        except AwayError as error:
            self._log.error("flow given up: no brain", call_id=caller.call_id, error=str(error))
            await self._end(caller, "brain_unavailable")
        except asyncio.CancelledError:
            if self._outlived and caller.connected:
                caller.leg = None
                raise
            await self._stopped(caller, reply)
            raise
        finally:
            await self._steps.end_leg(caller)

    async def _last_word(self, caller: Caller, request: FlowRequest) -> None:
        """Whatever the brain answers, there is nobody for it. It hears of the call's end by events too."""
        try:
            await self._asking.ask(request, _nothing)
        except (RefusedError, AwayError) as error:
            self._log.info("end of a flow not told", call_id=caller.call_id, error=str(error))

    async def _ask(self, caller: Caller, request: FlowRequest) -> FlowReply:
        async with self._steps.comfort(caller) as comfort:
            return await self._asking.ask(request, comfort.now)

    async def _perform(self, caller: Caller, command: Command | None, name: str) -> Outcome:
        if command is None:
            return Outcome("error", FlowData(message=f"This node does not know {name}."[:1024]))
        if caller.gone.done():
            return _hung_up(caller)
        if isinstance(command, HangUp) and not caller.answered:
            self._refused(caller.call_id, int(command.cause) if command.cause.isdecimal() else 603)
        step = asyncio.create_task(self._step(caller, command))
        try:
            # The end of the caller is what a hang-up brings about.
            ends: set[asyncio.Future[Any]] = {step}
            if not isinstance(command, HangUp):
                ends.add(caller.gone)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                return step.result()
            return _hung_up(caller)
        finally:
            if not step.done():
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)
            if caller.gone.done():
                await self._steps.end_leg(caller)

    async def _step(self, caller: Caller, command: Command) -> Outcome:
        try:
            return await self._steps.execute(caller, command)
        except EngineError as error:
            if error.code in _GONE:
                await asyncio.wait({caller.gone}, timeout=_GONE_SEC)
            if caller.gone.done():
                return _hung_up(caller)
            self._log.warning("step failed", call_id=caller.call_id, cmd=command.cmd, error=str(error))
            return Outcome("error", FlowData(message=f"{error.code}: {error}"[:1024]))
        except Exception as error:
            # A fault of ours is an outcome too: the flow says what is heard then.
            self._log.error("step broke", call_id=caller.call_id, cmd=command.cmd, error=repr(error))
            return Outcome("error", FlowData(message=type(error).__name__))

    def _request(self, caller: Caller, reply: FlowReply, outcome: Outcome) -> FlowRequest:
        return FlowRequest(
            call_id=caller.call_id,
            account_id=caller.account_id,
            outcome=outcome.word,
            seq=reply.seq,
            data=outcome.data,
        )

    async def _end(self, caller: Caller, cause: str) -> None:
        if not caller.gone.done():
            await self._terminate(caller.call_id, cause)

    async def _stopped(self, caller: Caller, reply: FlowReply | None) -> None:
        """The agent ends: so does the call, since nobody would drive it."""
        await self._end(caller, "agent_stopped")
        if reply is not None:
            request = self._request(caller, reply, Outcome("hangup", FlowData(cause="agent_stopped")))
            await self._last_word(caller, request)


def _read(reply: FlowReply) -> Command | None:
    try:
        return command_of(reply)
    except ValidationError:
        return None


def _hung_up(caller: Caller) -> Outcome:
    return Outcome("hangup", FlowData(cause=caller.gone.result()))


async def _nothing() -> None:
    """Nobody listens any more."""
