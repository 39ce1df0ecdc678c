"""A call's flow in its CALL_SESSION object: loaded once; then each step is decided, written, and only then carried out.

One step at a time. What a step asks for (an HTTP request, a leg) stands in the written state before it is done, so a
step that dies over it is taken up by the node's repeat: the same request, under the same id.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tandem.contracts.errors import TandemError
from tandem.contracts.flow import FlowReply, FlowRequest, reply_of
from tandem.contracts.objects import open_envelope
from tandem.contracts.session import LegPlaced as Placed
from tandem.contracts.session import LegTarget, SessionFacts, SessionQuery
from tandem.contracts.session import PlaceLeg as PlaceLegQuestion
from tandem.domain.flows import (
    CallEnded,
    Data,
    Effect,
    Event,
    Facts,
    Fetch,
    Fetched,
    Finish,
    Flow,
    Graph,
    LegPlaced,
    LegRefused,
    MediaFile,
    Pending,
    PlaceLeg,
    Refuse,
    Session,
    Started,
    Status,
    Stepped,
    Tell,
    Trace,
    TraceEntry,
    decode,
    encode,
    new_session,
    step,
)
from tandem.domain.flows.addresses import refusal
from tandem.domain.flows.commands import Noop
from tandem.domain.hours import Schedule, make_rule
from tandem.domain.target import Target
from tandem.runtime import Env, Sql, http_fetch, now_ms, random_bytes
from tandem.runtime.log import log
from tandem.store.session import Entry, Kept, SessionRows

LARGEST_REPLY: Final = 65_536
# What the requests of one step may take together: nobody waits on a silent line for longer.
STEP_BUDGET_MS: Final = 12_000
ORDER_TIMEOUT_SEC: Final = 3.0
USER_AGENT: Final = "Tandem"


@dataclass(slots=True)
class _Live:
    """The session as it is written, and what was read of it once."""

    kept: Kept
    facts: Facts
    session: Session


class CallFlow:
    """`kept` is None until the call's node started the flow, and again when all of it is erased."""

    def __init__(self, sql: Sql, env: Env) -> None:
        self._sql = sql
        self._env = env
        self._rows = SessionRows(sql)
        self._turn = asyncio.Lock()
        self._live: _Live | None = None
        self.kept = self._rows.get()

    async def answer(self, asked: FlowRequest, node_id: str) -> FlowReply:
        """What the node is to do next. Raises `TandemError` `not_found`, `forbidden`, `stale_step`."""
        async with self._turn:
            if self.kept is None:
                if asked.outcome is not None:
                    raise TandemError("not_found", "This call has no flow; start it without an outcome.", "callId")
                await self._begin(asked, node_id)
            kept = self._live_or_load().kept
            if kept.account_id != asked.account_id or kept.call_id != asked.call_id:
                raise TandemError("not_found", "There is no such call in this account.", "callId")
            if kept.node_id != node_id:
                raise TandemError("forbidden", "Another node has this call.")
            return await self._drive(_event(asked))

    async def end(self, cause: str) -> None:
        """The call is over, whatever the node says."""
        async with self._turn:
            if self.kept is not None and self.kept.ended_at is None:
                self._take(CallEnded(now_ms(), cause))

    def suspect(self) -> None:
        """The account takes the call for over: it is asked at once whether that is so."""
        if self.kept is not None and self.kept.ended_at is None:
            self.checked(0)

    def trace(self) -> list[list[Any]]:
        return self._rows.trace()

    def checked(self, at: int) -> None:
        """The account has the call."""
        assert self.kept is not None
        self._rows.checked(at)
        self._keep(checked_at=at)

    def flushed(self) -> None:
        """The trace is in D1."""
        assert self.kept is not None
        self._rows.flushed()
        self._keep(flushed=True)

    def erased(self) -> None:
        self.kept = self._live = None
        self._rows.undone()

    def _keep(self, **changes: Any) -> None:
        assert self.kept is not None
        self.kept = replace(self.kept, **changes)
        if self._live is not None:
            self._live.kept = self.kept

    async def _begin(self, asked: FlowRequest, node_id: str) -> None:
        query = SessionQuery(call_id=asked.call_id, node_id=node_id)
        reply = await self._env.presence.call(asked.account_id, "session_facts", asked.account_id, query.wire())
        status, text = open_envelope(reply)
        if status != 200:
            error = json.loads(text)["error"]
            raise TandemError(error["code"], error["message"], error.get("field"))
        facts = read_facts(text)
        now = now_ms()
        session = new_session(random_bytes(16).hex())
        kept = Kept(asked.call_id, asked.account_id, node_id, now, now, encode(session), None, False)
        versions = {flow.flow_id: flow.version for flow in facts.flows.values()}
        target = {"target_kind": facts.target_kind, "target_id": facts.target_id, "versions": versions}

        def write() -> None:
            self._rows.begin(kept, text)
            self._rows.add([Entry(kept.started_at, "start", None, _dumps(target))])

        self._write(write)
        self.kept = kept
        self._live = _Live(kept, facts, session)

    async def _drive(self, event: Event) -> FlowReply:
        until = now_ms() + STEP_BUDGET_MS
        while True:
            effects = self._take(event)
            pending: Pending | None = None
            for effect in effects:
                match effect:
                    case Refuse():
                        raise TandemError(effect.code, effect.message, "seq")
                    case Tell():
                        return reply_of(effect.command, effect.seq)
                    case Fetch() | PlaceLeg():
                        pending = effect
            if pending is None:
                return reply_of(Noop(), self._live_or_load().session.seq)
            event = await self._perform(pending, until)

    def _take(self, event: Event) -> Sequence[Effect]:
        """One step of the machine, written."""
        live = self._live_or_load()
        session, effects = step(live.facts, live.session, event)
        entries = [_entry(one.entry) for one in effects if isinstance(one, Trace)]
        reason = next((one.reason for one in effects if isinstance(one, Finish)), None)
        if session is live.session and not entries and reason is None:
            return effects
        ended = event.at if session.status is Status.ENDED else None
        kept = replace(live.kept, ended_at=live.kept.ended_at or ended)
        state = encode(session)

        def write() -> None:
            self._rows.put(state, kept.ended_at)
            self._rows.add(entries)
            if reason is not None:
                self._rows.add([Entry(event.at, "end", None, _dumps({"reason": reason}))], last=True)

        self._write(write)
        self.kept = kept
        self._live = _Live(kept, live.facts, session)
        return effects

    def _write(self, body: Any) -> None:
        try:
            self._sql.transaction(body)
        except BaseException:
            self._rows.undone()
            self._live = None
            raise

    def _live_or_load(self) -> _Live:
        if self._live is None:
            kept = self._rows.get()
            assert kept is not None
            self.kept = kept
            self._live = _Live(kept, read_facts(self._rows.facts()), decode(kept.state))
        return self._live

    async def _perform(self, pending: Pending, until: int) -> Event:
        if isinstance(pending, Fetch):
            return await self._fetch(pending, until)
        return await self._order(pending)

    async def _fetch(self, asked: Fetch, until: int) -> Fetched:
        why = refusal(asked.url, self._env.http_allow)
        if why is not None:
            return Fetched(now_ms(), asked.fetch_id, error=why)
        timeout = min(asked.timeout_ms, until - now_ms())
        if timeout <= 0:
            return Fetched(now_ms(), asked.fetch_id, error="This step has taken too long already.", timed_out=True)
        headers = {"user-agent": USER_AGENT, "idempotency-key": asked.fetch_id}
        headers |= {name.lower(): value for name, value in asked.headers}
        try:
            reply = await http_fetch(asked.method, asked.url, headers, asked.body, timeout, LARGEST_REPLY)
        except TimeoutError:
            return Fetched(now_ms(), asked.fetch_id, error=f"No reply within {timeout} ms.", timed_out=True)
        except ConnectionError as error:
            return Fetched(now_ms(), asked.fetch_id, error=str(error)[:200])
        # What is no UTF-8 is no JSON; it may still be a good reply that nobody wants to read.
        return Fetched(now_ms(), asked.fetch_id, reply.status, reply.body.decode(errors="replace"))

    async def _order(self, asked: PlaceLeg) -> LegPlaced | LegRefused:
        kept = self._live_or_load().kept
        try:
            question = PlaceLegQuestion(
                call_id=kept.call_id,
                leg_id=asked.leg_id,
                node_id=kept.node_id,
                targets=[LegTarget(dest_kind=one.dest_kind, dest_id=one.dest_id) for one in asked.targets],
                timeout_sec=asked.timeout_sec,
                caller_id=asked.caller_id,
            )
            async with asyncio.timeout(ORDER_TIMEOUT_SEC):
                reply = await self._env.presence.call(kept.account_id, "place_leg", kept.account_id, question.wire())
            status, text = open_envelope(reply)
            if status != 200:
                return LegRefused(now_ms(), asked.leg_id, json.loads(text)["error"]["message"])
            placed = Placed.model_validate_json(text)
        except Exception as error:
            reason = type(error).__name__
            log("warning", "leg_not_placed", call_id=kept.call_id, account_id=kept.account_id, error=reason)
            return LegRefused(now_ms(), asked.leg_id, "The leg cannot be placed now.")
        return LegPlaced(now_ms(), asked.leg_id, placed.uri, placed.token, placed.noted)


def read_facts(text: str) -> Facts:
    found = SessionFacts.model_validate_json(text)
    return Facts(
        target_kind=found.target_kind,
        target_id=found.target_id,
        direction=found.direction,
        from_num=found.from_num,
        to_num=found.to_num,
        timezone=found.timezone,
        language=found.language,
        voice=found.voice,
        flows={
            row.flow_id: Flow(row.flow_id, row.name, row.version, Graph.model_validate_json(row.graph))
            for row in found.flows
        },
        schedules={name: _schedule(name, *rows) for name, rows in found.schedules.items()},
        media={name: MediaFile(one.key, one.etag) for name, one in found.media.items()},
        playlists={name: tuple(ids) for name, ids in found.playlists.items()},
        exits={name: Target("flow", one.flow_id, tuple(one.vars.items())) for name, one in found.exits.items()},
        vars=found.vars,
    )


def _schedule(name: str, timezone: str | None, rules: list[list[Any]]) -> Schedule:
    return Schedule(
        name,
        timezone,
        tuple(
            make_rule(kind, dow, start_time, end_time, start_date, end_date, bool(is_closed), label)
            for kind, dow, start_time, end_time, start_date, end_date, is_closed, label in rules
        ),
    )


def _event(asked: FlowRequest) -> Event:
    if asked.outcome is None:
        return Started(now_ms())
    if asked.seq is None:
        raise TandemError("invalid_request", "An outcome needs the seq of its command.", "seq")
    said = asked.data
    data = Data(said.digits, said.terminator, said.cause, said.message)
    return Stepped(now_ms(), asked.seq, asked.outcome, data)


def _entry(one: TraceEntry) -> Entry:
    told = {
        "flow_id": one.flow_id,
        "entered_at": one.entered_at,
        "seq": one.seq,
        "outcome": one.outcome,
        "done": one.done,
        "variables": dict(one.variables) or None,
        "digits": one.digits,
        "error": one.error,
    }
    data = {name: value for name, value in told.items() if value is not None}
    return Entry(one.at, one.kind, one.node_id, _dumps(data))


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
