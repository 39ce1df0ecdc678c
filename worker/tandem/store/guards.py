"""What must not happen twice: requests, events, nonces; in the PresenceDO's SQLite."""

from __future__ import annotations

from typing import Final

from tandem.domain.nonces import LIFETIME_MS, NonceUse
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")
REQUEST_MEMORY_MS: Final = 120_000  # twice the signature's tolerance on both sides
EVENT_MEMORY_MS: Final = 26 * 3_600_000


class Guards:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def first_request(self, request_id: str, now: int) -> bool:
        return self._sql.run(_SQL["see_request"], request_id, now) > 0

    def first_event(self, event_id: str, now: int) -> bool:
        return self._sql.run(_SQL["see_event"], event_id, now) > 0

    def last_use(self, nonce: str, cnonce: str) -> NonceUse | None:
        found = self._sql.json(_SQL["nonce_use"], nonce, cnonce)
        return NonceUse(*found[0]) if found else None

    def use(self, nonce: str, cnonce: str, use: NonceUse) -> None:
        self._sql.run(_SQL["use_nonce"], nonce, cnonce, use.nc, use.response, use.source, use.cseq, use.at)

    def prune(self, now: int) -> None:
        self._sql.run(_SQL["forget_requests"], now - REQUEST_MEMORY_MS)
        self._sql.run(_SQL["forget_events"], now - EVENT_MEMORY_MS)
        self._sql.run(_SQL["forget_nonces"], now - 2 * LIFETIME_MS)
