"""A real switch says what was recorded, so the double is right. `python -m tests.engine.test_transcripts` records."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from edge_node.local import audio
from tests.edge.kamailio_phone import Dialog, Phone, media_port, sdp
from tests.engine import switch
from tests.engine.relay import Relay
from tests.engine.switch import RealSwitch
from tests.unit.freeswitch.scenarios import SCENARIOS
from tests.unit.freeswitch.transcripts import FILE, perform, recorded

_PORT: Final = 9  # of audio that nobody hears


class Real:
    """A real switch with phones beside it, as the world of a script."""

    def __init__(self, running: RealSwitch, folder: Path) -> None:
        settings = running.settings()
        self.esl, self.socket, self.password = settings.esl, settings.socket, settings.password
        self._sip = settings.sip.port
        self._folder = folder
        self._phones: list[Phone] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.route = ""

    async def open(self) -> None:
        self._far = await self._phone("bob")
        self.route = f"sip:127.0.0.1:{self._far.port}"

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for phone in self._phones:
            await phone.close()

    async def call(self, header: str) -> Callable[[], Awaitable[None]]:
        phone = await self._phone("alice")
        extra = f"X-Tandem-Odd: {header}\r\n"
        phone.raw(phone.build("INVITE", f"sip:600@127.0.0.1:{self._sip}", extra=extra, body=sdp(_PORT)))
        dialogs: list[Dialog] = []
        self._spawn(self._calling(phone, dialogs))

        async def hang_up() -> None:
            if dialogs:
                phone.raw(phone.within(dialogs[0], "BYE"))

        return hang_up

    def sound(self, seconds: float) -> str:
        folder = self._folder / "sounds"
        folder.mkdir(exist_ok=True)
        path = folder / f"{seconds}.wav"
        audio.write_tone(path, 620, seconds=seconds)
        return str(path)

    def far(self, answers: bool, code: int = 486) -> Callable[[], Awaitable[None]]:
        dialogs: list[Dialog] = []
        self._spawn(self._called(answers, code, dialogs))

        async def hang_up() -> None:
            self._far.raw(self._far.within(dialogs[0], "BYE"))

        return hang_up

    async def _calling(self, phone: Phone, dialogs: list[Dialog]) -> None:
        final = await phone.final("INVITE", 30)
        dialog = phone.caller_dialog(final)
        phone.raw(phone.within(dialog, "ACK", cseq=dialog.cseq))
        if final.status == 200:
            dialogs.append(dialog)
            await self._within(phone)

    async def _called(self, answers: bool, code: int, dialogs: list[Dialog]) -> None:
        invite = await self._far.request("INVITE", 30)
        if not answers:
            self._far.answer(invite, code)
            return
        self._far.answer(invite, 200, body=sdp(_PORT))
        dialogs.append(self._far.callee_dialog(invite))
        await self._within(self._far)

    async def _within(self, phone: Phone) -> None:
        """Takes every re-INVITE, and the other's BYE."""
        while True:
            request = await phone.wait(lambda m: m.status == 0 and m.method in ("INVITE", "BYE"), 60)
            if request.method == "BYE":
                phone.answer(request, 200)
                return
            assert media_port(request)
            phone.answer(request, 200, body=sdp(_PORT))

    async def _phone(self, name: str) -> Phone:
        phone = await Phone(name, self._sip).open()
        self._phones.append(phone)
        return phone

    def _spawn(self, work: Awaitable[None]) -> None:
        self._tasks.append(asyncio.ensure_future(work))


@contextlib.asynccontextmanager
async def real(running: RealSwitch, folder: Path) -> AsyncIterator[Real]:
    world = Real(running, folder)
    await world.open()
    try:
        yield world
    finally:
        await world.close()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_real_switch_says_what_was_recorded(relay: Relay, tmp_path: Path, name: str) -> None:
    if switch.program() is None:
        pytest.skip(switch.ABSENT)
    running = await asyncio.to_thread(relay.beside, lambda folder: RealSwitch(folder, relay.sip).running())
    async with real(running, tmp_path) as world:
        assert _plain(await perform(name, world), world, tmp_path) == recorded()["scenarios"][name]


def _plain(lines: dict[str, list[str]], world: Real, folder: Path) -> dict[str, list[str]]:
    return {name: [line.replace(str(folder), "") for line in one] for name, one in lines.items()}


async def _record() -> None:
    with tempfile.TemporaryDirectory() as place, RealSwitch(Path(place), 9).running() as running:
        found = {}
        for name in SCENARIOS:
            async with real(running, Path(place)) as world:
                found[name] = _plain(await perform(name, world), world, Path(place))
    FILE.write_text(json.dumps({"scenarios": found}, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(_record())
