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


class CacView(BrainMessage):
    ok: Literal[True] = True
    account_id: str
    live_calls: int
    dimensions: list[DimensionUse]


class CacResetRequest(NodeMessage):
    account_id: Text


class CacResetReply(CacView):
    """`nodes`: what each node that has to do with the account answered: `done`, or why not."""

    nodes: dict[str, str]
