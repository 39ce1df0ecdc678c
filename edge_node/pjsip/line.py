"""A child's end of the pipes to the process that started it: JSON lines in and out."""

from __future__ import annotations

import json
import os
import select
from typing import Any

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_PIECE = 65_536


class Line:
    """One for a process: it takes over the standard input and output."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(_OUTPUT), "w", encoding="utf-8")
        os.dup2(_ERRORS, _OUTPUT)  # whatever PJSIP prints must not get between our lines
        self._buffer = b""

    def send(self, message: dict[str, Any]) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def first(self) -> dict[str, Any] | None:
        """Wait for the first line; None when the parent closed its end instead."""
        while b"\n" not in self._buffer:
            if not self._read():
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        settings: dict[str, Any] = json.loads(line)
        return settings

    def arrived(self) -> list[dict[str, Any]] | None:
        """The lines that have arrived, without waiting; None once the parent has closed its end."""
        while select.select([_INPUT], [], [], 0)[0]:
            if not self._read():
                return None
        *lines, self._buffer = self._buffer.split(b"\n")
        return [json.loads(line) for line in lines]

    def _read(self) -> bool:
        piece = os.read(_INPUT, _PIECE)
        self._buffer += piece
        return bool(piece)
