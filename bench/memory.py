"""The brain's WebAssembly heap under many decisions: it never shrinks, so what matters is that it stops growing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bench.load import connect
from bench.measure import Lane, run
from bench.servers import Server
from bench.world import Phones, counters

MB = 1024 * 1024
SAMPLES = 10


async def heap(server: Server, phones: Phones, decisions: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Heap and resident set (MB) at every tenth of `decisions`, half of them /auth and half /route with release."""
    points = [await _point(server, 0)]
    done = 0
    for tenth in range(1, SAMPLES + 1):
        while done < decisions * tenth / SAMPLES:
            for path in ("/auth", "/route"):
                done += (await run(server, phones, Lane(path, 16), 2.0)).decisions
        points.append(await _point(server, done))
        say(f"heap after {done} of {decisions} decisions: {points[-1]['heap_mb']} MB")
    half = points[len(points) // 2]["heap_mb"]
    return {
        "decisions": done,
        "heap_mb": points[-1]["heap_mb"],
        "growth_over_last_half_percent": round((points[-1]["heap_mb"] / half - 1) * 100, 2),
        "resident_mb": points[-1]["resident_mb"],
        "points": points,
    }


async def _point(server: Server, decisions: int) -> dict[str, float]:
    connection = await connect(server.port)
    _, body = await connection.ask(counters())
    connection.close()
    bytes_ = json.loads(body)["heap_bytes"]
    return {"decisions": decisions, "heap_mb": round(bytes_ / MB, 2), "resident_mb": round(server.memory_mb(), 1)}
