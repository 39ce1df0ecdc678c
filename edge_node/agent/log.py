"""Structured logs: one JSON object a line on standard error. Credentials never appear in them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

Level = Literal["debug", "info", "warning", "error"]
_RANK: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# The last line of defence: no caller passes these, and if one did they would not be written.
_SECRET: Final = frozenset(
    {"auth", "authorization", "credentials", "credential", "key", "nonce", "cnonce", "response", "password", "ha1"}
)
# What strangers send must not fill the disk: lines of one kind and second.
_BURST: Final = 20


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class Log:
    """`log.info("what happened", call_id=…, account_id=…)`; fields that are None are left out."""

    def __init__(
        self, write: Callable[[str], None] = _to_stderr, level: Level = "info", clock: Callable[[], float] = time.time
    ) -> None:
        self._write = write
        self._rank = _RANK[level]
        self._clock = clock
        self._second = 0
        self._written: dict[str, int] = {}

    def debug(self, message: str, **fields: Any) -> None:
        self._line("debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._line("info", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._line("warning", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._line("error", message, fields)

    def _line(self, level: Level, message: str, fields: dict[str, Any]) -> None:
        if _RANK[level] < self._rank:
            return
        now = self._clock()
        if int(now) != self._second:
            self._new_second(int(now))
        written = self._written.get(message, 0)
        self._written[message] = written + 1
        if written < _BURST:
            self._emit(now, level, message, fields)

    def _new_second(self, second: int) -> None:
        for message, written in self._written.items():
            if written > _BURST:
                self._emit(second, "warning", "lines suppressed", {"line": message, "count": written - _BURST})
        self._second = second
        self._written.clear()

    def _emit(self, now: float, level: Level, message: str, fields: dict[str, Any]) -> None:
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"at": at, "level": level, "message": message}
        for name, value in fields.items():
            if value is not None:
                line[name] = "[removed]" if name in _SECRET else value
        self._write(json.dumps(line, default=str))
