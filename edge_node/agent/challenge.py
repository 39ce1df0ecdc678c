"""A brain's challenge as the header lines of a 401 or 407."""

from __future__ import annotations

from edge_node.agent.sip_text import quote
from tandem.contracts.auth import Challenge

_PREFERENCE = ("SHA-256", "MD5")


def status_of(method: str) -> tuple[int, str]:
    """A registrar asks for itself (401), a proxy for its hop (407) (RFC 3261 sections 22.2, 22.3)."""
    return (401, "Unauthorized") if method == "REGISTER" else (407, "Proxy Authentication Required")


def header_lines(challenge: Challenge, method: str) -> str:
    """One header an algorithm, the strongest on top (RFC 8760 section 2.3); parameters of RFC 7616 section 3.3."""
    name = "WWW-Authenticate" if method == "REGISTER" else "Proxy-Authenticate"
    stale = ", stale=true" if challenge.stale else ""
    fixed = f"{name}: Digest realm={quote(challenge.realm)}, nonce={quote(challenge.nonce)}"
    known = [algorithm for algorithm in _PREFERENCE if algorithm in challenge.algorithms]
    return "".join(
        f'{fixed}, algorithm={algorithm}, qop="{challenge.qop}"{stale}\r\n' for algorithm in known or _PREFERENCE
    )
