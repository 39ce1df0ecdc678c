"""Wiring: one node-agent, from its configuration to its end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

from edge_node.agent import seam
from edge_node.agent.brain import Brain
from edge_node.agent.clock import Clock
from edge_node.agent.commands import Commands, OperationError
from edge_node.agent.config import Config, EmbeddedMedia, FreeSwitchMedia, read_credential
from edge_node.agent.decisions import Decisions, Limits
from edge_node.agent.deliveries import Deliveries
from edge_node.agent.evapi import Evapi
from edge_node.agent.events import EventBuffer
from edge_node.agent.flow.asking import Asking
from edge_node.agent.flow.calls import Calls
from edge_node.agent.flow.leftovers import Leftovers
from edge_node.agent.heartbeat import Heartbeat, Node
from edge_node.agent.kamailio import Kamailio, Rpc
from edge_node.agent.live import Live
from edge_node.agent.load import Processors, RtpEngine
from edge_node.agent.log import Log
from edge_node.agent.media import MediaWatch
from edge_node.agent.media_engine.chosen import choose
from edge_node.agent.media_engine.keeper import Keeper
from edge_node.agent.metrics import Metrics
from edge_node.agent.ng import Ng
from edge_node.agent.operations import Operations
from edge_node.agent.prompts.cache import Cache
from edge_node.agent.prompts.library import Library
from edge_node.agent.prompts.speech import EspeakNg
from edge_node.agent.rebuild import Rebuilder
from edge_node.agent.reports import Reports
from edge_node.agent.seam import MalformedError, Question, Report
from edge_node.agent.server import Health, Server, application
from edge_node.agent.store import Store
from tandem.contracts.ids import RANDOM_BYTES, ulid

# Three missed heartbeats: after that the brain calls the node lost.
_HEARTBEAT_FRESH_SEC: Final = 6.0


class Agent:
    """Use as an asynchronous context manager: it works while the context lasts. `port` is its HTTP's."""

    def __init__(self, config: Config, log: Log) -> None:
        self._config = config
        self._log = log
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()
        self.metrics = Metrics()
        self.clock = Clock()
        self.live = Live()
        self.store = Store(config.data / "agent.sqlite3")
        self.brain = Brain(config.brain_url, config.node, read_credential(config.credential_file), self.clock)
        self.buffer = EventBuffer(self.store, self.brain, config.node, config.max_buffered_events, self.metrics, log)
        self.reports = Reports(config.node, self.live, self.buffer, self.store, self.clock, self.metrics, log)
        self.ng = Ng(config.rtpengine) if config.rtpengine else None
        self.rtpengine = RtpEngine(self.ng)
        self.evapi = Evapi(config.evapi, self._received, self._connected, log)
        limits = Limits(config.decision_timeout, config.max_questions, config.max_questions_per_domain)
        self.deliveries = Deliveries(read_credential(config.credential_file), self.clock)
        asking = Asking(self.brain, self.metrics, log, config.flow_patience)
        # FreeSWITCH goes on without this agent, and knows what to do with calls that nobody drives.
        self._outlived = isinstance(config.media, FreeSwitchMedia)
        self.calls = Calls(asking, self.reports, self._terminate, self.metrics, log, outlived=self._outlived)
        self.decisions = Decisions(
            config.node, self.brain, self.live, self.reports, self.calls, limits, self.deliveries, self.metrics, log
        )
        self._operations: Operations | None = None
        self.port = config.listen.port

    async def __aenter__(self) -> Agent:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """In this order: no more calls in the engine, no more questions, calls under way reported, events on disk,
        connections closed."""
        await self.calls.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.decisions.close()
        await self.buffer.flush()
        await self._stack.aclose()

    async def _start(self) -> None:
        config = self._config
        await self._stack.enter_async_context(self.store)
        await self._stack.enter_async_context(self.brain)
        if self.ng is not None:
            await self._stack.enter_async_context(self.ng)
        await self.buffer.open()
        await self.reports.open()
        kamailio: Kamailio | None = None
        if config.rpc_url is not None:
            kamailio = Kamailio(await self._stack.enter_async_context(Rpc(config.rpc_url)))
        self.rebuilder = Rebuilder(kamailio, self.live, self.clock, config.rebuild_interval, self._booted, self._log)
        self.heartbeat = Heartbeat(
            config,
            ulid(self.clock.local(), os.urandom(RANDOM_BYTES)),
            Node(self.live, self.rebuilder, self.rtpengine, self.calls, Processors()),
            self.brain,
            self.reports,
            self.buffer,
            self.decisions,
            self.deliveries,
            self.clock,
            self.metrics,
            self._log,
        )
        operations = self._operations = Operations(
            config,
            self.live,
            self.rebuilder,
            kamailio,
            self.heartbeat,
            self.reports,
            self.decisions,
            self.evapi,
            self.clock,
        )
        commands = Commands(
            config.node,
            read_credential(config.credential_file),
            operations.table(),
            self.store,
            self.clock,
            self.metrics,
            self._log,
        )
        app = application(commands, self.health, self.metrics)
        server = await self._stack.enter_async_context(Server(app, config.listen))
        self.port = server.port
        for part in (
            self.buffer.run_writer,
            self.buffer.run_sender,
            self.rtpengine.run,
            self.rebuilder.run,
            self.heartbeat.run,
            self.evapi.run,
        ):
            self._spawn(part)
        if config.media is not None:
            await self._start_media(config, config.media)
        if kamailio is not None and not self._outlived:
            self._spawn(Leftovers(kamailio, self.evapi, self._log).run)
        if kamailio is not None and self.ng is not None:
            self._spawn(MediaWatch(kamailio, self.rtpengine, self.ng, self._log).run)
        self._log.info("agent started", node=config.node, region=config.region, version=config.version)

    async def _start_media(self, config: Config, media: EmbeddedMedia | FreeSwitchMedia) -> None:
        """The engine starts beside the rest: phones register and call each other without it."""
        rate = choose(config, media, self.calls, self._log).limits.rate
        cache = await asyncio.to_thread(Cache, config.data / "prompts", config.prompts.cache_mb * 2**20)
        synthesiser = EspeakNg() if config.prompts.speech == "espeak-ng" else None
        library = Library(self.brain, cache, synthesiser, rate, config.flow_patience, self.metrics, self._log)
        self._stack.push_async_callback(library.close)
        keeper = Keeper(
            lambda: choose(config, media, self.calls, self._log),
            lambda engine: self.calls.attach(engine, library),
            self._log,
        )
        self._spawn(keeper.run)

    async def _terminate(self, call_id: str, cause: str) -> None:
        """Kamailio ends a call, both ways; one that it does not have is over already."""
        try:
            if self._operations is not None:
                await self._operations.hangup({"call_id": call_id, "cause": cause})
        except OperationError as error:
            self._log.error("call not ended", call_id=call_id, cause=cause, error=str(error))

    def health(self) -> Health:
        now = time.monotonic()
        heard = self.heartbeat.heard_at
        heartbeat_ok = heard is not None and now - heard < _HEARTBEAT_FRESH_SEC
        kamailio_ok = self.evapi.connected
        self.metrics.evapi_connected.set(kamailio_ok)
        parts: dict[str, object] = {
            "node": self._config.node,
            "version": self._config.version,
            "kamailio": kamailio_ok,
            "brain": heartbeat_ok,
            "rtpengine": self.rtpengine.up if self._config.rtpengine else None,
            "media_engine": self._media_health(),
            "live_view": self.rebuilder.first_done.is_set(),
            "draining": self.decisions.draining,
            "calls": self.live.calls,
            "contacts": self.live.contacts,
            "events_buffered": self.buffer.stored,
        }
        return Health(kamailio_ok and heartbeat_ok, parts)

    def _media_health(self) -> dict[str, object] | None:
        """None on a node that answers no calls."""
        if self._config.media is None:
            return None
        engine = self.calls.engine
        up = engine is not None and engine.up
        self.metrics.media_up.set(up)
        self.metrics.media_channels.set(engine.channels if engine else 0)
        found: dict[str, object] = {"engine": self._config.media.engine, "up": up, "callers": self.calls.callers}
        return found if engine is None else found | {"version": engine.version, "channels": engine.channels}

    def _spawn(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.create_task(part(), name=part.__qualname__)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part that dies of a fault takes the agent with it: its supervisor starts it anew, whole."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("part died", part=task.get_name(), error=repr(error))
            self.failed.set()

    def _connected(self) -> None:
        self.metrics.evapi_connected.set(1)

    def _booted(self) -> None:
        """Kamailio started: what it knows now is told before it takes calls."""
        self.heartbeat.hello_soon()

    def _received(self, payload: bytes) -> None:
        try:
            message = seam.decode(payload)
            if isinstance(message, Question):
                self.decisions.ask(message, self.evapi)
            elif message.kind == "boot":
                self.rebuilder.booted(message.values.get("boot", ""))
                self._acknowledge(message)
            elif self._abandoned(message):
                self._acknowledge(message)
            else:
                self._settled(message)
                self.reports.take(message, lambda: self._acknowledge(message))
        except MalformedError as error:
            self._malformed(payload, error)
        except Exception as error:
            # Whatever a stranger made Kamailio send, the others' calls go on.
            self._log.error("message not handled", error=repr(error))
            self._malformed(payload, MalformedError("not handled"))

    def _settled(self, report: Report) -> None:
        """An answer or an end wins over every branch that is still to join."""
        if report.kind == "dialog" and report.values.get("state") in ("answer", "end", "failed"):
            self.decisions.staggered.stop(report.values.get("call", ""))

    def _abandoned(self, report: Report) -> bool:
        """A call that failed while its first question is with the brain: told when the brain's answer is known."""
        values = report.values
        if report.kind != "dialog" or values.get("call") or values.get("state") != "failed":
            return False
        sip_ids = values.get("callid", ""), values.get("ftag", ""), values.get("cseq", "")
        return self.decisions.abandon(*sip_ids, values.get("cause") or "abandoned")

    def _acknowledge(self, report: Report) -> None:
        self.evapi.send(seam.acknowledge(report.id))

    def _malformed(self, payload: bytes, error: MalformedError) -> None:
        """Nobody waits for what cannot be read: the caller is refused, the event is let go."""
        self.metrics.malformed.inc()
        self._log.warning("malformed message", error=str(error), size=len(payload))
        if (tm := seam.tm_of(payload)) is not None:
            self.evapi.send(seam.reply(tm, 400, "Bad Request"))
        elif (event_id := seam.event_id_of(payload)) is not None:
            self.evapi.send(seam.acknowledge(event_id))
