"""Signatures of node requests and of commands to nodes (spec 50, "Trust between node and brain").

HMAC-SHA256 over method, path, body hash, timestamp, request id and node id, keyed with the node's credential. The
credential is derived from the brain's master key (docs/decisions/0003-node-credentials.md), so the brain stores none.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from tandem.contracts.errors import TandemError
from tandem.contracts.ids import is_ulid

NODE: Final = "x-tandem-node"
TIMESTAMP: Final = "x-tandem-timestamp"
REQUEST_ID: Final = "x-tandem-request-id"
SIGNATURE: Final = "x-tandem-signature"
TOLERANCE_MS: Final = 30_000


def derive_key(master_key: str, purpose: str) -> bytes:
    """A 32-byte key for one purpose, such as `node:node_01…:1`; HMAC is the derivation (RFC 5869's expand)."""
    return hmac.digest(master_key.encode(), purpose.encode(), "sha256")


def node_credential(master_key: str, node_id: str, credential_version: int) -> str:
    """The node's secret as it stands in the node's credential file: 64 hex digits."""
    return derive_key(master_key, f"node:{node_id}:{credential_version}").hex()


def signature(key: str, method: str, path: str, body: bytes, timestamp: str, request_id: str, node_id: str) -> str:
    """`path` includes the query. 64 hex digits."""
    text = "\n".join((method, path, hashlib.sha256(body).hexdigest(), timestamp, request_id, node_id))
    return hmac.digest(key.encode(), text.encode(), "sha256").hex()


def sign_headers(
    key: str, method: str, path: str, body: bytes, now_ms: int, request_id: str, node_id: str
) -> dict[str, str]:
    timestamp = str(now_ms)
    return {
        NODE: node_id,
        TIMESTAMP: timestamp,
        REQUEST_ID: request_id,
        SIGNATURE: signature(key, method, path, body, timestamp, request_id, node_id),
    }


def check_freshness(timestamp: str, request_id: str, now_ms: int) -> None:
    """Raises `TandemError` `unsigned_request` (no or malformed headers) or `stale_request` (beyond ±30 s)."""
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 15 and is_ulid(request_id)):
        raise TandemError(
            "unsigned_request",
            f"Sign the request: {NODE}, {TIMESTAMP} (epoch ms), {REQUEST_ID} (a lower-case ULID) and {SIGNATURE}.",
        )
    if abs(now_ms - int(timestamp)) > TOLERANCE_MS:
        raise TandemError("stale_request", "The timestamp is more than 30 seconds off; check the node's clock (NTP).")


def verify(key: str, method: str, path: str, body: bytes, headers: Mapping[str, str], now_ms: int) -> str:
    """The request id of a request with a valid signature. Raises `TandemError` otherwise."""
    node_id = headers.get(NODE, "")
    timestamp = headers.get(TIMESTAMP, "")
    request_id = headers.get(REQUEST_ID, "")
    check_freshness(timestamp, request_id, now_ms)
    expected = signature(key, method, path, body, timestamp, request_id, node_id)
    if not hmac.compare_digest(expected.encode(), headers.get(SIGNATURE, "").encode()):
        raise TandemError("bad_signature", "The signature does not match; check the node's credential.")
    return request_id
