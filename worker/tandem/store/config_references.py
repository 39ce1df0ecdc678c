"""Who refers to whom: what a new row names must be there, and what is named must not go."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from tandem.runtime import Param
from tandem.store.config import SQL, Guard
from tandem.store.config_tables import GRAPH_OBJECTS, LIMIT_OBJECTS, TABLES, TARGET_OBJECTS, Table

# Tables whose rows keep an account from being deleted.
_TENANT: Final = ("account", "either")


def named_by(table: Table, account_id: str | None, rows: Sequence[Mapping[str, Any]]) -> list[Guard]:
    """Guards that everything named by these rows of one account exists there."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        for field, name, named in _names(table, row):
            wanted.setdefault((field, name), set()).add(named)
    return [_exists(field, TABLES[name], account_id, sorted(ids)) for (field, name), ids in wanted.items()]


def _names(table: Table, row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(field, object, id) of everything that a row names."""
    for field, name in table.references.items():
        if row.get(field) is not None:
            yield field, name, row[field]
    for field, name in table.lists.items():
        for named in row.get(field) or ():
            yield field, name, named
    for target in table.targets:
        kind = row.get(f"{target}_kind")
        if kind in TARGET_OBJECTS:
            yield f"{target}_id", TARGET_OBJECTS[kind], row[f"{target}_id"]
    if table.name == "call_limit" and row["scope_kind"] in LIMIT_OBJECTS:
        yield "scope_id", LIMIT_OBJECTS[row["scope_kind"]], row["scope_id"]
    if table.name == "sip_device":
        yield "realm", "domains", row["realm"]


def _exists(field: str, table: Table, account_id: str | None, ids: list[str]) -> Guard:
    column = "domain" if field == "realm" else "id"
    owned, params = (table.where, ()) if account_id is None else ("t.account_id = ?", (account_id,))
    query = SQL["missing"].format(table=table.name, column=column, owned=f"{owned} AND {table.usable}")
    where = "in this account" if account_id is not None else "here"
    message = f"Field {field}: there is no {table.object.singular} {{value}} {where}."
    return Guard(query, (json.dumps(ids), *params), "unknown_reference", message, field)


def named_by_graph(account_id: str, named: Iterable[tuple[str, str]]) -> list[Guard]:
    """Guards that all that a flow's graph names, (kind, id) each, exists in the account. Where it may be of one kind or
    another, its id tells."""
    wanted: dict[str, set[str]] = {}
    for kind, object_id in named:
        name = GRAPH_OBJECTS.get(kind)
        if name is not None and object_id.startswith(f"{TABLES[name].object.prefix}_"):
            wanted.setdefault(name, set()).add(object_id)
    return [_exists("graph", TABLES[name], account_id, sorted(ids)) for name, ids in wanted.items()]


def distinct(table: Table, account_id: str | None, rows: Sequence[Mapping[str, Any]]) -> list[Guard]:
    """The guard that no other row has what must be unique."""
    if not table.unique:
        return []
    keys = [[row["id"], *(row[name] for name in table.unique)] for row in rows]
    same = " AND ".join(
        f"t.{name} = json_extract(j.value, '$[{position}]')" for position, name in enumerate(table.unique, 1)
    )
    if not table.everywhere:
        same += " AND t.account_id = ?"
    query = SQL["taken"].format(table=table.name, same=same)
    field = table.unique[0]
    message = f"Field {field}: another {table.object.singular} has {{value}}."
    params: tuple[Param, ...] = (json.dumps(keys), *(() if table.everywhere else (account_id,)))
    return [Guard(query, params, "conflict", message, field)]


def unreferenced(table: Table, item: Mapping[str, Any]) -> list[Guard]:
    """Guards that nothing else refers to the item; they find (object, id, field)."""
    message = f"The {table.object.singular} is in use; change or delete what refers to it first."
    return [Guard(query, (*params, str(item["id"])), "in_use", message) for query, params in _referrers(table, item)]


def _referrers(table: Table, item: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Param, ...]]]:
    name, object_id = table.object.name, str(item["id"])
    account_id = item.get("account_id")
    for other in TABLES.values():
        if other.name in ("audit", "call_cdr"):
            continue
        owned, params = ("account_id = ?", (account_id,)) if account_id and other.owner != "platform" else ("1", ())
        owned = owned.replace("account_id", other.owner_column)
        for field, referred in other.references.items():
            if referred == name:
                yield _rows(other, field, f"{owned} AND {field} = ?", (*params, object_id))
        for field, referred in other.lists.items():
            if referred == name:
                condition = f"{owned} AND {SQL['among'].format(column=field)}"
                yield _rows(other, field, condition, (*params, object_id))
        for kind, referred in TARGET_OBJECTS.items():
            if referred == name:
                for target in other.targets:
                    condition = f"{owned} AND {target}_id = ? AND {target}_kind = '{kind}'"
                    yield _rows(other, f"{target}_id", condition, (*params, object_id))
        if other.name == "call_limit" and name in LIMIT_OBJECTS.values():
            yield _rows(other, "scope_id", f"{owned} AND scope_id = ?", (*params, object_id))
        if name == "domains" and other.name == "sip_device":
            yield _rows(other, "realm", f"{owned} AND realm = ? COLLATE NOCASE", (*params, str(item["domain"])))
        if name == "accounts" and other.owner in _TENANT and other.name != "sip_trunk":
            yield _rows(other, "account_id", "account_id = ?", (object_id,))
    if name in GRAPH_OBJECTS.values():
        # As graphs are kept, an id in one is a text of its own.
        yield _rows(TABLES["flows"], "graph", SQL["in_graph"], (account_id, f'"{object_id}"'))
    if name == "accounts":
        yield _rows(TABLES["trunks"], "account_id", "account_id = ?", (object_id,))
        yield _rows(TABLES["accounts"], "parent_id", "parent_id = ?", (object_id,))


def _rows(table: Table, field: str, condition: str, params: tuple[Param, ...]) -> tuple[str, tuple[Param, ...]]:
    query = SQL["referrers"].format(object=table.object.name, field=field, table=table.name, condition=condition)
    return query, params
