"""Ids: type prefix + `_` + 26-character lower-case ULID, sortable by creation time (spec 00, "Conventions")."""

from __future__ import annotations

from typing import Final, Literal

Prefix = Literal[
    "acc", "dom", "us", "dev", "did", "ext", "rg", "rgm", "fwd", "sch", "schr", "tr", "or", "lim", "vn", "rate", "node",
    "key", "cu", "aud", "call", "leg", "cmd", "ev", "req", "flow", "media", "pl", "q", "vm",
]  # fmt: skip

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH: Final = 26
RANDOM_BYTES: Final = 10


def ulid(now_ms: int, randomness: bytes) -> str:
    """48 bits of epoch milliseconds and 80 random bits in Crockford's base 32, 26 characters."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"a ULID takes {RANDOM_BYTES} random bytes, not {len(randomness)}")
    value = (now_ms << 80) | int.from_bytes(randomness, "big")
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def new_id(prefix: Prefix, now_ms: int, randomness: bytes) -> str:
    return f"{prefix}_{ulid(now_ms, randomness)}"


def is_ulid(text: str) -> bool:
    return len(text) == _LENGTH and text[0] in "01234567" and all(char in _ALPHABET for char in text)


def is_id(prefix: Prefix, text: str) -> bool:
    return text.startswith(f"{prefix}_") and is_ulid(text[len(prefix) + 1 :])
