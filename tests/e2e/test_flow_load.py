"""Twenty callers in flows at once: how soon they hear the next prompt, and what a new version is to them."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

from tests.e2e.callers import Caller, caller_of, dial_all, together, until_live
from tests.e2e.flow_house import HANG_UP, LIVE_SEC, PROMPTS, House
from tests.e2e.installation import Installation
from tests.engine.scene import until

CALLERS: Final = 20
ROUNDS: Final = 5
P95_SEC: Final = 0.5
_QUIET_SEC: Final = 0.3
_FAILURES: Final = ("timeout", "invalid")


async def test_twenty_callers_hear_the_next_prompt_soon_after_a_digit(tandem: Installation, house: House) -> None:
    """Caller → Kamailio, rtpengine → engine → agent → brain, and all the way back."""
    menu = {
        "kind": "menu",
        "prompt": {"audioId": house.upload("beep", PROMPTS["again"], 0.3)},
        "timeoutSec": 60,
    }
    ways = ("one:digit:1>two", "two:digit:1>one", *(f"{one}:{end}>end" for one in ("one", "two") for end in _FAILURES))
    digits = house.flow("entry>one", *ways, one=menu, two=menu, end=HANG_UP)
    async with together(tandem, CALLERS) as callers:
        await until_live(tandem, digits)
        await dial_all(dict.fromkeys(callers, digits))
        latencies = [one for some in await asyncio.gather(*(_visit(caller) for caller in callers)) for one in some]
        assert not any(caller.ended for caller in callers)
        await asyncio.gather(*(caller.hang_up() for caller in callers))
    p95 = statistics.quantiles(latencies, n=20)[-1]
    print(
        f"{len(latencies)} digits of {CALLERS} callers to the next prompt: median "
        f"{statistics.median(latencies) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, max {max(latencies) * 1000:.0f} ms"
    )
    assert p95 < P95_SEC, sorted(latencies)
    await asyncio.to_thread(tandem.wait_live, 0, 30)


async def test_twenty_callers_stay_in_the_version_they_began_with(tandem: Installation, house: House) -> None:
    menu = house.menu(timeoutSec=60, prompt=house.prompt("again"))
    ways = ("entry>menu", *(f"menu:{end}>end" for end in _FAILURES), "first>end", "second>end")
    parts = {"menu": menu, "first": house.play("first"), "second": house.play("second"), "end": HANG_UP}
    flow_id = house.publish(None, *ways, "menu:digit:1>first", **parts)
    digits = "6500"
    house.extension(digits, flow_id)
    async with together(tandem, CALLERS) as callers:
        await until_live(tandem, digits)
        await dial_all(dict.fromkeys(callers, digits))
        await asyncio.gather(*(caller.hears_tone(PROMPTS["again"]) for caller in callers))
        await asyncio.to_thread(house.publish, flow_id, *ways, "menu:digit:1>second", **parts)
        await _hears(tandem, digits, "second", "first")
        for caller in callers:
            caller.listen()
            caller.press("1")
        await asyncio.gather(*(caller.hears_tone(PROMPTS["first"]) for caller in callers))
        await until(lambda: all(caller.ended for caller in callers), "a call is not ended by its flow")
        assert not any(caller.heard(PROMPTS["second"]) for caller in callers)
    await asyncio.to_thread(tandem.wait_live, 0, 30)


async def _hears(tandem: Installation, digits: str, wanted: str, old: str) -> None:
    """A new caller's key leads to the new version's prompt, within seconds of its publication."""
    end = time.monotonic() + LIVE_SEC
    while True:
        async with caller_of(tandem) as caller:
            assert await caller.dial(digits) == 200
            caller.press("1")
            await until(lambda: caller.heard(PROMPTS[wanted]) + caller.heard(PROMPTS[old]) >= 0.3, "no prompt")
            if caller.heard(PROMPTS[wanted]):
                await caller.hang_up()
                return
            assert time.monotonic() < end, "new calls take the old version"
            await caller.hang_up()


async def _visit(caller: Caller) -> list[float]:
    """The seconds from each digit to its prompt."""
    latencies = []
    for _ in range(ROUNDS):
        await until(lambda: _quiet(caller), "the prompt does not end")
        pressed = caller.press("1")
        latencies.append(await caller.hears(pressed) - pressed)
    return latencies


def _quiet(caller: Caller) -> bool:
    """The prompt was heard, and is over."""
    return bool(caller.sounds) and time.monotonic() - caller.sounds[-1] > _QUIET_SEC
