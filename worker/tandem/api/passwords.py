"""Console passwords: scrypt (RFC 7914) with a salt of their own, kept as `scrypt$N$r$p$salt$hash`."""

from __future__ import annotations

import hmac
from typing import Final

from tandem.runtime import random_bytes, scrypt

COST: Final = 16_384
BLOCK: Final = 8
PARALLEL: Final = 1
_SALT_BYTES: Final = 16
# Takes the place of an unknown person's hash, so that both cases take the same work and the same time.
NOBODY: Final = f"scrypt${COST}${BLOCK}${PARALLEL}${'0' * 32}${'0' * 64}"


def hashed(password: str) -> str:
    salt = random_bytes(_SALT_BYTES).hex()
    return f"scrypt${COST}${BLOCK}${PARALLEL}${salt}${scrypt(password, salt, COST, BLOCK, PARALLEL)}"


def matches(password: str, kept: str) -> bool:
    _, cost, block, parallel, salt, expected = kept.split("$")
    found = scrypt(password, salt, int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, expected)
