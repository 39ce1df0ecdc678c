"""The interpreter (spec 20, "Execution"): a pure machine from an event to the next command.

`seq` fences: an outcome is taken for the command that was told last and for no other. The outcome that led to it gets
it told again, every other is refused.
"""

from __future__ import annotations

from dataclasses import replace

from tandem.domain.flows.commands import HangUp, Noop
from tandem.domain.flows.events import (
    STALE_STEP,
    CallEnded,
    Effect,
    Event,
    Fetch,
    Fetched,
    LegPlaced,
    LegRefused,
    PlaceLeg,
    Refuse,
    Started,
    Stepped,
    Tell,
)
from tandem.domain.flows.facts import Facts
from tandem.domain.flows.session import Session, Status
from tandem.domain.flows.walk import Walk

Stepping = tuple[Session, tuple[Effect, ...]]


def step(facts: Facts, session: Session, event: Event) -> Stepping:
    """The session after `event`, and what is to be done, in order: traces, then one of `Tell`, `Fetch`, `PlaceLeg`,
    with `Finish` before the `Tell` that ends the session. The same session, and `Refuse`, when the event is out of its
    time; what was told or asked for last, when the event is the one that led to it."""
    match event:
        case Started():
            return _started(facts, session, event)
        case Stepped():
            return _stepped(facts, session, event)
        case CallEnded():
            return _ended(facts, session, event)
        case _:
            return _supplied(facts, session, event)


def _started(facts: Facts, session: Session, event: Started) -> Stepping:
    if session.command is not None or session.pending is not None:
        return _again(session)
    return Walk(facts, session, event.at).begin()


def _stepped(facts: Facts, session: Session, event: Stepped) -> Stepping:
    if session.command is not None and event.seq == session.seq:
        if session.pending is not None:
            return _again(session)
        if session.status is Status.ENDED:
            return _after_the_end(session)
        return Walk(facts, session, event.at).hear(session.command, event)
    if session.pending is None and 0 < event.seq == session.seq - 1:
        return _again(session)
    return _refused(session, f"The flow is at step {session.seq}, not at {event.seq}.")


def _after_the_end(session: Session) -> Stepping:
    if isinstance(session.command, HangUp):
        session = replace(session, seq=session.seq + 1, command=Noop())
    return _again(session)


def _again(session: Session) -> Stepping:
    if session.pending is not None:
        return session, (session.pending,)
    return session, (Tell(session.seq, session.command or Noop()),)


def _ended(facts: Facts, session: Session, event: CallEnded) -> Stepping:
    if session.status is Status.ENDED:
        return _refused(session, "The flow has ended.")
    return Walk(facts, session, event.at).end(event.cause)


def _supplied(facts: Facts, session: Session, event: Fetched | LegPlaced | LegRefused) -> Stepping:
    match session.pending, event:
        case (Fetch(fetch_id=wanted), Fetched(fetch_id=found)) if wanted == found:
            pass
        case (PlaceLeg(leg_id=wanted), LegPlaced(leg_id=found) | LegRefused(leg_id=found)) if wanted == found:
            pass
        case _:
            return _refused(session, "The flow does not wait for this.")
    return Walk(facts, session, event.at).supply(event)


def _refused(session: Session, message: str) -> Stepping:
    return session, (Refuse(STALE_STEP, message),)
