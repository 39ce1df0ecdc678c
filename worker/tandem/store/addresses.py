"""Which ranges of trunk_address an address may be in: 32 hex digits, IPv4 mapped to IPv6 (RFC 4291 section 2.5.5.2)."""

from __future__ import annotations

import ipaddress
import json
from typing import Final

_MAPPED: Final = 0xFFFF << 32
_BITS: Final = 128
_IPV4_FROM: Final = 96


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def search_keys(address: str, port: int) -> tuple[str, str, int]:
    """A JSON list of the first addresses of every network that could hold `address`, the address itself, the port.

    One look-up by index for each prefix length finds all networks around an address, however many others there are.
    Raises `ValueError` when `address` is none.
    """
    given = ipaddress.ip_address(address)
    number = int(given) if given.version == 6 else int(given) | _MAPPED
    shortest = _IPV4_FROM if number >> 32 == 0xFFFF else 0
    firsts = {number >> (_BITS - length) << (_BITS - length) for length in range(shortest, _BITS + 1)}
    return json.dumps([f"{first:032x}" for first in sorted(firsts)]), f"{number:032x}", port
