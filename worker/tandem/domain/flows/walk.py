"""One event's way through the graph: from node to node, until the node or someone else has to do something."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from tandem.domain.flows import commands, document, visits
from tandem.domain.flows.commands import Answer, Bridge, Command, Noop
from tandem.domain.flows.document import EXIT
from tandem.domain.flows.draft import Draft, Place
from tandem.domain.flows.events import (
    Effect,
    Fetched,
    Finish,
    LegPlaced,
    LegRefused,
    Stepped,
    Tell,
    Trace,
    TraceEntry,
)
from tandem.domain.flows.facts import Facts
from tandem.domain.flows.outcomes import ERRORS, INSTEAD, SERVED
from tandem.domain.flows.results import Ask, Do, Enter, HangUp, Leave, Result, Scene
from tandem.domain.flows.session import DEEPEST, Frame, Session, Status
from tandem.domain.flows.sounds import goodbye
from tandem.domain.flows.values import MASK, BadValueError, Value, Variables, assign, text

MOST_MOVES: Final = 100
# A flow that goes on after this many goes round in failures that come at once.
MOST_COMMANDS: Final = 10_000
_LONGEST_TRACED: Final = 256
Stepping = tuple[Session, tuple[Effect, ...]]


class Walk:
    """Takes one event; each method of it gives the session afterwards and what is to be done."""

    def __init__(self, facts: Facts, session: Session, at: int) -> None:
        self._facts = facts
        self._draft = Draft(facts, session)
        self._at = at
        self._effects: list[Effect] = []
        self._waits = False

    def begin(self) -> Stepping:
        facts, flow = self._facts, self._facts.root
        if flow is None:
            self._draft.places.append(Place(Frame(facts.target_id, "", self._at), None))
            self._give_up(f"{facts.target_kind} {facts.target_id} is gone")
            return self._result()
        place = Place(Frame(flow.flow_id, flow.graph.start, self._at, self._own_variables()), flow)
        self._draft.places.append(place)
        try:
            place.variables = assign(place.variables, facts.vars)
        except BadValueError as error:
            self._give_up(str(error))
        return self._result()

    def hear(self, command: Command, event: Stepped) -> Stepping:
        """What became of the command that was told last."""
        self._draft.status, self._draft.moves, self._draft.effort = Status.RUNNING, 0, 0
        outcome, told = event.outcome, event.data
        if outcome == "hangup":
            self._trace("hangup", error=told.cause)
            self._finish("caller_hangup", Noop())
        elif isinstance(command, Answer):
            self._heard_answer(outcome, told.message)
        elif self._draft.failed:
            self._finish("error", commands.HangUp())
        else:
            self._try(lambda scene, data: visits.hear(scene, data, command, outcome, told))
        return self._result()

    def supply(self, event: Fetched | LegPlaced | LegRefused) -> Stepping:
        """What was asked for has come."""
        self._draft.pending = None
        self._try(lambda scene, data: visits.supply(scene, data, event))
        return self._result()

    def end(self, cause: str) -> Stepping:
        """The call is gone; whoever asks on is told to hang up."""
        if self._draft.places:
            self._trace("ended", error=cause)
        self._finish(cause, commands.HangUp())
        self._effects.pop()
        return self._result()

    def _result(self) -> Stepping:
        while not self._waits:
            self._visit()
        return self._draft.frozen(), tuple(self._effects)

    def _own_variables(self) -> Variables:
        """Those that every flow has."""
        facts = self._facts
        return {"caller_number": facts.from_num, "called_number": facts.to_num, "direction": facts.direction}

    # What a node makes of it.

    def _visit(self) -> None:
        self._draft.moves += 1
        if self._draft.moves > MOST_MOVES:
            self._give_up(f"more than {MOST_MOVES} nodes in a row have nothing to wait for")
        elif not self._draft.answered and self._draft.top.kind in visits.AUDIBLE:
            self._tell(Answer())
        else:
            self._try(visits.enter)

    def _try(self, behaviour: Callable[[Scene, document.Data], Result]) -> None:
        place = self._draft.top
        if place.data is None:
            self._give_up("the node is gone")
            return
        try:
            self._carry_out(behaviour(Scene(self._facts, self._draft, place, self._at), place.data))
        except visits.TROUBLES as error:
            self._fail(str(error))

    def _carry_out(self, result: Result) -> None:
        draft = self._draft
        match result:
            case Leave():
                self._leave(result)
            case Do():
                if result.outcome is not None:
                    self._trace(result.outcome, done=False, digits=result.digits, error=result.noted)
                draft.failures, draft.timeouts = result.failures, result.timeouts
                self._tell(result.command)
            case Ask():
                draft.pending = result.pending
                draft.minted += 1
                self._effects.append(result.pending)
                self._waits = True
            case Enter():
                self._enter(result)
            case HangUp():
                self._trace("hangup")
                self._finish("completed", commands.HangUp(cause=result.cause))
            case _:
                self._fail(result.message)

    def _heard_answer(self, outcome: str, message: str | None) -> None:
        """A call that cannot be answered cannot be told goodbye either."""
        if outcome != "answered":
            self._trace("error", error=message or f"answer came to {outcome}")
            self._draft.failed = True
            self._finish("error", commands.HangUp())
            return
        self._draft.answered = True
        if self._draft.failed:
            self._tell(goodbye(self._facts))

    # From node to node.

    def _leave(self, result: Leave) -> None:
        """Raises `BadValueError`, before anything has changed."""
        place = self._draft.top
        if result.values:
            place.variables = assign(place.variables, result.values)
            place.secrets = (place.secrets - result.values.keys()) | result.secrets
        target = place.edge(result.outcome)
        if target is None:
            target = place.edge(INSTEAD.get((place.kind, result.outcome)))
        shown, why = result.shown or result.outcome, result.error
        served = result.outcome in SERVED.get(place.kind, ())
        if target is None and not served:
            why = f"no edge leads on from {shown}" + ("" if why is None else f": {why}")
        self._trace(shown, result.values.keys(), digits=result.digits, error=why)
        if target is None and served:
            self._finish("completed", commands.HangUp())
        else:
            self._go(target or place.edge(ERRORS.get(place.kind)))

    def _go(self, target: str | None) -> None:
        if target is None:
            self._say_goodbye()
        elif target.startswith(EXIT):
            self._exit(target[len(EXIT) :])
        else:
            self._draft.top.go(target, self._at)
            self._draft.failures = self._draft.timeouts = 0

    def _enter(self, result: Enter) -> None:
        """Raises `BadValueError`."""
        flow = self._facts.flows.get(result.flow_id)
        if flow is None:
            self._fail(f"flow {result.flow_id} is gone")
        elif len(self._draft.places) >= DEEPEST:
            self._fail(f"more than {DEEPEST} flows call one another")
        else:
            variables = assign(self._own_variables(), result.values)
            self._trace(result.outcome or "entered", done=result.outcome is not None, error=result.error)
            frame = Frame(flow.flow_id, flow.graph.start, self._at, variables, result.secrets)
            self._draft.places.append(Place(frame, flow))

    def _exit(self, name: str) -> None:
        *callers, _ = self._draft.places
        if callers and callers[-1].kind == "subflow":
            self._draft.places.pop()
            self._leave(Leave(name))
        else:
            self._finish("completed", commands.HangUp())

    # What goes wrong.

    def _fail(self, message: str) -> None:
        """The node's error outcome where it leads on, else the default error treatment."""
        outcome = ERRORS.get(self._draft.top.kind)
        target = self._draft.top.edge(outcome)
        self._trace("error" if target is None or outcome is None else outcome, error=message)
        self._go(target)

    def _give_up(self, message: str) -> None:
        self._trace("error", error=message)
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._draft.failed = True
        self._tell(goodbye(self._facts) if self._draft.answered else Answer())

    # What is to be done.

    def _tell(self, command: Command) -> None:
        if self._draft.seq >= MOST_COMMANDS:
            self._trace("error", error=f"the call has had {MOST_COMMANDS} commands")
            self._finish("error", commands.HangUp())
            return
        if isinstance(command, Bridge):
            self._draft.status = Status.BRIDGED
        self._say(command)

    def _say(self, command: Command) -> None:
        draft = self._draft
        draft.seq += 1
        draft.command, draft.pending = command, None
        self._effects.append(Tell(draft.seq, command))
        self._waits = True

    def _finish(self, reason: str, last: Command) -> None:
        self._draft.status = Status.ENDED
        self._effects.append(Finish(reason))
        self._say(last)

    def _trace(
        self,
        outcome: str,
        changed: Collection[str] = (),
        *,
        done: bool = True,
        digits: str | None = None,
        error: str | None = None,
    ) -> None:
        place = self._draft.top
        entry = TraceEntry(
            at=self._at,
            entered_at=place.entered_at,
            seq=self._draft.seq,
            flow_id=place.flow_id,
            node_id=place.node_id,
            kind=place.kind,
            outcome=outcome,
            done=done,
            variables={name: _traced(place.variables[name], name in place.secrets) for name in changed},
            digits=digits,
            error=None if error is None else self._without_secrets(error),
        )
        self._effects.append(Trace(entry))

    def _without_secrets(self, message: str) -> str:
        """What a node says of an error may hold what it was told."""
        secrets = {text(one.variables[name]) for one in self._draft.places for name in one.secrets}
        for secret in sorted(secrets - {""}, key=len, reverse=True):
            message = message.replace(secret, MASK)
        return message


def _traced(value: Value, secret: bool) -> Value:
    if secret:
        return MASK
    return value[:_LONGEST_TRACED] if isinstance(value, str) else value
