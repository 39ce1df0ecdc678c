"""Brings the local control database up to `migrations/`: wrangler does it, as in production, when one is missing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from edge_node.local.settings import REPOSITORY, Settings
from edge_node.local.wrangler import wrangler

BINDING = "CONTROL"


def apply(settings: Settings) -> bool:
    """True when migrations were applied. Raises `WranglerError` when one was refused."""
    if not unapplied(settings.brain_state, REPOSITORY / "migrations"):
        return False
    wrangler(settings, "d1", "migrations", "apply", BINDING)
    return True


def unapplied(state: Path, migrations: Path) -> list[str]:
    """The names of migrations that the database below `state` has not seen, in order."""
    names = sorted(path.name for path in migrations.glob("*.sql"))
    applied = {name for path in databases(state) for name in _applied(path)}
    return [name for name in names if name not in applied]


def databases(state: Path) -> list[Path]:
    """The SQLite files of the local D1; the control database is the only one."""
    folder = state / "v3" / "d1" / "miniflare-D1DatabaseObject"
    return sorted(path for path in folder.glob("*.sqlite") if path.stem != "metadata")


def _applied(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'd1_migrations'").fetchone()
        return [name for (name,) in connection.execute("SELECT name FROM d1_migrations")] if known else []
