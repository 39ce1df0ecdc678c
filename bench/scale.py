"""What size costs: the same decisions on three brains, a small one, one of many tenants and one of a big tenant; and
the big ones against twins that have the same tenants.

Each lane runs on the three in turn, so a ratio to the small one is of the same minute on the same machine.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.flows import FACTS
from bench.load import Releases, closed_loop, connect, registered
from bench.measure import Lane, compare
from bench.servers import Server, migrated, start_brain, start_twin
from bench.statements import statements
from bench.world import MAX_SIMULTANEOUS, Phones, Sql, plain_post
from edge_node.local.settings import load
from tests.support import rows, seeds
from tests.support.seeds import Tenant

CARRIER: Final = "203.0.113.9"
NUMBERS: Final = 50
ASKED: Final = 3000  # requests made ready for a second of a run
LOADS: Final = 5


@dataclass(frozen=True)
class Scale:
    name: str
    tenants: int
    users: int

    def make(self) -> list[Tenant]:
        extensions = tuple(str(10_001 + index) for index in range(self.users))
        return [seeds.tenant(number, f"t{number}.bench.example", extensions) for number in range(1, self.tenants + 1)]


SCALES: Final = (
    Scale("4 tenants x 25 users", 4, 25),
    Scale("20 tenants x 500 users", 20, 500),
    Scale("1 tenant x 10 000 users", 1, 10_000),
)
LANES: Final = ("auth", "internal", "inbound")
BESIDE_A_TWIN: Final = (Lane("/route", 8), Lane("/route", rate=50.0))


@dataclass(frozen=True)
class Figures:
    """One run: decisions a second, latency in ms, CPU of workerd in ms a decision (release and record included)."""

    per_second: float
    p50: float
    p95: float
    cpu: float


@dataclass
class World:
    """One brain with its tenants, whose phones take turns over the whole of them."""

    scale: Scale
    server: Server
    tenants: list[Tenant]
    phones: Phones
    turn: int = 0

    def requests(self, lane: str, count: int) -> list[bytes]:
        match lane:
            case "auth":
                return self.phones.registers(count)
            case "internal":
                return self.phones.invites(count)
            case _:
                self.turn += count
                return [self.phones.inbound(number, CARRIER) for number in self._numbers(count)]

    def _numbers(self, count: int) -> Iterator[str]:
        for turn in range(self.turn, self.turn + count):
            yield number_of(turn % len(self.tenants), turn // len(self.tenants) % NUMBERS)


def number_of(tenant: int, index: int) -> str:
    return f"1555{tenant:03d}{index:04d}"


def config(tenants: list[Tenant]) -> Iterator[Sql]:
    """Users with a limit, 50 numbers a tenant that ring users across the whole of it, and the platform's carrier."""
    yield from seeds.platform_rows()
    yield from rows.trunk(None, 1, f"{CARRIER}/32")
    for place, tenant in enumerate(tenants):
        yield from seeds.rows_of(tenant)
        people = list(tenant.people.values())
        for index in range(NUMBERS):
            user = people[index * len(people) // NUMBERS].user_id
            number = place * NUMBERS + index + 1
            yield rows.did(tenant, number, number_of(place, index), dest_kind="user", dest_id=user)
    yield "UPDATE sip_user SET max_simultaneous = ?", (MAX_SIMULTANEOUS,)


def write(state: Path, statements: Iterator[Sql]) -> None:
    """Straight into the file of the control database, before its brain starts."""
    folder = load({"TANDEM_STATE": str(state)}).brain_state / "v3" / "d1"
    (path,) = [path for path in folder.rglob("*.sqlite") if path.name != "metadata.sqlite"]
    connection = sqlite3.connect(path)
    with connection:
        for statement, params in statements:
            connection.execute(statement, params)
    connection.close()


async def scale(folder: Path, root: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Figures of each lane on each scale, how long a replica takes to load and to follow a change, and what twins of
    the big ones do.
    """
    brains, twins = ([folder / f"{kind}{index}" for index in range(len(SCALES))] for kind in ("scale", "twin"))
    migrated(folder, [state.name for state in (*brains, *twins)])
    async with AsyncExitStack() as stack:
        worlds: list[World] = []
        for one, state in zip(SCALES, brains, strict=True):
            tenants = one.make()
            write(state, config(tenants))
            server = start_brain(state, root)
            stack.callback(server.stop)
            worlds.append(World(one, server, tenants, Phones(tenants)))
        replicas = {}
        for world in worlds:
            replicas[world.scale.name] = await replica(world)
            say(f"{world.scale.name}: replica {replicas[world.scale.name]}")
        for world in worlds:
            await register_all(world, world.server)
        runs: dict[str, dict[str, list[Figures]]] = {lane: {one.name: [] for one in SCALES} for lane in LANES}
        for number in range(1, rounds + 1):
            for lane in LANES:
                for world in worlds:
                    say(f"round {number} of {rounds}: {lane}, {world.scale.name}")
                    runs[lane][world.scale.name].append(await run(world, lane, seconds))
        beside = {}
        for world, state in list(zip(worlds, twins, strict=True))[1:]:
            say(f"{world.scale.name}, beside a twin")
            write(state, config(world.tenants))
            twin = start_twin(state, statements(), FACTS)
            stack.callback(twin.stop)
            await register_all(world, twin)
            lanes = list(BESIDE_A_TWIN)
            beside[world.scale.name] = await compare(world.server, twin, world.phones, lanes, rounds, seconds, say)
    return {"replica": replicas, "lanes": [_summary(lane, found) for lane, found in runs.items()], "twins": beside}


async def replica(world: World) -> dict[str, float]:
    """Seconds of a first pull, with CPU of workerd; ms from a poke to its answer, one row changed or none."""
    server, tenant = world.server, world.tenants[0]
    connection = await connect(server.port)
    poke = plain_post("/config/poke", f'{{"accountId":"{tenant.account_id}"}}', {"x-api-key": seeds.OPERATOR_KEY})

    async def poked() -> float:
        begun = time.perf_counter()
        status, body = await connection.ask(poke)
        if status != 200:
            raise RuntimeError(f"/config/poke: {status} {body!r}")
        return time.perf_counter() - begun

    await connection.ask(plain_post("/config/poke", '{"accountId":"none"}', {"x-api-key": seeds.OPERATOR_KEY}))
    cpu = server.cpu_seconds()
    first = await poked()
    cpu = server.cpu_seconds() - cpu
    user = next(iter(tenant.people.values())).user_id
    changes, idle = [], []
    for number in range(LOADS):
        server.write([("UPDATE sip_user SET display_name = ? WHERE id = ?", (f"name {number}", user))])
        changes.append(await poked())
        idle.append(await poked())
    connection.close()
    return {
        "load_sec": round(first, 3),
        "load_cpu_sec": round(cpu, 2),
        "change_ms": round(median(changes) * 1000, 1),
        "nothing_ms": round(median(idle) * 1000, 1),
    }


async def register_all(world: World, server: Server) -> None:
    people = sum(len(tenant.people) for tenant in world.tenants)
    # Signed as they go: a signature is good for 30 s.
    requests = (world.phones.registers(1)[0] for _ in range(people))
    await closed_loop(server.port, requests, 16, 600.0, registered)


async def run(world: World, lane: str, seconds: float) -> Figures:
    """Raises `LoadError` when a single answer is not the expected one."""
    requests = world.requests(lane, int(ASKED * seconds))
    cpu = world.server.cpu_seconds()
    begun = time.perf_counter()
    if lane == "auth":
        sample = await closed_loop(world.server.port, requests, 8, seconds, registered)
    else:
        releases = Releases(world.server.port)
        task = asyncio.create_task(releases.run())
        try:
            sample = await closed_loop(world.server.port, requests, 8, seconds, releases.admitted)
            releases.close()
            await task
        finally:
            task.cancel()
    elapsed, decided = time.perf_counter() - begun, len(sample.latencies)
    return Figures(
        per_second=decided / elapsed,
        p50=sample.quantile(0.5) * 1000,
        p95=sample.quantile(0.95) * 1000,
        cpu=(world.server.cpu_seconds() - cpu) / decided * 1000,
    )


def _summary(lane: str, found: dict[str, list[Figures]]) -> dict[str, Any]:
    """Medians of each scale, and its CPU and p50 against the small one's of the same round."""
    small = found[SCALES[0].name]
    rows_ = []
    for one in SCALES:
        mine = found[one.name]
        names = asdict(mine[0])
        rows_.append(
            {
                "scale": one.name,
                **{name: round(median(getattr(run, name) for run in mine), 3) for name in names},
                "cpu_ratio": round(median(a.cpu / b.cpu for a, b in zip(mine, small, strict=True)), 3),
                "p50_ratio": round(median(a.p50 / b.p50 for a, b in zip(mine, small, strict=True)), 3),
            }
        )
    return {"lane": lane, "rows": rows_}
