"""`POST /auth` (spec 10): the digest parameters of a request, and the verdict."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tandem.contracts.base import BrainMessage, NodeMessage

# What a REGISTER gets that asks for no time, and the most that any gets; the brain reckons as the registrar does.
DEFAULT_EXPIRES_SEC: Final = 600
LONGEST_EXPIRES_SEC: Final = 3600
EVERY_CONTACT: Final = "*"
Text = Annotated[str, Field(max_length=1024)]
Transport = Literal["udp", "tcp", "tls", "ws", "wss"]
Port = Annotated[int, Field(ge=0, le=65_535)]


class DigestCredentials(NodeMessage):
    """An Authorization header's parameters as between the quotes on the wire: quoted-pairs are not resolved."""

    username: Text
    realm: Text
    nonce: Text
    uri: Text
    response: Text
    algorithm: Text | None = None
    qop: Text | None = None
    nc: Text | None = None
    cnonce: Text | None = None
    opaque: Text | None = None


class AuthRequest(NodeMessage):
    """`realm` is the domain that the request is for; `expires` in seconds and `ruri` (Request-URI) of REGISTER only.

    `contact` is the bare URI, or `*`; absent when the REGISTER has none, or several.
    """

    method: Annotated[str, Field(min_length=1, max_length=32)]
    realm: Text
    source_ip: Text
    source_port: Port
    transport: Transport
    node: Text
    sip_call_id: Text
    from_tag: Text = ""
    cseq: Text
    user_agent: Text | None = None
    credentials: DigestCredentials | None = None
    contact: Text | None = None
    expires: Annotated[int, Field(ge=0, le=2**32)] | None = None
    path: Text | None = None
    ruri: Text | None = None


class Challenge(BrainMessage):
    """Becomes one WWW-/Proxy-Authenticate header per algorithm, in this order (RFC 8760 section 2.3)."""

    realm: str
    nonce: str
    algorithms: list[str] = ["SHA-256", "MD5"]
    qop: str = "auth"
    stale: bool = False


class ChallengeReply(BrainMessage):
    ok: Literal[False] = False
    challenge: Challenge


class AuthContext(BrainMessage):
    """`aor` is the AOR under which the node stores the contact; `expires` the granted seconds (REGISTER)."""

    aor: str
    domain: str
    expires: int | None = None


class AuthReply(BrainMessage):
    ok: Literal[True] = True
    account_id: str
    user_id: str
    device_id: str
    context: AuthContext
