"""What is said over an event socket, written down so that a real switch and the double can be compared.

Each connection has lines of its own, and events apart: between them there is no order. Names stand for channels.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, Self

from edge_node.agent.config import Address
from edge_node.agent.media_engine.freeswitch import codec
from edge_node.agent.media_engine.freeswitch.codec import Decoder, Message, parse_event

EVENTS: Final = (
    "event plain CHANNEL_ANSWER CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_PARK CHANNEL_BRIDGE CHANNEL_UNBRIDGE "
    "CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE DTMF"
)
_TOLD: Final = ("Application", "Application-UUID", "Application-Response", "Hangup-Cause", "DTMF-Digit", "DTMF-Source")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECONDS: Final = 15.0


class World(Protocol):
    """A switch, with phones before it. `sound(seconds)`: a file that takes so long."""

    esl: Address
    socket: Address
    password: str
    route: str

    async def call(self, header: str) -> Callable[[], Awaitable[None]]:
        """A caller, with X-Tandem-Odd; what comes back hangs up."""
        ...

    def sound(self, seconds: float) -> str: ...
    def far(self, answers: bool, code: int = 486) -> Callable[[], Awaitable[None]]:
        """What the next leg's party does; what comes back hangs up."""
        ...


class Line:
    """One connection as a controller has it."""

    def __init__(self, name: str, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.name = name
        self.channel = ""
        self.lines: list[str] = script.lines.setdefault(name, [])
        self.events: list[str] = script.lines.setdefault(f"{name}: events", [])
        self._script = script
        self._reader = reader
        self._writer = writer
        self._task = asyncio.create_task(self._read())
        self._news = asyncio.Condition()
        self._replies: list[Message] = []

    async def say(self, command: str, **headers: str) -> Message:
        """Writes the command down with its reply."""
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        self._writer.write(codec.encode(command, names.items()))
        shown = " ".join([command, *(f"{key}:{value}" for key, value in names.items())])
        await self._until(lambda: bool(self._replies))
        reply = self._replies.pop(0)
        text = reply.text if "show" not in command else ""
        self.lines.append(f"> {self._plain(shown)}")
        self.lines.append(f"< {reply.kind} {self._plain(text.strip())}".strip())
        return reply

    async def execute(self, app: str, argument: str = "", *, lock: bool = True, number: str = "n") -> None:
        headers = {"call_command": "execute", "execute_app_name": app, "Event_UUID": number}
        if argument:
            headers["execute_app_arg"] = argument
        if lock:
            headers["event_lock"] = "true"
        await self.say(f"sendmsg {self.channel}", **headers)

    async def sees(self, text: str, count: int = 1) -> None:
        """Until so many lines have it in them."""
        await self._until(lambda: sum(text in line for line in self.events) >= count, text)

    async def closes(self) -> None:
        await asyncio.wait({self._task}, timeout=_SECONDS)
        assert self._task.done(), self.lines

    def close(self) -> None:
        self._writer.close()
        self._task.cancel()

    async def _until(self, condition: Callable[[], bool], what: str = "a reply") -> None:
        try:
            async with asyncio.timeout(_SECONDS), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"{self.name} never saw {what}: {self.lines} {self.events}") from None

    async def _read(self) -> None:
        decoder = Decoder()
        while data := await self._reader.read(65_536):
            async with self._news:
                for message in decoder.feed(data):
                    self._take(message)
                self._news.notify_all()
        self.events.append("closed")

    def _take(self, message: Message) -> None:
        if message.kind in (codec.REPLY, codec.API_REPLY):
            self._replies.append(message)
        elif message.kind == codec.EVENT:
            event = parse_event(message.body)
            told = [f"{name}={event.get(name)}" for name in _TOLD if name in event.headers.raw]
            self.events.append(self._plain(" ".join([event.name, *told, event.body.strip()]).strip()))
        else:
            self.events.append(f"{message.kind} {message.headers.get('Content-Disposition')}".strip())

    def _plain(self, text: str) -> str:
        for number, name in self._script.names.items():
            text = text.replace(number, name)
        return _UUID.sub("<uuid>", text)


class Script:
    """Use as an asynchronous context manager: it is the controller that the dial plan hands calls to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: dict[str, list[str]] = {}
        self.names: dict[str, str] = {world.password: "<password>"}
        self._arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._open: list[Line] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        address = self.world.socket
        self._server = await asyncio.start_server(self._incoming, address.host, address.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self._open:
            line.close()
        if self._server is not None:
            self._server.close()

    async def inbound(self, name: str = "inbound", *, login: bool = True) -> Line:
        reader, writer = await asyncio.open_connection(self.world.esl.host, self.world.esl.port)
        line = self._line(name, reader, writer)
        await line.sees("auth/request")
        if login:
            await line.say(f"auth {self.world.password}")
            await line.say("event plain BACKGROUND_JOB")
        return line

    async def arrival(self, name: str, linger: int = 1) -> Line:
        """The channel that comes next, with its events."""
        async with asyncio.timeout(_SECONDS):
            reader, writer = await self._arrived.get()
        line = self._line(name, reader, writer)
        facts = (await line.say("connect")).headers
        line.channel = facts.get("Unique-ID")
        self.names[line.channel] = name
        line.lines.append(f"{facts.get('Call-Direction')} {facts.get('Answer-State')}")
        await line.say(f"linger {linger}")
        await line.say(f"filter Unique-ID {line.channel}")
        await line.say(EVENTS)
        return line

    def _incoming(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._arrived.put_nowait((reader, writer))

    def _line(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Line:
        line = Line(name, self, reader, writer)
        self._open.append(line)
        return line
