"""The accounts of the bench and the requests that a node sends for their phones, signed and ready for the socket."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tandem.contracts.ids import new_id, ulid
from tandem.contracts.signature import derive_key, sign_headers
from tandem.domain.nonces import make_nonce
from tandem.runtime import now_ms
from tests.support import seeds
from tests.support.seeds import Person, Tenant

TENANTS: Final = 4
USERS: Final = 25
MAX_SIMULTANEOUS: Final = 50
AGENT: Final = "Bench/1.0 (a phone with an ordinary name)"
_NONCE_KEY: Final = derive_key(seeds.MASTER_KEY, "nonce")
_CREDENTIAL: Final = seeds.credential()
Sql = tuple[str, tuple[str | int | None, ...]]


def make_tenants() -> list[Tenant]:
    extensions = tuple(str(1001 + index) for index in range(USERS))
    return [seeds.tenant(number, f"t{number}.bench.example", extensions) for number in range(1, TENANTS + 1)]


def rows(tenants: list[Tenant]) -> list[Sql]:
    """The tenants with their limits, for the control database."""
    found: list[Sql] = []
    for tenant in tenants:
        found.extend(seeds.rows_of(tenant))
        found.append(
            ("UPDATE sip_user SET max_simultaneous = ? WHERE account_id = ?", (MAX_SIMULTANEOUS, tenant.account_id))
        )
    return found


@dataclass
class Phones:
    """Makes the requests, each of them new: its own request id, nonce and Call-ID."""

    tenants: list[Tenant]
    clock: Callable[[], int] = now_ms
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._people = [list(tenant.people.values()) for tenant in self.tenants]

    def registers(self, count: int) -> list[bytes]:
        return [post("/auth", self.register_body(next(self._turn))) for _ in range(count)]

    def invites(self, count: int) -> list[bytes]:
        return [post("/route", self.invite_body(next(self._turn))) for _ in range(count)]

    def register_body(self, turn: int) -> str:
        tenant, caller, _ = self._pick(turn)
        uri = f"sip:{tenant.domain}"
        fields = {
            **_common(f"reg-{caller.device_id}", str(turn + 1)),
            "method": "REGISTER",
            "realm": tenant.domain,
            "credentials": _credentials(tenant, caller, "REGISTER", uri, self.clock()),
            "contact": f"sip:{caller.username}@192.0.2.7:5060",
            "expires": 3600,
        }
        return json.dumps(fields, separators=(",", ":"))

    def invite_body(self, turn: int, to: str | None = None) -> str:
        """A call to the next phone, or to what is dialled."""
        tenant, caller, callee = self._pick(turn)
        dialled = to or callee.username
        uri = f"sip:{dialled}@{tenant.domain}"
        fields = {
            **_common(f"{turn}-{os.urandom(8).hex()}@192.0.2.7", "2"),
            "from": caller.username,
            "fromDomain": tenant.domain,
            "to": dialled,
            "toDomain": tenant.domain,
            "ruri": uri,
            "credentials": _credentials(tenant, caller, "INVITE", uri, self.clock()),
            "headers": {},
        }
        return json.dumps(fields, separators=(",", ":"))

    def inbound(self, number: str, carrier: str) -> bytes:
        """A call from a carrier's address to a number."""
        turn = next(self._turn)
        uri = f"sip:+{number}@sip.bench.example"
        fields = {
            **_common(f"{turn}-{os.urandom(8).hex()}@{carrier}", "1"),
            "sourceIp": carrier,
            "from": "+15559990000",
            "fromDomain": "carrier.example",
            "to": f"+{number}",
            "toDomain": "sip.bench.example",
            "ruri": uri,
            "headers": {},
        }
        return post("/route", json.dumps(fields, separators=(",", ":")))

    def _pick(self, turn: int) -> tuple[Tenant, Person, Person]:
        """Every phone in turn, calling the next one."""
        tenant, people = self.tenants[turn % len(self.tenants)], self._people[turn % len(self.tenants)]
        number = turn // len(self.tenants)
        return tenant, people[number % len(people)], people[(number + 1) % len(people)]


def end_event(account_id: str, call_id: str, now: int) -> str:
    """The `end` of a call as the node's buffer keeps it."""
    fields = {
        "eventId": new_id("ev", now, os.urandom(10)),
        "accountId": account_id,
        "at": now,
        "type": "dialog",
        "callId": call_id,
        "sipCallId": f"{call_id}@192.0.2.7",
        "fromTag": "a73kszlfl",
        "cseq": "2",
        "seq": 3,
        "state": "end",
        "cause": "200",
        "hungUpBy": "caller",
    }
    return json.dumps(fields, separators=(",", ":"))


def event_body(events: list[str]) -> str:
    return f'{{"node":"{seeds.NODE_ID}","events":[{",".join(events)}]}}'


def post(path: str, body: str) -> bytes:
    """A signed request as bytes of HTTP/1.1."""
    now = now_ms()
    signed = sign_headers(_CREDENTIAL, "POST", path, body.encode(), now, ulid(now, os.urandom(10)), seeds.NODE_ID)
    return plain_post(path, body, signed)


def plain_post(path: str, body: str, headers: dict[str, str] | None = None) -> bytes:
    raw = body.encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"POST {path} HTTP/1.1\r\nhost: brain\r\ncontent-type: application/json\r\n{lines}"
    return f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw


def get(path: str, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nhost: brain\r\n{lines}\r\n".encode()


def counters() -> bytes:
    return get("/ops/counters", x_api_key=seeds.OPERATOR_KEY)


def _common(sip_call_id: str, cseq: str) -> dict[str, Any]:
    return {
        "node": seeds.NODE_ID,
        "sipCallId": sip_call_id,
        "fromTag": "a73kszlfl",
        "cseq": cseq,
        "sourceIp": "192.0.2.7",
        "sourcePort": 5060,
        "transport": "udp",
        "userAgent": AGENT,
    }


def _credentials(tenant: Tenant, person: Person, method: str, uri: str, now: int) -> dict[str, str]:
    """A phone's answer to a challenge that the brain would have made (RFC 7616 section 3.4.1, SHA-256)."""
    nonce = make_nonce(_NONCE_KEY, now, tenant.domain, seeds.NODE_ID, os.urandom(6).hex())
    ha1 = _sha256(f"{person.username}:{tenant.domain}:{person.password}")
    ha2 = _sha256(f"{method}:{uri}")
    return {
        "username": person.username,
        "realm": tenant.domain,
        "nonce": nonce,
        "uri": uri,
        "response": _sha256(f"{ha1}:{nonce}:00000001:0a4f113b:auth:{ha2}"),
        "algorithm": "SHA-256",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
