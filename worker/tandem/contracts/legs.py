"""`X-Tandem-Leg` (spec 20, "Execution"): the brain's word that a leg which the media engine places is its own order.

The token is `<leg_id>.<expiry, epoch s>.<MAC>`; the MAC is the first 32 hex digits of HMAC-SHA256 over
`leg|<account_id>|<node_id>|<leg_id>|<expiry>`, keyed with a key of the brain's that no node has.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

HEADER: Final = "X-Tandem-Leg"
CALL_HEADER: Final = "X-Tandem-Call"
ACCOUNT_HEADER: Final = "X-Tandem-Account"
LIFE_SEC: Final = 60
_TOKEN: Final = re.compile(r"(leg_[0-9a-z]{26})\.([0-9]{1,12})\.([0-9a-f]{32})")


def make(key: bytes, account_id: str, node_id: str, leg_id: str, now_ms: int) -> str:
    expiry = now_ms // 1000 + LIFE_SEC
    return f"{leg_id}.{expiry}.{_mac(key, account_id, node_id, leg_id, expiry)}"


def verify(key: bytes, account_id: str, node_id: str, token: str, now_ms: int) -> str | None:
    """The leg id of a token that is good now for this account on this node; None of any other."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return None
    leg_id, expiry = parts[1], int(parts[2])
    if not hmac.compare_digest(parts[3], _mac(key, account_id, node_id, leg_id, expiry)):
        return None
    return leg_id if now_ms // 1000 <= expiry else None


def _mac(key: bytes, account_id: str, node_id: str, leg_id: str, expiry: int) -> str:
    text = f"leg|{account_id}|{node_id}|{leg_id}|{expiry}"
    return hmac.digest(key, text.encode(), "sha256").hex()[:32]
