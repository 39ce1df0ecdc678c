"""A brain with two tenants that have the same extensions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tandem.runtime.cpython import clock, outside
from tests.support import seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME, GLOBEX


@pytest.fixture
def brain() -> Iterator[LocalBrain]:
    brain = LocalBrain()
    brain.write(seeds.rows_of(ACME))
    brain.write(seeds.rows_of(GLOBEX))
    yield brain
    clock.fixed = None
    outside.post = None
    outside.fetch = None
