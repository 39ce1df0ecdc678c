"""The runs: each lane on brain and twin in turn, so that what else the machine does falls on both."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench import flows
from bench.load import Check, Releases, Sample, closed_loop, conversations, open_loop, registered
from bench.servers import Server, busy_seconds
from bench.world import Phones

# More than the twin can take, so that a run ends by time.
MOST_PER_SECOND = 3000
# More than this taken by others and latencies are theirs.
DISTURBED_CORES = 0.35


@dataclass(frozen=True)
class Lane:
    """What is measured: `path` is /auth, /route or /flow; `rate` None is a closed loop with `concurrency` connections.
    A step of a flow follows on the one before, so /flow has no rate."""

    path: str
    concurrency: int = 8
    rate: float | None = None

    @property
    def title(self) -> str:
        load = f"{self.concurrency} at once" if self.rate is None else f"{self.rate:.0f}/s arriving"
        return f"{self.path}{' admit + release' if self.path == '/route' else ''}, {load}"


@dataclass(frozen=True)
class Figures:
    """One run. Latencies in ms; CPU of workerd per decision in ms (a call's release and its record included);
    `client_cpu` and
    `others_cpu` are what the load generator and everything else on the machine took, in cores."""

    per_second: float
    p50: float
    p95: float
    cpu: float
    client_cpu: float
    others_cpu: float
    decisions: int


async def run(server: Server, phones: Phones, lane: Lane, seconds: float) -> Figures:
    """Raises `LoadError` when a single answer is not the expected one."""
    if lane.path == "/flow":
        return await _flows(server, phones, lane, seconds)
    count = math.ceil(seconds * (MOST_PER_SECOND if lane.rate is None else lane.rate))
    requests = phones.registers(count) if lane.path == "/auth" else phones.invites(count)
    cpu, own, busy, begun = server.cpu_seconds(), time.process_time(), busy_seconds(), time.perf_counter()

    async def load(check: Check) -> Sample:
        if lane.rate is None:
            return await closed_loop(server.port, requests, lane.concurrency, seconds, check)
        return await open_loop(server.port, requests, lane.rate, check)

    sample = await (load(registered) if lane.path == "/auth" else _released(server, load))
    return _figures(server, sample, cpu, own, busy, begun)


async def _flows(server: Server, phones: Phones, lane: Lane, seconds: float) -> Figures:
    """Each connection is a node that runs one call's flow, step after step."""
    calls = await flows.call_up(server, phones, lane.concurrency)
    count = math.ceil(seconds * MOST_PER_SECOND / lane.concurrency)
    requests = [list(flows.steps(call, count)) for call in calls]
    cpu, own, busy, begun = server.cpu_seconds(), time.process_time(), busy_seconds(), time.perf_counter()
    sample = await conversations(server.port, requests, seconds, flows.stepped)
    found = _figures(server, sample, cpu, own, busy, begun)
    await flows.hang_up(server, calls)
    return found


def _figures(server: Server, sample: Sample, cpu: float, own: float, busy: float, begun: float) -> Figures:
    """`cpu`, `own`, `busy` and `begun` are as they were when the load began."""
    elapsed = time.perf_counter() - begun
    decided = len(sample.latencies)
    cpu, own = server.cpu_seconds() - cpu, time.process_time() - own
    return Figures(
        per_second=decided / elapsed,
        p50=sample.quantile(0.5) * 1000,
        p95=sample.quantile(0.95) * 1000,
        cpu=cpu / decided * 1000,
        client_cpu=own / elapsed,
        others_cpu=max(busy_seconds() - busy - cpu - own, 0.0) / elapsed,
        decisions=decided,
    )


async def _released(server: Server, load: Callable[[Check], Awaitable[Sample]]) -> Sample:
    """A load of calls, over when the last of them is released."""
    releases = Releases(server.port)
    task = asyncio.create_task(releases.run())
    try:
        sample = await load(releases.admitted)
        releases.close()
        await task
    finally:
        task.cancel()
    return sample


async def compare(
    brain: Server,
    twin: Server,
    phones: Phones,
    lanes: list[Lane],
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Medians of every lane over the rounds, and the ratios of brain to twin (throughput, p95, CPU).

    A ratio is the median of the rounds' ratios: the two runs of a round saw the same machine. Rounds in which something
    else kept the machine busy count only when there are no others.
    """
    runs: dict[Lane, list[tuple[Figures, Figures]]] = {lane: [] for lane in lanes}
    for number in range(1, rounds + 1):
        for lane in lanes:
            say(f"round {number} of {rounds}: {lane.title}")
            runs[lane].append((await run(brain, phones, lane, seconds), await run(twin, phones, lane, seconds)))
    return [_summary(lane, pairs) for lane, pairs in runs.items()]


def _summary(lane: Lane, measured: list[tuple[Figures, Figures]]) -> dict[str, Any]:
    quiet = [pair for pair in measured if max(one.others_cpu for one in pair) <= DISTURBED_CORES]
    pairs = quiet or measured
    return {
        "quiet_rounds": len(quiet),
        "lane": lane.title,
        **asdict(lane),
        "brain": _medians([ours for ours, _ in pairs]),
        "twin": _medians([theirs for _, theirs in pairs]),
        "throughput_ratio": round(median(ours.per_second / theirs.per_second for ours, theirs in pairs), 3),
        "p95_ratio": round(median(ours.p95 / theirs.p95 for ours, theirs in pairs), 2),
        "cpu_ratio": round(median(ours.cpu / theirs.cpu for ours, theirs in pairs), 2),
        "rounds": [{"brain": asdict(ours), "twin": asdict(theirs)} for ours, theirs in measured],
    }


def _medians(found: list[Figures]) -> dict[str, float]:
    names = asdict(found[0])
    return {name: round(median(getattr(one, name) for one in found), 3) for name in names}
