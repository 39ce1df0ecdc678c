"""One agent between a stub brain and a fake Kamailio."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_node.agent.app import Agent
from edge_node.agent.brain import Brain
from edge_node.agent.clock import Clock
from edge_node.agent.config import Config
from edge_node.agent.log import Log
from edge_node.agent.prompts.speech import EspeakNg
from tests.unit.agent.flow_scene import Scene
from tests.unit.agent.shelf import Shelf
from tests.unit.agent.stubs import CREDENTIAL, NODE, FakeKamailio, StubBrain, eventually

StartAgent = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture
async def brain() -> AsyncIterator[StubBrain]:
    stub = StubBrain()
    await stub.start()
    yield stub
    await stub.stop()


@pytest.fixture
async def kamailio() -> AsyncIterator[FakeKamailio]:
    fake = FakeKamailio()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def shelf(brain: StubBrain, tmp_path: Path) -> AsyncIterator[Shelf]:
    async with Brain(f"http://127.0.0.1:{brain.port}", NODE, CREDENTIAL, Clock()) as client:
        found = Shelf(brain, client, tmp_path / "prompts", EspeakNg())
        yield found
        await found.library.close()


@pytest.fixture
def config(tmp_path: Path, brain: StubBrain, kamailio: FakeKamailio) -> Config:
    credential = tmp_path / "credential"
    credential.write_text(CREDENTIAL + "\n")
    return Config.model_validate(
        {
            "node": NODE,
            "brain_url": f"http://127.0.0.1:{brain.port}",
            "credential_file": credential,
            "evapi": {"port": kamailio.port},
            "listen": {"port": 0},
            "data": tmp_path / "data",
            "rpc_url": f"http://127.0.0.1:{kamailio.rpc_port}/RPC",
            "heartbeat_interval": 0.1,
        }
    )


@pytest.fixture
def log_lines() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def start_agent(config: Config, log_lines: list[dict[str, Any]]) -> StartAgent:
    """`async with start_agent(decision_timeout=0.3) as agent`: ready, which means connected and known to the brain."""

    @asynccontextmanager
    async def start(ready: bool = True, **changes: Any) -> AsyncIterator[Agent]:
        log = Log(lambda line: log_lines.append(json.loads(line)), "debug")
        async with Agent(config.model_copy(update=changes), log) as agent:
            if ready:
                await eventually(lambda: agent.health().ok, what="a healthy agent")
            yield agent

    return start


@pytest.fixture
async def agent(start_agent: StartAgent) -> AsyncIterator[Agent]:
    async with start_agent() as running:
        yield running


@pytest.fixture
async def scene(start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio) -> AsyncIterator[Scene]:
    async with start_agent(flow_patience=0.6) as agent:
        yield Scene(agent, brain, kamailio)
