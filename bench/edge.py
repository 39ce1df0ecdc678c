"""`python -m bench.edge`: call set-ups a second through the whole edge, against a Kamailio that routes by itself.

The same phones place the same calls (challenged, answered, talked for a second, ended) through both in turn, at rates
that grow until one does not hold: a call fails, or the 95th percentile of the set-up time passes half a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.native_edge import native_edge
from bench.report import save, table
from edge_node.local.settings import REPOSITORY
from edge_node.local.supervise import Supervisor
from tests.e2e.installation import Installation
from tests.edge import load
from tests.edge.raw_sip import LOOPBACK
from tests.edge.sipp import Account

RATES: Final = (20.0, 40.0, 60.0, 80.0, 120.0, 160.0, 240.0)
SECONDS: Final = 8.0
SLOWEST_P95_MS: Final = 500.0
WORKERS: Final = 4
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Step:
    """One rate. Set-up times in ms from the first INVITE to the 200; CPU ms per call by part."""

    rate: float
    calls: int
    failures: int
    retransmissions: int
    p50: float
    p95: float
    cpu_ms: dict[str, float]

    @property
    def held(self) -> bool:
        return self.failures == 0 and self.p95 <= SLOWEST_P95_MS


class _Direct(Installation):
    """An installation whose agent asks the brain without the tests' proxy in between."""

    def __init__(self, state: Path) -> None:
        state.mkdir()
        super().__init__(state)
        self.settings = replace(self.settings, brain_url=f"http://{LOOPBACK}:{self.settings.brain_port}")
        self.supervisor = Supervisor(self.settings)


def climb(
    name: str,
    port: int,
    callers: Sequence[Account],
    callees: Sequence[Account],
    parts: Callable[[], dict[str, float]],
    rates: Sequence[float],
) -> list[Step]:
    """Steps up to and including the first rate that did not hold; `parts` gives CPU seconds so far by part."""
    steps: list[Step] = []
    for rate in rates:
        before = parts() | {"phones": time.process_time()}
        report = asyncio.run(load.place((LOOPBACK, port), callers, callees, calls=round(rate * SECONDS), rate=rate))
        after = parts() | {"phones": time.process_time()}
        cpu = {part: round((after[part] - before[part]) / report.calls * 1000, 2) for part in after}
        steps.append(
            Step(
                rate,
                report.calls,
                len(report.failures),
                report.retransmissions,
                round(report.percentile(50), 1),
                round(report.percentile(95), 1),
                cpu,
            )
        )
        print(f"{name}: {report}", file=sys.stderr, flush=True)
        if not steps[-1].held:
            break
    return steps


def bench(folder: Path, rates: Sequence[float]) -> dict[str, Any]:
    with _Direct(folder / "tandem") as tandem:
        callers = [_account(tandem, "1001", number) for number in (0, 1)]
        callees = [_account(tandem, "1002", number) for number in (0, 1)]

        def tandem_parts() -> dict[str, float]:
            return {part: _cpu(tandem.pid(part)) for part in ("kamailio", "agent", "brain", "rtpengine")}

        ours = climb("tandem", tandem.settings.sip_port, callers, callees, tandem_parts, rates)
        ng = tandem.settings.ng_port
        with native_edge(folder / "native", [*callers, *callees], ng, WORKERS) as (port, pid):

            def native_parts() -> dict[str, float]:
                return {"kamailio": _cpu(pid), "rtpengine": _cpu(tandem.pid("rtpengine"))}

            theirs = climb("native", port, callers, callees, native_parts, rates)
    return {
        "tandem": [asdict(step) for step in ours],
        "native": [asdict(step) for step in theirs],
        "held_per_second": {"tandem": _best(ours), "native": _best(theirs)},
    }


def _best(steps: Sequence[Step]) -> float:
    return max((step.rate for step in steps if step.held), default=0.0)


def _account(tandem: Installation, extension: str, number: int) -> Account:
    user = tandem.user(extension, number)
    return Account(user["auth_username"], user["password"], tandem.account(number)["domain"])


def _cpu(pid: int) -> float:
    """CPU seconds of a process and of all below it."""
    total = 0.0
    todo = [pid]
    while todo:
        one = todo.pop()
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            todo += [
                int(child)
                for task in Path(f"/proc/{one}/task").iterdir()
                for child in (task / "children").read_text().split()
            ]
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def show(found: dict[str, Any]) -> None:
    head = ("edge", "calls/s", "failed", "set-up p50 ms", "p95", "CPU ms per call")
    rows = [
        (
            name,
            f"{step['rate']:.0f}",
            str(step["failures"]),
            f"{step['p50']:.1f}",
            f"{step['p95']:.1f}",
            ", ".join(f"{part} {cpu:.1f}" for part, cpu in step["cpu_ms"].items()),
        )
        for name in ("tandem", "native")
        for step in found[name]
    ]
    print(table(head, rows))
    held = found["held_per_second"]
    print(f"held: Tandem {held['tandem']:.0f} set-ups/s, native Kamailio {held['native']:.0f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rates; results/ is left alone")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        found = bench(Path(folder), RATES[:2] if quick else RATES)
    show(found)
    if not quick:
        print(f"written to {save('edge', {'calls': found}).relative_to(REPOSITORY)}")
    return 0 if found["held_per_second"]["tandem"] >= RATES[0] else 1


if __name__ == "__main__":
    sys.exit(main())
