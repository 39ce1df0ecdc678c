"""How each node that asked is reached by SIP from other nodes, in the PresenceDO's SQLite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """`sip_address` is `host:port`; `credential_version` tells the key that the node verifies with."""

    sip_address: str
    credential_version: int


class NodeAddresses:
    """Kept in memory: an account has to do with a handful of nodes, and each of their requests tells its address."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._known = {node_id: NodeAddress(*rest) for node_id, *rest in sql.json(_SQL["node_addresses"])}

    def get(self, node_id: str) -> NodeAddress | None:
        return self._known.get(node_id)

    def remember(self, node_id: str, address: NodeAddress) -> None:
        """Costs nothing when it is known already. Not to be called in a transaction that may yet be undone."""
        if self._known.get(node_id) != address:
            self._sql.run(_SQL["put_node_address"], node_id, address.sip_address, address.credential_version)
            self._known[node_id] = address
