"""A node that speaks to the deployed brain over HTTP: registrations, calls, events, and what is seen afterwards."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_node.local.waiting import wait_until
from tandem.contracts import events
from tests.support import node, seeds
from tests.worker.brain import Brain

Fields = dict[str, Any]
OPERATOR = {"x-api-key": seeds.OPERATOR_KEY}
VARIABLES = {"MASTER_KEY": seeds.MASTER_KEY}
NOTHING = events.NOTHING.model_dump()
BOOT_IDS = {"agent": "a1", "kamailio": "k1", "rtpengine": "r1"}
_numbers = itertools.count(1)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Caller:
    """All requests are signed as the node's unless headers are given."""

    brain: Brain

    def enroll(self) -> None:
        """Writes the node and the operator's key into D1."""
        self.brain.d1_batch(*seeds.platform_rows())

    def tenant(self, extensions: tuple[str, ...] = ("1001", "1002")) -> seeds.Tenant:
        """A fresh account with all its phones registered."""
        number = next(_numbers)
        made = seeds.tenant(number, f"t{number}.tandem.test", extensions)
        self.brain.d1_batch(*seeds.rows_of(made))
        for digits in extensions:
            status, reply = self.register(made, digits)
            assert (status, reply.get("ok")) == (200, True), reply
        return made

    def post(self, path: str, fields: Fields, headers: Mapping[str, str] | None = None) -> tuple[int, Fields]:
        return self.post_text(path, json.dumps(fields), headers)

    def post_text(self, path: str, body: str, headers: Mapping[str, str] | None = None) -> tuple[int, Fields]:
        signed = node.signed("POST", path, body, now_ms()) if headers is None else headers
        status, text = self.brain.post(path, body, signed)
        return status, json.loads(text)

    def get(self, path: str) -> Fields:
        status, text = self.brain.get(path, OPERATOR)
        assert status == 200, text
        found: Fields = json.loads(text)
        return found

    def register(self, tenant: seeds.Tenant, digits: str) -> tuple[int, Fields]:
        status, asked = self.post("/auth", json.loads(node.register_body(tenant, digits)))
        assert status == 200, asked
        person, uri = tenant.people[digits], f"sip:{tenant.domain}"
        credentials = node.respond_to(asked["challenge"], person, "REGISTER", uri)
        return self.post("/auth", json.loads(node.register_body(tenant, digits, credentials)))

    def question(self, tenant: seeds.Tenant, caller: str, callee: str, **changes: Any) -> Fields:
        """The body of an authenticated INVITE's `/route`, not sent yet."""
        body: Fields = json.loads(node.invite_body(tenant, caller, callee, **changes))
        status, asked = self.post("/route", body)
        assert status == 200, asked
        return body | {
            "credentials": node.respond_to(asked["challenge"], tenant.people[caller], "INVITE", body["ruri"])
        }

    def route(self, question: Fields) -> Fields:
        """The directive, with the question under `asked`."""
        status, reply = self.post("/route", question)
        assert status == 200, reply
        return {**reply["rtjson"], "asked": question}

    def call(self, tenant: seeds.Tenant, caller: str = "1001", callee: str = "1002") -> Fields:
        return self.route(self.question(tenant, caller, callee))

    def send(self, *events: Fields) -> None:
        status, reply = self.post("/presence/event", {"node": seeds.NODE_ID, "events": list(events)})
        assert (status, reply["acked"]) == (200, [one["eventId"] for one in events]), reply

    def event(self, tenant: seeds.Tenant, kind: str, **fields: Any) -> Fields:
        now = now_ms()
        common = {"eventId": node.event_id(now), "type": kind, "accountId": tenant.account_id, "at": now}
        return common | fields

    def dialog(self, tenant: seeds.Tenant, routed: Fields, state: str, seq: int, **fields: Any) -> Fields:
        return self.event(tenant, "dialog", state=state, seq=seq, **named(routed), **fields)

    def cac(self, tenant: seeds.Tenant) -> Fields:
        return self.get(f"/cac?accountId={tenant.account_id}")

    def live_calls(self, tenant: seeds.Tenant) -> int:
        return int(self.cac(tenant)["live_calls"])

    def counters(self) -> tuple[int, int]:
        """(D1 queries, Durable Object hops) so far."""
        found = self.get("/ops/counters")
        return found["d1_queries"], found["object_hops"]

    def heap(self) -> int:
        """Size of the isolate's WebAssembly memory in bytes."""
        return int(self.get("/ops/counters")["heap_bytes"])

    def records(self, tenant: seeds.Tenant) -> list[Fields]:
        return self.brain.d1("SELECT * FROM call_cdr WHERE account_id = ?", tenant.account_id)

    def recorded_end(self, tenant: seeds.Tenant, call_id: str) -> Fields:
        """The call's record once it has an end; it must reach D1 within 10 s."""

        def ended() -> bool:
            return any(row["call_id"] == call_id and row["end_ts"] is not None for row in self.records(tenant))

        wait_until(ended, 10, "the record in D1")
        return next(row for row in self.records(tenant) if row["call_id"] == call_id)


def named(routed: Fields) -> Fields:
    """The call's names in events."""
    asked = routed["asked"]
    return {"callId": routed["call_id"], "sipCallId": asked["sipCallId"], "fromTag": asked["fromTag"]}


def fleet_fields(*tenants: seeds.Tenant, **changes: Any) -> Fields:
    """A heartbeat's body, and a hello's, of a node that has to do with the accounts."""
    digests = {one.account_id: NOTHING for one in tenants}
    return {"node": seeds.NODE_ID, "bootIds": BOOT_IDS, "digests": digests, "version": "1"} | changes
