"""Which account the Worker in front asks: by trunk address, by domain, by number; forms; what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tandem.contracts.objects import Origin
from tandem.runtime import Env, Request, counters
from tandem.runtime.cpython import LocalObjects, MemoryBucket, MemoryQueue, SqliteDatabase, clock
from tandem.sip.gateway import Gateway
from tests.support import node, rows, seeds
from tests.unit.brain import ACME, GLOBEX

NOW = 1_800_000_000_000
NOT_MINE = '421 {"ok":false,"error":{"code":"not_mine","message":"No."}}'
CARRIER, PBX, STRANGER = "203.0.113.9", "198.51.100.9", "192.0.2.99"
Fields = dict[str, Any]


class Accounts:
    """The PRESENCE objects: they note who was asked, and say "not mine" where a test wants it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.origins: list[Origin] = []
        self.bodies: list[Fields] = []
        self.not_mine: set[str] = set()

    async def call(self, name: str, method: str, *texts: str) -> str:
        counters.object_hops += 1
        self.asked.append((name, method))
        if method == "poke":
            self.not_mine.discard(name)
            return '200 {"ok":true}'
        assert texts[0] == name
        self.origins.append(Origin.decode(texts[1]))
        self.bodies.append(json.loads(texts[2]))
        return NOT_MINE if name in self.not_mine else f'200 {{"ok":true,"asked":"{name}"}}'


class Front:
    def __init__(self) -> None:
        clock.fixed = NOW
        self.control = SqliteDatabase(seeds.migrated())
        self.accounts = Accounts()
        fleet = LocalObjects(lambda ctx, env: None)
        env = Env(
            self.control,
            self.accounts,
            fleet,
            MemoryQueue(),
            seeds.MASTER_KEY,
            "test",
            sessions=fleet,
            media=MemoryBucket(),
        )
        self.gateway = Gateway(env)
        self.write(*seeds.platform_rows(), *seeds.rows_of(ACME), *seeds.rows_of(GLOBEX))

    def write(self, *statements: rows.Row) -> None:
        for statement, params in statements:
            self.control.connection.execute(statement, params)

    def later(self, milliseconds: int) -> None:
        assert clock.fixed is not None
        clock.fixed += milliseconds

    async def post(self, path: str, body: str, kind: str = "application/json") -> tuple[int, Fields]:
        assert clock.fixed is not None
        headers = node.signed("POST", path, body, clock.fixed) | {"content-type": kind}
        request = Request("POST", path, {}, path, lambda name: headers.get(name, ""), body)
        status, text = await self.gateway.handle(request)
        return status, json.loads(text)

    async def call(self, number: str, source: str = STRANGER, port: int = 5060, **changes: Any) -> str:
        """Who was asked about a call from outside: an account, `challenge <realm>`, or the error's code."""
        fields: Fields = {"ruri": f"sip:{number}@sip.tandem.test", "to": number, "from": "15559999", "sourceIp": source}
        fields |= {"fromDomain": "elsewhere.test", "sourcePort": port}
        status, reply = await self.post("/route", node.invite_body(ACME, "1001", "1002", **(fields | changes)))
        if status != 200:
            return str(reply["error"]["code"])
        return f"challenge {reply['challenge']['realm']}" if "challenge" in reply else str(reply["asked"])


@pytest.fixture
def front() -> Iterator[Front]:
    yield Front()
    clock.fixed = None


def did(tenant: seeds.Tenant, number: int, e164: str, **columns: rows.Value) -> rows.Row:
    return rows.did(tenant, number, e164, **columns)


async def test_the_platform_s_carrier_brings_calls_to_any_account_s_numbers(front: Front) -> None:
    front.write(*rows.trunk(None, 1, "203.0.113.0/24"), did(ACME, 1, "15550001"), did(GLOBEX, 2, "15550002"))
    assert await front.call("+15550001", CARRIER) == ACME.account_id
    assert await front.call("15550002", CARRIER) == GLOBEX.account_id
    assert await front.call("15550003", CARRIER) == "not_found"
    assert await front.call("15550001", "203.0.114.1") == "not_found"


async def test_an_account_s_carrier_brings_calls_to_its_numbers_only(front: Front) -> None:
    front.write(*rows.trunk(ACME, 1, "203.0.113.0/24"), did(ACME, 1, "15550001"), did(GLOBEX, 2, "15550002"))
    assert await front.call("15550001", CARRIER) == ACME.account_id
    assert await front.call("15550002", CARRIER) == "not_found"


async def test_accounts_may_share_a_carrier_s_address(front: Front) -> None:
    front.write(*rows.trunk(ACME, 1, "203.0.113.0/24"), *rows.trunk(GLOBEX, 2, "203.0.113.0/24"))
    front.write(did(ACME, 1, "15550001"), did(GLOBEX, 2, "15550002"))
    assert await front.call("15550001", CARRIER) == ACME.account_id
    assert await front.call("15550002", CARRIER) == GLOBEX.account_id


@pytest.mark.parametrize(
    ("source", "port", "wanted"),
    [
        ("198.51.100.9", 5060, ACME.account_id),
        ("198.51.100.77", 5060, GLOBEX.account_id),
        ("198.51.100.77", 5080, ACME.account_id),
        ("198.51.100.80", 5080, "not_found"),
        ("198.51.100.80", 6000, GLOBEX.account_id),
        ("198.51.101.9", 5060, "not_found"),
        ("2001:db8:1::5", 5060, GLOBEX.account_id),
        ("2001:db8:2::5", 5060, ACME.account_id),
        ("2001:DB8:0002:0:0:0:0:5", 5060, ACME.account_id),
        ("2001:db9::1", 5060, "not_found"),
        ("::ffff:198.51.100.9", 5060, ACME.account_id),
        ("not an address", 5060, "not_found"),
        ("fe80::1%eth0", 5060, "not_found"),
    ],
)
async def test_the_narrowest_network_counts_and_then_the_port(
    front: Front, source: str, port: int, wanted: str
) -> None:
    front.write(*rows.trunk(ACME, 1, "198.51.100.0/26", "198.51.100.77:5080", "2001:db8::/32", role="pbx"))
    front.write(*rows.trunk(GLOBEX, 2, "198.51.100.77", "198.51.100.80:6000", "[2001:db8:1::/48]:5060", role="pbx"))
    assert await front.call("1002", source, port) == wanted


@pytest.mark.parametrize(
    "change", [{"status": "disabled"}, {"direction": "outbound"}, {"inbound_auth": "registration"}]
)
async def test_a_trunk_that_brings_no_calls_by_address_is_not_seen(front: Front, change: dict[str, str]) -> None:
    front.write(*rows.trunk(ACME, 1, "198.51.100.0/24", **({"role": "pbx"} | change)))
    assert await front.call("1002", PBX) == "not_found"


@pytest.mark.parametrize(
    ("number_from", "where"),
    [
        ("ruri", {"ruri": "sip:+15550001@x"}),
        ("to", {"to": "+1 (555) 0001"}),
        ("p_called_party_id", {"headers": {"p-called-party-id": "<sip:+15550001@x;user=phone>"}}),
        ("p_called_party_id", {"headers": {"p-called-party-id": '"N" <sip:+15550001@x>;a=b'}}),
    ],
)
async def test_the_number_is_read_where_the_carrier_writes_it(front: Front, number_from: str, where: Fields) -> None:
    front.write(*rows.trunk(None, 1, CARRIER, inbound_number_from=number_from), did(ACME, 1, "15550001"))
    assert await front.call("15557777", CARRIER, **where) == ACME.account_id
    assert await front.call("15557777", CARRIER) == "not_found"


async def test_a_number_may_be_written_as_in_the_account_s_country(front: Front) -> None:
    front.write(rows.update("account", ACME.account_id, country="DE"), did(ACME, 1, "493012345678"))
    front.write(*rows.trunk(ACME, 1, CARRIER))
    for written in ("+493012345678", "493012345678", "00493012345678", "03012345678", "tel:+49-30-12345678"):
        assert await front.call(written, CARRIER, ruri=written) == ACME.account_id, written


async def test_a_caller_of_a_known_domain_has_to_prove_himself(front: Front) -> None:
    front.write(did(ACME, 1, "15550001", accept_any_source=1))
    assert await front.call("15550001", fromDomain="ACME.tandem.test") == "challenge Acme.tandem.test"


@pytest.mark.parametrize("network", ["0.0.0.0/0", "198.51.100.0/24", f"{PBX}/32", f"{PBX}:5060"])
async def test_a_pbx_takes_no_caller_away_from_another_account_s_domain(front: Front, network: str) -> None:
    front.write(*rows.trunk(GLOBEX, 1, network, role="pbx"))
    for _ in range(2):
        assert await front.call("1002", PBX, fromDomain=ACME.domain) == f"challenge {ACME.domain}"
        assert await front.call("1002", PBX, fromDomain=GLOBEX.domain) == GLOBEX.account_id
        assert await front.call("1002", PBX, fromDomain="branch.example") == GLOBEX.account_id


@pytest.mark.parametrize("network", ["0.0.0.0/0", "203.0.113.0/24", f"{CARRIER}/32", f"{CARRIER}:5060"])
async def test_an_address_of_the_platform_s_carriers_is_no_account_s_pbx(front: Front, network: str) -> None:
    front.write(*rows.trunk(None, 1, "203.0.113.0/24"), did(ACME, 1, "15550001"))
    front.write(*rows.trunk(GLOBEX, 2, network, role="pbx"))
    assert await front.call("15550001", CARRIER) == ACME.account_id
    assert await front.call("1002", CARRIER) == "not_found"
    assert await front.call("1002", CARRIER, fromDomain=GLOBEX.domain) == f"challenge {GLOBEX.domain}"


async def test_accounts_cannot_crowd_out_the_platform_s_carrier(front: Front) -> None:
    front.write(*rows.trunk(None, 1, "203.0.113.0/24"), did(ACME, 1, "15550001"))
    for number in range(2, 60):
        front.write(*rows.trunk(GLOBEX, number, f"{CARRIER}:5060"))
    assert await front.call("15550001", CARRIER) == ACME.account_id


async def test_only_numbers_that_accept_any_source_take_strangers(front: Front) -> None:
    front.write(did(ACME, 1, "15550001", accept_any_source=1), did(ACME, 2, "15550002"))
    assert await front.call("+15550001") == ACME.account_id
    wrong = [await front.post("/route", _stranger(number)) for number in ("15550002", "15550003", "1002", "anna")]
    for _, reply in wrong:
        reply["error"].pop("request_id")
    assert wrong == [wrong[0]] * 4
    assert wrong[0][0] == 404


def _stranger(number: str) -> str:
    uri = f"sip:{number}@sip.tandem.test"
    return node.invite_body(ACME, "1001", "1002", ruri=uri, fromDomain="elsewhere.test", sourceIp=STRANGER)


async def test_the_next_step_of_a_call_goes_to_its_account(front: Front) -> None:
    step: Fields = {"callId": "call_1", "outcome": "no_answer", "accountId": GLOBEX.account_id}
    assert await front.call("15550001", **step) == GLOBEX.account_id
    assert await front.call("15550001", **(step | {"accountId": "acc_nobody"})) == "unknown_account"
    del step["accountId"]
    assert await front.call("1002", fromDomain=ACME.domain, **step) == ACME.account_id
    front.write(*rows.trunk(None, 1, CARRIER), did(ACME, 1, "15550001"))
    assert await front.call("15550001", CARRIER, **step) == ACME.account_id


async def test_a_number_that_went_to_another_account_is_found_anew(front: Front) -> None:
    front.write(*rows.trunk(None, 1, CARRIER), did(ACME, 1, "15550001"))
    assert await front.call("15550001", CARRIER) == ACME.account_id
    front.write(rows.delete("did", f"did_{seeds.suffix(1)}"), did(GLOBEX, 2, "15550001"))
    front.accounts.not_mine.add(ACME.account_id)
    front.accounts.asked.clear()
    assert await front.call("15550001", CARRIER) == GLOBEX.account_id
    assert front.accounts.asked == [(ACME.account_id, "route"), (GLOBEX.account_id, "route")]


async def test_an_object_that_has_not_heard_of_its_number_pulls_it_first(front: Front) -> None:
    front.write(*rows.trunk(ACME, 1, PBX, role="pbx"))
    front.accounts.not_mine.add(ACME.account_id)
    assert await front.call("1002", PBX) == ACME.account_id
    assert [method for _, method in front.accounts.asked] == ["route", "poke", "route"]
    first, second = front.accounts.origins
    assert second == first.again() != first


async def test_a_number_that_is_gone_is_not_found(front: Front) -> None:
    front.write(did(ACME, 1, "15550001", accept_any_source=1))
    assert await front.call("15550001") == ACME.account_id
    front.write(rows.delete("did", f"did_{seeds.suffix(1)}"))
    front.accounts.not_mine.add(ACME.account_id)
    assert await front.call("15550001") == "not_found"


async def test_a_new_number_and_a_new_trunk_are_seen_within_two_seconds(front: Front) -> None:
    assert await front.call("15550001", CARRIER) == "not_found"
    front.write(*rows.trunk(None, 1, CARRIER), did(ACME, 1, "15550001"))
    front.later(2_000)
    assert await front.call("15550001", CARRIER) == ACME.account_id


async def test_a_number_that_is_opened_takes_strangers_within_two_seconds(front: Front) -> None:
    front.write(*rows.trunk(None, 1, CARRIER), did(ACME, 1, "15550001"))
    assert await front.call("15550001", CARRIER) == ACME.account_id
    assert await front.call("15550001") == "not_found"
    front.write(rows.update("did", f"did_{seeds.suffix(1)}", accept_any_source=1))
    front.later(2_000)
    assert await front.call("15550001") == ACME.account_id
    front.write(rows.update("did", f"did_{seeds.suffix(1)}", accept_any_source=0))
    front.accounts.not_mine.add(ACME.account_id)
    assert await front.call("15550001") == "not_found"


async def test_one_more_carrier_at_a_known_address_is_seen_within_two_seconds(front: Front) -> None:
    front.write(*rows.trunk(ACME, 1, "203.0.113.0/24"), did(ACME, 1, "15550001"), did(GLOBEX, 2, "15550002"))
    assert await front.call("15550001", CARRIER) == ACME.account_id
    assert await front.call("15550002", CARRIER) == "not_found"
    front.write(*rows.trunk(GLOBEX, 2, f"{CARRIER}/32"))
    front.later(2_000)
    assert await front.call("15550002", CARRIER) == GLOBEX.account_id


async def test_a_refused_call_asks_d1_once_a_second_at_most(front: Front) -> None:
    front.write(*rows.trunk(None, 1, CARRIER), did(ACME, 1, "15550001"))
    await front.call("15550001", CARRIER)
    front.later(2_000)
    costs = []
    for wait in (0, 0, 500, 500):
        front.later(wait)
        before = counters.d1_queries
        assert await front.call("15550001") == "not_found"
        costs.append(counters.d1_queries - before)
    # The unknown domain with the stranger's address; the number.
    assert costs == [1 + 1, 0, 0, 1 + 1]


async def test_a_refusal_while_d1_is_away_forgets_nothing(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    front.write(*rows.trunk(ACME, 1, CARRIER), did(ACME, 1, "15550001"), did(GLOBEX, 2, "15550002"))
    front.write(*rows.trunk(GLOBEX, 2, PBX))
    for number, source, asked in (("15550001", CARRIER, ACME), ("15550002", PBX, GLOBEX)):
        assert await front.call(number, source) == asked.account_id
    front.control.available = False
    front.later(30_000)
    for _ in range(3):
        capsys.readouterr()
        for _ in range(3):
            assert await front.call("15550002", CARRIER) == "not_found"
        # The unknown domain each time, what is known of trunk and number once.
        assert 3 <= capsys.readouterr().out.count("control_unreachable") <= 3 + 1
        for number, source, asked in (("15550001", CARRIER, ACME), ("15550002", PBX, GLOBEX)):
            assert await front.call(number, source) == asked.account_id
        front.later(20_000)


async def test_calls_cost_no_look_up_while_what_was_found_is_fresh(front: Front) -> None:
    front.write(*rows.trunk(None, 1, CARRIER), did(ACME, 1, "15550001"), did(ACME, 2, "15550002", accept_any_source=1))

    async def cost(*calls: tuple[str, str, str]) -> int:
        before = counters.d1_queries
        for number, source, domain in calls:
            await front.call(number, source, fromDomain=domain)
        return counters.d1_queries - before

    carrier, anyone = ("15550001", CARRIER, "elsewhere.test"), ("15550002", STRANGER, "elsewhere.test")
    phone = ("1002", "192.0.2.7", ACME.domain)
    await front.call("15557777")  # the node itself is known now
    assert await cost(carrier) == 1
    assert await cost(anyone) == 1
    assert await cost(phone) == 1
    assert await cost(carrier, phone) == 0
    front.later(30_000)
    assert await cost(carrier, phone, phone) == 0 + 1  # who From's unknown domain belongs to
    assert await cost(anyone) == 1


async def test_numbers_and_trunks_outlive_their_minute_while_d1_is_away(front: Front) -> None:
    front.write(*rows.trunk(None, 1, CARRIER), did(ACME, 1, "15550001"), did(ACME, 2, "15550002", accept_any_source=1))
    assert await front.call("15550001", CARRIER) == ACME.account_id
    front.control.available = False
    front.later(599_000)
    assert await front.call("15550001", CARRIER) == ACME.account_id
    front.later(2_000)
    assert await front.call("15550001", CARRIER) == "unavailable"


async def test_forms_are_taken_as_json_is(front: Front) -> None:
    fields = json.loads(node.register_body(ACME, "1001"))
    credentials = {"username": "1001", "realm": ACME.domain, "nonce": "n", "uri": "sip:x", "response": 'r"&='}
    flat = fields | {f"credentials.{name}": value for name, value in credentials.items()}
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    status, _ = await front.post("/auth", urlencode(flat), kind)
    assert status == 200
    assert front.accounts.bodies == [fields | {"credentials": credentials}]
    status, reply = await front.post("/auth", urlencode(fields), kind)
    assert reply["challenge"]["realm"] == ACME.domain
    question = json.loads(node.invite_body(ACME, "1001", "1002")) | {"headers.diversion": "<sip:1@x>"}
    status, reply = await front.post("/route", urlencode(question), kind)
    assert reply["challenge"]["realm"] == ACME.domain


@pytest.mark.parametrize(
    "body",
    ["", "a", "a=1&a=2", "a=1&a.b=2", "a.b=1&a.b=2", "a=%ff", "&".join(f"f{n}=1" for n in range(300)), "a.=1&a=2"],
)
async def test_broken_forms_are_refused(front: Front, body: str) -> None:
    status, reply = await front.post("/auth", body, "application/x-www-form-urlencoded")
    assert (status, reply["error"]["code"]) == (400, "invalid_request")
