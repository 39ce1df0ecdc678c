"""The replica of an account's configuration in its PresenceDO (design section 3).

D1's change log names what changed since a version; a page of it is read with the rows in one transaction and applied
in one, so the replica is at every moment a state that D1 had, and converges to D1 whatever was missed. Only the tables
that a page names are read: mostly none (the sweep), or one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from tandem.runtime import Database, Row, Sql
from tandem.store.blocks import load

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
)
# Which rows of a table are in an account's replica, where that is not just its own.
_OWNED: Final = {
    "account": "t.id IN (SELECT ancestor_id FROM account_tree WHERE account_id = ?1)",
    "sip_trunk": "(t.account_id = ?1 OR t.account_id IS NULL AND EXISTS (SELECT 1 FROM account WHERE id = ?1))",
}
PAGE: Final = 500
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
        ahead: tuple[int, list[str]] | None = None
        while True:
            since = self.version
            if ahead is None or ahead[0] != since:
                (named,) = await control.batch([(_SQL["tables_named"], (account_id, since, PAGE, 0))])
                ahead = since, _tables(named)
            tables = ahead[1]
            if self.version != since:
                continue  # another pull went ahead meanwhile, and may have read less than this one
            if not tables:
                return moved
            changes, following, *rows = await control.batch(
                [
                    (_SQL["changes"], (account_id, since, PAGE)),
                    (_SQL["tables_named"], (account_id, since, PAGE, PAGE)),
                    *((self._changed_rows(table), (account_id, since, PAGE)) for table in tables),
                ]
            )
            named_now = {change["table_name"] for change in changes}
            if self.version != since or not named_now or not named_now <= set(tables):
                ahead = None
                continue  # so it did now, or a table changed in between that was not read
            found = dict(zip(tables, rows, strict=True))
            self._sql.transaction(lambda changes=changes, found=found: self._apply(changes, found))  # type: ignore[misc]
            self.version = int(changes[-1]["version"])
            ahead = self.version, _tables(following)
            moved = True

    def _apply(self, changes: list[Row], rows: dict[str, list[Row]]) -> None:
        """One statement a table for what goes and one for what comes: crossings cost more than rows."""
        for table, found in rows.items():
            gone = [change["row_id"] for change in changes if change["table_name"] == table]
            self._sql.run(_SQL["delete_rows"].format(table=table), json.dumps(gone))
            if found:
                columns = self._columns[table]
                values = ", ".join(f"value ->> {index}" for index in range(len(columns)))
                insert = _SQL["insert_rows"].format(table=table, columns=", ".join(columns), values=values)
                self._sql.run(insert, json.dumps([[row[column] for column in columns] for row in found]))
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


def _tables(named: list[Row]) -> list[str]:
    for row in named:
        if row["table_name"] not in TABLES:
            raise ValueError(f"the change log names the table {row['table_name']!r}, which no replica has")
    return [row["table_name"] for row in named]
