"""Who asks: a node by its signature, a person by an API key."""

from __future__ import annotations

import hashlib
from typing import Final

from tandem.contracts.errors import TandemError
from tandem.contracts.objects import Origin
from tandem.contracts.signature import NODE, REQUEST_ID, SIGNATURE, TIMESTAMP, node_credential, verify
from tandem.runtime import Request, now_ms
from tandem.sip.bodies import Body, read_body
from tandem.store.control import Control, Key

_SIGNED: Final = (NODE, TIMESTAMP, REQUEST_ID, SIGNATURE)


async def node(control: Control, master_key: str, request: Request) -> tuple[Origin, Body]:
    """The verified sender and what it says. Raises `TandemError` 400 or 401."""
    origin = await signed(control, master_key, request, request.body.encode())
    return origin, read_body(request)


async def signed(control: Control, master_key: str, request: Request, body: bytes) -> Origin:
    """The verified sender of a request with this body. Raises `TandemError` 401."""
    now = now_ms()
    headers = {name: request.header(name) for name in _SIGNED}
    node_id = headers[NODE]
    if not node_id or not headers[SIGNATURE]:
        raise TandemError("unsigned_request", "Only a node with a credential may ask this; sign the request.")
    known = await control.node(node_id, now)
    if known is None:
        raise TandemError("unknown_node", "No such node is enrolled, or its credential was revoked.")
    key = node_credential(master_key, node_id, known.credential_version)
    request_id = verify(key, request.method, request.target, body, headers, now)
    return Origin(node_id, known.region, request_id, known.sip_address or "", known.credential_version)


async def operator(control: Control, request: Request, account_id: str | None) -> Key:
    """The API key with scope `nodes`: a platform operator's, or the account's own when `account_id` is given."""
    given = request.header("x-api-key")
    if not given:
        raise TandemError("unsigned_request", "Send an API key with scope nodes as x-api-key.")
    key = await control.key(hashlib.sha256(given.encode()).hexdigest(), now_ms())
    if key is None:
        raise TandemError("unsigned_request", "This API key is not known, or it was revoked.")
    if key.account_id is not None and key.account_id != account_id:
        raise TandemError("forbidden", "This API key belongs to another account.")
    if not key.scopes & {"nodes", "*"}:
        raise TandemError("forbidden", "This API key lacks the scope nodes.")
    return key


async def known_account(control: Control, account_id: str) -> None:
    if len(account_id) > 64 or not await control.account_exists(account_id, now_ms()):
        raise TandemError("unknown_account", "There is no such account; give its id as accountId.", "accountId")
