"""10^5 random requests through the gateway over 20 tenants with the same extensions and hostile trunks: each is decided
by the one account whose it is, or is challenged, or refused, and leaves rows with that account alone.

Whose it is, is worked out here from what was written, by plain search over all trunks, domains and numbers.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import pytest

from tandem.runtime.cpython import clock
from tests.property.tenancy import EXTENSIONS, NUMBERS, SHORT, TENANTS, configuration, named, number_of
from tests.support import node, rows, scene, seeds
from tests.support.local_brain import LocalBrain

REQUESTS = 100_000
LIVE = 50
NETWORKS = (
    "0.0.0.0/1",
    "198.51.0.0/16",
    "198.51.100.0/24",
    "198.51.100.0/26",
    "198.51.100.16/28",
    "203.0.113.0/24",
    "203.0.113.9/32",
    "2001:db8::/32",
    "2001:db8:1::/48",
)
PLATFORM = (("203.0.113.0/25", 0), ("203.0.113.200/32", 5080), ("2001:db8:2::/48", 0))
SOURCES = (
    *(f"198.51.100.{last}" for last in range(0, 80, 3)),
    *("198.51.77.1", "203.0.113.9", "203.0.113.40", "203.0.113.200", "203.0.113.210", "10.1.2.3", "192.0.2.7"),
    *("2001:db8:1::5", "2001:db8:2::5", "2001:db8:9::1", "2001:dead::1", "::ffff:198.51.100.9", "192.0.2.8"),
)
PORTS = (5060, 5080, 6000)
UNKNOWN = ("elsewhere.example", "anonymous.invalid", "198.51.100.1")


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Peer:
    """A trunk as it was written; `owner` None is the platform, `port` 0 any."""

    number: int
    owner: seeds.Tenant | None
    role: str
    network: Network
    port: int

    def rows(self) -> Iterator[rows.Row]:
        address = f"[{self.network}]" if self.network.version == 6 and self.port else self.network
        port = f":{self.port}" if self.port else ""
        yield from rows.trunk(self.owner, self.number, f"{address}{port}", role=self.role)

    def has(self, source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        return source in self.network and self.port in (0, port)

    def rank(self) -> tuple[bool, int, bool, bool, int]:
        """The platform's, then the narrowest, the port's, a PBX, the oldest."""
        return self.owner is not None, -self.network.prefixlen, self.port == 0, self.role != "pbx", self.number


@dataclass(frozen=True)
class Wanted:
    """What must become of a request: an account's decision, a challenge for its domain, or an error."""

    account: seeds.Tenant | None = None
    challenged: seeds.Tenant | None = None
    error: str = ""


class Platform:
    """All that was written, and what follows from it."""

    def __init__(self, rng: random.Random) -> None:
        self.tenants = [seeds.tenant(number, f"t{number}.tandem.test", EXTENSIONS) for number in range(1, TENANTS + 1)]
        self.domains = {tenant.domain: tenant for tenant in self.tenants}
        self.numbers = {
            number_of(at, index): (tenant, bool(index % 2))
            for at, tenant in enumerate(self.tenants, 1)
            for index in range(NUMBERS)
        }
        self.named = {tenant.account_id: named(at, tenant) for at, tenant in enumerate(self.tenants, 1)}
        self.peers = [
            Peer(at, None, "carrier", ip_network(network), port) for at, (network, port) in enumerate(PLATFORM, 1)
        ]
        for number in range(10, 10 + 2 * TENANTS):
            owner = self.tenants[number % TENANTS]
            network = rng.choice((*NETWORKS, f"198.51.100.{rng.randrange(0, 80, 3)}/32"))
            self.peers.append(
                Peer(number, owner, rng.choice(("pbx", "carrier")), ip_network(network), rng.choice((0, 0, 5060, 5080)))
            )
            self.named[owner.account_id].add(f"tr_{seeds.suffix(number)}")
        # The worst that a tenant could get written: everybody's address is his PBX.
        self.peers.append(Peer(90, self.tenants[0], "pbx", ip_network("0.0.0.0/1"), 0))
        self.named[self.tenants[0].account_id].add(f"tr_{seeds.suffix(90)}")

    def rows(self, rng: random.Random) -> Iterator[rows.Row]:
        for at, tenant in enumerate(self.tenants, 1):
            yield from seeds.rows_of(tenant)
            yield from configuration(rng, at, tenant)
        for peer in self.peers:
            yield from peer.rows()

    def stranger(self, source: str, port: int, domain: str, dialled: str) -> Wanted:
        """A call without credentials."""
        address = ipaddress.ip_address(source)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        here = sorted((peer for peer in self.peers if peer.has(address, port)), key=Peer.rank)
        caller = self.domains.get(domain.lower())
        owner, is_open = self.numbers.get(dialled.removeprefix("+"), (None, False))
        for peer in here:
            if peer.role == "carrier" and owner is not None and peer.owner in (None, owner):
                return Wanted(account=owner)
            if peer.role == "pbx" and here[0].owner is not None and caller in (None, peer.owner):
                return Wanted(account=peer.owner)
        if caller is not None:
            return Wanted(challenged=caller)
        return Wanted(account=owner) if is_open else Wanted(error="not_found")


class Requests:
    """`seen` counts what came of them; `calls` are (owner, directive) that may still go on."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.platform = Platform(self.rng)
        self.brain = LocalBrain()
        self.brain.write(self.platform.rows(self.rng))
        self.sent = 0
        self.seen: Counter[str] = Counter()
        self.calls: deque[tuple[seeds.Tenant, dict[str, Any]]] = deque(maxlen=LIVE)
        self.owners: dict[str, str] = {}

    async def register(self) -> None:
        for tenant in self.platform.tenants:
            for digits in EXTENSIONS:
                if self.rng.random() < 0.8:
                    assert (await self.brain.register(tenant, digits))[1]["ok"]

    async def any(self) -> None:
        kind = self.rng.random()
        if kind < 0.5:
            await self._stranger()
        elif kind < 0.8:
            await self._phone()
        else:
            await self._next_step()

    def _tenant(self) -> seeds.Tenant:
        return self.rng.choice(self.platform.tenants)

    def _dialled(self, other: seeds.Tenant) -> str:
        rng = self.rng
        number = rng.choice(list(self.platform.numbers))
        device = other.people[rng.choice(EXTENSIONS)].device_id
        return rng.choice((rng.choice(EXTENSIONS), rng.choice(SHORT), f"+{number}", number, device, "911", "4711"))

    async def _stranger(self) -> None:
        rng, other = self.rng, self._tenant()
        source, port = rng.choice(SOURCES), rng.choice(PORTS)
        known = self._tenant().domain
        domain = rng.choice((known, known.upper(), *UNKNOWN))
        dialled = self._dialled(other)
        uri = f"sip:{dialled}@{other.domain}"
        body = node.invite_body(
            other,
            rng.choice(EXTENSIONS),
            dialled,
            ruri=uri,
            to=uri,
            fromDomain=domain,
            sourceIp=source,
            sourcePort=port,
        )
        await self._check(json.loads(body), self.platform.stranger(source, port, domain, dialled))

    async def _phone(self) -> None:
        """A person's password with a realm under a domain: all of one tenant, or not."""
        rng, account = self.rng, self._tenant()
        person, realm = (account if rng.random() < 0.85 else self._tenant() for _ in range(2))
        digits, dialled = rng.choice(EXTENSIONS), self._dialled(account)
        other = account if rng.random() < 0.8 else self._tenant()
        source, port = rng.choice(SOURCES), rng.choice(PORTS)
        body = json.loads(node.invite_body(account, digits, dialled, sourceIp=source, sourcePort=port))
        body["ruri"] = f"sip:{dialled}@{other.domain}"
        _, asked = await self._ask(body | {"sourceIp": "192.0.2.7"})
        body["credentials"] = node.respond_to(
            asked["challenge"], person.people[digits], "INVITE", body["ruri"], realm=realm.domain
        )
        right = person == realm == account
        await self._check(body, Wanted(account=account) if right else Wanted(challenged=account))

    async def _next_step(self) -> None:
        """An outcome of a call, told in the name of its account or of another."""
        if not self.calls:
            return
        owner, routed = self.rng.choice(self.calls)
        claimed = owner if self.rng.random() < 0.8 else self._tenant()
        outcome = self.rng.choice(("no_answer", "busy", "cancelled", "cancelled"))
        step = {"callId": routed["call_id"], "accountId": claimed.account_id, "outcome": outcome}
        await self._check(
            routed["asked"] | step, Wanted(account=owner) if claimed == owner else Wanted(error="not_found")
        )

    async def _ask(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.sent += 1
        return await self.brain.post("/route", json.dumps(body))

    async def _check(self, body: dict[str, Any], wanted: Wanted) -> None:
        status, reply = await self._ask(body)
        if wanted.account is not None:
            assert status == 200, (body, reply)
            self._inside(body, wanted.account, reply["rtjson"])
        elif wanted.challenged is not None:
            assert status == 200, (body, reply)
            assert set(reply) <= {"ok", "challenge"}, (body, reply)
            assert reply["challenge"]["realm"] == wanted.challenged.domain, (body, reply)
            self.seen["challenge"] += 1
        else:
            assert (status, reply["error"]["code"]) == (404, wanted.error), (body, reply)
            self.seen[wanted.error] += 1

    def _inside(self, body: dict[str, Any], owner: seeds.Tenant, found: dict[str, Any]) -> None:
        """Everything that the directive names is the owner's."""
        assert found["account_id"] == owner.account_id, (body, found)
        assert self.owners.setdefault(found["call_id"], owner.account_id) == owner.account_id, (body, found)
        own = {f"sip:{person.device_id}@{owner.domain}" for person in owner.people.values()}
        routes = [*found["routes"], *(route for later in found.get("later", ()) for route in later["routes"])]
        assert {route["uri"] for route in routes} <= own, (body, found)
        assert set(found["cdr"].values()) <= self.platform.named[owner.account_id], (body, found)
        self.seen[str(found.get("code", found["action"]))] += 1
        if found["action"] == "proxy":
            self.calls.append((owner, found | {"asked": body}))

    def check_rows(self) -> None:
        """Nobody's object knows of another's calls, nor does a record."""
        for tenant in self.platform.tenants:
            calls = {row[0] for row in scene.rows(self.brain, tenant, "call")}
            assert {self.owners[call_id] for call_id in calls} <= {tenant.account_id}
            held = {row[3] for row in scene.rows(self.brain, tenant, "holding")}
            assert held <= self.platform.named[tenant.account_id]
        found = self.brain.control.connection.execute("SELECT call_id, account_id FROM call_cdr").fetchall()
        assert found
        assert all(self.owners[call_id] == account_id for call_id, account_id in found)


@pytest.mark.timeout(600)
async def test_every_request_is_decided_by_the_account_whose_it_is() -> None:
    seed = int(os.environ.get("TANDEM_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
    try:
        requests = Requests(seed)
        await requests.register()
        for number in range(REQUESTS):
            await requests.any()
            if number % 1_000 == 0:
                await requests.brain.advance(1_000)
        await requests.brain.advance(10_000)
        requests.check_rows()
    except BaseException:
        print(f"TANDEM_SEED={seed}")
        raise
    finally:
        clock.fixed = None
    # The requests are worth something: all sorts of ends were reached.
    for what in ("proxy", "challenge", "not_found", "404", "480", "487", "503"):
        assert requests.seen[what] > 100, (what, seed, requests.seen)
