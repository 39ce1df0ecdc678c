"""A brain with an operator, a reseller with an account below it, and an account of its own; all by the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tandem.runtime.cpython import clock
from tests.support import seeds
from tests.support.local_brain import LocalBrain
from tests.unit.api.support import Api, World


@pytest.fixture
def brain() -> Iterator[LocalBrain]:
    started = LocalBrain()
    started.control.connection.execute("UPDATE api_key SET scopes = '*'")
    yield started
    clock.fixed = None


@pytest.fixture
def operator(brain: LocalBrain) -> Api:
    return Api(brain, seeds.OPERATOR_KEY)


@pytest.fixture
async def world(operator: Api) -> World:
    return await World.make(operator)


@pytest.fixture
def acme(world: World) -> Api:
    """A tenant's own key, with every scope."""
    return world.acme
