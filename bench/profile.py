"""Where a decision's time goes, by difference: each step adds one thing to the step before."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

from bench.load import LoadError, closed_loop
from bench.servers import Server
from bench.world import Phones, get, post

CONCURRENCY = 8
STEPS = {
    "empty": "GET /healthz: an answer without work",
    "signed": "+ body read, signature verified, parsed, a nonce made (/auth without credentials)",
    "auth": "+ one hop, a transaction of 8 statements, a digest (/auth)",
    "route": "+ 8 more statements, the routing document, the call's record to D1 (/route)",
}


async def profile(server: Server, phones: Phones, seconds: float) -> dict[str, dict[str, float]]:
    """CPU ms per request and requests/s of every step."""
    found: dict[str, dict[str, float]] = {}
    for step in STEPS:
        requests = list(itertools.islice(_requests(step, phones), round(seconds * 3000)))
        cpu, begun = server.cpu_seconds(), time.perf_counter()
        sample = await closed_loop(server.port, requests, CONCURRENCY, seconds, _ok)
        count, elapsed = len(sample.latencies), time.perf_counter() - begun
        found[step] = {
            "cpu_ms": round((server.cpu_seconds() - cpu) / count * 1000, 3),
            "per_second": round(count / elapsed, 1),
        }
    return found


def _requests(step: str, phones: Phones) -> Iterator[bytes]:
    for turn in itertools.count():
        match step:
            case "empty":
                yield get("/healthz")
            case "signed":
                fields: dict[str, Any] = json.loads(phones.register_body(turn))
                del fields["credentials"]
                yield post("/auth", json.dumps(fields))
            case "auth":
                yield from phones.registers(1)
            case _:
                yield from phones.invites(1)


def _ok(status: int, body: bytes) -> None:
    if status != 200:
        raise LoadError(f"{status} {body[:300]!r}")
