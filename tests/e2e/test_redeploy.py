"""A changed brain goes into the running system as `make redeploy` brings it, with calls up and more arriving."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from pathlib import Path
from typing import Any, Final

import pytest

from edge_node.local import __main__ as commands
from edge_node.local import probe
from edge_node.local.phone import Phone
from edge_node.local.up import UpError
from tests.e2e.callers import VOICE_HZ, Caller, account_of, answering, caller_of, dial_all, together, until_live
from tests.e2e.conftest import Open
from tests.e2e.flow_house import HANG_UP, PROMPTS, House
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones
from tests.edge import load
from tests.edge.raw_sip import LOOPBACK
from tests.engine.scene import until

PLAIN, IN_MENU, BRIDGED = 6, 7, 5  # and two pairs of PJSIP phones: a plain call and a bridged one
UP: Final = PLAIN + IN_MENU + BRIDGED + 2
RATE: Final = 5.0
# So many arrive before, and so many after.
SOME_SEC: Final = 2.0
WAIT_SEC: Final = 3.0
# Of the caller's and the machine's own, on top.
NOISE_SEC: Final = 0.7
ANSWER_SEC: Final = 20
# On a busy machine the new brain's first start takes its time.
STOPPED_SEC: Final = 60
PARTS: Final = ("kamailio", "rtpengine", "agent")


@pytest.mark.timeout(180)
async def test_a_new_brain_harms_no_call(tandem: Installation, house: House, open_phone: Open, phones: Phones) -> None:
    menu = house.menu(timeoutSec=60, prompt=house.prompt("again"))
    ways = ("entry>menu", "menu:digit:1>first", "menu:timeout>end", "menu:invalid>end", "first>end")
    in_menu = house.flow(*ways, menu=menu, first=house.play("first"), end=HANG_UP)
    desk = house.flow("entry>desk", *_desk_ways(), desk=house.dial("1002"), end=HANG_UP)
    phone_desk = house.flow("entry>desk", *_desk_ways(), desk=house.dial("1001"), end=HANG_UP)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(answering(account_of(tandem, "1002"), tandem.settings.sip_port))
        callers = await stack.enter_async_context(together(tandem, PLAIN + IN_MENU + BRIDGED))
        plain, asked, bridged = callers[:PLAIN], callers[PLAIN:-BRIDGED], callers[-BRIDGED:]
        await until_live(tandem, in_menu)
        await until_live(tandem, desk)
        await asyncio.to_thread(tandem.wait_live, 0)
        pairs = await asyncio.to_thread(_talking_pairs, open_phone, phones, phone_desk)
        await dial_all(dict.fromkeys(plain, "1002") | dict.fromkeys(asked, in_menu) | dict.fromkeys(bridged, desk))
        await _go_on(plain, asked, bridged)
        await until(lambda: all(one.offers for one in bridged), "a bridged call is not released", ANSWER_SEC)
        await asyncio.to_thread(tandem.wait_live, UP)
        assert await _unknown_number(tandem) == "SIP/2.0 404 Not Found"

        pids, engine = {part: tandem.pid(part) for part in PARTS}, _engines(tandem, [*asked, *bridged])
        changed = tandem.changed_brain("next", tandem__domain__routing__decisions=('(404, "Not Found"', _NEW))
        with changed:
            report, seconds = await _redeploy(tandem, asked[0])
            print(
                f"redeployed in {seconds:.1f} s; {report}; {len(report.refusals)} refused; "
                f"no INVITE waited longer than {report.longest_wait * 1000:.0f} ms"
            )
            # The next call, and the next step of the flows, are the new brain's.
            assert probe.brain_version(tandem.settings) == "next"
            assert await _unknown_number(tandem) == "SIP/2.0 404 No Such Number"
            for caller in callers[:PLAIN] + callers[PLAIN + 1 :]:
                caller.listen()
            await _go_on(plain, [], bridged)
            for caller in asked[1:]:
                caller.press("1")
            await asyncio.gather(*(caller.hears_tone(PROMPTS["first"]) for caller in asked))
            await until(lambda: all(caller.ended for caller in asked), "a flow does not end its call", ANSWER_SEC)
            for pair in pairs:
                await asyncio.to_thread(phones.converse, *pair)

            assert {part: tandem.pid(part) for part in PARTS} == pids
            assert _engines(tandem, [*asked, *bridged]) == engine
            _nobody_hung(report)

            assert not any(caller.ended for caller in (*plain, *bridged))
            await asyncio.gather(*(caller.hang_up() for caller in (*plain, *bridged)))
            for near, far in pairs:
                near.hang_up()
                await asyncio.to_thread(far.wait_for, "ended", ANSWER_SEC)
            for account in (0, 1):
                await asyncio.to_thread(tandem.wait_live, 0, 30, account)
    # A call's end is on record a moment after the call is counted no more.
    await until(lambda: all(one["end_ts"] for one in _answered(tandem)), "a record has no end", ANSWER_SEC)
    assert {one["hangup_cause"] for one in _answered(tandem)} == {"normal"}


async def test_a_brain_that_does_not_start_is_not_taken(tandem: Installation) -> None:
    pid = tandem.pid("brain")
    with (
        tandem.changed_brain("broken", tandem__domain__routing__decisions=('(404, "Not Found"', "(404, nothing")),
        pytest.raises(UpError, match="nothing"),
    ):
        commands.redeploy(tandem.settings, tandem.source)
    assert tandem.pid("brain") == pid
    assert await _unknown_number(tandem) == "SIP/2.0 404 Not Found"


_NEW: Final = '(404, "No Such Number"'


def _answered(tandem: Installation) -> list[dict[str, Any]]:
    """The records of this test's calls that were answered."""
    return [one for one in tandem.records() if one["start_ts"] >= tandem.since and one["answered"]]


def _desk_ways() -> list[str]:
    return [f"desk:{outcome}>end" for outcome in ("no_answer", "busy", "failed")]


def _talking_pairs(open_phone: Open, phones: Phones, desk: str) -> list[tuple[Phone, Phone]]:
    """One called the other; and one was connected to the other by a flow."""
    pairs = [(open_phone("1003"), open_phone("2001")), (open_phone("2002"), open_phone("1001"))]
    phones.connect(*pairs[0])
    caller, callee = pairs[1]
    callee.auto_answer()
    caller.wait_for("answered", ANSWER_SEC, call=caller.call(desk))
    callee.wait_for("media_active", ANSWER_SEC)
    for pair in pairs:
        phones.converse(*pair)
    return pairs


async def _go_on(plain: list[Caller], asked: list[Caller], bridged: list[Caller]) -> None:
    """Who talks hears the echo of his own voice, who is in the menu its prompt."""
    await asyncio.gather(
        *(caller.hears_tone(VOICE_HZ) for caller in (*plain, *bridged)),
        *(caller.hears_tone(PROMPTS["again"]) for caller in asked),
    )


async def _redeploy(tandem: Installation, impatient: Caller) -> tuple[load.Report, float]:
    """While calls of the other tenant arrive, and one in a menu presses a key as soon as no brain is there.

    The calls' report, and how long the command took in seconds.
    """
    enough = asyncio.Event()
    edge = (LOOPBACK, tandem.settings.sip_port)
    callers, callees = [account_of(tandem, "1001", 1)], [account_of(tandem, "1002", 1)]
    calls = asyncio.create_task(load.place(edge, callers, callees, calls=500, rate=RATE, enough=enough))
    await until(lambda: tandem.live_calls(1) > 0, "no call arrives")
    await asyncio.sleep(SOME_SEC)
    began = time.monotonic()
    pid = tandem.pid("brain")
    redeployed = asyncio.create_task(asyncio.to_thread(commands.redeploy, tandem.settings, tandem.source))
    await until(lambda: redeployed.done() or tandem.pid("brain") != pid, "the old brain is not stopped", STOPPED_SEC)
    impatient.listen()
    impatient.press("1")
    await redeployed
    took = time.monotonic() - began
    await asyncio.sleep(SOME_SEC)
    enough.set()
    return await calls, took


def _nobody_hung(report: load.Report) -> None:
    """Each is answered or refused in time, and who is refused is told when to try again."""
    assert len(report.refusals) == len(report.failures), report.failures
    assert report.longest_wait < WAIT_SEC + NOISE_SEC
    for refusal in report.refusals:
        assert refusal.status == 503
        assert refusal.retry_after.isdecimal()
    assert len(report.setup_ms) >= RATE * SOME_SEC, "too few calls were answered"


async def _unknown_number(tandem: Installation) -> str:
    async with caller_of(tandem) as caller:
        await caller.dial("7999")
        return caller.answered


def _engines(tandem: Installation, callers: list[Caller]) -> dict[str, int]:
    """The engine's processes by the port at which they serve those callers."""
    ports = {found[1] for caller in callers if caller.dialog and (found := re.search(r":(\d+)", caller.dialog.target))}
    sockets = {}
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        port = str(int(fields[1].partition(":")[2], 16))
        if port in ports:
            sockets[f"socket:[{fields[9]}]"] = port
    agent, found_at = tandem.pid("agent"), {}
    for child in Path(f"/proc/{agent}/task/{agent}/children").read_text().split():
        for descriptor in Path(f"/proc/{child}/fd").iterdir():
            with contextlib.suppress(OSError):
                name = str(descriptor.readlink())
                if name in sockets:
                    found_at[sockets[name]] = int(child)
    assert set(found_at) == ports, "a port of the engine is nobody's"
    return found_at
