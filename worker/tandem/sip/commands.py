"""Commands that the brain pushes to a node-agent (spec 50): signed, expiring, with the node's own credential."""

from __future__ import annotations

from typing import Any, Final

from tandem.contracts.commands import Command, CommandReply, Op
from tandem.contracts.errors import TandemError
from tandem.contracts.ids import new_id, ulid
from tandem.contracts.signature import node_credential, sign_headers
from tandem.runtime import Env, http_post, now_ms, random_bytes
from tandem.store.control import NodeRow

PATH: Final = "/commands"
LIFETIME_MS: Final = 5_000


async def push(env: Env, node: NodeRow, op: Op, args: dict[str, Any]) -> CommandReply:
    """The node's answer. Raises `TandemError` `unavailable` when the node cannot be reached or refuses to listen."""
    if node.command_url is None:
        raise TandemError("unavailable", f"Node {node.node_id} has no command address.")
    now = now_ms()
    command = Command(
        id=new_id("cmd", now, random_bytes(10)), op=op, args=args, issued_at=now, expires_at=now + LIFETIME_MS
    )
    body = command.wire()
    key = node_credential(env.master_key, node.node_id, node.credential_version)
    headers = sign_headers(key, "POST", PATH, body.encode(), now, ulid(now, random_bytes(10)), node.node_id)
    headers["content-type"] = "application/json"
    try:
        status, text = await http_post(node.command_url + PATH, body, headers, LIFETIME_MS)
    except ConnectionError as error:
        raise TandemError("unavailable", f"Node {node.node_id} cannot be reached.") from error
    if status != 200:
        raise TandemError("unavailable", f"Node {node.node_id} answered {status} to a command.")
    return CommandReply.model_validate_json(text)
