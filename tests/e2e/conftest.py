"""One installation for the layer; each test leaves it as it found it: no live call, no place held, every part up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_node.local import demo_rows
from edge_node.local.phone import Phone
from tests.e2e.flow_house import LIVE_SEC, Ear, House, Web
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones
from tests.edge.raw_sip import LOOPBACK, RawPhone

ANSWER_SEC = 15
Open = Callable[..., Phone]
Dial = Callable[[str], Ear]
OpenRaw = Callable[..., RawPhone]
Registered = Callable[..., RawPhone]
Group = Callable[..., None]


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
    installed.forget_phones()


@pytest.fixture(scope="session")
def prepared(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(installed, tmp_path_factory.mktemp("house"))
    house.prepare()
    return house


@pytest.fixture
def house(prepared: House, tandem: Installation) -> House:
    """The demo account whose flows have tones for prompts."""
    return prepared


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
def caller(open_phone: Open) -> Phone:
    """The phone that `dial` uses."""
    return open_phone("1001")


@pytest.fixture
def dial(caller: Phone, house: House) -> Dial:
    """Calls a flow, waits for its answer, listens. A flow that was just published is live within seconds."""

    def call(digits: str) -> Ear:
        deadline = time.monotonic() + LIVE_SEC
        while True:
            ear = Ear(caller, house.folder)
            number = caller.call(digits)
            event = caller.wait_for(("answered", "ended"), ANSWER_SEC, call=number)
            if event.name == "answered" or time.monotonic() > deadline:
                assert event.name == "answered", event
                return ear

    return call


@pytest.fixture
def web(tandem: Installation) -> Iterator[Web]:
    with Web(tandem.web_port) as found:
        yield found


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


@pytest.fixture
def registered(tandem: Installation) -> Iterator[Registered]:
    """`registered("1002")`, `registered("1002", "1002b")`: phones by hand, taken off the edge at the end."""
    opened: list[RawPhone] = []

    def open_(extension: str, device: str = "") -> RawPhone:
        password = tandem.add_device(extension, device) if device else tandem.user(extension)["password"]
        edge = (LOOPBACK, tandem.settings.sip_port)
        phone = RawPhone(device or extension, password, tandem.account()["domain"], edge)
        opened.append(phone)
        assert phone.register().status == 200
        return phone

    yield open_
    for phone in opened:
        phone.register(expires=0)
        phone.socket.close()
        tandem.sql("DELETE FROM sip_device WHERE auth_username = ? AND auth_username LIKE '%-%'", phone.user)


@pytest.fixture
def group(tandem: Installation) -> Iterator[Group]:
    """`group(("1002", 0, None), ("1003", 2, 5))` makes extension 650: members with delay and time-out in seconds."""
    account, group_id = tandem.account()["id"], demo_rows.fresh_id("rg")

    def make(*members: tuple[str, int, int | None], seconds: int = 20, strategy: str = "ring_all") -> None:
        tandem.sql(
            "INSERT INTO ring_group (id, account_id, name, ring_timeout_sec, strategy) VALUES (?, ?, 'by hand', ?, ?)",
            group_id,
            account,
            seconds,
            strategy,
        )
        for place, (extension, delay, timeout) in enumerate(members):
            tandem.sql(
                "INSERT INTO ring_group_member"
                " (id, account_id, ring_group_id, user_id, position, delay_sec, timeout_sec)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                demo_rows.fresh_id("rgm"),
                account,
                group_id,
                tandem.user(extension)["id"],
                place,
                delay,
                timeout,
            )
        tandem.sql(
            "INSERT INTO extension (id, account_id, digits, dest_kind, dest_id) VALUES (?, ?, '650', 'ring_group', ?)",
            demo_rows.fresh_id("ext"),
            account,
            group_id,
        )

    yield make
    tandem.sql("DELETE FROM extension WHERE dest_id = ?", group_id)
    tandem.sql("DELETE FROM ring_group_member WHERE ring_group_id = ?", group_id)
    tandem.sql("DELETE FROM ring_group WHERE id = ?", group_id)
