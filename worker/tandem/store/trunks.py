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
        found: dict[tuple[int, int], dict[int, dict[int, list[Trunk]]]] = {}
        for trunk, addresses in ranked:
            for network, port in filter(None, map(_parse, addresses)):
                by_network = found.setdefault((network.version, network.prefixlen), {})
                by_network.setdefault(int(network.network_address), {}).setdefault(port, []).append(trunk)
        self._by_length = sorted(found.items(), reverse=True)

    def find(self, source_ip: str, source_port: int) -> list[Trunk]:
        """Those with the longest prefix around the address first; there, those for this port before those for any.

        An address of the platform's carriers is no PBX's.
        """
        found = self._around(source_ip, source_port)
        is_carrier_s = any(not trunk.owned for trunk in found)
        return [trunk for trunk in found if trunk.role != "pbx" or not is_carrier_s]

    def _around(self, source_ip: str, source_port: int) -> list[Trunk]:
        try:
            address = ipaddress.ip_address(source_ip)
        except ValueError:
            return []
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        found: list[Trunk] = []
        for (version, length), networks in self._by_length:
            if version != address.version:
                continue
            shift = address.max_prefixlen - length
            ports = networks.get(int(address) >> shift << shift, {})
            found.extend(trunk for port in (source_port, _ANY) for trunk in ports.get(port, ()))
        return found


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
