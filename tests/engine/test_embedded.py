"""What only the embedded engine has: its processes, how many there are, and what their deaths mean."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.embedded import pool, process
from edge_node.agent.media_engine.embedded.engine import EmbeddedEngine
from tests.e2e.phones import Phones
from tests.edge.kamailio_phone import sdp
from tests.edge.raw_sip import RawPhone
from tests.engine.engines import embedded_settings
from tests.engine.party import Party
from tests.engine.ports import block
from tests.engine.relay import Relay
from tests.engine.scene import Scene, Told, ends, until

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def small(relay: Relay, folder: Path, callers: int) -> AsyncIterator[tuple[Scene, EmbeddedEngine]]:
    told = Told()
    with block() as ports:
        settings = embedded_settings(relay, ports, callers=callers)
        async with EmbeddedEngine(settings, told, Log()) as engine:
            with Phones(relay.address, folder) as phones:
                yield Scene(engine, told, relay, folder, ports, phones), engine


async def test_a_full_engine_has_no_seat(relay: Relay, tmp_path: Path) -> None:
    async with small(relay, tmp_path, 3) as (scene, engine), contextlib.AsyncExitStack() as stack:
        parties = [await stack.enter_async_context(Party(f"200{number}", relay.sip)) for number in range(3)]
        for party in parties:
            await scene.answered(party)
        assert engine.channels == 3
        assert engine.limits.callers == 3
        assert engine.seat() is None
        await parties[0].hang_up()
        await until(lambda: engine.seat() is not None, "no seat is free after an end")


async def test_a_seat_that_nobody_takes_is_free_again(relay: Relay, tmp_path: Path) -> None:
    async with small(relay, tmp_path, 1) as (scene, engine):
        first = await scene.seat()
        began = time.monotonic()
        assert engine.seat() is None
        await until(lambda: engine.seat() == first, "the seat stays reserved")
        assert time.monotonic() - began > 2.0


async def test_more_processes_start_when_more_call(relay: Relay, tmp_path: Path) -> None:
    """A seat in one that is only starting is as good: the relay sends its INVITE again."""
    async with small(relay, tmp_path, 12) as (scene, engine), contextlib.AsyncExitStack() as stack:
        await scene.seat()
        assert len(engine.processes) <= 3
        parties = [await stack.enter_async_context(Party(f"200{number}", relay.sip)) for number in range(8)]
        await scene.all_answered(parties)
        assert engine.channels == 8
        assert len(engine.processes) >= 4


async def test_a_call_from_a_stranger_is_refused(relay: Relay, tmp_path: Path) -> None:
    async with small(relay, tmp_path, 2) as (scene, engine):
        host, _, port = (await scene.seat()).partition(":")

        def stranger() -> int:
            with RawPhone("evil", "", "evil.test", (host, int(port))) as phone:
                return phone.call(f"sip:600@{host}:{port}")[1].status

        assert await asyncio.to_thread(stranger) == 403
        assert not scene.told.arrivals
        assert not scene.told.ends
        assert engine.channels == 0


async def test_what_we_cannot_speak_is_refused(relay: Relay, tmp_path: Path) -> None:
    async with small(relay, tmp_path, 2) as (scene, _), Party("2000", relay.sip) as party:
        offer = (
            sdp(9_000).replace("RTP/AVP 0 101", "RTP/AVP 96").replace("rtpmap:0 PCMU/8000", "rtpmap:96 opus/48000/2")
        )
        assert await party.offer(await scene.seat(), offer) == 488
        assert not scene.told.arrivals


async def test_a_transfer_is_not_the_engines_to_make(relay: Relay, tmp_path: Path) -> None:
    async with small(relay, tmp_path, 2) as (scene, engine), Party("2000", relay.sip) as party:
        await scene.answered(party)
        assert party.dialog is not None
        party.raw(party.within(party.dialog, "REFER", extra="Refer-To: <sip:evil@127.0.0.1:9>\r\n"))
        assert (await party.final("REFER")).status == 603
        party.raw(party.within(party.dialog, "OPTIONS"))
        assert (await party.final("OPTIONS")).status == 200, "Kamailio asks whether a dialog still lives"
        assert engine.channels == 1


async def test_a_process_that_dies_takes_its_calls_with_it_and_is_replaced(
    relay: Relay, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with small(relay, tmp_path, 2) as (scene, engine):
        alice, near = await scene.caller()
        bob = await scene.phone("1002")
        await asyncio.to_thread(bob.auto_answer)
        far = await ends(engine.originate(near, scene.order(bob)))
        playing = asyncio.create_task(engine.play(near, [scene.tone(620)], loop=100))
        await asyncio.wait([playing], timeout=0.3)
        (child,) = [one for one in engine.processes if one.ready]
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(EngineError) as caught:
            await ends(playing)
        assert caught.value.code == "gone"
        await until(lambda: scene.told.ends == {near: "engine_lost", far: "engine_lost"}, "the loss is not told")
        assert engine.channels == 0
        said = "".join(capfd.readouterr())
        assert '"message": "media process died"' in said
        assert '"callers": 1' in said
        with pytest.raises(EngineError):
            await engine.bridge(near, far)
        await until(lambda: engine.up, "the process is not replaced")
        assert all(one.pid != child.pid for one in engine.processes)
        await asyncio.to_thread(alice.hang_up)
        carol, channel = await scene.caller("1003")
        await asyncio.to_thread(carol.hang_up)
        await until(lambda: scene.told.ends.get(channel) == "normal", "the new process does not work")


async def test_a_process_that_hangs_is_killed(relay: Relay, tmp_path: Path) -> None:
    async with small(relay, tmp_path, 2) as (scene, engine):
        _, near = await scene.caller()
        (child,) = [one for one in engine.processes if one.ready]
        os.kill(child.pid, signal.SIGSTOP)
        await until(lambda: scene.told.ends == {near: "engine_lost"}, "nobody notices", 20)
        await until(lambda: engine.up, "the process is not replaced")


async def test_processes_that_nobody_needs_end(relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_SEC", 0.5)
    async with small(relay, tmp_path, 12) as (scene, engine), contextlib.AsyncExitStack() as stack:
        await until(lambda: sum(one.ready for one in engine.processes) == 2, "the spare ones are not there")
        parties = [await stack.enter_async_context(Party(f"200{number}", relay.sip)) for number in range(6)]
        await scene.all_answered(parties)
        most = len(engine.processes)
        for party in parties:
            await party.hang_up()
        await until(lambda: len(engine.processes) < most, "none ends")
        await until(lambda: len(engine.processes) == 2, "too many stay")
        await scene.seat()


async def test_without_pjsip_the_engine_is_down_and_the_machine_idle(
    relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PROGRAM", "edge_node.there_is_no_such_program")
    lines: list[str] = []
    with block() as ports:
        async with EmbeddedEngine(embedded_settings(relay, ports, callers=2), Told(), Log(lines.append)) as engine:
            await until(lambda: len(lines) >= 3, "nobody says so", 30)
            began = time.monotonic()
            assert not engine.up
            assert engine.seat() is None
            assert engine.version == "unknown"
            await until(lambda: len(lines) >= 4, "it is not tried again", 30)
            assert time.monotonic() - began > 0.1
    assert "media process died" in lines[0]


async def test_the_end_of_the_engine_hangs_up(relay: Relay, tmp_path: Path) -> None:
    async with Party("2000", relay.sip) as party:
        async with small(relay, tmp_path, 2) as (scene, engine):
            channel = await scene.answered(party)
            pids = [child.pid for child in engine.processes]
        await party.request("BYE")
        assert scene.told.ends == {channel: "normal"}
        assert not any(_alive(pid) for pid in pids)


async def test_the_death_of_the_agent_hangs_up(relay: Relay, tmp_path: Path) -> None:
    """The processes are told by the end of their input."""
    with block() as ports:
        program = _AGENT.format(sip=relay.sip, first=ports.start + 1, rtp=ports.start + 20, last=ports.stop - 1)
        agent = await asyncio.to_thread(_python, program)
        assert agent.stdout is not None
        try:
            seat, pid = (await asyncio.to_thread(agent.stdout.readline)).split()
            async with Party("2000", relay.sip) as party:
                await party.call(seat)
                agent.kill()
                began = time.monotonic()
                bye = await party.request("BYE", 5.0)
                assert time.monotonic() - began < 2.0
                assert bye.header("reason") == 'SIP;cause=200;text="agent_lost"'
            await until(lambda: not _alive(int(pid)), "the process outlives the agent")
        finally:
            agent.kill()
            await asyncio.to_thread(agent.wait)
            agent.stdout.close()


async def test_the_agent_does_not_load_pjsip() -> None:
    program = (
        "import sys, edge_node.agent.media_engine.embedded.engine; print([m for m in sys.modules if 'pjsua' in m])"
    )
    said, _ = await asyncio.to_thread(lambda: _python(program).communicate())
    assert said.strip() == "[]"


def _python(program: str) -> subprocess.Popen[str]:
    path = {**os.environ, "PYTHONPATH": f"{ROOT}/worker:{ROOT}"}
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=path, stdout=subprocess.PIPE, text=True)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


_AGENT = """
import asyncio
from edge_node.agent.config import Address
from edge_node.agent.log import Log
from edge_node.agent.media_engine.embedded import pool, process
from edge_node.agent.media_engine.embedded.engine import EmbeddedEngine
from edge_node.agent.media_engine.embedded.settings import EmbeddedSettings


class Sink:
    def arrived(self, channel, headers):
        self.task = asyncio.create_task(engine.answer(channel))

    def digit(self, channel, digit): ...
    def ended(self, channel, cause): ...
    def in_path(self, channel, in_path): ...


async def main():
    global engine
    settings = EmbeddedSettings(
        Address(port={sip}), sip_port={first}, rtp_min={rtp}, rtp_max={last}, callers=2
    )
    async with EmbeddedEngine(settings, Sink(), Log()) as engine:
        while not engine.up:
            await asyncio.sleep(0.05)
        print(engine.seat(), engine.processes[0].pid, flush=True)
        await asyncio.sleep(600)


asyncio.run(main())
"""
