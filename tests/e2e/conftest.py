"""One installation for the layer; each test leaves it as it found it: no live call, no place held, every part up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_node.local.phone import Phone
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones
from tests.edge.raw_sip import LOOPBACK, RawPhone

Open = Callable[..., Phone]
OpenRaw = Callable[..., RawPhone]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("installation")) as installation:
        yield installation


@pytest.fixture
def tandem(installed: Installation) -> Iterator[Installation]:
    """The installation, at rest before and after the test."""
    installed.since = time.time_ns() // 1_000_000
    yield installed
    installed.proxy.mend()
    installed.proxy.slow = lambda path, body: 0.0
    installed.wait_ready()
    for account in range(len(installed.demo["accounts"])):
        installed.wait_live(0, 45, account)


@pytest.fixture
def phones(tandem: Installation, tmp_path: Path) -> Iterator[Phones]:
    with Phones(tandem.demo["sip"], tmp_path) as opened:
        yield opened
        opened.unregister()


@pytest.fixture
def open_phone(tandem: Installation, phones: Phones) -> Open:
    """`open_phone("1001")` is Acme's registered phone, `open_phone("1001", 1)` Globex's."""

    def open_(extension: str, account: int = 0, **options: Any) -> Phone:
        user = tandem.user(extension, account)
        return phones.open(user["auth_username"], user["password"], tandem.account(account)["domain"], **options)

    return open_


@pytest.fixture
def open_raw(tandem: Installation) -> Iterator[OpenRaw]:
    """Like `open_phone`, for SIP by hand; not registered."""
    opened: list[RawPhone] = []

    def open_(extension: str, account: int = 0, password: str | None = None) -> RawPhone:
        user = tandem.user(extension, account)
        edge = (LOOPBACK, tandem.settings.sip_port)
        phone = RawPhone(extension, password or user["password"], tandem.account(account)["domain"], edge)
        opened.append(phone)
        return phone

    yield open_
    for phone in opened:
        phone.socket.close()
