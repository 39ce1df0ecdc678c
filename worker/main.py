"""The Worker's entry: wiring only."""

from __future__ import annotations

import gc
from importlib.metadata import MetadataPathFinder
from typing import Any

from durable_objects.call_session import CallSession
from durable_objects.fleet import Fleet
from durable_objects.presence import Presence
from tandem.api.front import Front, is_api, make_front
from tandem.api.front import largest_body as largest_api_body
from tandem.api.media import is_upload as is_api_upload
from tandem.contracts.errors import TandemError, error_reply
from tandem.runtime import WorkerEntrypoint, make_env, queue_texts, read_request, respond, respond_with
from tandem.sip.gateway import LARGEST_BODY, Gateway
from tandem.sip.media_requests import is_media
from tandem.sip.media_requests import is_upload as is_node_upload

__all__ = ["CallSession", "Default", "Fleet", "Presence"]

# What the imports left behind goes now, not into the snapshot of the isolate's memory: an archive that a library looked
# into can only be closed while it is open.
MetadataPathFinder.invalidate_caches()
gc.collect()

_gateway: Gateway | None = None
_api: Front | None = None


def _front(env: Any) -> Gateway:
    global _gateway
    if _gateway is None:
        _gateway = Gateway(make_env(env))
    return _gateway


def _people(env: Any) -> Front:
    global _api
    if _api is None:
        _api = make_front(make_env(env), _front(env).forget_trunks)
    return _api


def _largest_body(path: str) -> int:
    return largest_api_body(path) if is_api(path) else LARGEST_BODY


def _is_upload(method: str, path: str) -> bool:
    return is_api_upload(method, path) or is_node_upload(method, path)


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        try:
            front = _front(self.env)
        except TandemError as error:
            return respond(error.status, error_reply(error, None))
        asked = await read_request(request, _largest_body, _is_upload)
        if is_api(asked.path):
            return await respond_with(self.ctx, await _people(self.env).handle(asked))
        if is_media(asked.path):
            return await respond_with(self.ctx, await front.media(asked))
        status, text = await front.handle(asked)
        return respond(status, text)

    async def queue(self, batch: Any, *_: Any) -> None:
        """Pokes that did not arrive the first time; a message that fails again is retried by the queue.

        workerd hands `env` and `ctx` over as well.
        """
        for account_id in queue_texts(batch):
            await _front(self.env).poke_again(account_id)
