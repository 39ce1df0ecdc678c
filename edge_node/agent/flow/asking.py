"""`POST /flow`: an outcome goes to the brain, the next command comes back. The same request again until it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from pydantic import ValidationError

from edge_node.agent.brain import Brain, BrainError, Failure
from edge_node.agent.clock import backoff_sec
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from tandem.contracts.flow import FlowReply, FlowRequest

PATH: Final = "/flow"
# Of one try: a flow may ask somebody else's servers, for 12 s in all, before its next command is known.
_TRY_SEC: Final = 20.0
_LONGEST_PAUSE_SEC: Final = 2.0
# A caller who has heard nothing for so long hears something.
SILENT_SEC: Final = 4.0
# Of refusals, those that say nothing of the request: a clock that was set, a rush.
_PASSING: Final = ("stale_request", "rate_limited", "not_mine", "replayed_request")


class AwayError(Exception):
    """No answer within the patience."""


class RefusedError(Exception):
    """The brain knows nothing of this call, or of this step of it. `code` is its word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Asking:
    """`patience` in seconds: how long a caller waits for a brain that is away."""

    def __init__(self, brain: Brain, metrics: Metrics, log: Log, patience: float) -> None:
        self._brain = brain
        self._metrics = metrics
        self._log = log
        self._patience = patience

    async def ask(self, request: FlowRequest, waiting: Callable[[], Awaitable[None]]) -> FlowReply:
        """`waiting` is called once when it takes long. Raises `AwayError` or `RefusedError`."""
        started = time.monotonic()
        comfort = asyncio.create_task(_later(waiting, SILENT_SEC))
        try:
            reply = await self._until(request, started + self._patience, comfort, waiting)
        finally:
            comfort.cancel()
            # What `waiting` began must have begun before anybody ends it.
            await asyncio.gather(comfort, return_exceptions=True)
        self._metrics.flow_step_seconds.observe(time.monotonic() - started)
        return reply

    async def _until(
        self, request: FlowRequest, end: float, comfort: asyncio.Task[None], waiting: Callable[[], Awaitable[None]]
    ) -> FlowReply:
        body, attempt = request.wire(), 0
        while True:
            left = end - time.monotonic()
            try:
                content = await self._brain.post(PATH, body, max(0.1, min(_TRY_SEC, left)))
                return FlowReply.model_validate_json(content)
            except ValidationError:
                error = BrainError(Failure.SERVER, 200, "unreadable", f"{PATH}: a reply that cannot be read")
            except BrainError as failure:
                error = failure
            if error.failure is Failure.REFUSED and error.code not in _PASSING:
                raise RefusedError(error.code, error.message) from error
            attempt += 1
            pause = backoff_sec(attempt, _LONGEST_PAUSE_SEC)
            if time.monotonic() + pause >= end:
                raise AwayError(str(error)) from error
            self._metrics.flow_retries.inc()
            if attempt == 1:
                self._log.warning("flow waits for the brain", call_id=request.call_id, error=str(error))
                if comfort.cancel():
                    await waiting()
            await asyncio.sleep(pause)


async def _later(waiting: Callable[[], Awaitable[None]], seconds: float) -> None:
    await asyncio.sleep(seconds)
    await waiting()
