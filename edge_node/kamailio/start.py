"""Makes the SQLite files of contacts and dialogs ready, then becomes Kamailio.

`python3 start.py FOLDER PROGRAM ARGUMENT...`. Missing files are made from the table definitions that Kamailio's own
package installs. Calls that were not answered when the last Kamailio ended are forgotten: their transactions are gone.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

DEFINITIONS = Path("/usr/share/kamailio/db_sqlite")
FILES = {"location.sqlite": "usrloc", "dialog.sqlite": "dialog"}
# States of modules/dialog/dlg_hash.h: 1 and 2 are unanswered, 5 is over.
UNANSWERED = "state NOT IN (3, 4)"


def create(target: Path, name: str, definitions: Path = DEFINITIONS) -> bool:
    """The file appears whole or not at all; False when it was there. Raises `OSError` or `sqlite3.Error`."""
    if target.exists():
        return False
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as database:
        for part in ("standard", name):
            database.executescript((definitions / f"{part}-create.sql").read_text())
        database.commit()
    unfinished.chmod(0o600)
    unfinished.replace(target)
    return True


def forget_unanswered(dialogs: Path) -> int:
    """How many were forgotten."""
    with closing(sqlite3.connect(dialogs, timeout=10)) as database, database:
        gone = database.execute(f"DELETE FROM dialog WHERE {UNANSWERED}").rowcount  # noqa: S608 - no input in it
        database.execute(
            "DELETE FROM dialog_vars WHERE NOT EXISTS (SELECT 1 FROM dialog WHERE"
            " dialog.hash_entry = dialog_vars.hash_entry AND dialog.hash_id = dialog_vars.hash_id)"
        )
    return gone


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for file, name in FILES.items():
        create(folder / file, name)
    forget_unanswered(folder / "dialog.sqlite")
    os.execv(arguments[1], arguments[1:])  # noqa: S606 - the program comes from the supervisor's own file


if __name__ == "__main__":
    main(sys.argv[1:])
