"""Addresses of trunks as ranges that an index can find: 32 hex digits, IPv4 mapped to IPv6 (RFC 4291, 2.5.5.2)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from typing import Final

from tandem.runtime import Param
from tandem.store.config import SQL, Guard

_MAPPED: Final = 0xFFFF << 32
_MAPPED_BITS: Final = 96
# The widest networks that a tenant may claim.
WIDEST: Final = {4: 24, 6: 48}


def rows_of(trunk_id: str, addresses: Sequence[str]) -> list[dict[str, Param]]:
    """Rows of trunk_address for `CIDR`, `CIDR:port` and `[CIDR]:port`; port 0 is any. prefix_length counts in IPv6."""
    return [_row(trunk_id, address) for address in addresses]


def too_wide(address: str) -> bool:
    network = ipaddress.ip_network(_split(address)[0])
    return network.prefixlen < WIDEST[network.version]


def apart(account_id: str, role: str, addresses: Sequence[str]) -> Guard:
    """The guard that no address is another account's PBX, or, for a PBX, any other account's at all."""
    rows = [[address, *_row("", address).values()] for address in addresses]
    message = "Field inbound_ips: {value} overlaps a network of another peer of the platform; ask its operator."
    return Guard(SQL["overlapping"], (json.dumps(rows), account_id, role), "conflict", message, "inbound_ips")


def _row(trunk_id: str, address: str) -> dict[str, Param]:
    host, port = _split(address)
    network = ipaddress.ip_network(host)
    mapped = network.version == 4
    first, last = int(network.network_address), int(network.broadcast_address)
    return {
        "trunk_id": trunk_id,
        "first": f"{first | _MAPPED if mapped else first:032x}",
        "last": f"{last | _MAPPED if mapped else last:032x}",
        "prefix_length": network.prefixlen + (_MAPPED_BITS if mapped else 0),
        "port": port,
    }


def _split(address: str) -> tuple[str, int]:
    if address.startswith("["):
        host, _, port = address[1:].partition("]:")
        return host.removesuffix("]"), int(port or 0)
    if address.count(":") == 1:
        host, _, port = address.partition(":")
        return host, int(port)
    return address, 0
