"""One run of the simulation; of its own because another process imports it."""

from __future__ import annotations

import asyncio
import contextlib
import io

from tests.simulation.lanes import Books
from tests.simulation.world import EXTENSIONS, NODES, World
from tests.support import seeds

FULL_CHECK_EVERY = 1_000


def tenants() -> list[seeds.Tenant]:
    return [seeds.tenant(1, "acme.tandem.test", EXTENSIONS), seeds.tenant(2, "globex.tandem.test", EXTENSIONS)]


def run_books(seed: int, events: int) -> str:
    both = tenants()
    world = World(Books(both, NODES), both, seed)
    with contextlib.redirect_stdout(io.StringIO()):
        return asyncio.run(run(world, events, FULL_CHECK_EVERY))


async def run(world: World, events: int, check_every: int) -> str:
    """What happened. Raises an error whose note says how to repeat it."""
    number = 0
    try:
        await world.begin()
        for number in range(1, events + 1):
            await world.step()
            world.check_touched()
            if number % check_every == 0:
                world.check_all()
        await world.end()
        world.check_all()
        world.check_end()
    except BaseException as error:
        error.args = (f"TANDEM_SEED={world.seed}, event {number} of {events}: {error}",)
        raise
    return (
        f"seed {world.seed}: {events} events, {len(world.calls)} calls, {len(world.rejected)} refused; {world.counts}"
    )
