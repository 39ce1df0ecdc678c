"""`make bench`: the brain on real workerd against its JavaScript twin. `--quick` is for trying (a minute or two)."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import check, report
from bench.flows import FACTS, flow_rows
from bench.load import closed_loop, registered
from bench.measure import Lane, compare
from bench.memory import heap
from bench.profile import profile
from bench.scale import scale
from bench.servers import Server, first_answer, migrated, start_brain, start_twin
from bench.statements import statements
from bench.world import TENANTS, USERS, Phones, make_tenants, rows
from edge_node.local.settings import REPOSITORY
from tests.support import seeds

ARRIVING = 50.0
Start = Callable[[], Server]
PARTS = ("starts", "lanes", "profile", "heap", "scale")


@dataclass(frozen=True)
class Size:
    lanes: list[Lane]
    rounds: int
    seconds: float
    heap_decisions: int
    starts: int


FULL = Size(
    [
        Lane("/auth", 8),
        Lane("/route", 8),
        Lane("/flow", 8),
        Lane("/auth", 16),
        Lane("/route", 16),
        Lane("/route", rate=ARRIVING),
    ],
    rounds=5,
    seconds=4.0,
    heap_decisions=100_000,
    starts=3,
)
QUICK = Size([Lane("/auth", 8), Lane("/route", 8), Lane("/flow", 8), Lane("/route", rate=ARRIVING)], 1, 1.5, 1_000, 1)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def bench(size: Size, parts: Sequence[str], folder: Path, root: Path) -> dict[str, Any]:
    grown: dict[str, Any] = {}
    if "scale" in parts:
        say("starting three brains of different size")
        grown = {"scale": await scale(folder, root, size.rounds, size.seconds, say)}
        parts = [part for part in parts if part != "scale"]
        if not parts:
            return grown
    say("starting the brain and its twin")
    migrated(folder, ("brain", "twin"))
    starts: dict[str, Start] = {
        "brain": lambda: start_brain(folder / "brain", root),
        "twin": lambda: start_twin(folder / "twin", statements(), FACTS),
    }
    cold: dict[str, list[float]] = {"brain": [], "twin": []}
    if "starts" in parts and size.starts > 1:
        cold["brain, no snapshot"] = [await _cold(lambda: start_brain(folder / "brain", root, snapshots=False))]
        await _cold(starts["brain"])  # makes the snapshot where there is none
        for name, start in starts.items():
            cold[name] += [await _cold(start) for _ in range(size.starts - 1)]
    async with AsyncExitStack() as stack:
        servers = []
        for name, start in starts.items():
            servers.append(start())
            stack.callback(servers[-1].stop)
            cold[name].append(servers[-1].started_in + await first_answer(servers[-1]))
        found = await _both(size, parts, *servers)
    if "starts" in parts:
        found["starts"] = {name: round(median(seen), 2) for name, seen in cold.items()}
    return found | grown


async def _both(size: Size, parts: Sequence[str], brain: Server, twin: Server) -> dict[str, Any]:
    tenants = make_tenants()
    phones = Phones(tenants)
    for server in (brain, twin):
        server.write([*seeds.platform_rows(), *rows(tenants), *flow_rows(tenants)])
        # Every phone is reachable, every object loaded, the interpreter and the compiler warm.
        await closed_loop(server.port, phones.registers(5 * TENANTS * USERS), 8, 60.0, registered)
    replies = await check.same_replies(brain.port, twin.port, phones) + await check.same_commands(brain, twin, phones)
    same = await check.same_statements(twin.port)
    say(f"the twin is one: {replies} replies byte for byte, and the statements")
    for method, names in same.items():
        say(f"  {method}: {len(names)}: {check.counted(names)}")
    found: dict[str, Any] = {"statements": same}
    if "lanes" in parts:
        found["lanes"] = await compare(brain, twin, phones, size.lanes, size.rounds, size.seconds, say)
    if "profile" in parts:
        say("where the time goes")
        found["profile"] = {server.name: await profile(server, phones, size.seconds) for server in (brain, twin)}
    if "heap" in parts:
        found["heap"] = await heap(brain, phones, size.heap_decisions, say)
    return found


async def _cold(start: Start) -> float:
    """Seconds from the launcher's start to the first answer."""
    server = start()
    try:
        return server.started_in + await first_answer(server)
    finally:
        server.stop()


def show(found: dict[str, Any]) -> bool:
    """Prints the tables; whether every bar is held."""
    if "lanes" in found:
        print(report.lanes(found["lanes"]), end="\n\n")
    if "profile" in found:
        print(report.profiles(found["profile"]["brain"], found["profile"]["twin"]), end="\n\n")
    if "starts" in found:
        print("start to first answer:", ", ".join(f"{name} {seconds} s" for name, seconds in found["starts"].items()))
    if "heap" in found:
        print(f"resident memory of the brain's workerd: {found['heap']['resident_mb']} MB")
    if "scale" in found:
        print(report.scales(found["scale"]), end="\n\n")
    verdicts = report.verdicts(found)
    for held, text in verdicts:
        print(f"{'holds' if held else 'FAILS'}  {text}")
    return all(held for held, _ in verdicts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; results/ is left alone")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="another checkout whose brain is measured")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="what to measure; the rest stays")
    parser.add_argument("--heap", type=int, help="decisions of the heap run")
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    parts = given.only or [part for part in PARTS if part != "scale" or not given.quick]
    if given.heap is not None:
        size = Size(size.lanes, size.rounds, size.seconds, given.heap, size.starts)
    folder = REPOSITORY / ".local" / "bench" / str(os.getpid())
    folder.mkdir(parents=True)
    try:
        found = asyncio.run(bench(size, parts, folder, given.root.resolve()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    held = show(found)
    if not given.quick:
        machine = {"cpus": os.cpu_count(), "system": platform.platform(terse=True), "python": platform.python_version()}
        print(f"written to {report.save('brain', {'machine': machine, **found}).relative_to(REPOSITORY)}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
