"""Which URLs an HTTP node may ask (spec 20, "Failing HTTP node"): those of the public internet, and none behind it.

What a URL means is decided by the platform's parser (WHATWG URL), which reads `0x7f.1` as 127.0.0.1 and a backslash as
a slash. So whatever two parsers could read differently is refused, and a host that ends in a number is an address.
A public name that leads to a private address is not seen here: the platform has no way to one.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_URL: Final = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-_]+)(?::([0-9]{1,5}))?(?:[/?][!-\[\]-~]*)?", re.I
)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FIRST_FREE_PORT: Final = 1024
# Names that mean something only within a network.
_LOCAL: Final = (
    "localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan", "arpa", "onion",
)  # fmt: skip
# What interpreters tell of differently: the only block of IPv6 that is given out, and the IETF's protocol addresses.
_ANYWHERE: Final = IPv4Network("0.0.0.0/0")
_UNICAST: Final = IPv6Network("2000::/3")
_PROTOCOLS: Final = IPv4Network("192.0.0.0/24")
# Networks in which the last 32 bits are an IPv4 address: compatible, mapped, translated (RFC 4291, 6052, 8215).
_WITH_IPV4: Final = tuple(
    map(IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96"))
)


def refusal(url: str, allowed: frozenset[str] = frozenset()) -> str | None:
    """Why the URL may not be asked, as a sentence; None when it may. `allowed`: `host:port` that may be asked whatever
    they are, for an installation on one machine."""
    found = _URL.fullmatch(url)
    if found is None:
        return "The URL must be http:// or https:// with a plain host name, without a user or white space."
    scheme, host = found[1].lower(), found[2].lower().removesuffix(".")
    port = int(found[3]) if found[3] else _DEFAULT_PORTS[scheme]
    if f"{host}:{port}" in allowed:
        return None
    if not (port in _DEFAULT_PORTS.values() or _FIRST_FREE_PORT <= port < 65_536):
        return f"Port {port} is not for HTTP."
    return _host_refusal(host)


def _host_refusal(host: str) -> str | None:
    if host.startswith("["):
        return _v6_refusal(host[1:-1])
    *_, last = labels = host.split(".")
    if _NUMBER.fullmatch(last):
        return _v4_refusal(labels)
    if not all(_LABEL.fullmatch(label) for label in labels) or len(host) > 253:
        return f"{host} is not a host name."
    if len(labels) == 1 or last in _LOCAL:
        return f"{host} is a local name."
    return None


def _v4_refusal(labels: list[str]) -> str | None:
    """Of one to four numbers, decimal, octal or hexadecimal, the last of which fills what is left."""
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) for label in labels):
        return "The address is not an IPv4 address."
    try:
        *first, last = (_number(label) for label in labels)
        whole = last
        if any(part > 255 for part in first) or last >= 256 ** (4 - len(first)):
            raise ValueError
        for place, part in enumerate(first):
            whole += part << (8 * (3 - place))
    except ValueError:
        return "The address is not an IPv4 address."
    return _private(IPv4Address(whole))


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") else int(text)


def _v6_refusal(text: str) -> str | None:
    try:
        address = IPv6Address(text)
    except ValueError:
        return "The address is not an IPv6 address."
    if any(address in network for network in _WITH_IPV4):
        return _private(IPv4Address(int(address) & 0xFFFF_FFFF))
    inner = address.sixtofour
    return _private(address) or (None if inner is None else _private(inner))


def _private(address: IPv4Address | IPv6Address) -> str | None:
    known = address in (_UNICAST if address.version == 6 else _ANYWHERE) and address not in _PROTOCOLS
    public = known and address.is_global and not address.is_multicast
    return None if public else f"{address} is not a public address."
