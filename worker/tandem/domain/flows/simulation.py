"""A flow run on paper: scripted outcomes at a given time, no call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tandem.domain.flows.commands import Command
from tandem.domain.flows.events import (
    NO_DATA,
    Data,
    Effect,
    Event,
    Fetch,
    Fetched,
    Finish,
    LegPlaced,
    PlaceLeg,
    Started,
    Stepped,
    Tell,
    Trace,
    TraceEntry,
)
from tandem.domain.flows.facts import Facts
from tandem.domain.flows.machine import step
from tandem.domain.flows.session import Session, new_session

_BY_THEMSELVES: Final = {"answer": "answered", "play": "done", "hangup": "ended"}
# A simulation is computed while others wait for the same isolate, and all of it is one reply. The trace bounds the
# nodes too, for each leaves an entry.
MOST_COMMANDS: Final = 1_000
MOST_TRACED: Final = 1_000
MOST_EFFORT: Final = 10_000
TOO_LONG: Final = "too_long"


@dataclass(frozen=True, slots=True)
class Line:
    """What the next command comes to, `after_ms` later; with `node_id`, the next command of that node. `answer`, `play`
    and `hangup` come to their good end by themselves, a `play` only unless the next line names its node."""

    outcome: str
    data: Data = NO_DATA
    node_id: str | None = None
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the next HTTP request comes to; without one it cannot be made."""

    status: int = 0
    body: str = ""
    error: str | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """`at`: when the call comes, epoch ms."""

    at: int
    lines: Sequence[Line] = ()
    replies: Sequence[Reply] = ()


@dataclass(frozen=True, slots=True)
class Simulation:
    """The commands with their `seq`. `reason` is that of `Finish`; None when the flow still waits for the outcome of
    its last command, because the script is at its end; `too_long` when it has been followed far enough: for 1,000
    commands or entries of the trace, or five times the effort of one step (`draft`), give or take a step."""

    commands: list[tuple[int, Command]] = field(default_factory=list)
    trace: list[TraceEntry] = field(default_factory=list)
    reason: str | None = None


def simulate(facts: Facts, script: Script) -> Simulation:
    return _Play(facts, script).run()


class _Play:
    def __init__(self, facts: Facts, script: Script) -> None:
        self._facts = facts
        self._lines = list(script.lines)
        self._replies = list(script.replies)
        self._at = script.at
        self._session: Session = new_session("simulation")
        self._commands: list[tuple[int, Command]] = []
        self._trace: list[TraceEntry] = []
        self._reason: str | None = None
        self._effort = 0

    def run(self) -> Simulation:
        event: Event | None = Started(self._at)
        while event is not None and self._reason is None:
            effects = self._step(event)
            event = None
            for effect in effects:
                event = self._carry_out(effect)
            if event is not None and self._is_too_long():
                self._reason = TOO_LONG
        return Simulation(self._commands, self._trace, self._reason)

    def _step(self, event: Event) -> Sequence[Effect]:
        before = self._session
        self._session, effects = step(self._facts, before, event)
        # An outcome begins a new count.
        self._effort += self._session.effort - (0 if isinstance(event, Stepped) else before.effort)
        return effects

    def _is_too_long(self) -> bool:
        return len(self._commands) >= MOST_COMMANDS or len(self._trace) >= MOST_TRACED or self._effort >= MOST_EFFORT

    def _carry_out(self, effect: Effect) -> Event | None:
        """What it leads to."""
        match effect:
            case Tell():
                self._commands.append((effect.seq, effect.command))
                return self._said(effect)
            case Fetch():
                return self._fetched(effect)
            case PlaceLeg():
                return LegPlaced(self._at, effect.leg_id, "sip:leg@simulation.invalid", "simulation")
            case Trace():
                self._trace.append(effect.entry)
                return None
            case _:
                assert isinstance(effect, Finish), "no event of a simulation is out of its time"
                self._reason = effect.reason
                return None

    def _said(self, tell: Tell) -> Event | None:
        good = _BY_THEMSELVES.get(tell.command.cmd)
        wanted = self._lines[0].node_id if self._lines else None
        named = wanted is not None and wanted == self._node_id()
        if good is not None and not (named and tell.command.cmd == "play"):
            return Stepped(self._at, tell.seq, good)
        if not self._lines or (wanted is not None and not named):
            return None
        line = self._lines.pop(0)
        self._at += line.after_ms
        return Stepped(self._at, tell.seq, line.outcome, line.data)

    def _node_id(self) -> str:
        return self._session.top.node_id if self._session.frames else ""

    def _fetched(self, fetch: Fetch) -> Event:
        reply = self._replies.pop(0) if self._replies else Reply(error="the script has no reply for it")
        return Fetched(self._at, fetch.fetch_id, reply.status, reply.body, reply.error, reply.timed_out)
