"""`GET /cac` and `POST /cac/reset` (spec 10, "Concurrency control")."""

from __future__ import annotations

from typing import Literal

from tandem.contracts.auth import Text
from tandem.contracts.base import BrainMessage, NodeMessage


class DimensionUse(BrainMessage):
    """`max` is absent where there is no limit."""

    dimension: str
    subject: str
    used: int
    max: int | None = None


class WindowUse(BrainMessage):
    """A sliding window: calls that began in the last `period_sec` seconds. One that is not `hard` only warns."""

    limit_id: str
    subject: str
    used: int
    max: int
    period_sec: int
    hard: bool


class CacView(BrainMessage):
    """`child_calls`: calls of accounts below that count under this account's ceilings."""

    ok: Literal[True] = True
    account_id: str
    live_calls: int
    child_calls: int = 0
    dimensions: list[DimensionUse]
    windows: list[WindowUse] = []


class CacResetRequest(NodeMessage):
    account_id: Text


class CacResetReply(CacView):
    """`nodes`: what each node that has to do with the account answered: `done`, or why not."""

    nodes: dict[str, str]
