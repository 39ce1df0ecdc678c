"""The double says what a real switch said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.unit.agent.stubs import eventually
from tests.unit.freeswitch.channel import Channel
from tests.unit.freeswitch.double import Double, FarEnd
from tests.unit.freeswitch.scenarios import SCENARIOS
from tests.unit.freeswitch.transcripts import perform, recorded


class Pretended:
    """The double as a world of a script."""

    route = "sip:127.0.0.1:9"

    def __init__(self, switch: Double) -> None:
        self._switch = switch
        self.esl = switch.settings.esl
        self.socket = switch.settings.socket
        self.password = switch.password

    async def call(self, header: str) -> Callable[[], Awaitable[None]]:
        channel = await self._switch.call({"X-Tandem-Odd": header})

        async def hang_up() -> None:
            channel.hang_up("NORMAL_CLEARING")

        return hang_up

    def sound(self, seconds: float) -> str:
        name = f"/sounds/{seconds}.wav"
        self._switch.files[name] = seconds
        return name

    def far(self, answers: bool, code: int = 486) -> Callable[[], Awaitable[None]]:
        end = FarEnd() if answers else FarEnd(answers=None, refuses=0.02, code=code)
        self._switch.far_ends.append(end)

        async def hang_up() -> None:
            placed: list[Channel] = [one for one in self._switch.made if one.direction == "outbound"]
            await eventually(lambda: bool(placed))
            placed[-1].hang_up("NORMAL_CLEARING")

        return hang_up


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_double_says_what_the_switch_said(switch: Double, name: str) -> None:
    assert await perform(name, Pretended(switch)) == recorded()["scenarios"][name]


def test_every_recording_is_of_a_scenario_that_is_still_tried() -> None:
    assert set(recorded()["scenarios"]) == set(SCENARIOS)
