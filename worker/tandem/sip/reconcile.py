"""Asks the nodes what is live, and brings the account's book in line with it."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from tandem.contracts.commands import ReconcileResult
from tandem.contracts.errors import TandemError
from tandem.contracts.events import SnapshotEvent
from tandem.contracts.ids import new_id
from tandem.runtime import Env, now_ms, random_bytes
from tandem.runtime.log import log
from tandem.sip.book import Book
from tandem.sip.commands import push
from tandem.sip.presence import apply
from tandem.store.control import Control

REACHED: Final = "done"


async def reconcile_nodes(book: Book, env: Env) -> dict[str, str]:
    """What each node that has to do with the account answered; a node that did not answer keeps what it has."""
    control = Control(env.control)
    answers: dict[str, str] = {}
    for node_id in book.snapshots.nodes():
        try:
            answers[node_id] = await _reconcile(book, env, control, node_id)
        except TandemError as error:
            answers[node_id] = str(error)
        except ValidationError as error:
            log("warning", "command_not_understood", node=node_id, error=error.errors(include_input=False)[0]["msg"])
            answers[node_id] = f"Node {node_id} answered something else than what is live on it."
    return answers


async def _reconcile(book: Book, env: Env, control: Control, node_id: str) -> str:
    node = await control.node(node_id, now_ms())
    if node is None:
        return "retired"
    reply = await push(env, node, "reconcile", {"account_id": book.account_id})
    if reply.status != REACHED:
        return reply.status
    found = ReconcileResult.model_validate(reply.result)
    now = now_ms()
    event = SnapshotEvent(
        event_id=new_id("ev", now, random_bytes(10)),
        account_id=book.account_id,
        at=now,
        as_of=found.as_of,
        digests=found.digests,
        dialogs=found.dialogs,
        contacts=found.contacts,
    )
    apply(book, event, node_id, now)
    return REACHED
