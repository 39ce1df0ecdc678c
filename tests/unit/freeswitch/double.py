"""A stand-in for the switch: its event socket, and as much behind it as the driver can see.

It does what a real one was seen to do; `test_transcripts` holds it to what was recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from dataclasses import dataclass
from typing import Final, Self

from edge_node.agent.config import Address
from edge_node.agent.media_engine.freeswitch import FreeSwitchSettings
from tests.support import ports
from tests.unit.freeswitch.channel import Channel
from tests.unit.freeswitch.listener import Listener

_ORIGINATE: Final = re.compile(
    r"originate \{(?P<told>[^}]*)\}sofia/(?P<profile>[^/]+)/(?P<uri>\S+) '&socket\((?P<to>\S+) async full\)'"
)
_CAUSES: Final = {404: "UNALLOCATED_NUMBER", 486: "USER_BUSY", 480: "NO_USER_RESPONSE", 503: "NORMAL_TEMPORARY_FAILURE"}
_OK: Final = "+OK\n"


@dataclass
class FarEnd:
    """What the one who is called does, each so many seconds after the INVITE; None: never."""

    rings: float | None = 0.0
    early: float | None = None
    answers: float | None = 0.02
    refuses: float | None = None
    code: int = 486


class Double:
    """`second`: how long one of the switch's own seconds takes, where it waits. `files`: the length of each, in s."""

    def __init__(self) -> None:
        self.password = "secret"
        self.second = 0.01
        self.core = str(uuid.uuid4())
        self.files: dict[str, float] = {}
        self.far_ends: list[FarEnd] = []
        self.channels: dict[str, Channel] = {}
        # Also those that are over.
        self.made: list[Channel] = []
        self.listeners: list[Listener] = []
        self.placed: list[dict[str, str]] = []
        self.jobs: list[str] = []
        self.stuck = False
        # Who is to be connected hangs up a moment before, or after.
        self.quits_before_a_bridge = False
        self.quits_after_a_bridge = False
        # By how much later than all others one hears of a leg: connections have no order between them.
        self.lag = 0.0
        # By which the next caller sends digits.
        self.digit_type = 101
        self.profiles = ["tandem", "tandem-96", "tandem-120"]
        esl, sock, sip, kamailio = (Address(port=port) for port in ports.free(4))
        self.settings = FreeSwitchSettings(esl=esl, password=self.password, socket=sock, sip=sip, kamailio=kamailio)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def start(self) -> None:
        self.core = str(uuid.uuid4())
        esl = self.settings.esl
        self._server = await asyncio.start_server(lambda r, w: self._serve(r, w, None), esl.host, esl.port)

    async def die(self) -> None:
        """As if it crashed: every connection breaks, every channel is gone."""
        if self._server is not None:
            self._server.close()
        for channel in self.channels.values():
            channel.close()
        self.channels.clear()
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def drop_inbound(self) -> None:
        """The connection for commands breaks, and nothing else."""
        for listener in self.listeners:
            if listener.channel is None:
                listener.close()

    async def call(self, headers: dict[str, str] | None = None, *, late_offer: bool = False) -> Channel:
        """A caller's INVITE: the dial plan hands it to whoever listens."""
        channel = self._make("inbound")
        channel.facts = {"Caller-Destination-Number": "600", "Caller-Caller-ID-Number": "1001"}
        channel.variables |= {"ep_codec_string": "CORE_PCM_MODULE.PCMU@8000h@20i@64000b", "sip_cseq": "1"}
        if not late_offer:
            digits = f"a=rtpmap:{self.digit_type} telephone-event/8000\r\n" if self.digit_type else ""
            channel.variables["switch_r_sdp"] = f"v=0\r\nm=audio 9 RTP/AVP 0\r\n{digits}"
        channel.variables |= {f"sip_h_{name}": value for name, value in (headers or {}).items()}
        await self.socket(channel)
        return channel

    async def socket(self, channel: Channel) -> None:
        """The application `socket`; nothing listening: the dial plan goes on, and refuses."""
        address = self.settings.socket
        try:
            reader, writer = await asyncio.open_connection(address.host, address.port)
        except OSError:
            channel.said.append("503")
            channel.hang_up("NORMAL_TEMPORARY_FAILURE")
            return
        self._spawn(self._serve(reader, writer, channel))
        self.fire("CHANNEL_PARK", channel)

    def fire(self, name: str, channel: Channel, headers: dict[str, str] | None = None) -> None:
        told = {"Event-Name": name, "Core-UUID": self.core, **channel.headers(), **(headers or {})}
        for listener in [*self.listeners]:
            listener.tell(name, told)
        if name == "CHANNEL_HANGUP_COMPLETE":
            self.channels.pop(channel.id, None)
            for listener in [*self.listeners]:
                if listener.channel is channel:
                    listener.over()

    def background(self, line: str, number: str) -> None:
        self.jobs.append(line)
        self._spawn(self._job(line, number))

    async def api(self, line: str) -> str:
        """What an api command answers, with the line's end."""
        name, *arguments = line.split(" ")
        if name == "global_getvar":
            return self.core
        if name == "version":
            return "1.11.3\n"
        if name == "uptime":
            return "1\n"
        if name == "sofia" and self.profiles:
            table = [f"{one:>25}\t   profile\tsip:mod_sofia@127.0.0.1:5080\tRUNNING (0)" for one in self.profiles]
            return "\n".join(
                ["                     Name\t   Type\tData\tState", *table, f"{len(table)} profiles 0 aliases\n"]
            )
        if name == "show":
            rows = [{"uuid": channel} for channel in self.channels]
            return json.dumps({"row_count": len(rows), "rows": rows} if rows else {"row_count": 0})
        if name == "originate":
            return await self._originate(line)
        if not name.startswith("uuid_"):
            return f"-ERR {name} Command not found!\n"
        return await self._of_channel(name, arguments)

    async def _of_channel(self, name: str, arguments: list[str]) -> str:
        off = arguments[0] == "off"
        channel = self.channels.get(arguments[1 if off else 0])
        if name == "uuid_exists":
            return "true" if channel else "false"
        if channel is None:
            return "-ERR Operation failed\n" if name == "uuid_media" else "-ERR No such channel!\n"
        rest = arguments[1:]
        if name == "uuid_getvar":
            return channel.variables.get(rest[0], "_undef_")
        if name == "uuid_setvar_multi":
            for pair in re.split(r"(?<!\\);", " ".join(rest)):
                key, _, value = pair.replace("\\;", ";").partition("=")
                channel.variables[key] = value
                if not value:
                    del channel.variables[key]
            return _OK
        if name == "uuid_dump":
            now = {
                "Event-Date-Timestamp": "60000000",
                "Caller-Channel-Created-Time": channel.facts.get("created", "60000000"),
            }
            return "".join(f"{key}: {value}\n" for key, value in {**channel.headers(), **now}.items())
        if name == "uuid_break":
            channel.breaking = True
            return _OK
        if name == "uuid_answer":
            if "switch_r_sdp" not in channel.variables:
                await asyncio.sleep(3600)
            channel.answer()
            return _OK
        if name == "uuid_kill":
            channel.said.append(f"BYE {channel.variables.get('sip_reason', '')}".strip())
            channel.hang_up(rest[0] if rest else "NORMAL_CLEARING")
            return _OK
        if name == "uuid_bridge":
            return self._bridge(channel, self.channels.get(rest[0]))
        if name == "uuid_transfer":
            return self._transfer(channel)
        if name == "uuid_media_reneg":
            self._spawn(self._reinvite(channel))
            return "+OK Success\n"
        if name == "uuid_media":
            return await self._media(channel, off)
        return f"-ERR {name} Command not found!\n"

    def _bridge(self, near: Channel, far: Channel | None) -> str:
        if far is not None and self.quits_before_a_bridge:
            far.hang_up("USER_BUSY", code=486)
        if far is None or far.over:
            return "-ERR Invalid uuid\n"
        if "answered" not in (near.answer_state, far.answer_state):
            return "-ERR Invalid uuid\n"
        for channel, other in ((near, far), (far, near)):
            channel.leave_socket()
            channel.partner = other
            channel.state = "CS_EXCHANGE_MEDIA"
        near.first, far.first = True, False
        near.state = "CS_SOFT_EXECUTE"
        self._joined(near, far, "uuid_bridge")
        if self.quits_after_a_bridge:
            far.hang_up("USER_BUSY", code=486)
        return f"+OK {far.id}\n"

    def _joined(self, first: Channel, second: Channel, how: str) -> None:
        for channel in (first, second):
            self.fire("CHANNEL_EXECUTE", channel, {"Application": how})
        self.fire("CHANNEL_BRIDGE", first)

    def _transfer(self, channel: Channel) -> str:
        """`-both park: inline`."""
        other, channel.partner = channel.partner, None
        if other is not None:
            other.partner = None
            other.transfer()
            self.fire("CHANNEL_UNBRIDGE", channel)
        channel.transfer()
        return _OK

    async def _media(self, channel: Channel, off: bool) -> str:
        """The audio of a bridge goes past the switch (`off`), or comes back. It says yes, whatever the parties say."""
        other = channel.partner
        parties = [channel] if other is None else [channel, other]
        codes = await asyncio.gather(*(self._reinvite(party) for party in parties))
        if any(code != 200 for code in codes):
            await asyncio.sleep(10 * self.second)
        for party in parties:
            party.released = off
            if off:
                party.state = "CS_HIBERNATE"
        if other is not None and not channel.over and not other.over:
            one, two = (channel, other) if channel.first else (other, channel)
            self.fire("CHANNEL_UNBRIDGE", one)
            if off:
                self.fire("CHANNEL_PARK", one)
                self.fire("CHANNEL_PARK", two)
            self._joined(one, two, "signal_bridge" if off else "uuid_bridge")
            if not off and "sendonly" in (other.variables.get("switch_r_sdp") or ""):
                other.forget_hold()
        return "+OK Success\n"

    async def _reinvite(self, channel: Channel) -> int:
        channel.asked += 1
        code = channel.reinvites.pop(0) if channel.reinvites else 200
        await asyncio.sleep(0.01)
        parties = [channel] if channel.partner is None else [channel, channel.partner]
        if code == 200:
            channel.cseq += 1
            channel.variables["sip_cseq"] = str(channel.cseq)
            if channel.partner is not None:
                channel.partner.variables.pop("sip_invite_failure_status", None)
        elif code:
            for party in parties:
                party.variables["sip_invite_failure_status"] = str(code)
        return code

    async def _job(self, line: str, number: str) -> None:
        body = await self.api(line)
        headers = {"Event-Name": "BACKGROUND_JOB", "Core-UUID": self.core, "Job-UUID": number}
        for listener in [*self.listeners]:
            listener.tell("BACKGROUND_JOB", {**headers, "Job-Command": line.split(" ")[0]}, body)

    async def _originate(self, line: str) -> str:
        found = _ORIGINATE.fullmatch(line)
        if found is None:
            return "-ERR CHAN_NOT_IMPLEMENTED\n"
        told = dict(pair.split("=", 1) for pair in found["told"].split(","))
        self.placed.append({**told, "uri": found["uri"], "profile": found["profile"]})
        end = self.far_ends.pop(0) if self.far_ends else FarEnd()
        channel = self._make("outbound", told["origination_uuid"])
        channel.variables |= {**told, "sip_cseq": "1"}
        channel.wait_elsewhere()
        heard = asyncio.Event()
        steps = [(end.rings, self._rings), (end.answers, self._answers)]
        if told.get("ignore_early_media") != "true":
            steps.append((end.early, self._early))
        acts = [self._spawn(self._act(after, act, channel, heard)) for after, act in steps if after is not None]
        if end.refuses is not None:
            acts.append(self._spawn(self._refuse(end, channel, heard)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(told["originate_timeout"])):
                while not heard.is_set() and not channel.over:  # noqa: ASYNC110 - one of two
                    await asyncio.sleep(0.005)
        if channel.over:
            return f"-ERR {channel.cause}\n"
        if not heard.is_set():
            channel.hang_up("NO_ANSWER")
            return "-ERR NO_ANSWER\n"
        channel.enter_socket()
        await self.socket(channel)
        return f"+OK {channel.id}\n"

    async def _act(self, after: float, act: object, channel: Channel, heard: asyncio.Event) -> None:
        await asyncio.sleep(after)
        if not channel.over:
            act(channel, heard)  # type: ignore[operator]

    def _rings(self, channel: Channel, _: asyncio.Event) -> None:
        self.fire("CHANNEL_PROGRESS", channel)

    def _early(self, channel: Channel, heard: asyncio.Event) -> None:
        channel.answer_state = "early"
        heard.set()

    def _answers(self, channel: Channel, heard: asyncio.Event) -> None:
        channel.answer()
        heard.set()

    async def _refuse(self, end: FarEnd, channel: Channel, _: asyncio.Event) -> None:
        await asyncio.sleep(end.refuses or 0)
        channel.hang_up(_CAUSES.get(end.code, "NORMAL_UNSPECIFIED"), code=end.code)

    def _make(self, direction: str, number: str = "") -> Channel:
        channel = Channel(direction, self.fire, self.files)
        channel.id = number or channel.id
        channel.variables["read_codec"] = "PCMU" if direction == "outbound" else ""
        self.channels[channel.id] = channel
        self.made.append(channel)
        return channel

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, channel: Channel | None) -> None:
        listener = Listener(self, reader, writer, channel)
        self.listeners.append(listener)
        try:
            await listener.serve()
        finally:
            if listener in self.listeners:
                self.listeners.remove(listener)
        if channel is not None:
            await self._abandoned(channel)

    async def _abandoned(self, channel: Channel) -> None:
        """Its controller is gone: what plays goes on, then the dial plan does, and refuses; a bridge goes on."""
        if not channel.in_socket or channel.over:
            return
        while not channel.idle:  # noqa: ASYNC110 - as slow as the switch
            await asyncio.sleep(0.005)
        if channel.in_socket and not channel.over:
            channel.said.append("503" if channel.answer_state != "answered" else "BYE")
            channel.hang_up("NORMAL_CLEARING")

    def _spawn(self, work: object) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
