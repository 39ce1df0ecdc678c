"""The brain's WebAssembly heap never shrinks, so it must stop growing (`make bench` looks at 100 000 decisions)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.load import Releases, closed_loop, connect, registered
from bench.world import TENANTS, USERS, Phones, counters, make_tenants, rows
from tests.support import seeds
from tests.worker.brain import Brain

MOST_MB = 96
# Emscripten grows the heap by steps of a fifth. The first comes within some thousand decisions, when the brain's caches
# fill; a second one would be a leak.
ONE_STEP = 1.21
CALLS = 1_000
ROUND = 200  # requests are signed when a round begins, and a signature is good for 30 s
CONNECTIONS = 8
MOST_SEC = 90.0


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[Brain]:
    with Brain(tmp_path, {"MASTER_KEY": seeds.MASTER_KEY}) as started:
        yield started


@pytest.mark.timeout(240)
def test_decisions_do_not_make_the_heap_grow(brain: Brain) -> None:
    tenants = make_tenants()
    for statement, params in [*seeds.platform_rows(), *rows(tenants)]:
        brain.d1(statement, *params)
    asyncio.run(_load(brain.port, Phones(tenants)))


async def _load(port: int, phones: Phones) -> None:
    for _ in range(2):
        await closed_loop(port, phones.registers(TENANTS * USERS), CONNECTIONS, MOST_SEC, registered)
    start = await _heap(port)
    await _calls(port, phones, CALLS)
    end = await _heap(port)
    assert end <= start * ONE_STEP
    assert end <= MOST_MB * 1024 * 1024


async def _calls(port: int, phones: Phones, count: int) -> None:
    releases = Releases(port)
    async with asyncio.TaskGroup() as group:
        group.create_task(releases.run())
        for _ in range(count // ROUND):
            await closed_loop(port, phones.invites(ROUND), CONNECTIONS, MOST_SEC, releases.admitted)
        releases.close()


async def _heap(port: int) -> int:
    connection = await connect(port)
    status, body = await connection.ask(counters())
    connection.close()
    assert status == 200
    return int(json.loads(body)["heap_bytes"])
