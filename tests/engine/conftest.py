"""One suite for every engine: each test runs over each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.phones import Phones
from tests.engine import switch
from tests.engine.engines import ENGINES
from tests.engine.relay import Relay
from tests.engine.scene import Scene, Told

MUSIC_HZ = 350


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    with Relay(tmp_path_factory.mktemp("relay")).running() as running:
        yield running


@pytest.fixture(params=sorted(ENGINES))
async def scene(request: pytest.FixtureRequest, relay: Relay, tmp_path: Path) -> AsyncIterator[Scene]:
    told = Told()
    music = tmp_path / "music.wav"
    from edge_node.local import audio

    audio.write_tone(music, MUSIC_HZ)
    async with ENGINES[request.param](relay, told, music) as (engine, rtp):
        with Phones(relay.address, tmp_path) as phones:
            yield Scene(engine, told, relay, tmp_path, rtp, phones)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Loud, so that nobody takes a green run for more than it is."""
    if switch.program() is None:
        terminalreporter.write_sep("!", switch.ABSENT, yellow=True, bold=True)
