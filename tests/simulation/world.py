"""A random telephone network around the brain: the truth about every call, and what the brain makes of the reports.

Nodes lose, repeat and reorder reports, fall silent with or without their memory, and come back; objects die between
any two steps and between a decision and its reply. After every step the brain's books are held against its rules.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tandem.domain.digest import md5
from tests.simulation.lanes import Fields, Lane, UnavailableError
from tests.support import seeds

NODES: Final = (seeds.NODE_ID, "node_00000000000000000000000002", "node_00000000000000000000000003")
EXTENSIONS: Final = tuple(str(1001 + number) for number in range(10))
LIMITS: Final = (1, 1, 2, 2, 3, 5, 6, 8, None, 0)
LEAK_MS: Final = 240_000  # a lease, its rechecks, and the silence of a node before it
NOTHING_LIVE: Final = hashlib.sha256(b"").hexdigest()[:16]
DISPOSITIONS: Final = {"answered", "no_answer", "busy", "failed", "rejected", "abandoned"}
OUTCOMES: Final = {"no_answer": "no_answer", "busy": "busy", "declined": "busy", "cancelled": "abandoned"}


@dataclass
class TrueCall:
    """What really happened; `told` is false once any report about it was lost for good."""

    tenant: seeds.Tenant
    node_id: str
    call_id: str
    asked: Fields
    state: str = "early"
    answered: bool = False
    seq: int = 0
    gone_at: int | None = None
    outcome: str | None = None
    told: bool = True


@dataclass
class SimNode:
    node_id: str
    silent_until: int = 0
    beat_at: int = 0
    live: dict[str, dict[str, TrueCall]] = field(default_factory=dict)
    outbox: list[tuple[seeds.Tenant, Fields]] = field(default_factory=list)
    delivered: list[tuple[seeds.Tenant, Fields]] = field(default_factory=list)
    listed: dict[str, str] = field(default_factory=dict)


class World:
    """Call `begin`, then `step` as often as you like, then `end`; `check_all` holds at any time."""

    def __init__(self, lane: Lane, tenants: list[seeds.Tenant], seed: int) -> None:
        self.lane = lane
        self.seed = seed
        self.random = random.Random(seed)
        self.tenants = tenants
        self.nodes = {one: SimNode(one, live={tenant.account_id: {} for tenant in tenants}) for one in NODES}
        self.calls: dict[str, TrueCall] = {}
        self.rejected: dict[str, tuple[seeds.Tenant, int]] = {}
        self.nonces: dict[tuple[str, str], tuple[int, Fields]] = {}
        self.nc = 0
        self.number = 0
        self.counts: dict[str, int] = {}
        self.limits = {
            tenant.people[digits].user_id: limit
            for tenant in tenants
            for digits, limit in zip(EXTENSIONS, LIMITS, strict=True)
        }
        self.touched: tuple[seeds.Tenant, tuple[str, ...]] | None = None
        self.may_readmit = False  # since the last full check
        self.usage: dict[str, int] = {}
        self.d1_back_at: int | None = None
        self.actions: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._call, 12),
            (self._progress, 10),
            (self._end, 8),
            (self._outcome, 3),
            (self._deliver, 30),
            (self._repeat, 5),
            (self._lose_report, 0.6),
            (self._list, 2),
            (self._crash, 2),
            (self._crash_fleet, 0.05),
            (self._fall_silent, 0.25),
            (self._reset, 0.1),
            (self._d1_away, 0.05),
        ]

    async def begin(self) -> None:
        connection = self.lane.control.connection
        for user_id, limit in self.limits.items():
            connection.execute("UPDATE sip_user SET max_simultaneous = ? WHERE id = ?", (limit, user_id))
        await self.lane.open()
        await self._beats()
        await self._flush()

    async def step(self) -> str:
        """One event; its name."""
        (action,) = self.random.choices([one for one, _ in self.actions], [weight for _, weight in self.actions])
        self.touched = None
        with suppress(UnavailableError):
            await action()
        await self._pass_time(self.random.choice((0, 0, 20, 100, 500)))
        name = action.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        return name

    async def end(self) -> None:
        """Every call ends, every report that is left arrives, and enough time passes for all that was lost."""
        self.lane.control.available = True
        for one in self.nodes.values():
            one.silent_until = 0
        for call in [call for one in self.nodes.values() for calls in one.live.values() for call in calls.values()]:
            self._finish(call)
        for _ in range(LEAK_MS // 2_000):
            await self._flush()
            await self._pass_time(2_000)

    async def _pass_time(self, milliseconds: int) -> None:
        await self.lane.advance(milliseconds)
        if self.d1_back_at is not None and self.lane.now >= self.d1_back_at:
            self.lane.control.available, self.d1_back_at = True, None
        await self._beats()

    async def _beats(self) -> None:
        for one in self.nodes.values():
            if self.lane.now < max(one.beat_at, one.silent_until):
                continue
            digests = {account: self._digests(one, account) for account in one.live}
            try:
                wanted = await self.lane.heartbeat(one.node_id, digests)
            except UnavailableError:
                continue
            one.beat_at = self.lane.now + 2_000
            for tenant in self.tenants:
                dialogs = digests[tenant.account_id]["dialogs"]
                if tenant.account_id in wanted or one.listed.get(tenant.account_id) != dialogs:
                    one.listed[tenant.account_id] = dialogs
                    one.outbox.append((tenant, self._snapshot(one, tenant)))

    def _digests(self, one: SimNode, account: str) -> dict[str, str]:
        text = "\n".join(sorted(one.live[account]))
        dialogs = hashlib.sha256(text.encode()).hexdigest()[:16] if text else NOTHING_LIVE
        return {"dialogs": dialogs, "contacts": NOTHING_LIVE}

    def _list_of(self, one: SimNode, tenant: seeds.Tenant) -> Fields:
        contacts = [
            {"deviceId": person.device_id, "contact": f"sip:{digits}@192.0.2.9", "expiresAt": self.lane.now + 10**9}
            for digits, person in tenant.people.items()
        ]
        dialogs = [
            {
                "callId": call.call_id,
                "sipCallId": call.asked["sipCallId"],
                "fromTag": call.asked["fromTag"],
                "state": call.state,
            }
            for call in one.live[tenant.account_id].values()
        ]
        digests = self._digests(one, tenant.account_id)
        return {"asOf": self.lane.now, "digests": digests, "dialogs": dialogs, "contacts": contacts}

    def _event(self, tenant: seeds.Tenant, kind: str, **fields: Any) -> Fields:
        base = {"eventId": self._id("ev"), "type": kind, "accountId": tenant.account_id, "at": self.lane.now}
        return base | fields

    def _snapshot(self, one: SimNode, tenant: seeds.Tenant) -> Fields:
        return self._event(tenant, "snapshot", **self._list_of(one, tenant))

    def _id(self, kind: str) -> str:
        self.number += 1
        return f"{kind}-{self.number}"

    def _awake(self) -> list[SimNode]:
        return [one for one in self.nodes.values() if one.silent_until <= self.lane.now]

    async def _call(self) -> None:
        awake = self._awake()
        if not awake:
            return
        one, tenant = self.random.choice(awake), self.random.choice(self.tenants)
        caller, callee = self.random.choice(EXTENSIONS), self.random.choice(EXTENSIONS)
        body = await self._question(one, tenant, caller, callee)
        reply = await self.lane.route(one.node_id, tenant, body)
        fate = self.random.random()
        if fate < 0.03:
            self.lane.crash(tenant)
            again = await self.lane.route(one.node_id, tenant, body)
            assert again == reply, "the same question got another answer"
        found = reply["rtjson"]
        people = (tenant.people[caller].user_id, tenant.people[callee].user_id)
        self.touched = (tenant, people)
        assert found["account_id"] == tenant.account_id
        if found["action"] == "reject":
            self.rejected[found["call_id"]] = (tenant, found["code"])
            return
        own = {f"sip:{person.device_id}@{tenant.domain}" for person in tenant.people.values()}
        assert {branch["uri"] for branch in found["routes"]} <= own, "a call crossed to another tenant"
        for user_id in people:
            limit = self.limits[user_id]
            assert limit is None or self._used(tenant, user_id) <= limit, "admitted above the limit"
        call = TrueCall(tenant, one.node_id, found["call_id"], body)
        self.calls[call.call_id] = call
        if fate > 0.985:  # the reply never arrives, and the node forgets that it asked or says that it gave up
            call.gone_at, call.told = self.lane.now, False
            if fate > 0.992:
                named = {"sipCallId": body["sipCallId"], "fromTag": body["fromTag"], "cseq": body["cseq"]}
                one.outbox.append((tenant, self._event(tenant, "dialog", seq=0, state="failed", cause="503", **named)))
            return
        one.live[tenant.account_id][call.call_id] = call
        if self.random.random() < 0.8:
            self._report(call, "early")

    async def _question(self, one: SimNode, tenant: seeds.Tenant, caller: str, callee: str) -> Fields:
        key = (one.node_id, tenant.account_id)
        made_at, asked = self.nonces.get(key, (0, {}))
        if self.lane.now - made_at > 200_000:
            asked = await self.lane.challenge(one.node_id, tenant)
            self.nonces[key] = (self.lane.now, asked)
        self.nc += 1
        person, uri, nc = tenant.people[caller], f"sip:{callee}@{tenant.domain}", f"{self.nc:08x}"
        ha1 = md5(f"{caller}:{tenant.domain}:{person.password}")
        response = md5(f"{ha1}:{asked['nonce']}:{nc}:c:auth:{md5(f'INVITE:{uri}')}")
        credentials = {"username": caller, "realm": tenant.domain, "nonce": asked["nonce"], "uri": uri, "qop": "auth"}
        return {
            "sipCallId": self._id("sip"),
            "fromTag": "t",
            "cseq": "1",
            "from": f"sip:{caller}@{tenant.domain}",
            "fromDomain": tenant.domain,
            "to": uri,
            "ruri": uri,
            "sourceIp": "192.0.2.7",
            "sourcePort": 5060,
            "transport": "udp",
            "node": one.node_id,
            "credentials": credentials | {"response": response, "algorithm": "MD5", "nc": nc, "cnonce": "c"},
        }

    def _pick(self, *states: str) -> TrueCall | None:
        one, tenant = self.random.choice(list(self.nodes.values())), self.random.choice(self.tenants)
        found = [call for call in one.live[tenant.account_id].values() if call.state in states]
        return self.random.choice(found) if found else None

    def _report(self, call: TrueCall, state: str, **fields: Any) -> None:
        named = {"callId": call.call_id, "sipCallId": call.asked["sipCallId"], "fromTag": call.asked["fromTag"]}
        event = self._event(call.tenant, "dialog", seq=call.seq, state=state, **(named | fields))
        call.seq += 1
        self.nodes[call.node_id].outbox.append((call.tenant, event))

    async def _progress(self) -> None:
        call = self._pick("early")
        if call is not None:
            call.state, call.answered = "answered", True
            self._report(call, "answer")

    async def _end(self) -> None:
        call = self._pick("early", "answered")
        if call is not None:
            self._finish(call)

    def _finish(self, call: TrueCall) -> None:
        cause = "200" if call.answered else "487"
        self._report(call, "end" if call.answered else "failed", cause=cause, hungUpBy="caller")
        self._forget(call)

    def _forget(self, call: TrueCall) -> None:
        self.nodes[call.node_id].live[call.tenant.account_id].pop(call.call_id, None)
        call.gone_at = self.lane.now
        call.asked = {name: call.asked[name] for name in ("sipCallId", "fromTag")}  # a million events take memory

    async def _outcome(self) -> None:
        call = self._pick("early")
        if call is None or self.nodes[call.node_id].silent_until > self.lane.now:
            return
        outcome = self.random.choice(list(OUTCOMES))
        body = call.asked | {"callId": call.call_id, "outcome": outcome}
        first = await self.lane.route(call.node_id, call.tenant, body)
        assert first["rtjson"]["action"] == "reject"
        call.outcome = outcome
        self._forget(call)
        if self.random.random() < 0.2:
            self.lane.crash(call.tenant)
            assert await self.lane.route(call.node_id, call.tenant, body) == first

    async def _deliver(self) -> None:
        awake = [one for one in self._awake() if one.outbox]
        if not awake:
            return
        one = self.random.choice(awake)
        for _ in range(1 if len(one.outbox) < 20 else 8):
            await self._deliver_one(one, self.random.randrange(len(one.outbox)))

    async def _deliver_one(self, one: SimNode, index: int) -> None:
        tenant, event = one.outbox[index]
        self.may_readmit |= event["type"] == "snapshot"
        await self.lane.events(one.node_id, tenant, [event])
        one.outbox.pop(index)
        one.delivered.append((tenant, event))
        del one.delivered[:-50]

    async def _flush(self) -> None:
        for one in self._awake():
            self.random.shuffle(one.outbox)
            while one.outbox:
                await self._deliver_one(one, len(one.outbox) - 1)

    async def _repeat(self) -> None:
        """A report arrives again, as it was or under a new id."""
        one = self.random.choice(self._awake() or list(self.nodes.values()))
        if one.delivered and one.silent_until <= self.lane.now:
            tenant, event = self.random.choice(one.delivered)
            if event["type"] == "dialog" and self.random.random() < 0.5:
                event = event | {"eventId": self._id("ev")}
            self.may_readmit |= event["type"] == "snapshot"
            await self.lane.events(one.node_id, tenant, [event])

    async def _lose_report(self) -> None:
        one = self.random.choice(list(self.nodes.values()))
        dialogs = [index for index, (_, event) in enumerate(one.outbox) if event["type"] == "dialog"]
        if dialogs:
            _, event = one.outbox.pop(self.random.choice(dialogs))
            if "callId" in event:
                self.calls[event["callId"]].told = False

    async def _list(self) -> None:
        one, tenant = self.random.choice(list(self.nodes.values())), self.random.choice(self.tenants)
        one.outbox.append((tenant, self._snapshot(one, tenant)))

    async def _crash(self) -> None:
        self.lane.crash(self.random.choice(self.tenants))

    async def _crash_fleet(self) -> None:
        """Rarely: a FLEET that wakes gives every node fresh time, and would never find one lost."""
        self.lane.crash_fleet()

    async def _fall_silent(self) -> None:
        """For 1 to 40 s; in a third of the cases the node comes back without memory: its calls and reports are gone."""
        one = self.random.choice(self._awake() or list(self.nodes.values()))
        one.silent_until = self.lane.now + self.random.choice((1_000, 7_000, 9_000, 15_000, 40_000))
        if self.random.random() < 0.33:
            for call in [call for calls in one.live.values() for call in calls.values()]:
                call.told = False
                self._forget(call)
            for _, event in one.outbox:
                if "callId" in event:
                    self.calls[event["callId"]].told = False
            one.outbox.clear()
            one.listed.clear()

    async def _reset(self) -> None:
        tenant = self.random.choice(self.tenants)
        self.may_readmit = True
        await self.lane.reset(tenant, {one.node_id: self._list_of(one, tenant) for one in self._awake()})

    async def _d1_away(self) -> None:
        self.lane.control.available = False
        self.d1_back_at = self.lane.now + self.random.choice((1_000, 10_000, 20_000))

    def _used(self, tenant: seeds.Tenant, user_id: str) -> int:
        statement = "SELECT COUNT(*) FROM holding WHERE dimension = 'user_simultaneous' AND subject = ?"
        used: int = self.lane.connection(tenant).execute(statement, (user_id,)).fetchone()[0]
        return used

    def check_touched(self) -> None:
        """The users of the call that the last step made: never above their limit, but for a readmission."""
        if self.touched is None:
            return
        tenant, people = self.touched
        for user_id in people:
            self._check_use(user_id, self._used(tenant, user_id))

    def _check_use(self, user_id: str, used: int) -> None:
        limit = self.limits[user_id]
        before = self.usage.get(user_id, 0)
        assert used >= 0
        assert limit is None or used <= limit or used <= before or self.may_readmit, (
            f"{user_id} holds {used} of {limit}, and held {before}"
        )
        self.usage[user_id] = used

    def check_all(self) -> None:
        """Every rule about what is held and live now, for every account."""
        for tenant in self.tenants:
            connection = self.lane.connection(tenant)
            found = connection.execute("SELECT subject, COUNT(*) FROM holding GROUP BY subject").fetchall()
            held: dict[str, int] = dict(found)
            for person in tenant.people.values():
                self._check_use(person.user_id, held.pop(person.user_id, 0))
            assert not held, f"somebody else's holdings in {tenant.account_id}: {held}"
            orphans = connection.execute(
                "SELECT h.call_id FROM holding AS h LEFT JOIN call AS c USING (call_id)"
                " WHERE c.state IS NULL OR c.state = 'ended'"
            ).fetchall()
            assert not orphans, f"held by calls that are over: {orphans}"
            live = connection.execute(
                "SELECT c.call_id, c.state, (SELECT COUNT(*) FROM holding AS h WHERE h.call_id = c.call_id)"
                " FROM call AS c WHERE c.state <> 'ended'"
            ).fetchall()
            for call_id, state, rows in live:
                assert rows == 2, f"{call_id} holds {rows} places"
                self._check_live(call_id, state)

        self.may_readmit = False

    def _check_live(self, call_id: str, state: str) -> None:
        call = self.calls[call_id]
        assert state == "ringing" or call.answered
        age = 0 if call.gone_at is None else self.lane.now - call.gone_at
        assert age < LEAK_MS, f"{call_id} has been over for {age} ms and still holds its places"

    def check_end(self) -> None:
        """Nothing is held, and every call that was ever asked for has one record that says what happened."""
        for tenant in self.tenants:
            connection = self.lane.connection(tenant)
            assert connection.execute("SELECT COUNT(*) FROM holding").fetchone()[0] == 0
            assert connection.execute("SELECT COUNT(*) FROM call WHERE state <> 'ended'").fetchone()[0] == 0
        found = {row["call_id"]: dict(row) for row in self.lane.control.connection.execute("SELECT * FROM call_cdr")}
        assert found.keys() == self.calls.keys() | self.rejected.keys()
        for call_id, row in found.items():
            assert row["disposition"] in DISPOSITIONS
            assert row["start_ts"] <= (row["answer_ts"] or row["start_ts"]) <= row["end_ts"]
            assert 0 <= row["billsec"] <= row["duration_sec"] + 1
            assert row["answered"] == (row["answer_ts"] is not None) == (row["disposition"] == "answered")
            if call_id in self.rejected:
                tenant, code = self.rejected[call_id]
                assert (row["account_id"], row["hangup_cause"]) == (tenant.account_id, str(code))
            else:
                self._check_record(self.calls[call_id], row)

    def _check_record(self, call: TrueCall, row: Fields) -> None:
        assert row["account_id"] == call.tenant.account_id
        if call.told and call.outcome is not None:
            assert row["disposition"] in (OUTCOMES[call.outcome], "failed")
        elif call.told:
            assert row["disposition"] == ("answered" if call.answered else "abandoned"), (
                f"{call.call_id} {call.state} {call.gone_at} {row}"
            )
            assert row["hangup_by"] == "caller"
            assert row["end_ts"] == call.gone_at
        elif not call.answered:
            assert row["disposition"] != "answered"
