"""One run of the simulation; of its own because another process imports it."""

from __future__ import annotations

import asyncio
import contextlib
import io

from tests.simulation import checks
from tests.simulation.books import Books
from tests.simulation.state import EXTENSIONS, NODES
from tests.simulation.world import World
from tests.support import seeds

FULL_CHECK_EVERY = 1_000


def tenants() -> list[seeds.Tenant]:
    return [seeds.tenant(1, "acme.tandem.test", EXTENSIONS), seeds.tenant(2, "globex.tandem.test", EXTENSIONS)]


def run_books(seed: int, events: int) -> str:
    both = tenants()
    world = World(Books(both, NODES, seed), both, seed)
    with contextlib.redirect_stdout(io.StringIO()):
        return asyncio.run(run(world, events, FULL_CHECK_EVERY))


async def run(world: World, events: int, check_every: int) -> str:
    """What happened. Raises an error whose note says how to repeat it."""
    number = 0
    try:
        await world.begin()
        for number in range(1, events + 1):
            await world.step()
            checks.touched(world.state)
            if number % check_every == 0:
                checks.everything(world.state)
        await world.end()
        checks.everything(world.state)
        checks.at_the_end(world.state)
    except BaseException as error:
        error.args = (f"TANDEM_SEED={world.state.seed}, event {number} of {events}: {error}",)
        raise
    state = world.state
    legs = sum(call.parent is not None for call in state.calls.values())
    calls = f"{len(state.calls) - legs} calls, {legs} legs, {len(state.rejected)} refused"
    return f"seed {state.seed}: {events} events, {calls}; {state.counts}"
