"""Rows as JSON lists that a statement takes apart again (`json_each`): few statements, each with a short text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

# SQLite's bound for a value is 2 MB, on D1 and in an object.
CHUNK_BYTES: Final = 1_500_000


def lists(rows: Sequence[Sequence[Any]]) -> list[str]:
    """JSON lists of rows, each short enough for a parameter."""
    texts: list[str] = []
    part: list[str] = []
    size = 0
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        length = len(text.encode()) + 1
        if part and size + length > CHUNK_BYTES:
            texts.append(f"[{','.join(part)}]")
            part, size = [], 0
        part.append(text)
        size += length
    texts.append(f"[{','.join(part)}]")
    return texts
