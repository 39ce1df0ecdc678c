"""Many at once, where a PJSIP phone each would be too much: callers in plain Python, and one who answers and echoes.

A caller speaks a tone; what comes back of it has gone to the other party and returned, so one pair of ears proves both
ways. Callers log in with their calls and need no registration.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import AsyncIterator
from typing import Final, Self

from edge_node.local import audio
from tests.e2e.flow_house import LIVE_SEC
from tests.e2e.installation import Installation
from tests.edge import sipp
from tests.edge.kamailio_phone import Dialog, Message, Phone, sdp
from tests.edge.raw_sip import LOOPBACK
from tests.edge.sip_digest import answer, parse_challenge
from tests.edge.sipp import Account
from tests.engine.party import Party

VOICE_HZ: Final = 1050  # whole periods in 20 ms; no prompt, and no other phone's tone
DEADLINE: Final = 20.0
# One calls each so many seconds: the embedded engine has spare room for a few, and makes more as they come.
PAUSE_SEC: Final = 0.3
_POLL_SEC: Final = 0.1  # to look for a tone is work
_VOICE_PEAK: Final = 8_000


class Caller(Party):
    """`await caller.dial("600")` is the code of the answer; then as a `Party`. Answers what it is asked in the call."""

    def __init__(self, account: Account, sip_port: int) -> None:
        super().__init__(account.user, sip_port)
        self.domain = account.domain
        self.voice = _VOICE
        self.offers = 0  # re-INVITEs that it answered
        self.ended = False
        self.answered = ""  # the first line of the final response
        self._password = account.password
        self._serving: asyncio.Task[None] | None = None
        self._listened = 0

    async def __aexit__(self, *_: object) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        if self.dialog is not None and not self.ended:
            self.raw(self.within(self.dialog, "BYE"))
        await super().__aexit__()

    async def dial(self, digits: str) -> int:
        """The final code; audio flows when it is 200."""
        uri, call_id = f"sip:{digits}@{self.domain}", secrets.token_hex(8)
        sender = f"<sip:{self.name}@{self.domain}>;tag={secrets.token_hex(4)}"
        final = await self._invite(uri, sender, call_id, 1, "")
        if final.status == 407:
            final = await self._invite(uri, sender, call_id, 2, self._credentials(final, uri))
        self.answered = final.start
        if final.status == 200:
            self.dialog = self.caller_dialog(final)
            self.raw(self.within(self.dialog, "ACK", cseq=self.dialog.cseq))
            self._serving = asyncio.create_task(self._serve(self.dialog))
            self._speak(final)
        return final.status

    async def hang_up(self) -> None:
        await super().hang_up()
        self.ended = True

    async def hears_tone(self, hz: int, seconds: float = 0.4, deadline: float = DEADLINE) -> None:
        """From the last `listen` on."""
        end = time.monotonic() + deadline
        while self.heard(hz) < seconds:
            state = "has ended" if self.ended else "goes on"
            assert time.monotonic() < end, f"{self.name} does not hear {hz} Hz; its call {state}"
            await asyncio.sleep(_POLL_SEC)

    def listen(self) -> None:
        """What was heard before is forgotten."""
        self._listened = len(self.speech)

    def heard(self, hz: int) -> float:
        """Seconds of that tone."""
        samples = array.array("h", (_LINEAR[byte] for byte in self.speech[self._listened :]))
        return audio.heard_in(audio.Recording(samples, audio.RATE), hz).total

    async def _invite(self, uri: str, sender: str, call_id: str, cseq: int, credentials: str) -> Message:
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        offer = sdp(self.audio_port)
        self.raw(
            self.build(
                "INVITE",
                uri,
                sender=sender,
                call_id=call_id,
                cseq=cseq,
                extra=credentials,
                body=offer,
                branch=branch,
            )
        )
        final = await self.wait(
            lambda m: m.status >= 200 and m.method == "INVITE" and m.header("cseq").startswith(f"{cseq} "), DEADLINE
        )
        if final.status >= 300:
            ack = self.build(
                "ACK", uri, to=final.header("to"), sender=sender, call_id=call_id, cseq=cseq, branch=branch
            )
            self.raw(ack)
        return final

    def _credentials(self, challenged: Message, uri: str) -> str:
        challenges = [parse_challenge(value) for value in challenged.all("proxy-authenticate")]
        challenge = next(one for one in challenges if one.algorithm.upper() == "MD5")
        return f"Proxy-Authorization: {answer(challenge, self.name, self._password, 'INVITE', uri)}\r\n"

    async def _serve(self, dialog: Dialog) -> None:
        while True:
            request = await self.wait(lambda m: m.status == 0, None)
            if request.method == "INVITE":
                self.answer(request, 200, "OK", body=sdp(self.audio_port))
                self.offers += 1
            elif request.method != "ACK":
                self.answer(request, 200, "OK")
                dialog_over = request.method == "BYE" and request.header("call-id") == dialog.call_id
                self.ended = self.ended or dialog_over


class Answerer(Phone):
    """Takes every call that comes, and sends back all audio to where it came from."""

    def __init__(self, account: Account, sip_port: int, port: int) -> None:
        super().__init__(account.user, sip_port, account.domain, port=port)
        self.calls: set[str] = set()  # Call-IDs of those that are up
        self.offers = 0
        self._echo = _Echo()
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        await self._echo.open()
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        self._echo.close()
        await self.close()

    async def _serve(self) -> None:
        while True:
            request = await self.wait(lambda m: m.status == 0, None)
            call_id = request.header("call-id")
            if request.method == "INVITE":
                if ";tag=" in request.header("to"):
                    self.offers += 1
                else:
                    self.answer(request, 180, "Ringing")
                self.answer(request, 200, "OK", body=sdp(self._echo.port))
                self.calls.add(call_id)
            elif request.method != "ACK":
                self.answer(request, 200, "OK")
                if request.method == "BYE":
                    self.calls.discard(call_id)


@contextlib.asynccontextmanager
async def answering(account: Account, sip_port: int) -> AsyncIterator[Answerer]:
    """Registered until the end of the block."""
    with sipp.registered(account, (LOOPBACK, sip_port)) as port:
        async with Answerer(account, sip_port, port) as answerer:
            yield answerer


def account_of(tandem: Installation, extension: str, account: int = 0) -> Account:
    user = tandem.user(extension, account)
    return Account(user["auth_username"], user["password"], tandem.account(account)["domain"])


def caller_of(tandem: Installation, extension: str = "1001") -> Caller:
    return Caller(account_of(tandem, extension), tandem.settings.sip_port)


@contextlib.asynccontextmanager
async def together(tandem: Installation, count: int) -> AsyncIterator[list[Caller]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(caller_of(tandem)) for _ in range(count)]


async def until_live(tandem: Installation, digits: str) -> None:
    """A flow that was just published is live within seconds."""
    end = time.monotonic() + LIVE_SEC
    while True:
        async with caller_of(tandem) as caller:
            if await caller.dial(digits) == 200:
                await caller.hang_up()
                return
            assert time.monotonic() < end, caller.answered


async def dial_all(callers: dict[Caller, str]) -> None:
    """All of them call, one after the other, and are answered."""
    calls = []
    for number, (caller, digits) in enumerate(callers.items()):
        began = time.monotonic()
        calls.append(asyncio.create_task(caller.dial(digits), name=f"call {number} to {digits}"))
        await asyncio.sleep(max(0.0, began + PAUSE_SEC - time.monotonic()))
    await asyncio.gather(*calls)
    assert {caller.answered.split()[1] for caller in callers} == {"200"}, [caller.answered for caller in callers]


class _Echo(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(LOOPBACK, 0))

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)

    def error_received(self, exc: Exception) -> None:
        """The other end is gone already."""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _linear(byte: int) -> int:
    """A µ-law byte as a sample (ITU-T G.711)."""
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84 << ((byte & 0x70) >> 4)) - 0x84
    return -magnitude if byte & 0x80 else magnitude


_LINEAR: Final = [_linear(byte) for byte in range(256)]
_VOICE: Final = bytes(
    min(range(256), key=lambda byte: abs(_LINEAR[byte] - sample))
    for sample in (round(_VOICE_PEAK * math.sin(2 * math.pi * VOICE_HZ * n / audio.RATE)) for n in range(160))
)
