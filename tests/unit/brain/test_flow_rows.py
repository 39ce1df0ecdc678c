"""Rows of flows: published versions are for good, drafts are nobody's business, and large graphs reach the replica."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tandem.runtime.cpython import SqliteDatabase, SqliteSql
from tandem.sip.book import Book
from tests.support import rows, seeds
from tests.unit.brain import ACME, GLOBEX

FLOW = f"flow_{seeds.suffix(1)}"
VERSION = "INSERT INTO flow_version VALUES (?, ?, 1, '{}', 0, 'key_1')"
TRACE = "INSERT INTO call_trace VALUES (?, 'call_1', 'flow', ?, 0, 'entered', 'menu', '{}') ON CONFLICT DO NOTHING"


def _control(*more: rows.Row) -> sqlite3.Connection:
    control = seeds.migrated()
    control.execute("PRAGMA foreign_keys = ON")
    for statement, params in [*seeds.rows_of(ACME), *seeds.rows_of(GLOBEX), *more]:
        control.execute(statement, params)
    return control


def _newest(control: sqlite3.Connection) -> int:
    found = control.execute("SELECT MAX(version) FROM config_change WHERE account_id = ?", (ACME.account_id,))
    (version,) = found.fetchone()
    return int(version)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE flow_version SET graph = '[]'",
        "UPDATE flow_version SET version = 2",
        "DELETE FROM flow_version",
        "DELETE FROM flow_version WHERE version = 1",
    ],
)
def test_a_published_version_never_changes(statement: str) -> None:
    control = _control(rows.flow(ACME, 1, "{}"), (VERSION, (FLOW, ACME.account_id)))
    with pytest.raises(sqlite3.IntegrityError, match="never changes"):
        control.execute(statement)
    assert control.execute("SELECT version, graph FROM flow_version").fetchall() == [(1, "{}")]


def test_versions_go_with_their_flow() -> None:
    other = f"flow_{seeds.suffix(2)}"
    control = _control(rows.flow(ACME, 1, "{}"), rows.flow(ACME, 2, "{}"))
    for flow in (FLOW, other):
        control.execute(VERSION, (flow, ACME.account_id))
    control.execute("DELETE FROM flow WHERE id = ?", (FLOW,))
    assert control.execute("SELECT flow_id FROM flow_version").fetchall() == [(other,)]


def test_what_calls_take_is_there_exactly_while_the_flow_is_published() -> None:
    control = _control(rows.flow(ACME, 1))
    for change in ("status = 'published'", "published_graph = '{}'", "status = 'archived', published_graph = '{}'"):
        with pytest.raises(sqlite3.IntegrityError):
            control.execute(f"UPDATE flow SET {change}")


def test_a_draft_is_no_change_to_anybody() -> None:
    control = _control(rows.flow(ACME, 1, "{}"))
    before = _newest(control)
    control.execute("UPDATE flow SET graph = '[]', revision = revision + 1")
    assert _newest(control) == before
    control.execute("UPDATE flow SET version = 2, published_graph = graph")
    assert _newest(control) == before + 1


def test_a_trace_that_is_flushed_again_changes_nothing() -> None:
    control = _control()
    for account_id, seq in ((ACME.account_id, 1), (ACME.account_id, 2), (GLOBEX.account_id, 1)) * 2:
        control.execute(TRACE, (account_id, seq))
    assert control.execute("SELECT COUNT(*) FROM call_trace").fetchone() == (3,)


async def test_graphs_that_are_larger_together_than_a_parameter_may_be_reach_the_replica() -> None:
    graphs = {number: json.dumps({"start": '😀"' * (30_000 + number)}, ensure_ascii=False) for number in range(1, 13)}
    control = _control(*(rows.flow(ACME, number, graph) for number, graph in graphs.items()))
    longest: list[int] = []

    class Counting(SqliteSql):
        def run(self, statement: str, *params: str | int | float | None) -> int:
            longest.append(max((len(one.encode()) for one in params if isinstance(one, str)), default=0))
            return super().run(statement, *params)

    object_ = sqlite3.connect(":memory:")
    await Book(Counting(object_), seeds.MASTER_KEY).replica.pull(SqliteDatabase(control), ACME.account_id)
    held = object_.execute("SELECT id, published_graph FROM flow").fetchall()
    assert dict(held) == {f"flow_{seeds.suffix(number)}": graph for number, graph in graphs.items()}
    assert 1_000_000 < max(longest) < 2_000_000
