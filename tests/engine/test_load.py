"""Twenty callers in a menu at once: how long after a digit the next prompt is heard."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from typing import Final

from edge_node.agent.media_engine.base import EngineError
from tests.engine.party import Party
from tests.engine.scene import Scene, until

CALLERS: Final = 20
ROUNDS: Final = 6
P95_SEC: Final = 0.5
_QUIET_SEC: Final = 0.3


async def test_twenty_callers_hear_the_next_prompt_soon_after_a_digit(scene: Scene) -> None:
    async with contextlib.AsyncExitStack() as stack:
        parties = [await stack.enter_async_context(Party(f"3{one:03}", scene.relay.sip)) for one in range(CALLERS)]
        menu = _Menu(scene)
        stack.push_async_callback(menu.close)
        for party in parties:
            await scene.answered(party)
        assert scene.engine.channels == CALLERS
        latencies = [one for some in await asyncio.gather(*(_visit(party) for party in parties)) for one in some]
        await asyncio.gather(*(party.hang_up() for party in parties))
        await until(lambda: len(scene.told.ends) == CALLERS, "an end is not told")
    p95 = statistics.quantiles(latencies, n=20)[-1]
    print(f"digit to prompt: median {statistics.median(latencies) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")
    assert p95 < P95_SEC, sorted(latencies)


class _Menu:
    """Every digit stops what plays and starts a prompt."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._prompt = scene.tone(620, 0.2)
        self._tasks: set[asyncio.Task[None]] = set()
        scene.told.listener = self._pressed

    async def close(self) -> None:
        await asyncio.gather(*self._tasks)

    def _pressed(self, channel: str, digit: str) -> None:
        task = asyncio.create_task(self._play(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, channel: str) -> None:
        with contextlib.suppress(EngineError):
            await self._scene.engine.stop(channel)
            await self._scene.engine.play(channel, [self._prompt])


async def _visit(party: Party) -> list[float]:
    """The seconds from each digit to its prompt."""
    latencies = []
    for number in range(ROUNDS):
        await until(lambda: _quiet(party), "the prompt does not end")
        pressed = party.press(str(number))
        latencies.append(await party.hears(pressed) - pressed)
    return latencies


def _quiet(party: Party) -> bool:
    return not party.sounds or time.monotonic() - party.sounds[-1] > _QUIET_SEC
