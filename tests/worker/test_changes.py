"""Configuration that changes while calls come in: on real workerd, 10 calls a second, none of them fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from edge_node.local.waiting import wait_until
from tests.support import node, rows, seeds
from tests.worker.brain import Brain
from tests.worker.caller import OPERATOR, VARIABLES, Caller, Fields

LIVE_SEC = 2.0
PERIOD_SEC = 0.1
CARRIER = "203.0.113.9"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Brain(tmp_path_factory.mktemp("changes"), VARIABLES) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


class Stream:
    """Internal calls at a steady rate, each let go of at once; the moments and what became of them."""

    def __init__(self, caller: Caller, tenant: seeds.Tenant) -> None:
        self._caller = caller
        self._tenant = tenant
        self._stop = threading.Event()
        self.failures: list[Any] = []
        self.names: list[tuple[float, str]] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                self._one()
            except Exception as error:
                self.failures.append(error)
            due += PERIOD_SEC
            self._stop.wait(max(due - time.monotonic(), 0))

    def _one(self) -> None:
        routed = self._caller.call(self._tenant)
        if routed["action"] != "proxy":
            self.failures.append(routed)
            return
        self.names.append((time.monotonic(), str(routed["routes"][0]["headers"]["from"]["display"])))
        self._caller.send(self._caller.dialog(self._tenant, routed, "end", 1, hungUpBy="caller"))

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def shown(self, name: str) -> bool:
        return any(seen == name for _, seen in self.names)


def poke(caller: Caller, tenant: seeds.Tenant) -> None:
    status, _ = caller.post("/config/poke", {"accountId": tenant.account_id}, OPERATOR)
    assert status == 200


def inbound(caller: Caller, number: str) -> tuple[int, Fields]:
    body = json.loads(node.invite_body(seeds.tenant(1, "x.test"), "1001", "1002"))
    body |= {"sourceIp": CARRIER, "fromDomain": "carrier.example", "ruri": f"sip:+{number}@x.test", "to": f"+{number}"}
    return caller.post("/route", body)


def test_a_change_shows_within_two_seconds_while_calls_come_in(caller: Caller) -> None:
    tenant = caller.tenant()
    stream = Stream(caller, tenant)
    took = []
    with stream.running():
        for number in range(5):
            name = f"name {number}"
            began = time.monotonic()
            user = tenant.people["1001"].user_id
            caller.brain.d1("UPDATE sip_user SET display_name = ? WHERE id = ?", name, user)
            poke(caller, tenant)
            wait_until(partial(stream.shown, name), LIVE_SEC, name)
            took.append(next(at for at, seen in stream.names if seen == name) - began)
    assert stream.failures == []
    assert max(took) < LIVE_SEC


def test_a_new_number_and_its_trunk_take_calls_within_two_seconds_while_others_come_in(caller: Caller) -> None:
    tenant, number = caller.tenant(), "15550123"
    stream = Stream(caller, tenant)
    with stream.running():
        for _ in range(3):
            assert inbound(caller, number)[0] == 404
        user = tenant.people["1002"].user_id
        began = time.monotonic()
        caller.brain.d1_batch(
            *rows.trunk(None, 1, CARRIER), rows.did(tenant, 1, number, dest_kind="user", dest_id=user)
        )
        poke(caller, tenant)
        wait_until(lambda: inbound(caller, number)[0] != 404, LIVE_SEC, "the new number")
        took = time.monotonic() - began
        status, reply = inbound(caller, number)
    assert (status, reply["rtjson"]["action"], reply["rtjson"]["account_id"]) == (200, "proxy", tenant.account_id)
    assert stream.failures == []
    assert took < LIVE_SEC


def test_a_suspended_reseller_stops_its_customers_within_two_seconds(caller: Caller) -> None:
    reseller, customer = seeds.tenant(801, "reseller.test"), seeds.tenant(802, "customer.test")
    caller.brain.d1_batch(*seeds.rows_of(reseller))
    made = [rows.account(802, reseller), *(row for row in seeds.rows_of(customer) if "INTO account " not in row[0])]
    caller.brain.d1_batch(*made)
    for digits in customer.people:
        assert caller.register(customer, digits)[1]["ok"] is True
    assert caller.call(customer)["action"] == "proxy"
    caller.brain.d1("UPDATE account SET status = 'suspended' WHERE id = ?", reseller.account_id)
    began = time.monotonic()
    poke(caller, customer)
    status, reply = caller.post("/route", caller.question(customer, "1001", "1002"))
    assert (status, reply["error"]["code"]) == (403, "account_suspended"), reply
    assert time.monotonic() - began < LIVE_SEC
