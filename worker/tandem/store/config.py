"""Reading and writing the configuration in D1: one batch, one transaction, whose guards see what its writes see.

A guard is a query that must find nothing; when it finds something the batch fails as a whole, and what it finds tells
what is wrong. So a reference cannot vanish between its check and the write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.contracts.errors import TandemError
from tandem.runtime import Database, Param, Row, Statement
from tandem.runtime.log import log
from tandem.store.blocks import load
from tandem.store.config_tables import Table
from tandem.store.lists import lists

SQL: Final = load("config")
MOST_FOUND: Final = 50
_UNIQUE: Final = re.compile(r"UNIQUE constraint failed: ([a-z_]+)\.[a-z0-9_.]*?([a-z0-9_]+)(?=:|,|$|\s)")


@dataclass(frozen=True, slots=True)
class Reach:
    """The accounts that a credential may see: all (None), one, or one and everything below it."""

    account_id: str | None
    subtree: bool = False

    def clause(self, column: str) -> Statement:
        """An SQL condition with its parameters."""
        if self.account_id is None:
            return "1", ()
        if self.subtree:
            return SQL["reach"].format(column=column), (self.account_id,)
        return f"{column} = ?", (self.account_id,)


@dataclass(frozen=True, slots=True)
class Guard:
    """`message` may name `{value}`: the column of that name in what the query finds."""

    query: str
    params: tuple[Param, ...]
    code: str
    message: str
    field: str | None = None

    def statement(self) -> Statement:
        # Malformed JSON is an error, and an error undoes the batch.
        return SQL["holds"].format(query=self.query), self.params


async def read(database: Database, *statements: Statement) -> list[list[Row]]:
    """The rows of each. Raises `TandemError` `unavailable` when D1 cannot be read."""
    try:
        return await database.batch(statements)
    except Exception as error:
        log("warning", "control_unreachable", error=f"{type(error).__name__}: {error}"[:300])
        raise TandemError("unavailable", "The control database cannot be read; retry.") from error


async def commit(database: Database, guards: Sequence[Guard], writes: Sequence[Statement]) -> None:
    """Raises the `TandemError` of the first guard that finds something; then nothing was written."""
    try:
        await database.batch([*(guard.statement() for guard in guards), *writes])
    except Exception as error:
        raise await _reason(database, guards, error) from None


async def _reason(database: Database, guards: Sequence[Guard], error: Exception) -> TandemError:
    text = str(error)
    if "malformed JSON" in text:
        found = await read(database, *((f"{guard.query} LIMIT {MOST_FOUND}", guard.params) for guard in guards))
        failed = [(guard, row) for guard, rows in zip(guards, found, strict=True) for row in rows]
        if failed:
            return _told(failed)
        return TandemError("unavailable", "Something that this change depends on is changing right now; retry.")
    broken = _UNIQUE.search(text)
    if broken is not None:
        if broken[1] == "idempotency_key":
            return TandemError("idempotency_conflict", "A request with this Idempotency-Key is under way.")
        return TandemError("conflict", f"Field {broken[2]}: another one has this value.", broken[2])
    if "FOREIGN KEY constraint failed" in text:
        return TandemError("in_use", "Something else refers to it.")
    log("error", "control_write_failed", error=f"{type(error).__name__}: {text}"[:300])
    return TandemError("unavailable", "The control database cannot be written; retry.")


def _told(failed: Sequence[tuple[Guard, Row]]) -> TandemError:
    """The error of the first guard; `lines` has what all guards with the same code found, without line numbers."""
    first, row = failed[0]
    same = [(guard, row) for guard, row in failed if guard.code == first.code]
    message = first.message.format(value=row.get("value", ""))
    if first.code == "in_use":
        referrers = [{name: row[name] for name in ("object", "id", "field")} for _, row in same][:MOST_FOUND]
        return TandemError(first.code, message, referrers=referrers)
    lines = [
        {"field": guard.field, "value": row["value"], "message": guard.message.format(value=row["value"])}
        for guard, row in same
    ]
    return TandemError(first.code, message, first.field, lines=lines)


def get(table: Table, object_id: str, reach: Reach) -> Statement:
    where, params = _within(table, reach)
    key = "call_id" if table.name == "call_cdr" else "id"
    return SQL["get"].format(columns=table.select(), table=table.name, key=key, where=where), (object_id, *params)


def page(
    table: Table,
    reach: Reach,
    filters: Mapping[str, Sequence[Param]],
    after: str | None,
    limit: int,
    *,
    newest_first: bool = False,
) -> Statement:
    """`limit` rows in the order of their ids, from the one that follows `after`. `filters`: the values, one at least,
    that a field may have."""
    where, params = _within(table, reach)
    conditions, values = [where], [*params]
    for name, wanted in filters.items():
        conditions.append(f"{table.computed.get(name, f't.{name}')} IN ({', '.join('?' * len(wanted))})")
        values.extend(wanted)
    if after is not None:
        conditions.append("t.id < ?" if newest_first else "t.id > ?")
        values.append(after)
    order = "DESC" if newest_first else "ASC"
    where = " AND ".join(conditions)
    statement = SQL["page"].format(columns=table.select(table.listed), table=table.name, where=where, order=order)
    return statement, (*values, limit)


def _within(table: Table, reach: Reach) -> Statement:
    """The condition that a row is one of the object's, and within reach."""
    condition, params = ("1", ()) if table.owner == "platform" else reach.clause(f"t.{table.owner_column}")
    return f"{table.where} AND {condition}", params


def insert(table: str, rows: Sequence[Mapping[str, Param]]) -> list[Statement]:
    """Statements that insert all rows, which have the same columns, as a few JSON lists: a request may make only so
    many statements."""
    if not rows:
        return []
    columns = list(rows[0])
    fields = ", ".join(f"json_extract(value, '$[{position}]')" for position in range(len(columns)))
    statement = SQL["insert"].format(table=table, columns=", ".join(columns), fields=fields)
    return [(statement, (text,)) for text in lists([[row[column] for column in columns] for row in rows])]


def update(table: str, object_id: str, columns: Mapping[str, Param]) -> Statement:
    assignments = ", ".join([*(f"{name} = ?" for name in columns), "revision = revision + 1"])
    return SQL["update"].format(table=table, assignments=assignments), (*columns.values(), object_id)


def delete(table: str, object_id: str) -> Statement:
    return SQL["delete"].format(table=table), (object_id,)


def unchanged(table: Table, object_id: str, revision: int) -> Guard:
    message = f"The {table.object.singular} was changed or deleted meanwhile; get it and try again."
    query = SQL["unchanged"].format(table=table.name)
    return Guard(query, (object_id, revision), "precondition_failed", message)
