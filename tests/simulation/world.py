"""A random telephone network around the brain: the truth about every call, and what the brain makes of the reports.

Nodes lose, repeat and reorder reports, fall silent with or without their memory, and come back; objects die between
any two steps and between a decision and its reply, and what they say to each other is lost, late or repeated. After
every step the brain's books are held against its rules (checks.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from tests.simulation import checks, engine, faults, reports, traffic
from tests.simulation.lanes import Lane, UnavailableError
from tests.simulation.state import State
from tests.simulation.tenancy import limits_of
from tests.support import seeds

Action = Callable[[State], Awaitable[None]]
ACTIONS: Final[tuple[tuple[Action, float], ...]] = (
    (traffic.call_extension, 7),
    (traffic.call_number, 7),
    (engine.call_engine, 4),
    (engine.place_leg, 6),
    (traffic.answer, 10),
    (traffic.hang_up, 8),
    (traffic.outcome, 3),
    (faults.deliver_some, 30),
    (faults.repeat, 5),
    (faults.late_message, 3),
    (faults.lose_report, 0.6),
    (faults.list_calls, 2),
    (faults.crash, 2),
    (faults.crash_reseller, 1),
    (faults.crash_fleet, 0.05),
    (faults.fall_silent, 0.25),
    (faults.reset, 0.1),
    (faults.d1_away, 0.05),
)


class World:
    """Call `begin`, then `step` as often as you like, then `end`."""

    def __init__(self, lane: Lane, tenants: list[seeds.Tenant], seed: int) -> None:
        self.state = State(lane, tenants, seed)
        for tenant in tenants:
            self.state.limits.update(limits_of(tenant))

    async def begin(self) -> None:
        connection = self.state.lane.control.connection
        for (dimension, subject), limit in self.state.limits.items():
            if dimension == "user_simultaneous":
                connection.execute("UPDATE sip_user SET max_simultaneous = ? WHERE id = ?", (limit, subject))
        await self.state.lane.open()
        await reports.beats(self.state)
        await reports.flush(self.state)

    async def step(self) -> str:
        """One event; its name."""
        state = self.state
        (action,) = state.random.choices([one for one, _ in ACTIONS], [weight for _, weight in ACTIONS])
        state.touched = None
        with suppress(UnavailableError):
            await action(state)
        await self._pass_time(state.random.choice((0, 0, 20, 100, 500)))
        name = action.__name__
        state.counts[name] = state.counts.get(name, 0) + 1
        return name

    async def end(self) -> None:
        """Every call ends, every report that is left arrives, and enough time passes for all that was lost."""
        state = self.state
        state.lane.control.available = True
        await state.lane.settle()
        for one in state.nodes.values():
            one.silent_until = 0
        for call in [call for one in state.nodes.values() for calls in one.live.values() for call in calls.values()]:
            if call.gone_at is None:
                reports.finish(state, call)
        for _ in range(checks.LEAK_MS // reports.BEAT_MS):
            await reports.flush(state)
            await self._pass_time(reports.BEAT_MS)

    async def _pass_time(self, milliseconds: int) -> None:
        state = self.state
        await state.lane.advance(milliseconds)
        if state.d1_back_at is not None and state.lane.now >= state.d1_back_at:
            state.lane.control.available, state.d1_back_at = True, None
        await reports.beats(state)
