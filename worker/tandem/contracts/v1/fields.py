"""Types of fields that several objects share, each with its rule and the sentence that tells when it is broken."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import date
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER: Final = re.compile(r"(?:(?:sips?|tel):)?\+?[0-9][0-9 ().\-/]{1,30}(?:[@;].{0,128})?", re.ASCII)
_PORTS: Final = range(1, 65_536)
_MAPPED_BITS: Final = 96
XFORM_ENTRIES: Final = 20
XFORM_BYTES: Final = 2_048
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
XformValue = str | int | float | bool | None


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError("is not an IANA time zone such as Europe/Berlin") from None
    return name


def _time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("must be a time of day HH:MM, from 00:00 to 24:00")
    return text


def _date(text: str) -> str:
    try:
        if _DATE.fullmatch(text) and date.fromisoformat(text):
            return text
    except ValueError:
        pass
    raise ValueError("must be a date YYYY-MM-DD")


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError("must be a telephone number such as +442071838750")
    return text.strip()


def _address(text: str) -> str:
    """`CIDR` or `CIDR:port`; IPv6 with a port in brackets. Returns it in canonical spelling."""
    host, port = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("must be an address, a network in CIDR notation, or one of them with :port")
        port = rest[1:]
        if rest and not port:
            raise ValueError("lacks the port after the colon")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port:
            raise ValueError("lacks the port after the colon")
    if port and not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) in _PORTS):
        raise ValueError("has a port that is not from 1 to 65535")
    try:
        network: Network = ipaddress.ip_network(host, strict=True)
    except ValueError:
        raise ValueError("must be an IP address or a network whose host bits are 0, such as 192.0.2.0/24") from None
    if "%" in host:
        raise ValueError("must not name a zone")
    network = _unmapped(network)
    plain = str(network)
    if not port:
        return plain
    return f"[{plain}]:{int(port)}" if network.version == 6 else f"{plain}:{int(port)}"


def _unmapped(network: Network) -> Network:
    """IPv4 that is written as IPv6 (RFC 4291 section 2.5.5.2) as IPv4."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def _small(xform: dict[str, XformValue]) -> dict[str, XformValue]:
    if len(json.dumps(xform)) > XFORM_BYTES:
        raise ValueError(f"must not be longer than {XFORM_BYTES} bytes as JSON")
    return xform


SENTENCES: Final[dict[str, str]] = {}


def matching(pattern: str, says: str) -> Any:
    """A rule for a text by a pattern, with the sentence that tells when it is broken."""
    SENTENCES[pattern] = says
    return Field(pattern=pattern)


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]{1,255}(/[!-~]*)?", text):
        raise ValueError("must be an http or https URL")
    return text


Text = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Number = Annotated[
    str,
    Field(max_length=200),
    AfterValidator(_number),
    Field(description="In any usual form (+49 30 123, national, tel: or sip: URI); kept as E.164 digits without +."),
]
Zone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_zone)]
TimeOfDay = Annotated[str, Field(max_length=5), AfterValidator(_time)]
Date = Annotated[str, Field(max_length=10), AfterValidator(_date)]
Address = Annotated[str, Field(max_length=64), AfterValidator(_address)]
Url = Annotated[str, Field(max_length=300), AfterValidator(_url)]
Language = Annotated[str, matching(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", "must be a language tag such as en-US")]
Country = Annotated[str, matching(r"^[A-Z]{2}$", "must be the two capital letters of a country, such as DE")]
Currency = Annotated[str, matching(r"^[A-Z]{3}$", "must be the three capital letters of a currency, such as EUR")]
DomainName = Annotated[
    str,
    Field(max_length=253),
    matching(
        r"^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]$",
        "must be a domain name such as sip.example.com",
    ),
]
SipName = Annotated[
    str,
    matching(
        r"^[A-Za-z0-9][A-Za-z0-9._~+-]{0,63}$",
        "must be 1 to 64 letters, digits and . _ ~ + - and begin with a letter or digit",
    ),
]
Password = Annotated[str, Field(min_length=12, max_length=128), AfterValidator(_printable)]
Seconds = Annotated[int, Field(ge=1, le=3600)]
Ceiling = Annotated[int, Field(ge=0, le=1_000_000)]
Digits = Annotated[str, matching(r"^[0-9]{1,15}$", "must be 1 to 15 digits")]
SipCode = Annotated[int, Field(ge=300, le=699)]
Scope = Literal[
    "account", "users", "devices", "numbers", "flows", "queues", "agents", "trunks", "cdr", "recordings", "voicemail",
    "wallet", "campaign", "dnc", "webhooks", "messaging", "wallboard", "supervisor", "nodes", "*",
]  # fmt: skip
DestKind = Literal["flow", "user", "extension", "ring_group", "queue", "voicemail", "conference", "forward", "hangup"]
DestId = Annotated[
    str,
    Field(max_length=64),
    matching(r"^[a-z0-9_]*$", "must be the id of what dest_kind names, or a SIP code for hangup"),
    Field(
        description="Id of the object that dest_kind names, of the same account. Queues, voicemail boxes and "
        "conferences (q_, vm_, conf_) may be named before they exist: such calls get 480 until they are built. "
        "For hangup: the SIP code 400 to 699 to answer with, or empty for 603."
    ),
]
Xform = Annotated[
    dict[
        Annotated[str, matching(r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", "names variables by letters, digits and _ only")],
        XformValue,
    ],
    Field(max_length=XFORM_ENTRIES),
    AfterValidator(_small),
    Field(description="Variables that this hop sets, at most 20 and 2 KB."),
]


_ULID: Final = "_[0-7][0-9a-hjkmnp-tv-z]{25}$"
AccountRef = Annotated[str, Field(pattern=f"^acc{_ULID}")]
UserRef = Annotated[str, Field(pattern=f"^us{_ULID}")]
DeviceRef = Annotated[str, Field(pattern=f"^dev{_ULID}")]
NumberRef = Annotated[str, Field(pattern=f"^did{_ULID}")]
RingGroupRef = Annotated[str, Field(pattern=f"^rg{_ULID}")]
ScheduleRef = Annotated[str, Field(pattern=f"^sch{_ULID}")]
TrunkRef = Annotated[str, Field(pattern=f"^tr{_ULID}")]
VoicemailRef = Annotated[str, Field(pattern=f"^vm{_ULID}")]
MediaRef = Annotated[str, Field(pattern=f"^media{_ULID}")]
