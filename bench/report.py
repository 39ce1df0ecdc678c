"""Tables for the terminal and JSON for bench/results/."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.profile import STEPS

# A tree of 10 000 rows is one or two pages deeper than one of 25.
GROWTH = 1.5
# Of the twin's.
THROUGHPUT = 0.18
LATENCY = 4
_SCALE_FIGURES = ("per_second", "p50", "p95", "cpu", "cpu_ratio", "p50_ratio")
RESULTS = Path(__file__).parent / "results"


def save(name: str, parts: dict[str, Any]) -> Path:
    """Each part with the time when it was taken; parts that were not measured this time stay."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found.update({part: {"taken": taken, "found": value} for part, value in parts.items()})
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first one left-aligned, the others right."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def scales(found: dict[str, Any]) -> str:
    """The lanes by size, then what replicas cost, then the big ones beside their twins."""
    head = ("lane", "size", "decisions/s", "p50 ms", "p95 ms", "CPU ms", "CPU ratio", "p50 ratio")
    rows = [
        (lane["lane"], one["scale"], *(f"{one[name]:.2f}" for name in _SCALE_FIGURES))
        for lane in found["lanes"]
        for one in lane["rows"]
    ]
    pulls = [
        (name, *(f"{one[key]}" for key in ("load_sec", "load_cpu_sec", "change_ms", "nothing_ms")))
        for name, one in found["replica"].items()
    ]
    heads = ("replica of a tenant", "load s", "CPU s", "change ms", "nothing ms")
    beside = [f"{name}\n{lanes(one)}" for name, one in found["twins"].items()]
    return "\n\n".join((table(head, rows), table(heads, pulls), *beside))


def lanes(found: Sequence[dict[str, Any]]) -> str:
    head = (
        "lane",
        "brain/s",
        "twin/s",
        "ratio",
        "brain p50",
        "p95",
        "twin p50",
        "p95",
        "p95 ratio",
        "CPU ms",
        "twin",
        "ratio",
        "quiet rounds",
    )
    rows = []
    for one in found:
        brain, twin = one["brain"], one["twin"]
        rows.append(
            (
                one["lane"],
                f"{brain['per_second']:.0f}",
                f"{twin['per_second']:.0f}",
                f"{one['throughput_ratio']:.2f}",
                f"{brain['p50']:.1f}",
                f"{brain['p95']:.1f}",
                f"{twin['p50']:.1f}",
                f"{twin['p95']:.1f}",
                f"{one['p95_ratio']:.1f}",
                f"{brain['cpu']:.2f}",
                f"{twin['cpu']:.2f}",
                f"{one['cpu_ratio']:.1f}",
                f"{one['quiet_rounds']} of {len(one['rounds'])}",
            )
        )
    return table(head, rows)


def profiles(brain: dict[str, dict[str, float]], twin: dict[str, dict[str, float]]) -> str:
    rows = []
    before = {"brain": 0.0, "twin": 0.0}
    for step, meaning in STEPS.items():
        ours, theirs = brain[step]["cpu_ms"], twin[step]["cpu_ms"]
        rows.append(
            (
                meaning,
                f"{ours:.2f}",
                f"{ours - before['brain']:+.2f}",
                f"{theirs:.2f}",
                f"{theirs - before['twin']:+.2f}",
            )
        )
        before = {"brain": ours, "twin": theirs}
    return table(("step (CPU ms of workerd per request)", "brain", "adds", "twin", "adds"), rows)


def verdicts(found: dict[str, Any]) -> list[tuple[bool, str]]:
    """The bars that the brain must hold, of those parts that were measured, each with what was seen."""
    held: list[tuple[bool, str]] = []
    if "lanes" in found:
        held += _against_twin(found["lanes"], "")
    if "scale" in found:
        for lane in found["scale"]["lanes"]:
            worst = max(one["cpu_ratio"] for one in lane["rows"])
            text = f"{lane['lane']} with 10 000 users: {worst:.2f} x the CPU of 100 (at most {GROWTH})"
            held.append((worst <= GROWTH, text))
        for name, lanes_ in found["scale"]["twins"].items():
            held += _against_twin(lanes_, f", {name}")
    if "heap" in found:
        heap = found["heap"]
        growth = heap["growth_over_last_half_percent"]
        size = f"{heap['heap_mb']:.1f} MB (at most 96)"
        held.append((heap["heap_mb"] <= 96, f"heap after {heap['decisions']} decisions: {size}"))
        held.append((growth < 2, f"heap growth over the last half: {growth:.2f} % (below 2)"))
    return held


def _against_twin(found: Sequence[dict[str, Any]], where: str) -> list[tuple[bool, str]]:
    """The bars of lanes that a twin ran too: its throughput, and its latencies where requests arrive at a rate."""
    held = []
    for title, path in (("/route admit + release", "/route"), ("/flow step", "/flow")):
        seen = [one["throughput_ratio"] for one in found if one["path"] == path and one["rate"] is None]
        if seen:
            text = f"{title}{where}: {min(seen):.2f} x the twin's throughput (at least {THROUGHPUT})"
            held.append((min(seen) >= THROUGHPUT, text))
    for one in found:
        if one["rate"] is not None:
            text = f"p95 at {one['rate']:.0f}/s{where}: {one['p95_ratio']:.1f} x the twin's (at most {LATENCY})"
            held.append((one["p95_ratio"] <= LATENCY, text))
    return held
