"""`X-Tandem-Deliver` (spec 50, "Fleet"): the brain's word to a node that a call from another node is admitted.

The token is `<call_id>.<expiry, epoch s>.<MAC>`; the MAC is the first 32 hex digits of HMAC-SHA256 over
`deliver|<call_id>|<expiry>|<device AOR>`, keyed with the credential of the node that is to take the call.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

HEADER: Final = "X-Tandem-Deliver"
LIFE_SEC: Final = 60
# What a token's expiry may lie ahead at most: its life, and the drift of two clocks.
_AHEAD_SEC: Final = LIFE_SEC + 30
_TOKEN: Final = re.compile(r"([A-Za-z0-9_]{1,64})\.([0-9]{1,12})\.([0-9a-f]{32})")


def make(credential: str, call_id: str, aor: str, now_ms: int) -> str:
    """The header's value. `credential` is the target node's; `aor` the device AOR that is the Request-URI there."""
    expiry = now_ms // 1000 + LIFE_SEC
    return f"{call_id}.{expiry}.{_mac(credential, call_id, expiry, aor)}"


def verify(credential: str, token: str, aor: str, now_ms: int) -> str | None:
    """The call id of a token that is good now for this AOR on the node of this credential; None of any other."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return None
    call_id, expiry = parts[1], int(parts[2])
    if not hmac.compare_digest(parts[3], _mac(credential, call_id, expiry, aor)):
        return None
    return call_id if 0 <= expiry - now_ms // 1000 <= _AHEAD_SEC else None


def _mac(credential: str, call_id: str, expiry: int, aor: str) -> str:
    text = f"deliver|{call_id}|{expiry}|{aor}"
    return hmac.digest(credential.encode(), text.encode(), "sha256").hex()[:32]
