"""Published flows and what they play, in the account's replica."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("replica")


@dataclass(frozen=True, slots=True)
class FlowRow:
    """`graph` is the JSON text of the published version."""

    flow_id: str
    name: str
    version: int
    graph: str


class FlowRows:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def flow(self, flow_id: str) -> FlowRow | None:
        """None of a flow that is not published."""
        found = self._sql.json(_SQL["flow"], flow_id)
        return FlowRow(*found[0]) if found else None

    def media(self, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Object key and etag, of those that have content."""
        return {media_id: (key, etag) for media_id, key, etag in self._rows("media_files", ids)}

    def playlists(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """The media of each, in order."""
        return dict(self._rows("media_playlists", ids))

    def schedules(self, ids: Iterable[str]) -> dict[str, list[Any]]:
        """{id: [timezone, rules as `domain.hours.make_rule` takes them]}."""
        found: dict[str, list[Any]] = {}
        for schedule_id in sorted(ids):
            rows = self._sql.json(_SQL["schedule"], schedule_id)
            if rows:
                found[schedule_id] = [rows[0][1], self._sql.json(_SQL["schedule_rules"], schedule_id)]
        return found

    def _rows(self, block: str, ids: Iterable[str]) -> list[list[Any]]:
        wanted = sorted(ids)
        rows: list[list[Any]] = self._sql.json(_SQL[block], json.dumps(wanted)) if wanted else []
        return rows
