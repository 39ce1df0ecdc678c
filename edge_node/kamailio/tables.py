"""Creates a SQLite file for Kamailio from the table definitions that its own package installs.

`python3 tables.py FILE NAME...`: NAME is a definition such as `usrloc`. The file appears whole or not at all.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

DEFINITIONS = Path("/usr/share/kamailio/db_sqlite")


def create(target: Path, names: list[str], definitions: Path = DEFINITIONS) -> bool:
    """True when the file was made, False when it was there. Raises `OSError` or `sqlite3.Error`."""
    if target.exists():
        return False
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    database = sqlite3.connect(unfinished)
    try:
        for name in ["standard", *names]:
            database.executescript((definitions / f"{name}-create.sql").read_text())
        database.commit()
    finally:
        database.close()
    unfinished.chmod(0o600)
    os.replace(unfinished, target)  # noqa: PTH105 - runs on the node's own Python too
    return True


if __name__ == "__main__":
    made = create(Path(sys.argv[1]), sys.argv[2:])
    sys.stdout.write("created\n" if made else "present\n")
