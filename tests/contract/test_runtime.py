"""The stand-in on CPython and the platform on workerd behave alike: the same cases pass on both."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_node.local import vendor
from edge_node.local.settings import REPOSITORY
from tandem.runtime.cpython import (
    DurableObject,
    LocalObjects,
    MemoryBucket,
    MemoryContent,
    ObjectContext,
    SqliteDatabase,
    erase,
    object_sql,
)
from tests.contract.runtime_cases import CASES, Stage
from tests.worker.brain import Brain

HERE = Path(__file__).parent


class Probe(DurableObject):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self._given: list[str] = []

    async def echo(self, text: str) -> str:
        return text

    async def ponder(self, seconds: str) -> str:
        await asyncio.sleep(float(seconds))
        return seconds

    async def keep(self, text: str) -> str:
        self._given.append(text)
        return ",".join(self._given)


@pytest.mark.parametrize("case", CASES)
async def test_on_cpython(case: str) -> None:
    context, control = ObjectContext(), sqlite3.connect(":memory:")

    async def due() -> int | None:
        return context.alarm.due

    bucket, objects = MemoryBucket(), LocalObjects(Probe)
    stage = Stage(
        object_sql(context),
        SqliteDatabase(control),
        objects,
        context.alarm,
        due,
        bucket,
        MemoryContent,
        lambda: erase(context),
    )
    try:
        await CASES[case](stage)
    finally:
        context.connection.close()
        control.close()


@pytest.fixture(scope="module")
def workerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brain]:
    """The deployment's wrangler.toml, with the probe in the place of the brain."""
    vendor.vendor()
    root = tmp_path_factory.mktemp("probe")
    worker = root / "worker"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "worker/tandem", worker / "tandem", ignore=ignored)
    shutil.copy(HERE / "runtime_probe.py", worker / "main.py")
    shutil.copy(HERE / "runtime_cases.py", worker)
    for name in ("wrangler.toml", "package.json"):
        shutil.copy(REPOSITORY / name, root)
    for name in ("node_modules", "python_modules"):
        (root / name).symlink_to(REPOSITORY / name)
    with Brain(tmp_path_factory.mktemp("probe_state"), {"MASTER_KEY": "00" * 32}, root=root) as brain:
        yield brain


@pytest.mark.parametrize("case", CASES)
def test_on_workerd(workerd: Brain, case: str) -> None:
    status, text = workerd.get(f"/{case}")
    assert status == 200, text
    failure = json.loads(text)["failure"]
    assert failure is None, failure
