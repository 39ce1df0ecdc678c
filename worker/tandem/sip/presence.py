"""`POST /presence/event`, applied inside the PresenceDO: registrations, dialogs, snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tandem.contracts.events import (
    NOTHING,
    DialogEvent,
    DialogState,
    Event,
    MediaEvent,
    RegisterEvent,
    SnapshotEvent,
)
from tandem.domain.cac import Dimension, Leg, Want, asks_of, readmit, wants_of
from tandem.domain.calls import (
    Answered,
    Call,
    Ended,
    Listed,
    Lost,
    Progressed,
    State,
    answered_by,
    connected_to,
    recheck,
    renew,
    step,
    told_of_media,
)
from tandem.domain.calls import Event as CallEvent
from tandem.domain.numbers import parse_uri
from tandem.domain.reachability import ContactChange
from tandem.sip.book import Book
from tandem.store.contacts import from_state
from tandem.store.snapshots import Snapshot

NOT_YET_LISTED_MS: Final = 5_000  # a decision so young may not have reached the node's list


def apply(book: Book, event: Event, node_id: str, now: int) -> None:
    """Applies one event of a node; a repeated event changes nothing."""
    if not book.guards.first_event(event.event_id, now):
        return
    match event:
        case RegisterEvent():
            book.contacts.report(ContactChange(event.state), from_state(event, node_id, min(event.at, now)), now)
        case DialogEvent():
            _dialog(book, event, now)
        case MediaEvent():
            _media(book, event, now)
        case SnapshotEvent():
            snapshot(book, event, node_id, now)


def _dialog(book: Book, event: DialogEvent, now: int) -> None:
    call = _find(book, event)
    if call is None:
        return
    after = step(call, _step_of(event, max(min(event.at, now), call.start_ts)))
    if event.state == "answer":
        after = _answered_by(book, after, event.target)
    _write(book, call, after)


def _media(book: Book, event: MediaEvent, now: int) -> None:
    call = book.calls.by_id(event.call_id)
    if call is not None:
        at = max(min(event.at, now), call.start_ts)
        _write(book, call, told_of_media(call, at, event.media_app_ms, held=event.state == "held"))


def _answered_by(book: Book, call: Call, target: str | None) -> Call:
    """Of all who rang, only the one whose device answered stays; who that was is known when only one rang."""
    if len(call.ringing) <= 1:
        known = not call.ringing or call.callee_user_id == call.ringing[0]
        return call if known else answered_by(call, call.ringing[0])
    user_id = None if target is None else book.limits.user_of_device(parse_uri(target).user)
    if user_id is None:
        return call
    if call.state is not State.ENDED:
        book.holdings.release(call.call_id, Leg.CALLEE, keep=user_id)
        book.holdings.take(call.call_id, Want(Leg.CALLEE, Dimension.USER_SIMULTANEOUS, user_id))
    return answered_by(call, user_id)


def _step_of(event: DialogEvent, at: int) -> CallEvent:
    match event.state:
        case "start" | "early":
            return Progressed(at, event.seq)
        case "answer":
            return Answered(at, event.seq)
        case "end" | "failed":
            mos = None if event.stats is None else event.stats.mos
            return Ended(at, event.seq, event.cause, event.hung_up_by, mos)


def _find(book: Book, named: DialogEvent | DialogState) -> Call | None:
    if named.call_id is not None:
        return book.calls.by_id(named.call_id)
    if named.cseq is None:
        return None
    return book.calls.by_sip(named.sip_call_id, named.from_tag, named.cseq)


def _move(book: Book, call: Call, event: CallEvent) -> None:
    _write(book, call, step(call, event))


def _write(book: Book, call: Call, after: Call) -> None:
    if after is call:
        return
    if call.state is State.ENDED and after.state is not State.ENDED:
        after = _readmit(book, after)
    book.calls.put(after)
    if after.parent_id is not None and after.answer_ts is not None:
        _connect(book, after.parent_id)


def _connect(book: Book, call_id: str) -> None:
    """The call's record has who answered its newest leg."""
    call, user_id = book.calls.by_id(call_id), book.calls.last_to_answer(call_id)
    if call is not None and user_id is not None:
        _write(book, call, connected_to(call, user_id))


def spoken_of(book: Book, call_id: str, node_id: str, now: int) -> Call | None:
    """The live call of this node that it speaks of, which proves that one taken for gone is up after all."""
    call = book.calls.by_id(call_id)
    if call is None or call.node_id != node_id:
        return None
    if call.lost:
        _move(book, call, Listed(now, call.answer_ts is not None))
        call = book.calls.by_id(call_id)
    return None if call is None or call.state is State.ENDED else call


def _readmit(book: Book, call: Call) -> Call:
    """The call was taken for gone, and is up: it counts again, here and under its ancestors' ceilings."""
    wants = held_by(book, call)
    readmit(book.holdings, call.call_id, wants)
    _, *ancestors = book.limits.ceilings(book.account_id)
    asks = asks_of(ancestors, call.call_id, wants, call.row_version)
    book.asked.take(asks)
    return replace(call, shared=bool(asks) or call.shared)


def held_by(book: Book, call: Call) -> list[Want]:
    """All that a live call holds, whatever the rows say."""
    counts_trunk = call.trunk_id is not None and book.limits.owns_trunk(call.trunk_id)
    return wants_of(book.account_id, call, counts_trunk=counts_trunk)


def snapshot(book: Book, taken: SnapshotEvent, node_id: str, now: int) -> None:
    """Brings the book in line with what is live on the node: ghosts end, survivors keep or get back their place."""
    as_of = min(taken.as_of, now)
    last = book.snapshots.get(node_id)
    if last is not None and last.as_of > as_of:
        return
    listed: set[str] = set()
    for dialog in taken.dialogs:
        call = _find(book, dialog)
        if call is not None and call.node_id == node_id:
            listed.add(call.call_id)
            _move(book, call, Listed(as_of, dialog.state == "answered"))
    for call in book.calls.live_on(node_id):
        if call.call_id not in listed and call.start_ts < as_of - NOT_YET_LISTED_MS:
            _move(book, call, Lost(as_of, "not_on_node"))
    book.contacts.replace_node(node_id, as_of, taken.contacts, now)
    book.contacts.node_returned(node_id)
    book.snapshots.put(node_id, Snapshot(taken.digests.dialogs, taken.digests.contacts, as_of))


def node_lost(book: Book, node_id: str, now: int) -> None:
    """Its contacts cannot be reached, its calls are taken for gone until it returns with them."""
    book.contacts.node_lost(node_id, now)
    for call in book.calls.live_on(node_id):
        _move(book, call, Lost(now, "node_lost"))


def lapse(book: Book, call: Call, node_status: str, dialogs: str | None, now: int) -> None:
    """What becomes of a call whose lease ran out, by what FLEET knows of its node."""
    if node_status == "lost":
        _move(book, call, Lost(now, "node_lost"))
        return
    if node_status == "active" and dialogs in (None, NOTHING.dialogs):
        # The node has no call of this account, and if it never had one since it started, no list will ever say so.
        _move(book, call, Lost(now, "not_on_node"))
        return
    last = book.snapshots.get(call.node_id)
    current = node_status == "active" and last is not None and last.dialogs == dialogs
    if current and last is not None and call.listed_at >= last.as_of:
        book.calls.put(renew(call, now))
    elif current:
        _move(book, call, Lost(now, "not_on_node"))
    else:
        book.calls.put(recheck(call, now))
