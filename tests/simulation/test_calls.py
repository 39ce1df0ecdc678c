"""Calls under faults, at scale: never above a limit, never leaked, one true record each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tandem.runtime.cpython import clock, outside
from tests.simulation.lanes import Books, WholeBrain
from tests.simulation.world import EXTENSIONS, NODES, World
from tests.support import seeds

SEED = int(os.environ.get("TANDEM_SEED") or time.time_ns() % 1_000_000)
FULL_CHECK_EVERY = 1_000


@pytest.fixture(autouse=True)
def _own_clock() -> Iterator[None]:
    yield
    clock.fixed = None
    outside.post = None


def tenants() -> list[seeds.Tenant]:
    return [seeds.tenant(1, "acme.tandem.test", EXTENSIONS), seeds.tenant(2, "globex.tandem.test", EXTENSIONS)]


@pytest.mark.simulation
@pytest.mark.timeout(600)
async def test_every_rule_after_every_event_through_the_whole_brain() -> None:
    """TANDEM_EVENTS and TANDEM_SEED repeat a run."""
    both = tenants()
    world = World(WholeBrain(both, NODES), both, SEED)
    await run(world, int(os.environ.get("TANDEM_EVENTS", "100000")), check_every=1)


@pytest.mark.simulation
@pytest.mark.timeout(900)
async def test_a_million_events_in_the_books() -> None:
    both = tenants()
    lane = Books(both, NODES)
    world = World(lane, both, SEED)
    await run(world, int(os.environ.get("TANDEM_EVENTS", "1000000")), check_every=FULL_CHECK_EVERY)


async def run(world: World, events: int, check_every: int) -> None:
    number = 0
    try:
        await world.begin()
        if isinstance(world.lane, Books):
            await world.lane.pull()
        for number in range(1, events + 1):
            await world.step()
            world.check_touched()
            if number % check_every == 0:
                world.check_all()
        await world.end()
        world.check_all()
        world.check_end()
    except BaseException:
        print(f"\nTANDEM_SEED={SEED} fails at event {number} of {events}")
        raise
    print(f"\nseed {SEED}: {events} events, {len(world.calls)} calls, {len(world.rejected)} refused; {world.counts}")
