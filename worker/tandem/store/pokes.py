"""Telling accounts' objects that their configuration changed, and which accounts a change is one to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from tandem.runtime import Database, Env
from tandem.runtime.log import log
from tandem.store.blocks import load

_SQL: Final = load("control")
AT_ONCE: Final = 20


async def below(control: Database, account_id: str) -> list[str]:
    """The account and all below it, from the top: a change to its row is one to each of them."""
    rows = (await control.batch([(_SQL["below"], (account_id,))]))[0]
    return [str(row["account_id"]) for row in rows]


async def poke(env: Env, account_ids: Sequence[str]) -> None:
    """The first 20 at once, in parallel; the others, and those that cannot be reached now, by the queue.

    A change that must not wait (a status) is poked before others: what is in the queue keeps its order.
    """
    arrived = await asyncio.gather(*(reached(env, account_id) for account_id in account_ids[:AT_ONCE]))
    left = [account_id for account_id, ok in zip(account_ids, arrived, strict=False) if not ok]
    left.extend(account_ids[AT_ONCE:])
    if left:
        await env.pokes.put_all(left)


async def reached(env: Env, account_id: str) -> bool:
    """Whether the account's object has pulled what changed."""
    try:
        reply = await env.presence.call(account_id, "poke", account_id)
    except Exception as error:
        log("warning", "poke_failed", account_id=account_id, error=type(error).__name__)
        return False
    return not reply.startswith("5")
