"""CALL_SESSION: one object a call that is in the media engine. It runs the call's flow and keeps its trace."""

from __future__ import annotations

from typing import Any

from tandem.contracts.errors import TandemError, error_reply, parse
from tandem.contracts.flow import FlowRequest
from tandem.contracts.objects import Origin, envelope
from tandem.runtime import DurableObject, erase, make_env, now_ms, object_alarm, object_sql, random_bytes
from tandem.runtime.log import log
from tandem.runtime.wheel import Wheel
from tandem.sip.session import CallFlow
from tandem.sip.session_upkeep import Flush, Forget, Watch


class CallSession(DurableObject):
    """Every method takes and returns texts (`tandem.contracts.objects`)."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        bindings = make_env(env)
        self._flow = CallFlow(object_sql(ctx), bindings)
        tasks = (
            Watch(self._flow, bindings),
            Flush(self._flow, bindings),
            Forget(self._flow, lambda: erase(ctx)),
        )
        self._wheel = Wheel(object_alarm(ctx), tasks, lambda: random_bytes(1)[0] / 256)
        self._wheel.arm(now_ms())

    async def step(self, origin: str, text: str) -> str:
        """`POST /flow`. A request that comes twice does no harm: `seq` fences it, so its id is not remembered."""
        sender = Origin.decode(origin)
        try:
            reply = await self._flow.answer(parse(FlowRequest, text), sender.node_id)
        except TandemError as error:
            return envelope(error.status, error_reply(error, sender.request_id))
        except Exception as error:
            log("error", "step_failed", error=f"{type(error).__name__}: {error}")
            failure = TandemError("internal_error", "The brain failed to decide; the incident is in its log.")
            return envelope(failure.status, error_reply(failure, sender.request_id))
        finally:
            self._wheel.arm(now_ms())
        return envelope(200, reply.wire())

    async def call_over(self) -> str:
        """The account's record of the call has an end. Idempotent; a call without a session is no error."""
        self._flow.suspect()
        self._wheel.arm(now_ms())
        return envelope(200, '{"ok":true}')

    async def alarm(self, info: Any = None) -> None:
        await self._wheel.ring(now_ms)
