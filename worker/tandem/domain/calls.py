"""One call's life, from the routing decision to its end, and the call record that it leaves (spec 40, "CDR").

`step` is a pure machine over the states of `TRANSITIONS`; an event that a state does not name changes nothing, which is
what makes duplicates, stragglers and reordering harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

UNHEARD_LEASE_MS: Final = 15_000  # from the decision until the node's first word of the call
UNANSWERED_LEASE_MS: Final = 90_000
ANSWERED_LEASE_MS: Final = 120_000
RECHECK_MS: Final = 10_000


class State(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class Direction(StrEnum):
    INTERNAL = "internal"
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Disposition(StrEnum):
    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"
    REJECTED = "rejected"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Call:
    """A live call and its record in one row. Times in epoch ms; `row_version` grows with every change.

    `lost` marks an end that the brain concluded without a report (node lost, not listed by it): it may be undone.
    `listed_at` is when the newest snapshot that lists the call was taken. `ringing`: the users who ring, or the one who
    talks. `limit_warnings`: ids of the soft limits that it went over. `plan`: what routing tries next, in its own JSON.
    `parent_id`: it is a leg that the media engine places for that call, without a record of its own. `media_app_ms`:
    how long the engine had the call's media, as its node last told; None: it was never sent there. `media_app_since`:
    when it took it again, if nobody has told yet that it let go.
    `shared`: it counts under ceilings of ancestors too; `pending`: they have not all granted it yet.
    """

    call_id: str
    sip_call_id: str
    from_tag: str
    cseq: str
    node_id: str
    region: str
    from_num: str
    to_num: str
    start_ts: int
    lease_until: int
    user_id: str | None = None
    callee_user_id: str | None = None
    state: State = State.RINGING
    answer_ts: int | None = None
    end_ts: int | None = None
    disposition: Disposition | None = None
    hangup_cause: str | None = None
    hangup_by: str | None = None
    mos: float | None = None
    cac_refused_by: str | None = None
    lost: bool = False
    last_seq: int = -1
    listed_at: int = 0
    row_version: int = 1
    direction: Direction = Direction.INTERNAL
    did_id: str | None = None
    trunk_id: str | None = None
    ring_group_id: str | None = None
    ringing: tuple[str, ...] = ()
    limit_warnings: tuple[str, ...] = ()
    plan: str | None = None
    shared: bool = False
    pending: bool = False
    parent_id: str | None = None
    media_app_ms: int | None = None
    media_app_since: int | None = None

    @property
    def duration_sec(self) -> int | None:
        return None if self.end_ts is None else _seconds(self.end_ts - self.start_ts)

    @property
    def billsec(self) -> int | None:
        """Whole seconds from answer to end, begun ones counted; 0 when nobody answered."""
        if self.end_ts is None:
            return None
        return 0 if self.answer_ts is None else _seconds(self.end_ts - self.answer_ts)

    @property
    def media_app_total_ms(self) -> int:
        """For the record. Of what died with the media nobody tells the sum: it had the media until the call's end."""
        told = self.media_app_ms or 0
        if self.end_ts is None or self.media_app_since is None:
            return told
        return told + max(0, self.end_ts - self.media_app_since)


@dataclass(frozen=True, slots=True)
class Progressed:
    """The node knows the call (it was offered to the callee, or rings)."""

    at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Answered:
    at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An established call ended, or an attempt failed; `cause` is a SIP code or a word."""

    at: int
    seq: int
    cause: str | None = None
    by: str | None = None
    mos: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The brain itself refuses the call: at the first question, or because no target is left."""

    at: int
    disposition: Disposition
    cause: str
    dimension: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A node lists the call as live in the snapshot that it took at `at`."""

    at: int
    answered: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The brain concludes that the call is gone: `cause` is `node_lost` or `not_on_node`."""

    at: int
    cause: str


Event = Progressed | Answered | Ended | Refused | Listed | Lost


def step(call: Call, event: Event) -> Call:
    """The call after `event`: the same object when nothing changed."""
    match event:
        case Progressed():
            return _progressed(call, event)
        case Answered():
            return _answered(call, event)
        case Ended():
            return _ended(call, event)
        case Refused():
            return _refused(call, event)
        case Listed():
            return _listed(call, event)
        case _:
            return _lost(call, event)


def _progressed(call: Call, event: Progressed) -> Call:
    if call.state is not State.RINGING or event.seq <= call.last_seq:
        return call
    return renew(replace(call, last_seq=event.seq), event.at)


def _answered(call: Call, event: Answered) -> Call:
    if call.answer_ts is not None:
        return call
    seq = max(call.last_seq, event.seq)
    if call.state is State.ENDED:
        return _late_answer(call, event, seq)
    return _changed(
        call, state=State.ANSWERED, answer_ts=event.at, lease_until=event.at + ANSWERED_LEASE_MS, last_seq=seq
    )


def _late_answer(call: Call, event: Answered, seq: int) -> Call:
    """The report of the answer was overtaken by that of the end: the record gets it, the call stays ended."""
    if call.disposition is Disposition.REJECTED:
        return call
    answer_ts = event.at if call.end_ts is None else min(event.at, call.end_ts)
    return _changed(call, answer_ts=answer_ts, disposition=Disposition.ANSWERED, last_seq=seq)


def _ended(call: Call, event: Ended) -> Call:
    if call.state is State.ENDED and not call.lost:
        return call
    disposition = Disposition.ANSWERED if call.answer_ts is not None else disposition_of(event.cause)
    return _changed(
        call,
        state=State.ENDED,
        end_ts=max(event.at, call.answer_ts or call.start_ts),
        disposition=disposition,
        hangup_cause=event.cause,
        hangup_by=event.by,
        mos=event.mos,
        lost=False,
        last_seq=max(call.last_seq, event.seq),
    )


def _refused(call: Call, event: Refused) -> Call:
    if call.state is not State.RINGING:
        return call
    return _changed(
        call,
        state=State.ENDED,
        end_ts=event.at,
        disposition=event.disposition,
        hangup_cause=event.cause,
        hangup_by="platform",
        cac_refused_by=event.dimension,
    )


def _listed(call: Call, event: Listed) -> Call:
    if call.state is State.ENDED:
        return _reopened(call, event) if call.lost else call
    listed = replace(call, listed_at=max(call.listed_at, event.at))
    if event.answered and call.state is State.RINGING:
        return _answered(listed, Answered(event.at, call.last_seq))
    return renew(listed, event.at)


def answered_by(call: Call, user_id: str) -> Call:
    """The call with the one of those who rang that took it."""
    return _changed(call, callee_user_id=user_id, ringing=(user_id,))


def connected_to(call: Call, user_id: str) -> Call:
    """The call with the user who answered a leg of it; the same object when that is known."""
    return call if call.callee_user_id == user_id else _changed(call, callee_user_id=user_id)


def told_of_media(call: Call, at: int, milliseconds: int, *, held: bool) -> Call:
    """The media engine had the call's media for so long until `at`, and has it from then on (`held`) or not. The same
    object when the call knows as much or more: the sum grows while the media is held, so it tells the order of reports,
    and between a release and the next time held it stands still."""
    known, since = call.media_app_ms, call.media_app_since
    if known is not None and milliseconds < known:
        return call
    if milliseconds == known and (since is not None if held else since is None or at < since):
        return call
    return _changed(call, media_app_ms=milliseconds, media_app_since=at if held else None)


def renew(call: Call, now: int) -> Call:
    """The call with a fresh lease; its record does not change."""
    lease = ANSWERED_LEASE_MS if call.state is State.ANSWERED else UNANSWERED_LEASE_MS
    return replace(call, lease_until=max(call.lease_until, now + lease))


def recheck(call: Call, now: int) -> Call:
    """The call with a short lease, because nobody can say yet."""
    return replace(call, lease_until=now + RECHECK_MS)


def _reopened(call: Call, event: Listed) -> Call:
    """`lost` was a suspicion: the call is up. Its record goes on from the same answer to its real end."""
    answer_ts = call.answer_ts if call.answer_ts is not None else (event.at if event.answered else None)
    return _changed(
        call,
        state=State.RINGING if answer_ts is None else State.ANSWERED,
        answer_ts=answer_ts,
        end_ts=None,
        disposition=None,
        hangup_cause=None,
        hangup_by=None,
        lost=False,
        listed_at=event.at,
        lease_until=event.at + ANSWERED_LEASE_MS,
    )


def _lost(call: Call, event: Lost) -> Call:
    if call.state is State.ENDED:
        return call
    disposition = Disposition.FAILED if call.answer_ts is None else Disposition.ANSWERED
    return _changed(
        call,
        state=State.ENDED,
        end_ts=max(event.at, call.answer_ts or call.start_ts),
        disposition=disposition,
        hangup_cause=event.cause,
        hangup_by="platform",
        lost=True,
    )


_DISPOSITIONS: Final = {
    "486": Disposition.BUSY,
    "600": Disposition.BUSY,
    "603": Disposition.BUSY,
    "408": Disposition.NO_ANSWER,
    "480": Disposition.NO_ANSWER,
    "487": Disposition.ABANDONED,
}


def disposition_of(cause: str | None) -> Disposition:
    """What an attempt that nobody answered came to, by its final SIP code."""
    return _DISPOSITIONS.get(cause or "", Disposition.FAILED)


def _changed(call: Call, **changes: Any) -> Call:
    return replace(call, row_version=call.row_version + 1, **changes)


def _seconds(milliseconds: int) -> int:
    return -(-max(milliseconds, 0) // 1000)
