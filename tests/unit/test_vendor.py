"""What is locked for the Worker, and which migrations a local database still lacks."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from edge_node.local import migrate, vendor
from edge_node.local.settings import REPOSITORY


def test_a_report_of_pip_becomes_a_lock_in_order() -> None:
    def entry(name: str, version: str, sha256: str) -> dict[str, object]:
        archive = {"hashes": {"sha256": sha256}}
        return {"metadata": {"name": name, "version": version}, "download_info": {"archive_info": archive}}

    text = vendor.lock_text({"install": [entry("Pydantic_Core", "2.1", "bb"), entry("annotated-types", "1.0", "aa")]})
    assert text.splitlines()[1:] == [
        "annotated-types==1.0 \\",
        "    --hash=sha256:aa",
        "pydantic-core==2.1 \\",
        "    --hash=sha256:bb",
    ]


def test_the_lock_pins_every_wanted_package_by_hash_and_names_no_host() -> None:
    folder = REPOSITORY / "requirements"
    lock = (folder / "worker.lock").read_text()
    wanted = [line for line in (folder / "worker.in").read_text().splitlines() if line and not line.startswith("#")]
    pinned = re.findall(r"^([a-z0-9-]+)==\S+ \\\n    --hash=sha256:[0-9a-f]{64}$", lock, re.MULTILINE)
    assert set(wanted) <= set(pinned)
    assert "://" not in lock


def test_only_migrations_that_the_database_has_not_seen_are_left(tmp_path: Path) -> None:
    files = tmp_path / "migrations"
    files.mkdir()
    for name in ("0002_b.sql", "0001_a.sql"):
        (files / name).touch()
    state = tmp_path / "brain"
    assert migrate.unapplied(state, files) == ["0001_a.sql", "0002_b.sql"]
    folder = state / "v3" / "d1" / "miniflare-D1DatabaseObject"
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "0f.sqlite")) as database:
        assert migrate.unapplied(state, files) == ["0001_a.sql", "0002_b.sql"]
        database.execute("CREATE TABLE d1_migrations (name TEXT)")
        database.execute("INSERT INTO d1_migrations VALUES ('0001_a.sql')")
        database.commit()
    assert migrate.unapplied(state, files) == ["0002_b.sql"]
