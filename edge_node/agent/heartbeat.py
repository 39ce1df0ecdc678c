"""The node's sign of life every two seconds, and the hello that a start or the brain asks for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ValidationError

from edge_node.agent.brain import Brain, BrainError, Failure
from edge_node.agent.clock import Clock, backoff_sec
from edge_node.agent.config import Config
from edge_node.agent.decisions import Decisions
from edge_node.agent.deliveries import Deliveries
from edge_node.agent.events import EventBuffer
from edge_node.agent.flow.calls import Calls
from edge_node.agent.live import Live
from edge_node.agent.load import Processors, RtpEngine
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.rebuild import Rebuilder
from edge_node.agent.reports import Reports
from tandem.contracts.fleet import BootIds, HeartbeatReply, HeartbeatRequest, HelloReply, HelloRequest, Load

_TIMEOUT_SEC: Final = 3.0
# A node that has not said hello takes no calls.
_LONGEST_PAUSE_SEC: Final = 2.0
R = TypeVar("R", bound=HeartbeatReply)


@dataclass(frozen=True, slots=True)
class Node:
    """What a heartbeat tells of."""

    live: Live
    rebuilder: Rebuilder
    rtpengine: RtpEngine
    media: Calls
    processors: Processors


class Heartbeat:
    """Independent of the decision lane: it goes on whatever calls wait for."""

    def __init__(
        self,
        config: Config,
        boot_id: str,
        node: Node,
        brain: Brain,
        reports: Reports,
        buffer: EventBuffer,
        decisions: Decisions,
        deliveries: Deliveries,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._config = config
        self._boot_id = boot_id
        self._node = node
        self._brain = brain
        self._reports = reports
        self._buffer = buffer
        self._decisions = decisions
        self._deliveries = deliveries
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._hello_due = True
        self._said_boot_ids: BootIds | None = None
        self._wake = asyncio.Event()
        self.heard_at: float | None = None

    def boot_ids(self) -> BootIds:
        node = self._node
        return BootIds(agent=self._boot_id, kamailio=node.rebuilder.boot_id, rtpengine=node.rtpengine.boot_id)

    def hello_soon(self) -> None:
        self._hello_due = True
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. Nothing is said before the node knows itself: an empty state would be believed."""
        await self._node.rebuilder.first_done.wait()
        await self._node.rtpengine.asked.wait()
        failures = 0
        while True:
            started = time.monotonic()
            self._wake.clear()
            try:
                await self.beat()
                failures = 0
            except BrainError as error:
                self._metrics.heartbeats.labels("failed").inc()
                if failures == 0:
                    self._log.warning("heartbeat failed", error=str(error))
                failures += 1
            await self._pause(started, failures)

    async def beat(self) -> None:
        """One hello or heartbeat. Raises `BrainError`."""
        if self._hello_due or self._said_boot_ids != self.boot_ids():
            await self._hello()
            return
        request = self._state()
        try:
            reply = await self._post("/fleet/heartbeat", request, HeartbeatReply)
        except BrainError as error:
            if error.failure is Failure.REFUSED and error.code == "hello_required":
                self.hello_soon()
                return
            raise
        self._metrics.heartbeats.labels("ok").inc()
        self._heard(reply, drain=reply.status == "draining")

    async def _hello(self) -> None:
        self._hello_due = False
        boot_ids = self.boot_ids()
        state = self._state()
        request = HelloRequest(
            node=state.node,
            boot_ids=boot_ids,
            load=state.load,
            digests=state.digests,
            version=self._config.version,
            command_url=self._config.command_address,
            sip_address=self._config.sip_address,
        )
        try:
            reply = await self._post("/fleet/hello", request, HelloReply)
        except BaseException:
            self._hello_due = True
            raise
        self._said_boot_ids = boot_ids
        self._metrics.heartbeats.labels("hello").inc()
        self._deliveries.tell(reply.desired.fleet)
        self._log.info("hello said", drain=reply.desired.drain, send=len(reply.send))
        self._heard(reply, drain=reply.desired.drain or reply.status == "draining")
        self._decisions.ready.set()

    def _state(self) -> HeartbeatRequest:
        live = self._node.live
        self._metrics.calls.set(live.calls)
        self._metrics.contacts.set(live.contacts)
        load = Load(
            calls=live.calls,
            media_channels=self._node.media.channels,
            cpu_percent=self._node.processors.busy_percent(),
            rtp_sessions=self._node.rtpengine.sessions,
        )
        return HeartbeatRequest(node=self._config.node, boot_ids=self.boot_ids(), load=load, digests=live.digests())

    async def _post(self, path: str, request: HeartbeatRequest, reply: type[R]) -> R:
        sent = self._clock.local()
        content = await self._brain.post(path, request.wire(), _TIMEOUT_SEC)
        received = self._clock.local()
        try:
            message = reply.model_validate_json(content)
        except ValidationError as error:
            raise BrainError(Failure.SERVER, 200, "unreadable", f"{path}: a reply that cannot be read") from error
        self._clock.learn(message.now, sent, received)
        self._metrics.clock_offset.set(self._clock.offset_ms / 1000)
        return message

    def _heard(self, reply: HeartbeatReply, *, drain: bool) -> None:
        self.heard_at = time.monotonic()
        if drain != self._decisions.draining:
            self._log.info("drain flag", drain=drain)
        self._decisions.draining = drain
        if reply.fleet is not None:
            self._deliveries.tell(reply.fleet)
        for account_id in reply.send:
            if not self._buffer.has_snapshot(account_id):
                self._reports.snapshot(account_id)

    async def _pause(self, started: float, failures: int) -> None:
        interval = self._config.heartbeat_interval
        pause = backoff_sec(failures, _LONGEST_PAUSE_SEC) if failures and self._hello_due else interval
        try:
            async with asyncio.timeout(max(0.0, started + pause - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return
