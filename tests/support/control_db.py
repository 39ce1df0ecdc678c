"""A migrated control database for each brain that tests start: wrangler makes one, the others are copies of it."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from edge_node.local import migrate
from edge_node.local.settings import REPOSITORY, Settings, load

_MADE: Final = REPOSITORY / ".local/migrated"


def put(settings: Settings) -> None:
    """Where the state folder has none. Raises `WranglerError` when a migration was refused."""
    if not migrate.databases(settings.brain_state):
        shutil.copytree(_made(), settings.brain_state, dirs_exist_ok=True)
    migrate.apply(settings)


def _made() -> Path:
    """The brain's state with nothing but the migrations of now, made by whoever comes first."""
    files = sorted((REPOSITORY / "migrations").glob("*.sql"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in (*files, REPOSITORY / "wrangler.toml")))
    state = _MADE / digest.hexdigest()[:16]
    if not state.exists():
        _MADE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_MADE) as folder:
            made = load({"TANDEM_STATE": folder})
            migrate.apply(made)
            try:
                made.brain_state.rename(state)
            except OSError:
                # Another process was as quick.
                if not state.exists():
                    raise
    return state
