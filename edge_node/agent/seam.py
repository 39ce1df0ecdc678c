"""The messages between Kamailio and the agent: netstring-framed JSON over evapi.

What a stranger chose arrives in base64 (keys that end in 64), so that Kamailio's configuration needs no JSON escaping.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MAX_TEXT: Final = 8192
Kind = Literal["auth", "route", "deliver"]
_KINDS: Final[dict[str, Kind]] = {"auth": "auth", "route": "route", "deliver": "deliver"}
_TM: Final = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")


class MalformedError(ValueError):
    """A message that is not one of the seam; the text says which part."""


@dataclass(frozen=True, slots=True)
class Question:
    """A suspended transaction that waits for a decision. Absent values are empty strings."""

    ask: Kind
    tm: str
    method: str
    ruri: str
    from_uri: str
    to_uri: str
    call_id: str
    from_tag: str
    cseq: str
    source_ip: str
    source_port: int
    transport: str
    user_agent: str = ""
    authorization: str = field(default="", repr=False)
    contact: str = ""
    expires: str = ""
    path: str = ""
    pai: str = ""
    privacy: str = ""
    called_party: str = ""
    diversion: str = ""
    our_call_id: str = ""
    our_account_id: str = ""
    outcome: str = ""
    # Of a further step: the numbers of the routes that had a branch, each with a comma.
    joined: str = ""
    deliver: str = field(default="", repr=False)
    # Of a leg that the media engine places: the brain's token; its account is `our_account_id`.
    leg: str = field(default="", repr=False)

    @property
    def leg_id(self) -> str:
        return self.leg.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Report:
    """An event of Kamailio's: kept there until it is acknowledged by `id`. `values` are decoded, keys without 64.

    `at` is epoch ms by the node's clock when Kamailio said when it happened.
    """

    id: str
    kind: str
    values: dict[str, str]
    at: int | None = None


def decode(payload: bytes) -> Question | Report:
    """Raises `MalformedError`."""
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON") from error
    if not isinstance(message, dict):
        raise MalformedError("not an object")
    if "ask" in message:
        return _question(_texts(message))
    if "ev" in message:
        return _report(_texts(message))
    raise MalformedError("neither a question nor an event")


def tm_of(payload: bytes) -> str | None:
    """The transaction of a malformed question, where it can be found: its caller need not wait for a time-out."""
    found = re.search(rb'"tm"\s*:\s*"([0-9]{1,10}:[0-9]{1,10})"', payload[:MAX_TEXT])
    return found[1].decode() if found else None


def event_id_of(payload: bytes) -> str | None:
    """The id of a malformed event, where it can be found: it would come back for ever."""
    found = re.search(rb'"ev"\s*:\s*"([!#-\[\]-~]{1,128})"', payload[:MAX_TEXT])
    return found[1].decode() if found else None


def _texts(message: dict[str, Any]) -> dict[str, str]:
    """All scalar values as text, the base64 ones decoded under their name without the suffix."""
    texts: dict[str, str] = {}
    for name, value in message.items():
        if isinstance(value, str):
            text = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            text = str(value)
        elif value is None:
            continue
        else:
            raise MalformedError(f"{name} is neither text nor number")
        plain = name.removesuffix("64")
        if plain != name:
            text = _unbase64(name, text)
        if len(text) > MAX_TEXT:
            raise MalformedError(f"{name} is too long")
        texts[plain] = text
    return texts


def _unbase64(name: str, text: str) -> str:
    try:
        # SIP is UTF-8; a phone that sends something else is heard, with those bytes replaced.
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{name} is not base64") from error


def _question(texts: dict[str, str]) -> Question:
    ask = _KINDS.get(texts.get("ask", ""))
    if ask is None:
        raise MalformedError("unknown question")
    tm = texts.get("tm", "")
    if not _TM.fullmatch(tm):
        raise MalformedError("no transaction")
    return Question(
        ask=ask,
        tm=tm,
        method=texts.get("method", ""),
        ruri=texts.get("ruri", ""),
        from_uri=texts.get("fromu", ""),
        to_uri=texts.get("tou", ""),
        call_id=texts.get("callid", ""),
        from_tag=texts.get("ftag", ""),
        cseq=texts.get("cseq", ""),
        source_ip=texts.get("src", ""),
        source_port=number(texts.get("sport", "")) or 0,
        transport=texts.get("proto", "").lower(),
        user_agent=texts.get("ua", ""),
        authorization=texts.get("auth", ""),
        contact=texts.get("contact", ""),
        expires=texts.get("expires", ""),
        path=texts.get("path", ""),
        pai=texts.get("pai", ""),
        privacy=texts.get("privacy", ""),
        called_party=texts.get("called", ""),
        diversion=texts.get("diversion", ""),
        our_call_id=texts.get("callid_ours", ""),
        our_account_id=texts.get("account_ours", ""),
        outcome=texts.get("outcome", ""),
        joined=texts.get("joined", ""),
        deliver=texts.get("deliver", ""),
        leg=texts.get("leg", ""),
    )


def _report(texts: dict[str, str]) -> Report:
    event_id = texts.pop("ev", "")
    if not 0 < len(event_id) <= 96:
        raise MalformedError("no event id")
    at = _milliseconds(texts.pop("at", ""))
    return Report(id=event_id, kind=texts.pop("kind", ""), values=texts, at=at)


def number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def _milliseconds(text: str) -> int | None:
    """Kamailio's `$TV(sn)` (`seconds.microseconds`) or whole epoch seconds."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return round(seconds * 1000) if 0 < seconds < 2**40 else None


def _encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def reply(tm: str, code: int, reason: str, headers: str = "") -> bytes:
    """`headers` are whole lines, each with its final CR LF."""
    return _encode({"tm": tm, "do": "reply", "code": code, "reason": reason, "headers": headers})


def save(tm: str, aor: str, account: str, device: str) -> bytes:
    """How long a contact lives, the registrar finds by the rule that the brain has too (`contracts.auth`)."""
    return _encode({"tm": tm, "do": "save", "aor": aor, "account": account, "device": device})


def relay(tm: str, account: str, user: str) -> bytes:
    return _encode({"tm": tm, "do": "relay", "account": account, "user": user})


def route(
    tm: str, call: str, account: str, max_sec: int, flags: str, rtjson: dict[str, Any], more: dict[str, Any]
) -> bytes:
    """`more` are members beside these (those of `staggered.Plan`)."""
    fixed = {"tm": tm, "do": "route", "call": call, "account": account, "max": max_sec, "flags": flags}
    return _encode({**fixed, **more, "rtjson": rtjson})


def add(tm: str, route: int, uri: str, hop: str) -> bytes:
    """A branch for the ringing transaction; `hop` is another node's address or empty. Numbers go as text."""
    return _encode({"tm": tm, "do": "add", "route": str(route), "uri": uri, "hop": hop})


def over(tm: str, route: int) -> bytes:
    """The branches of this route ring no longer."""
    return _encode({"tm": tm, "do": "over", "route": str(route)})


def ring(tm: str, first: int, until: int) -> bytes:
    """The answer to a question that was held: routes `first` up to, not including, `until`."""
    return _encode({"tm": tm, "do": "ring", "from": first, "until": until})


def hangup(sip_call_id: str, from_tag: str, cseq: str, cause: str) -> bytes:
    """Ends a call that is not answered yet; `cause` is a word of `[a-z_]`."""
    fields = {"callid64": _base64(sip_call_id), "ftag64": _base64(from_tag), "cseq": cseq, "cause": cause}
    return _encode({"do": "hangup", **fields})


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def deliver(tm: str, flags: str = "") -> bytes:
    """Another node's call may ring here; with rtpengine's `flags` this node's relay joins."""
    return _encode({"tm": tm, "do": "deliver", "flags": flags})


def acknowledge(event_id: str) -> bytes:
    return _encode({"ack": event_id})
