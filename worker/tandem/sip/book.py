"""The account's book: all that its PresenceDO knows, over the object's own SQLite."""

from __future__ import annotations

from typing import Final

from tandem.contracts.signature import derive_key
from tandem.runtime import Sql
from tandem.store.asked import Asked
from tandem.store.blocks import load
from tandem.store.calls import Calls
from tandem.store.children import Children
from tandem.store.contacts import Contacts
from tandem.store.directory import SqlDirectory
from tandem.store.flow_rows import FlowRows
from tandem.store.guards import Guards
from tandem.store.holdings import SqlHoldings
from tandem.store.limits import Limits
from tandem.store.live import migrate
from tandem.store.node_addresses import NodeAddresses
from tandem.store.orders import Orders
from tandem.store.replica import Replica
from tandem.store.snapshots import Snapshots
from tandem.store.turns import Turns

_SQL: Final = load("live")
_META: Final = load("replica")


class Book:
    def __init__(self, sql: Sql, master_key: str) -> None:
        migrate(sql)
        self.sql = sql
        self.master_key = master_key
        found = sql.json(_META["get_meta"], "account_id")
        self.account_id: str = found[0] if found else ""
        self.nonce_key = derive_key(master_key, "nonce")
        self.leg_key = derive_key(master_key, "leg")
        self.replica = Replica(sql)
        self.directory = SqlDirectory(sql, self.replica)
        self.flows = FlowRows(sql)
        self.guards = Guards(sql)
        self.contacts = Contacts(sql)
        self.holdings = SqlHoldings(sql)
        self.limits = Limits(sql)
        self.asked = Asked(sql)
        self.children = Children(sql)
        self.calls = Calls(sql, self.holdings, self.asked)
        self.orders = Orders(sql)
        self.addresses = NodeAddresses(sql)
        self.turns = Turns(sql)
        self.snapshots = Snapshots(sql)

    def belong_to(self, account_id: str) -> None:
        """Remembers whose book this is: an alarm wakes the object without a name."""
        if self.account_id != account_id:
            self.sql.run(_META["set_meta"], "account_id", account_id)
            self.account_id = account_id

    def needs_sweeping(self) -> bool:
        """There is something live, a record not yet in D1, or a memory of requests that may be forgotten some day."""
        return any(self.sql.json(_SQL["sweepable"]))
