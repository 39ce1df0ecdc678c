"""The forward migrations of a PresenceDO's own tables: the blocks `step_…` of live.sql, each applied once, in order."""

from __future__ import annotations

from typing import Final

from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")
_META: Final = load("replica")
STEPS: Final = tuple(name for name in _SQL if name.startswith("step_"))


def migrate(sql: Sql) -> None:
    """Brings the tables to the newest version. Tables from before there were versions pass for the first step."""
    sql.run(_SQL["meta"])
    found = sql.json(_META["get_meta"], "live_version")
    done = int(found[0]) if found else 0
    if done < len(STEPS):
        sql.transaction(lambda: _apply(sql, done))


def _apply(sql: Sql, done: int) -> None:
    for name in STEPS[done:]:
        for statement in _SQL[name].split(";\n"):
            sql.run(statement)
    sql.run(_META["set_meta"], "live_version", len(STEPS))
