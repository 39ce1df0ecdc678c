"""Calls under faults, at scale: never above a limit, never leaked, one true record each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tandem.runtime.cpython import clock, outside
from tests.simulation.runs import run, run_books, tenants
from tests.simulation.state import NODES
from tests.simulation.whole import WholeBrain
from tests.simulation.world import World

SEED = int(os.environ.get("TANDEM_SEED") or time.time_ns() % 1_000_000)
PROCESSES = 2
# Of each kind in a run of all tests; `make simulate` takes as many as it is told.
WHOLE_BRAIN, IN_THE_BOOKS = 100_000, 200_000


@pytest.fixture(autouse=True)
def _own_clock() -> Iterator[None]:
    yield
    clock.fixed = None
    outside.post = None


@pytest.mark.simulation
@pytest.mark.timeout(600)
async def test_every_rule_after_every_event_through_the_whole_brain() -> None:
    """TANDEM_EVENTS and TANDEM_SEED repeat a run."""
    both = tenants()
    world = World(WholeBrain(both, NODES, SEED), both, SEED)
    print(await run(world, _events(WHOLE_BRAIN), check_every=1))


@pytest.mark.simulation
@pytest.mark.timeout(3600)
def test_every_rule_at_scale_in_the_books() -> None:
    """Half of the events in each of two processes, with seeds of their own."""
    events = _events(IN_THE_BOOKS) // PROCESSES
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        for summary in pool.map(run_books, range(SEED, SEED + PROCESSES), [events] * PROCESSES):
            print(summary)


def _events(otherwise: int) -> int:
    return int(os.environ.get("TANDEM_EVENTS") or otherwise)
