"""Stateless signed nonces, and the memory that keeps a nonce from being used twice (spec 10, "POST /auth")."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

LIFETIME_MS: Final = 300_000
REPEAT_MS: Final = 32_000  # how long a phone may retransmit one request (RFC 3261, timer F)
_MAC_DIGITS: Final = 32


def make_nonce(key: bytes, now_ms: int, realm: str, node_id: str, salt: str) -> str:
    """Hex milliseconds, `-`, a salt that tells apart the nonces of one millisecond, a dot, and 128 bits of HMAC-SHA256
    over both, realm and node."""
    stamp = f"{now_ms:x}-{salt}"
    return f"{stamp}.{_mac(key, stamp, realm, node_id)}"


def is_current(key: bytes, nonce: str, now_ms: int, realm: str, node_id: str) -> bool:
    """Whether we made this nonce, for this realm and node, in the last 300 s."""
    stamp, _, mac = nonce.partition(".")
    try:
        made_at = int(stamp.partition("-")[0], 16)
    except ValueError:
        return False
    if not hmac.compare_digest(mac.encode(), _mac(key, stamp, realm, node_id).encode()):
        return False
    return 0 <= now_ms - made_at < LIFETIME_MS


def _mac(key: bytes, stamp: str, realm: str, node_id: str) -> str:
    return hmac.digest(key, f"{stamp}|{realm}|{node_id}".encode(), "sha256").hex()[:_MAC_DIGITS]


@dataclass(frozen=True, slots=True)
class NonceUse:
    """The last accepted use of a (nonce, cnonce): `nc` is 0 when there was no qop; `at` in epoch ms."""

    nc: int
    response: str
    source: str
    cseq: str
    at: int


class Reuse(Enum):
    FRESH = auto()
    REPEAT = auto()  # the very same request again: our own retry, or a retransmission
    STALE = auto()


def judge_reuse(last: NonceUse | None, use: NonceUse) -> Reuse:
    """What a request with a right digest and a current nonce is, given the last use of its (nonce, cnonce)."""
    if last is None:
        return Reuse.FRESH
    same = (last.nc, last.response, last.source, last.cseq) == (use.nc, use.response, use.source, use.cseq)
    if same and use.at - last.at <= REPEAT_MS:
        return Reuse.REPEAT
    return Reuse.FRESH if use.nc > last.nc else Reuse.STALE
