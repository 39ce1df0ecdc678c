"""The bits of SIP text that the agent must read: a digest Authorization value, a SIP URI, a REGISTER's contacts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# RFC 3261 section 25.1: token, quoted-string (its inside kept as on the wire, quoted-pairs included).
_WORD: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"
_PARAMETER: Final = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)', re.DOTALL)
_EMPTY: Final = re.compile(r"[\s,]*")
_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9\-]*)(?:\s+|$)")
_URI: Final = re.compile(
    r"(?P<scheme>sips?|tel):(?:(?P<user>[^@:<>\s]*)(?::[^@<>\s]*)?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:;?<>@\[\]]+)(?=[:;?>]|$)",
    re.IGNORECASE,
)
_REQUIRED: Final = ("username", "realm", "nonce", "uri", "response")
_OPTIONAL: Final = ("algorithm", "qop", "nc", "cnonce", "opaque")
_EXPIRES: Final = re.compile(r"expires\s*=\s*\"?([0-9]{1,10})\"?", re.IGNORECASE)
_LONGEST_EXPIRES: Final = 2**32 - 1
_CLOSING: Final = {'"': '"', "<": ">"}


class SipTextError(ValueError):
    """The text is not what RFC 3261 asks for; the message may be shown to the sender."""


@dataclass(frozen=True, slots=True)
class Uri:
    """`user` and `host` as on the wire (escapes kept, brackets of an IPv6 address kept); `user` may be empty."""

    scheme: str
    user: str
    host: str


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of a REGISTER. `uri` is as on the wire, `*`, or empty; `expires` is its own parameter (seconds)."""

    uri: str
    expires: int | None


def parse_uri(text: str) -> Uri:
    """A SIP, SIPS or tel URI, also within `<…>` after a display name. Raises `SipTextError`."""
    addressed = text
    if "<" in text:
        # A display name may itself be a quoted string with anything in it: the address is the last part.
        addressed = text[text.rindex("<") + 1 :]
    match = _URI.match(addressed.strip())
    if match is None:
        raise SipTextError("not a SIP URI")
    if match["scheme"].lower() == "tel":
        return Uri("tel", match["host"], "")
    return Uri(match["scheme"].lower(), match["user"] or "", match["host"])


def parse_digest(value: str) -> dict[str, str] | None:
    """The digest parameters of an Authorization or Proxy-Authorization value; None when it is of another scheme.

    Names are lower case; values as between the quotes, quoted-pairs not resolved. Unknown parameters are left out.
    Raises `SipTextError` for a malformed value, a repeated or a missing parameter (RFC 7616 section 3.4: a 400).
    """
    scheme = _SCHEME.match(value)
    if scheme is None or scheme[1].lower() != "digest":
        return None
    found: dict[str, str] = {}
    position = scheme.end()
    while position < len(value):
        parameter = _PARAMETER.match(value, position)
        if parameter is None:
            if _EMPTY.fullmatch(value, position):
                break
            raise SipTextError("Malformed Authorization")
        name = parameter[1].lower()
        if name in found:
            raise SipTextError("Malformed Authorization")
        found[name] = parameter[2] if parameter[2] is not None else parameter[3]
        position = parameter.end()
    if any(name not in found for name in _REQUIRED):
        raise SipTextError("Malformed Authorization")
    return {name: found[name] for name in (*_REQUIRED, *_OPTIONAL) if name in found}


def parse_contacts(value: str) -> list[Binding]:
    """The contacts of a Contact value (RFC 3261 section 20.10). Without `<…>`, parameters are the header's."""
    return [_binding(text) for text in _split(value, ",") if text.strip()]


def _binding(text: str) -> Binding:
    address, *parameters = _split(text, ";")
    uri = address.strip()
    if "<" in uri:
        # Within a display name it may stand as well: the address is the last part.
        uri = uri[uri.rindex("<") + 1 :].removesuffix(">").strip()
    own = [found[1] for parameter in parameters if (found := _EXPIRES.fullmatch(parameter.strip()))]
    return Binding(uri, min(int(own[0]), _LONGEST_EXPIRES) if own else None)


def _split(text: str, separator: str) -> list[str]:
    """At the separators that stand neither in a quoted string nor within `<…>`."""
    parts: list[str] = []
    start, closing, position = 0, "", 0
    while position < len(text):
        letter = text[position]
        if closing:
            if letter == "\\" and closing == '"':
                position += 1
            elif letter == closing:
                closing = ""
        elif letter in _CLOSING:
            closing = _CLOSING[letter]
        elif letter == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


def registration_expires(contacts: Sequence[Binding], header: str) -> int | None:
    """Seconds that a REGISTER asks for: the contact's own parameter wins over the header (RFC 3261 section 10.3).

    With several contacts, the longest. None when neither says anything that can be read.
    """
    common = min(int(header), _LONGEST_EXPIRES) if header.isascii() and header.isdecimal() else None
    asked = [common if contact.expires is None else contact.expires for contact in contacts] or [common]
    return max((one for one in asked if one is not None), default=None)


def quote(text: str) -> str:
    """A quoted-string. Raises `SipTextError` for what cannot stand in one (line breaks)."""
    if "\r" in text or "\n" in text:
        raise SipTextError("a line break in a quoted string")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
