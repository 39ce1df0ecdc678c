"""The replica of an account's configuration in its PresenceDO (design section 3).

D1's change log names what changed since a version; a page of it is read with the rows in one transaction and applied
in one, so the replica is at every moment a state that D1 had, and converges to D1 whatever was missed.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Final

from tandem.runtime import Database, Row, Sql
from tandem.store.blocks import load
from tandem.store.lists import lists

_SQL: Final = load("replica")
TABLES: Final = (
    "account",
    "sip_domain",
    "sip_user",
    "sip_device",
    "extension",
    "did",
    "ring_group",
    "ring_group_member",
    "forward",
    "time_schedule",
    "time_schedule_rule",
    "sip_trunk",
    "call_limit",
    "verified_number",
    "flow",
    "media_file",
    "media_playlist",
)
# Which rows of a table are in an account's replica, where that is not just its own.
_OWNED: Final = {
    "account": "t.id IN (SELECT ancestor_id FROM account_tree WHERE account_id = ?1)",
    "sip_trunk": "(t.account_id = ?1 OR t.account_id IS NULL AND EXISTS (SELECT 1 FROM account WHERE id = ?1))",
}
PAGE: Final = 2_000
_FINGERPRINT: Final = hashlib.sha256(_SQL["schema"].encode()).hexdigest()


class Replica:
    """`version` is the version of the change log up to which this replica has everything."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        if self._meta("replica_schema") != _FINGERPRINT:
            sql.transaction(self._rebuild)
        self.version = int(self._meta("config_version") or 0)
        self._columns: dict[str, list[str]] = {table: sql.json(_SQL["columns"], table) for table in TABLES}

    async def pull(self, control: Database, account_id: str) -> bool:
        """Fetches and applies what is new; whether anything was. Safe to run at any time, in parallel too."""
        moved = False
        while True:
            since = self.version
            statements = [(_SQL["changes"], (account_id, since, PAGE))]
            statements += [(self._changed_rows(table), (account_id, since, PAGE)) for table in TABLES]
            changes, *found = await control.batch(statements)
            if self.version != since:
                continue  # another pull went ahead meanwhile, and may have read less than this one
            if changes:
                rows = dict(zip(TABLES, found, strict=True))
                self._sql.transaction(partial(self._apply, changes, rows))
                self.version = int(changes[-1]["version"])
                moved = True
            if len(changes) < PAGE:
                return moved

    def _apply(self, changes: list[Row], rows: dict[str, list[Row]]) -> None:
        """One statement a table for what goes and one for what comes (more for large rows): crossings cost more than
        rows."""
        gone: dict[str, list[str]] = {}
        for change in changes:
            gone.setdefault(_known(change["table_name"]), []).append(change["row_id"])
        for table, ids in gone.items():
            self._sql.run(_SQL["delete_rows"].format(table=table), json.dumps(ids))
            if rows[table]:
                columns = self._columns[table]
                values = ", ".join(f"value ->> {index}" for index in range(len(columns)))
                insert = _SQL["insert_rows"].format(table=table, columns=", ".join(columns), values=values)
                for text in lists([[row[column] for column in columns] for row in rows[table]]):
                    self._sql.run(insert, text)
        self._sql.run(_SQL["set_meta"], "config_version", changes[-1]["version"])

    def _changed_rows(self, table: str) -> str:
        columns = ", ".join(f"t.{column}" for column in self._columns[table])
        owned = _OWNED.get(table, "t.account_id = ?1")
        return _SQL["changed_rows"].format(columns=columns, table=table, owned=owned)

    def _rebuild(self) -> None:
        for statement in _SQL["schema"].split(";"):
            if statement.strip():
                self._sql.run(statement)
        self._sql.run(_SQL["set_meta"], "replica_schema", _FINGERPRINT)
        self._sql.run(_SQL["set_meta"], "config_version", 0)

    def _meta(self, key: str) -> str | int | None:
        found: list[str | int] = self._sql.json(_SQL["get_meta"], key)
        return found[0] if found else None


def _known(table: str) -> str:
    if table not in TABLES:
        raise ValueError(f"the change log names the table {table!r}, which no replica has")
    return table
