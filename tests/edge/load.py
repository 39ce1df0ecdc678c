"""Calls at a steady rate, with all that a caller does: challenged, answered, acknowledged, talked, ended.

    report = asyncio.run(load.place(edge, callers, callees, calls=1000, rate=20))
    assert not report.failures

Callers and callees are accounts of one edge; caller n calls the extension of callee n, both taken in turn. Each has a
socket of its own. Lost datagrams are sent again as RFC 3261 section 17 has it and counted; nothing sends RTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.edge.raw_sip import Message, RawPhone, reply
from tests.edge.sip_message import parse
from tests.edge.sipp import Account

T1 = 0.5
T2 = 4.0
DATAGRAM = 65_535


@dataclass(frozen=True)
class Refusal:
    """An INVITE's final response other than 200 and 407."""

    status: int
    retry_after: str


@dataclass(frozen=True)
class Report:
    """What came of the calls; times in milliseconds from the first INVITE (without credentials) to the 200.

    `refusals` are among the `failures`; `longest_wait` is what any one INVITE waited for its final response, in s.
    """

    calls: int
    failures: tuple[str, ...]
    retransmissions: int
    seconds: float
    setup_ms: tuple[float, ...]
    refusals: tuple[Refusal, ...]
    longest_wait: float

    @property
    def rate(self) -> float:
        """Calls begun a second, over the whole run."""
        return self.calls / self.seconds

    def percentile(self, share: int) -> float:
        """The set-up time that `share` percent of the answered calls did not exceed (nearest rank; 0 when none was)."""
        times = sorted(self.setup_ms)
        return times[math.ceil(share / 100 * len(times)) - 1] if times else 0.0

    def __str__(self) -> str:
        times = "/".join(f"{self.percentile(share):.1f}" for share in (50, 95, 100))
        text = f"{self.calls} calls at {self.rate:.1f}/s, {len(self.failures)} failed, "
        return text + f"{self.retransmissions} retransmissions, set-up p50/p95/max {times} ms"


@dataclass
class _Line:
    """A phone in the event loop; `waiting` maps a branch to the responses of its transaction."""

    phone: RawPhone
    waiting: dict[str, asyncio.Queue[Message]] = field(default_factory=dict)
    answered: dict[str, list[Message]] = field(default_factory=dict)
    retransmissions: int = 0
    longest_wait: float = 0.0


class _RefusedError(Exception):
    """A call that did not go as it should."""

    def __init__(self, text: str, refusal: Refusal | None = None) -> None:
        super().__init__(text)
        self.refusal = refusal


async def place(
    edge: tuple[str, int],
    callers: Sequence[Account],
    callees: Sequence[Account],
    *,
    calls: int,
    rate: float,
    talk: float = 1.0,
    deadline: float = 10.0,
    enough: asyncio.Event | None = None,
) -> Report:
    """Register the callees, place the calls, end them all. `talk` and `deadline` (for each answer) are in seconds;
    when it is `enough`, no more calls are begun."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(_line(one, edge)) for one in callers]
        targets = [stack.enter_context(_line(one, edge)) for one in callees]
        for target in targets:
            final = await asyncio.to_thread(target.phone.register)
            assert final.status == 200, f"{target.phone.user} could not register: {final.start}"
        for line in [*sources, *targets]:
            line.phone.socket.setblocking(False)
            loop.add_reader(line.phone.socket, _readable, line)
            stack.callback(loop.remove_reader, line.phone.socket)
        start = loop.time()
        tasks = []
        for number in range(calls):
            await asyncio.sleep(max(start + number / rate - loop.time(), 0))
            if enough is not None and enough.is_set():
                break
            source, callee = sources[number % len(sources)], callees[number % len(callees)]
            uri = f"sip:{callee.user}@{callee.domain}"
            tasks.append(asyncio.create_task(_call(source, uri, talk, deadline)))
        seconds = loop.time() - start
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for target in targets:
            loop.remove_reader(target.phone.socket)
            await asyncio.to_thread(target.phone.register, expires=0)
    if broken := [one for one in outcomes if isinstance(one, BaseException) and not isinstance(one, _RefusedError)]:
        raise broken[0]
    return Report(
        calls=len(tasks),
        failures=tuple(f"call {number}: {one}" for number, one in enumerate(outcomes) if isinstance(one, Exception)),
        retransmissions=sum(line.retransmissions for line in [*sources, *targets]),
        seconds=seconds,
        setup_ms=tuple(one for one in outcomes if isinstance(one, float)),
        refusals=tuple(one.refusal for one in outcomes if isinstance(one, _RefusedError) and one.refusal is not None),
        longest_wait=max(line.longest_wait for line in sources),
    )


@contextlib.contextmanager
def _line(account: Account, edge: tuple[str, int]) -> Iterator[_Line]:
    with RawPhone(account.user, account.password, account.domain, edge) as phone:
        yield _Line(phone)


async def _call(line: _Line, uri: str, talk: float, deadline: float) -> float:
    """One call from its INVITE to the answer to its BYE; returns the set-up time in milliseconds."""
    loop = asyncio.get_running_loop()
    phone = line.phone
    begun = loop.time()
    invite = phone.request("INVITE", uri, body=phone.sdp())
    final = await _transact(line, invite, deadline)
    if final.status == 407:
        phone.send(phone.ack(invite, final))
        invite = phone.authorised(invite, final)
        final = await _transact(line, invite, deadline)
    phone.send(phone.ack(invite, final))
    if final.status != 200:
        refusal = Refusal(final.status, final.get("Retry-After"))
        raise _RefusedError(f"INVITE {final.status} {final.start.split(' ', 2)[2]}", refusal)
    setup = (loop.time() - begun) * 1000
    await asyncio.sleep(talk)
    ended = await _transact(line, phone.within("BYE", final, cseq=invite.cseq + 1), deadline)
    if ended.status != 200:
        raise _RefusedError(f"BYE {ended.status}")
    return setup


async def _transact(line: _Line, request: Message, deadline: float) -> Message:
    """Send a request until it is answered (an INVITE: until a provisional response), return the final response."""
    loop = asyncio.get_running_loop()
    responses = line.waiting[request.branch] = asyncio.Queue()
    begun = loop.time()
    end = begun + deadline
    pause: float | None = T1
    line.phone.send(request)
    try:
        while (left := end - loop.time()) > 0:
            try:
                response = await asyncio.wait_for(responses.get(), min(left, pause or left))
            except TimeoutError:
                if pause is not None and loop.time() < end:
                    line.phone.send(request)
                    line.retransmissions += 1
                    pause = min(pause * 2, T2)
                continue
            if response.status >= 200:
                if request.method == "INVITE":
                    line.longest_wait = max(line.longest_wait, loop.time() - begun)
                return response
            pause = None if request.method == "INVITE" else T2
    finally:
        del line.waiting[request.branch]
    raise _RefusedError(f"{request.method} unanswered after {deadline:g} s")


def _readable(line: _Line) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            data, source = line.phone.socket.recvfrom(DATAGRAM)
            if not data.strip(b"\r\n\0"):
                continue
            message = parse(data)
            if not message.status:
                _answer(line, message, source)
            elif message.branch in line.waiting:
                line.waiting[message.branch].put_nowait(message)


def _answer(line: _Line, request: Message, source: tuple[str, int]) -> None:
    """Ring and answer an INVITE, say 200 to everything else; a repeated request gets its answers once more."""
    phone = line.phone
    if request.method == "ACK":
        return
    if request.branch in line.answered:
        line.retransmissions += 1
    elif request.method == "INVITE":
        contact = [("Contact", phone.contact)]
        line.answered[request.branch] = [
            reply(request, 180, "Ringing", to_tag=request.branch, extra=contact),
            reply(request, 200, "OK", to_tag=request.branch, extra=contact, body=phone.sdp()),
        ]
    else:
        line.answered[request.branch] = [reply(request, 200, "OK")]
    for response in line.answered[request.branch]:
        phone.send(response, source)
