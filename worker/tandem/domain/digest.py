"""HTTP digest access authentication as SIP uses it (RFC 2617, RFC 7616, RFC 8760): responses and their check."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Hash = Callable[[str], str]


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_HOST: Final = re.compile(r"(?:sips?:)?(?:[^@]*@)?(\[[^]]*\]|[^][:;?@>\s]+)", re.IGNORECASE)
HASHES: Final[dict[str, Hash]] = {"MD5": md5, "SHA-256": sha256}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The parameters of an Authorization header as between the quotes on the wire."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str | None = None
    nc: str | None = None
    cnonce: str | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a device row keeps instead of its password; the `b` forms digest `username@realm` as the user name."""

    ha1: str
    ha1b: str
    ha1_sha256: str
    ha1b_sha256: str


# Stands in for an unknown user, so that both cases take the same work and the same time.
NOBODY: Final = Secrets(*(["0" * 32] * 2 + ["0" * 64] * 2))


def unescape(text: str) -> str:
    """Resolves the quoted-pairs of a quoted-string's inside (RFC 3261 section 25.1): `a\\"b` is `a"b`."""
    if "\\" not in text:
        return text
    out: list[str] = []
    chars = iter(text)
    for char in chars:
        out.append(next(chars, char) if char == "\\" else char)
    return "".join(out)


def make_secrets(username: str, realm: str, password: str) -> Secrets:
    plain = f"{username}:{realm}:{password}"
    qualified = f"{username}@{realm}:{realm}:{password}"
    return Secrets(md5(plain), md5(qualified), sha256(plain), sha256(qualified))


def split_username(username: str) -> tuple[str, bool]:
    """The name to look up, and whether the phone digested `username@domain`; quoted-pairs are resolved."""
    name = unescape(username)
    user, at, domain = name.rpartition("@")
    return (user, True) if at and user and domain else (name, False)


def expected_response(ha1: str, credentials: Credentials, method: str, hash_: Hash) -> str:
    """RFC 7616 section 3.4.1; without qop the form of RFC 2069 that RFC 2617 section 3.2.2.1 keeps."""
    ha2 = hash_(f"{method}:{credentials.uri}")
    if credentials.qop is None:
        return hash_(f"{ha1}:{credentials.nonce}:{ha2}")
    middle = f"{credentials.nonce}:{credentials.nc}:{credentials.cnonce}:{credentials.qop}"
    return hash_(f"{ha1}:{middle}:{ha2}")


def well_formed(credentials: Credentials) -> bool:
    """Whether this is a digest that a challenge of ours could have led to: a known algorithm, `auth` or no qop."""
    if credentials.algorithm.upper() not in HASHES:
        return False
    if credentials.qop is None:
        return True
    nc = credentials.nc or ""
    return credentials.qop == "auth" and bool(credentials.cnonce) and len(nc) == 8 and _is_hex(nc)


def matches(credentials: Credentials, method: str, secrets: Secrets, qualified: bool) -> bool:
    """Constant-time comparison of a well-formed digest with the one that `secrets` give."""
    hash_ = HASHES[credentials.algorithm.upper()]
    if hash_ is sha256:
        ha1 = secrets.ha1b_sha256 if qualified else secrets.ha1_sha256
    else:
        ha1 = secrets.ha1b if qualified else secrets.ha1
    expected = expected_response(ha1, credentials, method, hash_)
    return hmac.compare_digest(expected.encode(), credentials.response.lower().encode())


def same_host(uri: str, request_uri: str) -> bool:
    """Whether a digest's `uri` names the host of the Request-URI (RFC 7616 section 3.4.6).

    Phones write the two differently in scheme, port and parameters, so only the host counts.
    """
    return _host(uri) == _host(request_uri) != ""


def _host(uri: str) -> str:
    found = _HOST.match(uri)
    return "" if found is None else found[1].lower()


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)
