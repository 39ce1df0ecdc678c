"""What was dialled: URIs (RFC 3261, RFC 3966, RFC 5031), telephone numbers as E.164 digits, emergency numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import phonenumbers
from phonenumbers import shortnumberinfo

_SEPARATORS: Final = str.maketrans("", "", "-.() ")
_DIALLABLE: Final = frozenset("0123456789*#+")
# E.164: at most 15 digits; no country gives out shorter ones than 7 with its code.
_SHORTEST: Final = 7
_LONGEST: Final = 15
_SOS: Final = re.compile(r"urn:service:sos(?:\.[a-z0-9-]+)*")
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Dialled:
    """`user` is the address's user part; `domain` is empty for a tel URI."""

    user: str
    domain: str


def addr_spec(header: str) -> str:
    """The URI of a header's name-addr (`"Name" <uri>;parameters`), or the whole when it is a bare URI."""
    return header.partition("<")[2].partition(">")[0] or header


def parse_uri(uri: str) -> Dialled:
    """User and domain of a `sip:`, `sips:` or `tel:` URI or of a bare user; no error: what is not there is empty. The
    user of a `urn:` is the whole of it."""
    text = uri.strip().strip("<>")
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() == "urn":
        return Dialled(text.lower(), "")
    if colon and scheme.lower() in ("sip", "sips", "tel"):
        text = rest
    if colon and scheme.lower() == "tel":
        return Dialled(_plain(text.partition(";")[0]), "")
    user, at, host = text.rpartition("@")
    if not at:
        user, host = (text, "") if scheme.lower() not in ("sip", "sips") else ("", text)
    host = host.partition(";")[0].partition("?")[0]
    if not host.startswith("["):
        host = host.partition(":")[0]
    return Dialled(_plain(unquote(user).partition(";")[0].partition(":")[0]), host.lower())


def _plain(user: str) -> str:
    """Visual separators go where only digits are left without them, so `1-001` is `1001` but `anna-maria` stays."""
    digits = user.translate(_SEPARATORS)
    return digits if digits and all(char in _DIALLABLE for char in digits) else user


@lru_cache(maxsize=_REMEMBERED)
def normalise(raw: str, country: str) -> str | None:
    """E.164 digits of a number in any usual form: `+…`, `00…`, the country's own forms, `sip:` and `tel:` URIs.

    None for what is no number of the outside world (extensions, names). `country` is ISO 3166's two letters.
    """
    user = parse_uri(raw).user
    if user.startswith("+"):
        return _international(user[1:])
    if not _is_digits(user):
        return None
    if user.startswith("00"):
        return _national(user, country, valid=True) or _international(user[2:])
    return _national(user, country)


def candidates(raw: str, country: str) -> tuple[str, ...]:
    """The E.164 digits that a peer may mean, likeliest first: some send E.164 without a plus."""
    user = parse_uri(raw).user
    found = (normalise(raw, country), _international(user))
    return tuple(dict.fromkeys(digits for digits in found if digits is not None))


def _international(digits: str) -> str | None:
    whole = _is_digits(digits) and not digits.startswith("0") and _SHORTEST <= len(digits) <= _LONGEST
    return digits if whole else None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _national(digits: str, country: str, valid: bool = False) -> str | None:
    """A number as it is dialled in the country: a valid one or, unless it must be, one of a full number's length."""
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    length = phonenumbers.is_possible_number_with_reason(number)
    full = length == phonenumbers.ValidationResult.IS_POSSIBLE and len(digits) >= _SHORTEST and not valid
    if not full and not phonenumbers.is_valid_number(number):
        return None
    return _international(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:])


def emergency(dialled: str, country: str, listed: frozenset[str] | None) -> bool:
    """Whether this calls for help: the service `sos` (RFC 5031) with any part of it, or digits of the account's own
    list, else of the country's numbering plan."""
    if _SOS.fullmatch(dialled):
        return True
    if listed is not None:
        return dialled in listed
    return _of_plan(dialled, country)


@lru_cache(maxsize=_REMEMBERED)
def _of_plan(dialled: str, country: str) -> bool:
    return _is_digits(dialled) and shortnumberinfo.is_emergency_number(dialled, country)
