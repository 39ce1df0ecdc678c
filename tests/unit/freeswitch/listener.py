"""One connection of the double's event socket, inbound or outbound."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from tests.unit.freeswitch import wire

if TYPE_CHECKING:
    from tests.unit.freeswitch.channel import Channel
    from tests.unit.freeswitch.double import Double

_OF_CHANNEL: Final = "ANSWER BRIDGE UNBRIDGE PROGRESS EXECUTE EXECUTE_COMPLETE PARK HANGUP HANGUP_COMPLETE"
MY_EVENTS: Final = frozenset({*(f"CHANNEL_{name}" for name in _OF_CHANNEL.split()), "DTMF"})
_BY_NAME: Final = "CHANNEL_HOLD CHANNEL_UNHOLD CHANNEL_CALLSTATE BACKGROUND_JOB PLAYBACK_START PLAYBACK_STOP CUSTOM"
NAMES: Final = MY_EVENTS.union(_BY_NAME.split())


class Listener:
    """Commands match by how they begin, as they do at the switch."""

    def __init__(
        self, switch: Double, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, channel: Channel | None
    ) -> None:
        self.switch = switch
        self.channel = channel
        self.commands: list[str] = []
        self._reader = reader
        self._writer = writer
        self._admitted = channel is not None
        self._events: set[str] = set()
        self._filters: list[tuple[str, str]] = []
        self._mine = False
        self._linger: float | None = None

    async def serve(self) -> None:
        """Until either side closes."""
        if self.channel is None:
            self._send(wire.block({"Content-Type": "auth/request"}))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                text = (await self._reader.readuntil(b"\n\n")).decode()
                command, *rest = text.strip("\n").split("\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
                if (length := int(headers.get("content-length", 0))) > 0:
                    headers["body"] = (await self._reader.readexactly(length)).decode()
                self.commands.append(text.strip("\n"))
                while self.switch.stuck:  # noqa: ASYNC110 - until a test lets go
                    await asyncio.sleep(0.01)
                await self._obey(command, headers)
        self.close()

    def tell(self, name: str, headers: dict[str, str], body: str = "") -> None:
        """An event, if it is wanted here."""
        channel = headers.get("Unique-ID")
        mine = self._mine and self.channel is not None and channel == self.channel.id and name in MY_EVENTS
        passes = not self._filters or any(headers.get(key) == value for key, value in self._filters)
        if mine or (name in self._events and passes):
            leg = self.channel is not None and self.channel.direction == "outbound"
            lag = self.switch.lag if leg else 0.0
            asyncio.get_running_loop().call_later(lag, self._send, wire.event(headers, body))

    def over(self) -> None:
        """Its channel is: told once where it lingers, and at the end."""
        asyncio.get_running_loop().create_task(self._say_goodbye())

    def close(self) -> None:
        self._writer.close()

    @property
    def closed(self) -> bool:
        return self._writer.is_closing()

    async def _say_goodbye(self) -> None:
        if self._linger is not None:
            self._notice("linger", {"Linger-Time": str(int(self._linger))})
            await asyncio.sleep(self._linger * self.switch.second)
        if not self.closed:
            self._notice("disconnect", {})
            self.close()

    def _notice(self, disposition: str, more: dict[str, str]) -> None:
        kind = {"Content-Disposition": disposition} if disposition else {}
        headers = {"Content-Type": "text/disconnect-notice", **kind, **more}
        self._send(wire.block({**headers, "Content-Length": "0"}))

    async def _obey(self, command: str, headers: dict[str, str]) -> None:
        word, _, rest = command.partition(" ")
        if not self._admitted:
            self._login(word, rest)
        elif word.startswith("exit"):
            self._reply("+OK bye")
            self._notice("" if self.channel is None else "disconnect", {})
            self.close()
        elif word.startswith("connect") and self.channel is not None:
            facts = {"Event-Name": "CHANNEL_DATA", "Core-UUID": self.switch.core, **self.channel.headers()}
            told = {name: wire.encode(value) for name, value in facts.items()}
            kind = {"Content-Type": "command/reply", "Reply-Text": "%2BOK%0A", "Socket-Mode": "async"}
            self._send(wire.block({**told, **kind, "Control": "full"}))
        elif word.startswith("linger"):
            self._linger = float(rest or 600)
            self._reply(f"+OK will linger {int(self._linger)} seconds")
        elif word.startswith("myevents"):
            self._mine = True
            self._reply("+OK Events Enabled")
        elif word.startswith("event"):
            wanted = NAMES.intersection(rest.split(" ")[1:])
            self._events |= wanted
            self._reply("+OK event listener enabled plain" if wanted else "-ERR no keywords supplied")
        elif word.startswith("filter"):
            name, _, value = rest.partition(" ")
            self._filters.append((name, value))
            self._reply(f"+OK filter added. [{name}]=[{value}]")
        elif word.startswith("sendmsg"):
            self._message(rest, headers)
        elif word.startswith("bgapi"):
            number = headers.get("job-uuid", "made-up")
            self.switch.background(rest, number)
            self._send(wire.block({"Content-Type": "command/reply", "Reply-Text": f"+OK Job-UUID: {number}"}))
        elif word.startswith("api"):
            body = await self.switch.api(rest)
            self._send(wire.block({"Content-Type": "api/response"}, body))
        else:
            self._reply("-ERR command not found")

    def _login(self, word: str, rest: str) -> None:
        if not word.startswith("auth"):
            self._reply("-ERR command not found")
        elif rest == self.switch.password:
            self._admitted = True
            self._reply("+OK accepted")
        else:
            self._reply("-ERR invalid")
            self._notice("", {})
            self.close()

    def _message(self, channel: str, headers: dict[str, str]) -> None:
        found = self.switch.channels.get(channel) if channel else self.channel
        if found is None:
            self._reply(f"-ERR invalid session id [{channel}]")
            return
        if headers.get("call-command") == "execute":
            argument = headers.get("execute-app-arg", headers.get("body", ""))
            locked = headers.get("event-lock") == "true"
            found.run(headers.get("execute-app-name", ""), argument, headers.get("event-uuid", ""), locked)
        # It says so, whatever it was told to do.
        self._reply("+OK")

    def _reply(self, text: str) -> None:
        self._send(wire.block({"Content-Type": "command/reply", "Reply-Text": text}))

    def _send(self, data: bytes) -> None:
        if not self.closed:
            self._writer.write(data)
