"""What a call's session is told of its call and its flow: as the account's PRESENCE knows it now."""

from __future__ import annotations

import json
from typing import Final, Literal

from pydantic import ValidationError

from tandem.contracts.errors import TandemError
from tandem.contracts.session import CallAlive, CallQuery, FlowRow, MediaRow, SessionFacts, SessionQuery
from tandem.domain.account import Account
from tandem.domain.calls import Call, State
from tandem.domain.flows import Graph, references
from tandem.domain.routing.plan import decode
from tandem.domain.target import MEDIA_KINDS
from tandem.runtime.log import log
from tandem.sip.book import Book
from tandem.sip.presence import spoken_of

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
    flows, wanted = _flows(book, call, plan.frame.dest_id) if plan.frame.kind == "flow" else ([], {})
    playlists = book.flows.playlists(wanted.get("playlist", ()))
    media = wanted.get("media", set()).union(*playlists.values())
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
        flows=flows,
        schedules=book.flows.schedules(wanted.get("schedule", ())),
        media={name: MediaRow(key=key, etag=etag) for name, (key, etag) in book.flows.media(media).items()},
        playlists=playlists,
    )


def alive(book: Book, asked: CallQuery, now: int) -> CallAlive:
    """A call that is only taken for gone may return with its node, for a while."""
    call = book.calls.by_id(asked.call_id)
    if call is None:
        return CallAlive(live=False)
    may_return = call.lost and call.end_ts is not None and now < call.end_ts + RETURNS_WITHIN_MS
    return CallAlive(live=call.state is not State.ENDED or may_return)


def _flows(book: Book, call: Call, flow_id: str) -> tuple[list[FlowRow], dict[str, set[str]]]:
    """The flow and all that it calls, each once, and what they name by kind. One that is not published, or that this
    brain cannot read, is left out: for the flow that calls it, it is gone."""
    found: list[FlowRow] = []
    wanted: dict[str, set[str]] = {}
    waiting, seen = [flow_id], {flow_id}
    while waiting and len(found) < MOST_FLOWS:
        row = book.flows.flow(waiting.pop())
        if row is None:
            continue
        try:
            named = references(Graph.model_validate_json(row.graph))
        except ValidationError:
            log("error", "flow_unreadable", account_id=book.account_id, call_id=call.call_id, flow_id=row.flow_id)
            continue
        found.append(FlowRow(flow_id=row.flow_id, name=row.name, version=row.version, graph=row.graph))
        for kind, name in named:
            wanted.setdefault(kind, set()).add(name)
            if kind == "flow" and name not in seen:
                seen.add(name)
                waiting.append(name)
    return found, wanted
