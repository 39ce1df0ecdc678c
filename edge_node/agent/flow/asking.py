"""`POST /flow`: an outcome goes to the brain, the next command comes back. The same request again until it does."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from pydantic import ValidationError

from edge_node.agent.brain import Brain, BrainError, Failure
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.patience import is_refusal, patiently
from tandem.contracts.flow import FlowReply, FlowRequest

PATH: Final = "/flow"
# Of one try: a flow may ask somebody else's servers, for 12 s in all, before its next command is known.
_TRY_SEC: Final = 20.0


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
        """`waiting` is called when it takes long because the brain is away. Raises `AwayError` or `RefusedError`."""
        started, body = time.monotonic(), request.wire()

        async def attempt(left: float) -> FlowReply:
            content = await self._brain.post(PATH, body, min(_TRY_SEC, left))
            try:
                return FlowReply.model_validate_json(content)
            except ValidationError as error:
                raise BrainError(Failure.SERVER, 200, "unreadable", f"{PATH}: a reply that cannot be read") from error

        async def failed(number: int, error: BrainError) -> None:
            self._metrics.flow_retries.inc()
            if number == 1:
                self._log.warning("flow waits for the brain", call_id=request.call_id, error=str(error))
                await waiting()

        try:
            reply = await patiently(attempt, self._patience, failed)
        except BrainError as error:
            if is_refusal(error):
                raise RefusedError(error.code, error.message) from error
            raise AwayError(str(error)) from error
        self._metrics.flow_step_seconds.observe(time.monotonic() - started)
        return reply
