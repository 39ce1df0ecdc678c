"""Telling accounts' objects that their configuration changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tandem.runtime import Env
from tandem.runtime.log import log

AT_ONCE: Final = 20


async def poke(env: Env, account_ids: Sequence[str]) -> None:
    """Few at once; many, and those that cannot be reached now, by the queue."""
    for account_id in account_ids[:AT_ONCE]:
        try:
            await env.presence.call(account_id, "poke", account_id)
        except Exception as error:
            log("warning", "poke_failed", account_id=account_id, error=type(error).__name__)
            await env.pokes.put(account_id)
    for account_id in account_ids[AT_ONCE:]:
        await env.pokes.put(account_id)
