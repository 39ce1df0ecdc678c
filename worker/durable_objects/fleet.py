"""FLEET: one object a region. Which edge nodes are alive, and which accounts must hear of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tandem.contracts.errors import TandemError, error_reply, parse
from tandem.contracts.fleet import HeartbeatRequest, HelloRequest
from tandem.contracts.objects import NodeStateQuery, Origin, envelope
from tandem.runtime import DurableObject, make_env, now_ms, object_alarm, object_sql, random_bytes
from tandem.runtime.log import log
from tandem.runtime.wheel import Wheel
from tandem.sip import fleet
from tandem.store.nodes import Nodes


class Fleet(DurableObject):
    """Every method takes and returns texts (`tandem.contracts.objects`)."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self._sql = object_sql(ctx)
        self._nodes = Nodes(self._sql)
        watch = fleet.Watch(self._nodes, now_ms())
        telling = fleet.Telling(self._nodes, make_env(env))
        self._wheel = Wheel(object_alarm(ctx), (watch, telling), lambda: random_bytes(1)[0] / 256)
        self._wheel.arm(now_ms())

    async def hello(self, origin: str, text: str, addresses: str) -> str:
        """`addresses`: the SIP addresses of all nodes as JSON, null while they cannot be read."""

        def decide(sender: Origin, now: int) -> str:
            request = parse(HelloRequest, text)
            return fleet.take_hello(self._nodes, request, sender.node_id, now, json.loads(addresses)).wire()

        return self._once(origin, decide)

    async def heartbeat(self, origin: str, text: str, addresses: str) -> str:
        def decide(sender: Origin, now: int) -> str:
            request = parse(HeartbeatRequest, text)
            return fleet.take_heartbeat(self._nodes, request, sender.node_id, now, json.loads(addresses)).wire()

        return self._once(origin, decide)

    async def node_state(self, text: str) -> str:
        return self._answer(lambda now: fleet.state_of(self._nodes, parse(NodeStateQuery, text)).wire())

    async def alarm(self, info: Any = None) -> None:
        await self._wheel.ring(now_ms)

    def _once(self, origin: str, decide: Callable[[Origin, int], str]) -> str:
        sender = Origin.decode(origin)

        def once(now: int) -> str:
            if not self._nodes.first_request(sender.request_id, now):
                raise TandemError("replayed_request", "This request was taken already; sign a retry anew.")
            text = decide(sender, now)
            self._wheel.arm(now)
            return text

        return self._answer(once, sender.request_id)

    def _answer(self, decide: Callable[[int], str], request_id: str | None = None) -> str:
        try:
            return envelope(200, self._sql.transaction(lambda: decide(now_ms())))
        except TandemError as error:
            return envelope(error.status, error_reply(error, request_id))
        except Exception as error:
            log("error", "fleet_failed", error=f"{type(error).__name__}: {error}")
            failure = TandemError("internal_error", "The brain failed to decide; the incident is in its log.")
            return envelope(failure.status, error_reply(failure, request_id))
