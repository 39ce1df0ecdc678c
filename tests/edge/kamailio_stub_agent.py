"""A stand-in for the node-agent: an evapi client that answers Kamailio's questions from a table."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]
Answer = Message | None


def text(message: Message, key: str) -> str:
    """The decoded value of a base64 key, named without its suffix."""
    return base64.b64decode(message[f"{key}64"]).decode()


def frame(message: Message) -> bytes:
    """A netstring padded to a multiple of 64 bytes, as evapi's read buffer wants it."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    for size in range(len(payload), len(payload) + 128):
        head = f"{size}:".encode()
        if (len(head) + size + 1) % 64 == 0:
            return head + payload.ljust(size) + b","
    raise AssertionError("no padding fits")


class StubAgent:
    """Answers `auth` and `route` by the two callables (None: stays silent) and keeps all that it saw."""

    def __init__(self, auth: Callable[[Message], Answer], route: Callable[[Message], Answer]) -> None:
        self.auth = auth
        self.route = route
        self.deliver: Callable[[Message], Answer] = lambda _: {
            "do": "reply",
            "code": 403,
            "reason": "Forbidden",
            "headers": "",
        }
        self.questions: list[Message] = []
        self.events: list[Message] = []
        self.acknowledge = True
        self._news = asyncio.Condition()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self, port: int, deadline: float = 5.0) -> None:
        """Raises `TimeoutError` when nobody listens within `deadline` seconds."""
        async with asyncio.timeout(deadline):
            while True:
                try:
                    reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        self._task = asyncio.create_task(self._read(reader))
        await self.event(lambda event: event["kind"] == "boot")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def send(self, message: Message) -> None:
        assert self._writer is not None
        self._writer.write(frame(message))

    async def question(self, match: Callable[[Message], bool], deadline: float = 5.0) -> Message:
        return await self._find(self.questions, match, deadline)

    async def event(self, match: Callable[[Message], bool], deadline: float = 5.0) -> Message:
        return await self._find(self.events, match, deadline)

    async def dialog_event(self, state: str, call: str, deadline: float = 5.0) -> Message:
        return await self.event(lambda e: e["kind"] == "dialog" and e["state"] == state and e["call"] == call, deadline)

    async def event_of_dialog(self, state: str, call_id: str) -> Message:
        """By SIP's own name of it: a call that the brain did not take has no other, and other tests' calls end too."""
        return await self.event(
            lambda e: e["kind"] == "dialog" and e["state"] == state and text(e, "callid") == call_id
        )

    async def _find(self, seen: list[Message], match: Callable[[Message], bool], deadline: float) -> Message:
        async with asyncio.timeout(deadline), self._news:
            while True:
                for message in seen:
                    if match(message):
                        return message
                await self._news.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                size = int((await reader.readuntil(b":"))[:-1])
                message: Message = json.loads((await reader.readexactly(size + 1))[:-1])
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            await self._take(message)

    async def _take(self, message: Message) -> None:
        answer: Answer = None
        if "ev" in message:
            self.events.append(message)
            answer = {"ack": message["ev"]} if self.acknowledge else None
        else:
            self.questions.append(message)
            answer = {"auth": self.auth, "route": self.route, "deliver": self.deliver}[message["ask"]](message)
            if answer is not None:
                answer = {"tm": message["tm"], **answer}
        if answer is not None and self._writer is not None:
            self.send(answer)
        async with self._news:
            self._news.notify_all()
