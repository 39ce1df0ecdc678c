"""PRESENCE: one object an account. Configuration, reachability and concurrency, seen at one instant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tandem.contracts.auth import AuthRequest
from tandem.contracts.base import BrainMessage
from tandem.contracts.cac import CacResetReply
from tandem.contracts.children import AdmitChild, ChildChanges, ChildrenQuery
from tandem.contracts.errors import TandemError, error_reply, parse
from tandem.contracts.events import EventAck, EventBatch
from tandem.contracts.objects import NodeChanged, Origin, envelope, open_envelope
from tandem.contracts.route import RouteRequest
from tandem.contracts.session import CallQuery, PlaceLeg, SessionQuery
from tandem.domain.cac import Ask
from tandem.runtime import DurableObject, make_env, now_ms, object_alarm, object_sql, random_bytes
from tandem.runtime.log import log
from tandem.runtime.wheel import Wheel
from tandem.sip import admission, auth, cac, children, explain, facts, legs, presence, route
from tandem.sip.book import Book
from tandem.sip.outbox import Outbox
from tandem.sip.reconcile import reconcile_nodes
from tandem.sip.upkeep import Leases, Shipping, Sweep
from tandem.store.asked import ASKING_MS
from tandem.store.children import LEASE_MS
from tandem.store.node_addresses import NodeAddress


class Presence(DurableObject):
    """Every method takes and returns texts (`tandem.contracts.objects`)."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self._bindings = make_env(env)
        self._book = Book(object_sql(ctx), self._bindings.master_key)
        self._shipping = Shipping(self._book, self._bindings, now_ms())
        self._sweep = Sweep(self._book, self._bindings, now_ms())
        self._outbox = Outbox(self._book, self._bindings)
        tasks = (
            self._outbox,
            self._shipping,
            Leases(self._book, self._bindings, self._shipping),
            children.ChildLeases(self._book, self._bindings),
            self._sweep,
        )
        self._wheel = Wheel(object_alarm(ctx), tasks, lambda: random_bytes(1)[0] / 256)
        self._wheel.arm(now_ms())
        self._loaded = False
        self._loading = asyncio.Lock()

    async def auth(self, account_id: str, origin: str, text: str) -> str:
        """`POST /auth`."""

        def decide(sender: Origin, now: int) -> str:
            self._wheel.nudge(self._sweep.due)
            return auth.answer(self._book, parse(AuthRequest, text), sender.node_id, now).wire()

        return await self._decide(account_id, origin, decide)

    async def route(self, account_id: str, origin: str, text: str) -> str:
        """`POST /route`."""

        waiting: list[Ask] = []

        def decide(sender: Origin, now: int) -> str:
            reply, asks = route.answer(self._book, parse(RouteRequest, text), sender.node_id, sender.region, now)
            waiting.extend(asks)
            self._stir(now)
            if asks:
                self._wheel.nudge(now + ASKING_MS)
            return reply

        reply = await self._decide(account_id, origin, decide)
        for call in self._book.calls.take_warned():
            admission.warn(account_id, call)
        return await self._settle(account_id, open_envelope(reply)[1], waiting) if waiting else reply

    async def _settle(self, account_id: str, text: str, asks: list[Ask]) -> str:
        """The ancestors' word on a call that they must grant."""
        refusal = await admission.ask_ancestors(self._bindings, account_id, asks)

        def decide(now: int) -> str:
            reply = admission.settle(self._book, asks[0].call_id, text, refusal, now)
            self._stir(now)
            return reply

        return await self._answer(account_id, decide)

    async def explain(self, account_id: str, text: str) -> str:
        """What `/route` would answer, and why; nothing is left of it."""
        return await self._answer(account_id, lambda now: explain.answer(self._book, text, now))

    async def session_facts(self, account_id: str, text: str) -> str:
        """A call's session begins: what is it to run?"""
        return await self._answer(
            account_id, lambda now: self._heard(facts.facts(self._book, parse(SessionQuery, text), now), now)
        )

    async def place_leg(self, account_id: str, text: str) -> str:
        """A call's session orders a leg."""
        return await self._answer(
            account_id, lambda now: self._heard(legs.place(self._book, parse(PlaceLeg, text), now), now)
        )

    async def call_alive(self, account_id: str, text: str) -> str:
        """A call's session asks whether the call is still there."""
        return await self._answer(account_id, lambda now: facts.alive(self._book, parse(CallQuery, text), now).wire())

    async def admit_child(self, account_id: str, text: str) -> str:
        """An account below asks for room under this account's ceilings."""

        def decide(now: int) -> str:
            self._wheel.nudge(now + LEASE_MS)
            return children.admit_child(self._book, parse(AdmitChild, text), now).wire()

        return await self._answer(account_id, decide)

    async def children_changed(self, account_id: str, text: str) -> str:
        """Calls of an account below are over, or came back."""

        def decide(now: int) -> str:
            self._wheel.nudge(now + LEASE_MS)
            children.apply(self._book, parse(ChildChanges, text), now)
            return '{"ok":true}'

        return await self._answer(account_id, decide)

    async def children_held(self, account_id: str, text: str) -> str:
        """An account above asks which calls still count under its ceilings."""
        return await self._answer(
            account_id, lambda now: admission.still_held(self._book, parse(ChildrenQuery, text)).wire()
        )

    async def event(self, account_id: str, origin: str, text: str) -> str:
        """`POST /presence/event`: those of the batch's events that are this account's."""

        def decide(sender: Origin, now: int) -> str:
            batch = parse(EventBatch, text)
            for event in batch.events:
                presence.apply(self._book, event, sender.node_id, now)
            self._stir(now)
            return EventAck(acked=[event.event_id for event in batch.events]).wire()

        return await self._decide(account_id, origin, decide)

    async def cac(self, account_id: str) -> str:
        """`GET /cac`."""
        return await self._answer(account_id, lambda now: cac.view(self._book, now).wire())

    async def cac_reset(self, account_id: str) -> str:
        """`POST /cac/reset`: asks every node for its live dialogs, then rebuilds what is held from them."""
        nodes: dict[str, str] = {}

        async def ask() -> None:
            nodes.update(await reconcile_nodes(self._book, self._bindings))

        def rebuild(now: int) -> str:
            cac.rebuild(self._book, now)
            self._stir(now)
            self._wheel.arm(now)
            return CacResetReply(**dict(cac.view(self._book, now)), nodes=nodes).wire()

        return await self._answer(account_id, rebuild, first=ask)

    async def poke(self, account_id: str) -> str:
        """The account's configuration changed: pulls it now."""

        async def pull() -> None:
            await self._book.replica.pull(self._bindings.control, account_id)

        return await self._answer(account_id, lambda now: '{"ok":true}', first=pull)

    async def node_changed(self, account_id: str, text: str) -> str:
        """FLEET lost or found a node that has to do with this account."""

        def decide(now: int) -> str:
            change = parse(NodeChanged, text)
            if change.change == "lost":
                presence.node_lost(self._book, change.node_id, now)
            else:
                self._book.contacts.node_returned(change.node_id)
            self._stir(now)
            return '{"ok":true}'

        return await self._answer(account_id, decide)

    async def alarm(self, info: Any = None) -> None:
        await self._wheel.ring(now_ms)

    def _heard(self, reply: BrainMessage, now: int) -> str:
        """A session spoke of its call, which may have brought it back."""
        self._stir(now)
        return reply.wire()

    def _stir(self, now: int) -> None:
        """Records may have changed, and ancestors be owed a word: sees to it that the alarm rings in time."""
        self._wheel.nudge(self._shipping.dirty(now))
        owing = self._outbox.owing(now)
        if owing is not None:
            self._wheel.nudge(owing)

    async def _decide(self, account_id: str, origin: str, decide: Callable[[Origin, int], str]) -> str:
        """A node's request: taken once by its request id, decided without an await."""
        sender = Origin.decode(origin)
        if sender.sip_address:
            # Before the transaction: what is known in memory must not be undone.
            address = NodeAddress(sender.sip_address, sender.credential_version)
            self._book.addresses.remember(sender.node_id, address)

        def once(now: int) -> str:
            if not self._book.guards.first_request(sender.request_id, now):
                raise TandemError("replayed_request", "This request was taken already; sign a retry anew.")
            return decide(sender, now)

        return await self._answer(account_id, once, sender.request_id)

    async def _answer(
        self,
        account_id: str,
        decide: Callable[[int], str],
        request_id: str | None = None,
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        try:
            if not self._loaded:
                await self._load(account_id)
            if first is not None:
                await first()
            return envelope(200, self._book.sql.transaction(lambda: decide(now_ms())))
        except explain.Explained as explained:
            return envelope(200, explained.text)
        except TandemError as error:
            return envelope(error.status, error_reply(error, request_id))
        except Exception as error:
            log("error", "decision_failed", account_id=account_id, error=f"{type(error).__name__}: {error}")
            failure = TandemError("internal_error", "The brain failed to decide; the incident is in its log.")
            return envelope(failure.status, error_reply(failure, request_id))

    async def _load(self, account_id: str) -> None:
        """On wake: brings the replica up to date. An old one serves while D1 is away, an empty one does not."""
        async with self._loading:
            if self._loaded:
                return
            try:
                await self._book.replica.pull(self._bindings.control, account_id)
            except Exception as error:
                log("warning", "replica_pull_failed", account_id=account_id, error=type(error).__name__)
                if self._book.replica.version == 0:
                    raise TandemError("unavailable", "The account's configuration cannot be read; retry.") from error
            self._book.belong_to(account_id)
            self._loaded = True
