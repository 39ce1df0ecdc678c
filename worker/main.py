"""The Worker's entry: wiring only."""

from __future__ import annotations

from typing import Any

from durable_objects.fleet import Fleet
from durable_objects.presence import Presence
from tandem.contracts.errors import TandemError, error_reply
from tandem.runtime import WorkerEntrypoint, make_env, queue_texts, read_request, respond
from tandem.sip.gateway import LARGEST_BODY, Gateway

__all__ = ["Default", "Fleet", "Presence"]

_gateway: Gateway | None = None


def _front(env: Any) -> Gateway:
    global _gateway
    if _gateway is None:
        _gateway = Gateway(make_env(env))
    return _gateway


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        try:
            front = _front(self.env)
        except TandemError as error:
            return respond(error.status, error_reply(error, None))
        status, text = await front.handle(await read_request(request, LARGEST_BODY))
        return respond(status, text)

    async def queue(self, batch: Any) -> None:
        """Pokes that did not arrive the first time; a message that fails again is retried by the queue."""
        for account_id in queue_texts(batch):
            await _front(self.env).poke_again(account_id)
