"""What the rows of the demo tenants are made of."""

from __future__ import annotations

import secrets
import time

from tandem.contracts.ids import Prefix, new_id

Statement = tuple[str, tuple[str | int | float | None, ...]]


def fresh_id(prefix: Prefix) -> str:
    return new_id(prefix, time.time_ns() // 1_000_000, secrets.token_bytes(10))
