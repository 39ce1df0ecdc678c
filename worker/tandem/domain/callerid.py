"""Who is shown as the caller, and who diverted the call (spec 10, "Caller-ID"; RFC 3323, 3325, 5806)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tandem.domain.numbers import normalise, parse_uri

ANONYMOUS_URI: Final = "sip:anonymous@anonymous.invalid"
ANONYMOUS_NAME: Final = "Anonymous"
UNKNOWN: Final = "unknown"
_PRIVATE: Final = frozenset({"id", "header", "user"})
_LONGEST_NAME: Final = 64
# What could end a quoted display name or a header line early.
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f"\\<>\r\n]')
_URI_SAFE: Final = "-_.!~*'()&=+$,/"  # RFC 3261: unreserved and user-unreserved without `;` and `?`
_NAME_ADDR: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<",]*?))\s*<([^<>]*)>')


def uri_user(user: str) -> str:
    """The user part as a URI can hold it."""
    return user if user.isascii() and user.isalnum() else quote(user, safe=_URI_SAFE)


@dataclass(frozen=True, slots=True)
class Caller:
    """`user` is the user part to show (an extension, `+` and E.164 digits, a name), `domain` the one to call back.

    `user_id` is the account's user who pays and counts, if one calls.
    """

    user: str
    display: str
    domain: str
    user_id: str | None = None
    anonymous: bool = False
    is_webrtc: bool = False

    @property
    def shown_name(self) -> str:
        return ANONYMOUS_NAME if self.anonymous else self.display

    @property
    def shown_uri(self) -> str:
        return ANONYMOUS_URI if self.anonymous else f"sip:{uri_user(self.user)}@{self.domain}"


def wants_privacy(privacy: str | None) -> bool:
    """Whether a Privacy header asks to hide who calls (RFC 3323: values are separated by semicolons)."""
    if privacy is None:
        return False
    return not _PRIVATE.isdisjoint(value.strip().lower() for value in privacy.split(";"))


def is_anonymous(from_uri: str, privacy: str | None) -> bool:
    """Hidden by its own wish, or an anonymous From (RFC 3323 section 4.1.1.3)."""
    address = parse_uri(from_uri)
    return wants_privacy(privacy) or address.user.lower() == "anonymous" or address.domain == "anonymous.invalid"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a peer says of the caller: the user part of its URI, and a display name fit to be shown."""

    user: str
    display: str


def identity(from_uri: str, asserted: str | None) -> Identity:
    """P-Asserted-Identity's first value, where one is given and may be believed, before From."""
    if asserted:
        found = _NAME_ADDR.match(asserted)
        uri = found[3] if found else asserted.partition(",")[0].partition(";")[0]
        user = parse_uri(uri).user
        if user:
            return Identity(user, clean(found[1] or found[2] or "") if found else "")
    return Identity(parse_uri(from_uri).user, "")


def clean(name: str) -> str:
    """A display name without what could break out of its quotes."""
    return _UNSAFE.sub("", name)[:_LONGEST_NAME].strip()


def peer_user(user: str, country: str) -> str:
    """How a peer's caller is shown: `+` and E.164 digits if it is a number, else as it came, or `unknown`."""
    digits = normalise(user, country)
    if digits is not None:
        return f"+{digits}"
    return clean(user) or UNKNOWN


def shown_number(wanted: Iterable[str | None], owns: Callable[[str], bool]) -> str | None:
    """The first of the numbers (E.164 digits) that the account owns or has verified: it calls under no other."""
    return next((number for number in wanted if number is not None and owns(number)), None)


@dataclass(frozen=True, slots=True)
class Diversion:
    """`user` sent the call on, for `reason` (RFC 5806's words)."""

    user: str
    reason: str


def diversion_lines(diversions: Iterable[Diversion], domain: str) -> str:
    """Diversion header lines, the latest first, each with its line end; empty without diversions."""
    return "".join(
        f"Diversion: <sip:{uri_user(one.user)}@{domain}>;reason={one.reason}\r\n" for one in reversed(tuple(diversions))
    )
