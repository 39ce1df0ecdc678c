"""The edge's Kamailio and rtpengine, real ones, against a stand-in for the node-agent and phones that say anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_scene import OVERRIDES, Phones, by_user, save_device
from tests.edge.kamailio_stub_agent import StubAgent


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = Node(Path(tmp_path_factory.mktemp("edge")), OVERRIDES)
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def agent(node: Node) -> AsyncIterator[StubAgent]:
    found = StubAgent(save_device, by_user)
    await found.connect(node.settings.evapi_port)
    yield found
    await found.close()


@pytest.fixture
async def phones(node: Node) -> AsyncIterator[Phones]:
    found = Phones(node)
    yield found
    await found.close()
