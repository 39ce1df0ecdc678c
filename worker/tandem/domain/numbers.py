"""What was dialled: the user part of a SIP or tel URI as digits that an extension can match (RFC 3261, RFC 3966)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_SEPARATORS: Final = str.maketrans("", "", "-.() ")
_DIALLABLE: Final = frozenset("0123456789*#+")


@dataclass(frozen=True, slots=True)
class Dialled:
    """`user` is the address's user part; `domain` is empty for a tel URI."""

    user: str
    domain: str


def parse_uri(uri: str) -> Dialled:
    """User and domain of a `sip:`, `sips:` or `tel:` URI or of a bare user; no error: what is not there is empty."""
    text = uri.strip().strip("<>")
    scheme, colon, rest = text.partition(":")
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
