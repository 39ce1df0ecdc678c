"""Commands that the brain pushes to a node: `POST /commands` of the node-agent (design section 4)."""

from __future__ import annotations

from typing import Any, Literal

from tandem.contracts.auth import Text
from tandem.contracts.base import BrainMessage, NodeMessage
from tandem.contracts.events import AccountDigests, ContactState, DialogState

Op = Literal["ping", "reconcile", "hangup"]


class Command(BrainMessage):
    """Never executed after `expires_at` (epoch ms), executed once per `id`, safe to repeat."""

    id: Text
    op: Text
    args: dict[str, Any] = {}
    issued_at: int
    expires_at: int


class CommandReply(BrainMessage):
    id: str
    status: Literal["done", "refused", "expired", "failed"]
    result: dict[str, Any] = {}


class ReconcileResult(NodeMessage):
    """Result of `reconcile {account_id}`: what is live for that account on the node."""

    as_of: int
    digests: AccountDigests
    dialogs: list[DialogState]
    contacts: list[ContactState]
