"""What a call's session is told of its call and its flow: as the account's PRESENCE knows it now."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import ValidationError

from tandem.contracts.errors import TandemError
from tandem.contracts.session import CallAlive, CallQuery, ExitRow, FlowRow, MediaRow, SessionFacts, SessionQuery
from tandem.domain.account import Account
from tandem.domain.calls import State
from tandem.domain.flows import Graph, references
from tandem.domain.routing import media_exit
from tandem.domain.routing.plan import decode
from tandem.domain.target import MEDIA_KINDS
from tandem.runtime.log import log
from tandem.sip.book import Book
from tandem.sip.presence import spoken_of
from tandem.sip.steps import make_context

MOST_FLOWS: Final = 100
RETURNS_WITHIN_MS: Final = 600_000


def facts(book: Book, asked: SessionQuery, now: int) -> SessionFacts:
    """Raises `TandemError` `not_found` unless the call is live at this node and its target needs the media engine."""
    call = spoken_of(book, asked.call_id, asked.node_id, now)
    if call is None or call.plan is None or call.parent_id is not None:
        raise TandemError("not_found", "There is no such call at this node.", "callId")
    plan = decode(json.loads(call.plan)[0])
    if plan.frame is None or plan.frame.kind not in MEDIA_KINDS:
        raise TandemError("not_found", "This call is not for the media engine.", "callId")
    account = book.directory.account() or Account(book.account_id, "")
    found = _flows(book, asked, plan.frame.dest_id, now) if plan.frame.kind == "flow" else _Found()
    playlists = book.flows.playlists(found.named.get("playlist", ()))
    media = found.named.get("media", set()).union(*playlists.values())
    voice: Literal["female", "male"] = "male" if account.voice_gender == "male" else "female"
    return SessionFacts(
        target_kind=plan.frame.kind,
        target_id=plan.frame.dest_id,
        vars=dict(plan.vars),
        direction=str(call.direction),
        from_num=call.from_num,
        to_num=call.to_num,
        timezone=account.timezone,
        language=account.language,
        voice=voice,
        flows=found.flows,
        schedules=book.flows.schedules(found.named.get("schedule", ())),
        media={name: MediaRow(key=key, etag=etag) for name, (key, etag) in book.flows.media(media).items()},
        playlists=playlists,
        exits=found.exits,
    )


def alive(book: Book, asked: CallQuery, now: int) -> CallAlive:
    """A call that is only taken for gone may return with its node, for a while."""
    call = book.calls.by_id(asked.call_id)
    if call is None:
        return CallAlive(live=False)
    may_return = call.lost and call.end_ts is not None and now < call.end_ts + RETURNS_WITHIN_MS
    return CallAlive(live=call.state is not State.ENDED or may_return)


@dataclass(slots=True)
class _Found:
    """Flows, each once; the ids that they name, by kind; to which flows the ring groups among those lead."""

    flows: list[FlowRow] = field(default_factory=list)
    named: dict[str, set[str]] = field(default_factory=dict)
    exits: dict[str, ExitRow] = field(default_factory=dict)


def _flows(book: Book, asked: SessionQuery, flow_id: str, now: int) -> _Found:
    """The flow and all that it leads to. One that is not published, or that this brain cannot read, is left out: for
    the flow that calls it, it is gone."""
    found = _Found()
    context = make_context(book, asked.call_id, asked.node_id, now)
    waiting, seen = [flow_id], {flow_id}
    while waiting and len(found.flows) < MOST_FLOWS:
        row = book.flows.flow(waiting.pop())
        if row is None:
            continue
        try:
            named = references(Graph.model_validate_json(row.graph))
        except ValidationError:
            log("error", "flow_unreadable", account_id=book.account_id, call_id=asked.call_id, flow_id=row.flow_id)
            continue
        found.flows.append(FlowRow(flow_id=row.flow_id, name=row.name, version=row.version, graph=row.graph))
        for kind, name in named:
            found.named.setdefault(kind, set()).add(name)
            onward = name if kind == "flow" else None
            if kind == "ring_group":
                target = media_exit(context, name)
                if target is not None and target.dest_kind == "flow":
                    onward = target.dest_id
                    found.exits[name] = ExitRow(flow_id=onward, vars=dict(target.xform))
            if onward is not None and onward not in seen:
                seen.add(onward)
                waiting.append(onward)
    return found
