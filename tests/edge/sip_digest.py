"""Digest answers of a client (RFC 2617, RFC 7616, RFC 8760).

Written apart from the brain's own so that the two cannot share a mistake.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

_PARAMETER = re.compile(r'([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256, "SHA-512-256": lambda data: hashlib.new("sha512_256", data)}


@dataclass(frozen=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate value; `qop` and `opaque` are "" when absent."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: str = ""
    opaque: str = ""
    stale: bool = False


def parse_challenge(value: str) -> Challenge:
    """Read a `Digest …` challenge. Raises `ValueError` for another scheme."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest":
        raise ValueError(f"not a Digest challenge: {value!r}")
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(
        realm=found.get("realm", ""),
        nonce=found.get("nonce", ""),
        algorithm=found.get("algorithm", "MD5"),
        qop=found.get("qop", ""),
        opaque=found.get("opaque", ""),
        stale=found.get("stale", "").lower() == "true",
    )


def answer(
    challenge: Challenge,
    user: str,
    password: str,
    method: str,
    uri: str,
    *,
    use_qop: bool = True,
    count: int = 1,
    cnonce: str | None = None,
    nonce: str | None = None,
    realm: str | None = None,
    name_algorithm: bool = True,
    response: str | None = None,
) -> str:
    """The value of an Authorization header field. The later arguments are for answers that are wrong on purpose.

    `use_qop` False answers as RFC 2069 does even when qop is offered; `name_algorithm` False leaves the parameter out.
    """
    nonce = challenge.nonce if nonce is None else nonce
    realm = challenge.realm if realm is None else realm
    cnonce = cnonce or secrets.token_hex(8)
    qop = "auth" if use_qop and "auth" in challenge.qop.replace(" ", "").split(",") else ""

    def h(text: str) -> str:
        return str(_HASHES[challenge.algorithm.upper()](text.encode()).hexdigest())

    secret, request = h(f"{user}:{realm}:{password}"), h(f"{method}:{uri}")
    middle = f"{nonce}:{count:08x}:{cnonce}:{qop}" if qop else nonce
    fields = [
        f'username="{user}"',
        f'realm="{realm}"',
        f'nonce="{nonce}"',
        f'uri="{uri}"',
        f'response="{h(f"{secret}:{middle}:{request}") if response is None else response}"',
    ]
    if name_algorithm:
        fields.append(f"algorithm={challenge.algorithm}")
    if qop:
        fields += [f"qop={qop}", f"nc={count:08x}", f'cnonce="{cnonce}"']
    if challenge.opaque:
        fields.append(f'opaque="{challenge.opaque}"')
    return "Digest " + ", ".join(fields)
