"""Commands of the brain: signed, executed once, remembered on disk, never executed when they have expired."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from edge_node.agent.clock import Clock
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.store import Store
from tandem.contracts.commands import Command, CommandReply
from tandem.contracts.errors import TandemError
from tandem.contracts.signature import NODE, TOLERANCE_MS, verify

Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
# Longer than any command stays valid, and than the brain repeats one.
REMEMBERED_MS: Final = 24 * 3600 * 1000
_USE_REQUEST: Final = "INSERT OR IGNORE INTO request (request_id, at) VALUES (?, ?)"
_BEGIN: Final = "INSERT OR IGNORE INTO command (id, reply, at) VALUES (?, NULL, ?)"
_INTERRUPTED: Final = {
    "code": "interrupted",
    "message": "The agent restarted while the command ran; look before repeating.",
}


class OperationError(Exception):
    """A command that cannot be carried out: `code` is a word, the message a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Commands:
    def __init__(
        self,
        node: str,
        credential: str,
        operations: Mapping[str, Operation],
        store: Store,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._node = node
        self._credential = credential
        self._operations = operations
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._running: dict[str, asyncio.Task[CommandReply]] = {}

    async def handle(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> CommandReply:
        """Raises `TandemError` for a request that is not the brain's, not fresh, replayed or malformed."""
        now = self._clock.now()
        request_id = verify(self._credential, method, path, body, headers, now)
        if headers.get(NODE) != self._node:
            raise TandemError("unknown_node", f"This is node {self._node}; the command is for another.")
        await self._use(request_id)
        try:
            command = Command.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or None
            raise TandemError("invalid_request", f"The command is malformed: {first['msg']}.", field) from error
        reply = await self._once(command, now)
        self._metrics.commands.labels(command.op if command.op in self._operations else "unknown", reply.status).inc()
        self._log.info("command", id=command.id, op=command.op, status=reply.status)
        return reply

    async def _use(self, request_id: str) -> None:
        now = self._clock.local()

        def work(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM request WHERE at < ?", (now - 4 * TOLERANCE_MS,))
            return connection.execute(_USE_REQUEST, (request_id, now)).rowcount

        if await self._store.run(work) == 0:
            raise TandemError("replayed_request", "This request id was used before; sign the request anew.")

    async def _once(self, command: Command, now: int) -> CommandReply:
        running = self._running.get(command.id)
        if running is None:
            running = asyncio.create_task(self._run(command, now))
            self._running[command.id] = running
            running.add_done_callback(lambda _: self._running.pop(command.id, None))
        # A caller that goes away does not undo a command that has begun.
        return await asyncio.shield(running)

    async def _run(self, command: Command, now: int) -> CommandReply:
        operation = self._operations.get(command.op)
        fresh = operation is not None and now <= command.expires_at
        known, text = await self._store.run(
            lambda connection: _begin(connection, command.id, self._clock.local(), fresh)
        )
        if known:
            if text is None:
                return CommandReply(id=command.id, status="failed", result=_INTERRUPTED)
            return CommandReply.model_validate_json(text)
        if operation is None:
            message = f"This node does not know {command.op}; it knows {', '.join(sorted(self._operations))}."
            return CommandReply(id=command.id, status="refused", result={"code": "unknown_op", "message": message})
        if not fresh:
            return CommandReply(id=command.id, status="expired")
        reply = await self._execute(operation, command)
        await self._store.run(
            lambda connection: (
                connection.execute("UPDATE command SET reply = ? WHERE id = ?", (reply.wire(), command.id)).rowcount
            )
        )
        return reply

    async def _execute(self, operation: Operation, command: Command) -> CommandReply:
        try:
            result = await operation(command.args)
        except OperationError as error:
            return CommandReply(id=command.id, status="failed", result={"code": error.code, "message": error.message})
        except Exception as error:
            self._log.error("command broke", id=command.id, op=command.op, error=repr(error))
            message = "The agent failed; its log says why."
            return CommandReply(id=command.id, status="failed", result={"code": "internal_error", "message": message})
        return CommandReply(id=command.id, status="done", result=result)


def _begin(connection: sqlite3.Connection, command_id: str, now: int, fresh: bool) -> tuple[bool, str | None]:
    """Whether the command was taken before, and its reply then; a fresh one is marked as begun."""
    row = connection.execute("SELECT reply FROM command WHERE id = ?", (command_id,)).fetchone()
    if row is not None:
        return True, row[0]
    if fresh:
        connection.execute("DELETE FROM command WHERE at < ?", (now - REMEMBERED_MS,))
        connection.execute(_BEGIN, (command_id, now))
    return False, None
