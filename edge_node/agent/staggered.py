"""The timers of a call whose branches join later or end before the others (Kamailio's side: staggered.cfg).

Kamailio rings the directive's own routes; at its time each later one is added to the ringing call (`add`), and each
ends when its own time is over (`over`). When all branches of the moment have ended, Kamailio asks what to do; while
routes are still to come that question is held here and answered with the next of them (`ring`); after the last it goes
to the brain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from edge_node.agent import seam
from edge_node.agent.seam import Question
from tandem.contracts.route import Directive, Route

# Nobody repeats these CANCELs but us: RFC 3261 section 17.1.2.2 with T1 = 500 ms.
_REPEAT_SEC: Final = (0.0, 0.5, 1.5, 3.5)
# Kamailio's own timer is the last resort, should this agent die.
_GRACE_MS: Final = 1000
Send = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one directive: all its routes in the order of their numbers, when each joins and when each ends (ms)."""

    routes: tuple[Route, ...]
    first: int
    joins: tuple[int, ...]
    ends: tuple[int, ...]

    def members(self) -> dict[str, Any]:
        """For Kamailio, besides the routes: `wait` is how long a question may be held, `ring` its own timer (ms)."""
        longest = max(route.fr_inv_timer for route in self.routes)
        return {"first": self.first, "ends": 1, "wait": max(self.joins), "ring": longest + _GRACE_MS}


def plan(directive: Directive) -> Plan | None:
    """None for the usual directive, whose branches all begin and end together or one after the other."""
    later = sorted(directive.later or [], key=lambda batch: batch.after_ms)
    timers = {route.fr_inv_timer for route in directive.routes}
    if directive.routing != "parallel" or (not later and len(timers) < 2):
        return None
    routes = [(0, route) for route in directive.routes]
    routes += [(batch.after_ms, route) for batch in later for route in batch.routes]
    return Plan(
        tuple(route for _, route in routes),
        len(directive.routes),
        tuple(join for join, _ in routes),
        tuple(join + route.fr_inv_timer for join, route in routes),
    )


@dataclass(slots=True)
class _Run:
    tm: str
    plan: Plan
    send: Send
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    # Routes that Kamailio was told to add or to ring; the first ones it rings by itself.
    told: set[int] = field(default_factory=set)
    retried: set[int] = field(default_factory=set)
    held: bool = False


class Staggered:
    """One run a call, from its directive to its answer, its end, or the last of its routes."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, call_id: str, tm: str, wanted: Plan, send: Send) -> None:
        """From the moment that the directive was sent."""
        self.stop(call_id)
        run = self._runs[call_id] = _Run(tm, wanted, send, told=set(range(wanted.first)))
        loop = asyncio.get_running_loop()
        for join in sorted(set(wanted.joins[wanted.first :])):
            run.timers.append(loop.call_later(join / 1000, self._join, run, join))
        for number, end in enumerate(wanted.ends):
            for repeat in _REPEAT_SEC:
                run.timers.append(loop.call_later(end / 1000 + repeat, send, seam.over(tm, number)))

    def stop(self, call_id: str) -> None:
        """The call was answered or is over, or goes on with another directive."""
        run = self._runs.pop(call_id, None)
        for timer in run.timers if run else ():
            timer.cancel()

    def close(self) -> None:
        for call_id in list(self._runs):
            self.stop(call_id)

    def hold(self, question: Question) -> bool:
        """True when the question is not for the brain yet: it is answered here, now or when the next route is due."""
        run = self._runs.get(question.our_call_id)
        if run is None:
            return False
        run.tm = question.tm
        joined = {number for text in question.joined.split(",") if (number := seam.number(text)) is not None}
        # Told to join, but the question had crossed that; or not reachable then, which is tried once more.
        missing = run.told - joined - run.retried - set(range(run.plan.first))
        if missing:
            self._ring(run, missing)
            return True
        if len(run.told) < len(run.plan.routes):
            run.held = True
            # A sign of life: Kamailio counts an agent that owes an answer for long as gone.
            run.send(seam.acknowledge("held"))
            return True
        self.stop(question.our_call_id)
        return False

    def nudge(self, call_id: str) -> None:
        """Resumes a held call at once, so that Kamailio can end it."""
        run = self._runs.get(call_id)
        if run is not None and run.held:
            self._ring(run, {min(set(range(len(run.plan.routes))) - run.told)})

    def _join(self, run: _Run, join: int) -> None:
        due = {number for number, at in enumerate(run.plan.joins) if at == join} - run.told
        run.told |= due
        if run.held:
            self._ring(run, due)
            return
        for number in sorted(due):
            route = run.plan.routes[number]
            run.send(seam.add(run.tm, number, route.uri, route.dst_uri or ""))

    def _ring(self, run: _Run, numbers: set[int]) -> None:
        """The lowest unbroken range of them; what is beyond comes with the next question."""
        first = last = min(numbers)
        while last + 1 in numbers:
            last += 1
        run.retried |= set(range(first, last + 1))
        run.told |= run.retried
        run.held = False
        run.send(seam.ring(run.tm, first, last + 1))
