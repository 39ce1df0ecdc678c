"""10^5 random calls over 20 tenants whose extensions, groups, forwards and hours overlap: what an account decides names
nothing of another's, and each call ends. The real look-ups over the accounts' replicas, with the pure decisions.

Whose a call is in the first place: test_whose_call.py.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections import Counter, deque
from dataclasses import dataclass

import pytest

from tandem.domain.account import Account
from tandem.domain.callerid import Caller
from tandem.domain.routing import Arrival, Context, Decision, Plan, Reject, Ring, after, arrive, dial, recognise
from tandem.domain.routing.plan import MAX_HOPS, decode, encode
from tandem.runtime.cpython import SqliteDatabase, SqliteSql
from tandem.sip.book import Book
from tests.property.tenancy import EXTENSIONS, NUMBERS, SHORT, TENANTS, configuration, named, number_of
from tests.support import rows, seeds
from tests.support.ledger import Ledger

CALLS = 100_000
LIVE = 3
NOW = 1_783_332_000_000
NODE = "node_1"
CARRIER, PBX_NET = "203.0.113.9", "198.51.100"
OUTCOMES = ("no_answer", "busy", "declined", "unreachable", "cancelled", "carrier_failed:500")
# A user's forward or a group's exit may come this often in a call; each rings at most all members of a group in turn.
LONGEST = (MAX_HOPS + 2) * 8


@dataclass
class Tenant:
    seed: seeds.Tenant
    number: int
    book: Book
    account: Account
    numbers: list[str]
    own: set[str]
    ids: list[str]
    held: set[str]


def build(rng: random.Random) -> list[Tenant]:
    control = SqliteDatabase(seeds.migrated())
    found = []
    for statement, params in rows.trunk(None, 1, f"{CARRIER}/32"):
        control.connection.execute(statement, params)
    sown = [(number, seeds.tenant(number, f"t{number}.tandem.test", EXTENSIONS)) for number in range(1, TENANTS + 1)]
    for number, tenant in sown:
        trunk = rows.trunk(tenant, number * 1000, f"{PBX_NET}.{number}/32", role="pbx")
        for statement, params in (*seeds.rows_of(tenant), *configuration(rng, number, tenant), *trunk):
            control.connection.execute(statement, params)
    for number, tenant in sown:
        found.append(asyncio.run(_tenant(rng, control, number, tenant)))
    control.connection.close()
    return found


async def _tenant(rng: random.Random, control: SqliteDatabase, number: int, tenant: seeds.Tenant) -> Tenant:
    book = Book(SqliteSql(sqlite3.connect(":memory:")), seeds.MASTER_KEY)
    await book.replica.pull(control, tenant.account_id)
    book.belong_to(tenant.account_id)
    for person in tenant.people.values():
        if rng.random() < 0.8:
            book.sql.run(
                "INSERT INTO contact (device_id, node_id, contact, expires_at, updated_at, transport)"
                " VALUES (?, ?, 'sip:x', ?, 0, 'udp')",
                person.device_id,
                NODE,
                NOW * 2,
            )
    account = book.directory.account()
    assert account is not None
    people = tenant.people.values()
    own = {person.device_id for person in people} | {person.user_id for person in people}
    held = named(number, tenant) | {f"tr_{seeds.suffix(number * 1000)}"}
    numbers = [number_of(number, index) for index in range(NUMBERS)]
    return Tenant(tenant, number, book, account, numbers, own, sorted(own), held)


def test_no_call_crosses_tenants_and_every_call_ends() -> None:
    seed = int(os.environ.get("TANDEM_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
    try:
        seen = run(seed, CALLS)
    except BaseException:
        print(f"TANDEM_SEED={seed}")
        raise
    # The calls are worth something: all sorts of ends were reached.
    for what in ("ring", "404", "433", "480", "482", "486", "487", "503", "603", "unknown", "later"):
        assert seen[what] > 0, (what, seed)


def run(seed: int, calls: int) -> Counter[str]:
    rng = random.Random(seed)
    tenants = build(rng)
    seen: Counter[str] = Counter()
    ledgers = [Ledger() for _ in tenants]
    live: list[deque[str]] = [deque() for _ in tenants]
    for number in range(calls):
        index = rng.randrange(len(tenants))
        tenant, ledger = tenants[index], ledgers[index]
        other = rng.choice(tenants) if rng.random() < 0.2 else tenant
        call_id = f"call_{number}"
        at = NOW + rng.randrange(7 * 24) * 3_600_000
        book = tenant.book
        context = Context(tenant.account, book.directory, ledger, book.turns, call_id, NOW, at, {NODE})
        decision = _first(rng, context, tenant, other)
        _follow(rng, context, tenant, decision, seen)
        # A few calls are up at any time: they fill the limits of those who have one.
        live[index].append(call_id)
        if len(live[index]) > LIVE:
            ledger.release(live[index].popleft())
    for tenant in tenants:
        sql = tenant.book.sql
        assert isinstance(sql, SqliteSql)
        sql.connection.close()
    return seen


def _first(rng: random.Random, context: Context, tenant: Tenant, other: Tenant) -> Decision | None:
    dialled = rng.choice(
        (
            rng.choice(EXTENSIONS),
            rng.choice(SHORT),
            rng.choice(SHORT),
            f"+{rng.choice(other.numbers)}",
            rng.choice(other.ids),
            "911",
            "4711",
        )
    )
    if rng.random() < 0.6:
        person = rng.choice(list(tenant.seed.people.values()))
        user = tenant.book.directory.user(person.user_id)
        assert user is not None
        caller = Caller(user.username, user.display_name, tenant.seed.domain, user.user_id)
        return dial(context, caller, user, f"sip:{dialled}@{other.seed.domain}")
    source = rng.choice((CARRIER, f"{PBX_NET}.{other.number}", f"{PBX_NET}.{tenant.number}", "192.0.2.1"))
    if source == CARRIER or rng.random() < 0.5:
        dialled = f"+{rng.choice(other.numbers)}"
    uri = f"sip:{dialled}@198.51.100.1"
    arrival = Arrival(source, 5060, uri, uri, rng.choice(("sip:+442071838750@x", "sip:anonymous@anonymous.invalid")))
    peer = recognise(context, arrival)
    if peer is None:
        return None
    # Only what is its own is a reason for an account to take a call from outside.
    if peer.did is not None:
        assert peer.did.e164 in tenant.numbers
    if peer.trunk is not None and peer.trunk.role == "pbx":
        assert source == f"{PBX_NET}.{tenant.number}"
    return arrive(context, arrival, peer)


def _follow(
    rng: random.Random, context: Context, tenant: Tenant, decision: Decision | None, seen: Counter[str]
) -> None:
    """Lets every directive fail until the call is over."""
    if decision is None:
        seen["unknown"] += 1
        return
    for _ in range(LONGEST):
        _inside(context, tenant, decision)
        if not isinstance(decision, Ring):
            seen[str(decision.code) if isinstance(decision, Reject) else "media"] += 1
            return
        seen["ring"] += 1
        seen["later"] += any(branch.delay_sec for branch in decision.branches)
        if rng.random() < 0.05:
            return  # answered
        plan: Plan = decode(encode(decision.plan))
        deflected = f"redirected:sip:{rng.choice(SHORT)}@{tenant.seed.domain}"
        outcome = rng.choice((*OUTCOMES[:4], *OUTCOMES[:4], *OUTCOMES, deflected))
        decision = after(context, plan, outcome)
    pytest.fail(f"{context.call_id} of {tenant.seed.account_id} does not end")


def _inside(context: Context, tenant: Tenant, decision: Decision) -> None:
    """Everything that a decision names or holds is the tenant's."""
    if isinstance(decision, Ring):
        assert decision.plan.hops <= MAX_HOPS
        assert {branch.device.device_id for branch in decision.branches} <= tenant.own
        assert {branch.device.realm for branch in decision.branches} == {tenant.seed.domain}
        assert set(decision.users) <= tenant.own
        assert all(branch.timeout_sec > 0 for branch in decision.branches)
        assert min(branch.delay_sec for branch in decision.branches) == 0
    holdings = context.holdings
    assert isinstance(holdings, Ledger)
    assert {row[3] for row in holdings.rows.get(context.call_id, ())} <= tenant.held
