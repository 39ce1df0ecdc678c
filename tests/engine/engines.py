"""The engines that the suite is run over: each says how it is started on ports of a test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest

from edge_node.agent.config import Address
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import MediaEngine, Sink
from edge_node.agent.media_engine.embedded.engine import EmbeddedEngine
from edge_node.agent.media_engine.embedded.settings import EmbeddedSettings
from edge_node.agent.media_engine.freeswitch import FreeSwitchEngine
from tests.engine import switch
from tests.engine.ports import LOOPBACK, block
from tests.engine.relay import Relay
from tests.engine.switch import RealSwitch

# An engine that runs, and the ports of its audio.
Running = AbstractAsyncContextManager[tuple[MediaEngine, range]]
Start = Callable[[Relay, Sink, Path], Running]
CALLERS: Final = 24


def embedded_settings(
    relay: Relay, ports: range, callers: int = CALLERS, music: Path | None = None
) -> EmbeddedSettings:
    """SIP in the first twentieth of the ports, RTP in the others."""
    rtp = ports[len(ports) // 20 :]
    return EmbeddedSettings(
        kamailio=Address(host=LOOPBACK, port=relay.sip),
        sip_port=ports.start + 1,
        rtp_min=rtp.start,
        rtp_max=rtp.stop - 1,
        callers=callers,
        hold_music=music,
    )


@contextlib.asynccontextmanager
async def embedded(relay: Relay, sink: Sink, music: Path) -> AsyncIterator[tuple[MediaEngine, range]]:
    with block() as ports:
        settings = embedded_settings(relay, ports, music=music)
        async with EmbeddedEngine(settings, sink, Log()) as engine:
            yield engine, range(settings.rtp_min, settings.rtp_max + 1)


@contextlib.asynccontextmanager
async def freeswitch(relay: Relay, sink: Sink, music: Path) -> AsyncIterator[tuple[MediaEngine, range]]:
    """The switch is started once, and ends with the relay."""
    if switch.program() is None:
        pytest.skip(switch.ABSENT)
    running = await asyncio.to_thread(relay.beside, lambda folder: RealSwitch(folder, relay.sip).running())
    async with FreeSwitchEngine(running.settings(hold_music=music), sink, Log()) as engine:
        yield engine, running.rtp


ENGINES: Final[dict[str, Start]] = {"embedded": embedded, "freeswitch": freeswitch}
