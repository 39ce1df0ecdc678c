"""An account's trunks by source address: one look-up for each length of prefix that is in use, the longest first."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from tandem.domain.routing import Trunk

_ANY = 0


class TrunkTable:
    """`addresses` of a trunk are `CIDR`, `CIDR:port` or `[CIDR]:port`; one that cannot be read matches nothing."""

    def __init__(self, trunks: Iterable[tuple[Trunk, Sequence[str]]]) -> None:
        ranked = sorted(trunks, key=lambda one: (one[0].role != "pbx", not one[0].owned, one[0].trunk_id))
        found: dict[tuple[int, int], dict[int, dict[int, Trunk]]] = {}
        for trunk, addresses in ranked:
            for network, port in filter(None, map(_parse, addresses)):
                by_network = found.setdefault((network.version, network.prefixlen), {})
                by_network.setdefault(int(network.network_address), {}).setdefault(port, trunk)
        self._by_length = sorted(found.items(), reverse=True)

    def find(self, source_ip: str, source_port: int) -> Trunk | None:
        """Of the longest prefix around the address; there, one for this port before one for any."""
        try:
            address = ipaddress.ip_address(source_ip)
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        for (version, length), networks in self._by_length:
            if version != address.version:
                continue
            shift = address.max_prefixlen - length
            ports = networks.get(int(address) >> shift << shift, {})
            trunk = ports.get(source_port) or ports.get(_ANY)
            if trunk is not None:
                return trunk
        return None


def _parse(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int] | None:
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        return ipaddress.ip_network(host, strict=False), int(port or _ANY)
    except ValueError:
        return None
