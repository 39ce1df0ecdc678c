"""What a node tells the brain of its calls and contacts, and what a test looks up afterwards."""

from __future__ import annotations

import json
from typing import Any

from tandem.contracts import events
from tandem.contracts.signature import node_credential, sign_headers
from tests.support import node, seeds
from tests.support.local_brain import LocalBrain

Fields = dict[str, Any]
NOTHING = events.NOTHING.model_dump()


def signed_as(node_id: str, method: str, path: str, body: str, now: int) -> dict[str, str]:
    key = node_credential(seeds.MASTER_KEY, node_id, 1)
    return sign_headers(key, method, path, body.encode(), now, node.request_id(now), node_id)


def operator(key: str = seeds.OPERATOR_KEY) -> dict[str, str]:
    return {"x-api-key": key}


def event(brain: LocalBrain, tenant: seeds.Tenant, kind: str, **fields: Any) -> Fields:
    """Any event; None leaves a field out."""
    whole: Fields = {
        "eventId": node.event_id(brain.now),
        "type": kind,
        "accountId": tenant.account_id,
        "at": brain.now,
    }
    return {name: value for name, value in (whole | fields).items() if value is not None}


def dialog(brain: LocalBrain, tenant: seeds.Tenant, routed: Fields, state: str, seq: int, **fields: Any) -> Fields:
    """A report about the call that `routed` (a directive of `LocalBrain.invite`) began."""
    asked = routed["asked"]
    named = {"callId": routed["call_id"], "sipCallId": asked["sipCallId"], "fromTag": asked["fromTag"]}
    return event(brain, tenant, "dialog", state=state, seq=seq, **(named | fields))


def listing(routed: Fields, state: str = "answered") -> Fields:
    """The call as a snapshot lists it."""
    asked = routed["asked"]
    return {
        "callId": routed["call_id"],
        "sipCallId": asked["sipCallId"],
        "fromTag": asked["fromTag"],
        "state": state,
    }


def contact_of(tenant: seeds.Tenant, digits: str, expires_at: int) -> Fields:
    return {
        "deviceId": tenant.people[digits].device_id,
        "contact": f"sip:{digits}@192.0.2.7:5060",
        "expiresAt": expires_at,
    }


def snapshot(
    brain: LocalBrain,
    tenant: seeds.Tenant,
    dialogs: list[Fields],
    contacts: list[Fields] | None = None,
    digests: dict[str, str] | None = None,
    **fields: Any,
) -> Fields:
    whole: Fields = {
        "asOf": brain.now,
        "digests": digests or NOTHING,
        "dialogs": dialogs,
        "contacts": contacts or [],
    }
    return event(brain, tenant, "snapshot", **(whole | fields))


async def send(brain: LocalBrain, *events: Fields, node_id: str = seeds.NODE_ID) -> Fields:
    """The reply to a batch of events, which must be taken."""
    status, reply = await post_as(brain, node_id, "/presence/event", {"node": node_id, "events": list(events)})
    assert status == 200, reply
    return reply


async def post_as(brain: LocalBrain, node_id: str, path: str, fields: Fields) -> tuple[int, Fields]:
    body = json.dumps(fields)
    return await brain.post(path, body, signed_as(node_id, "POST", path, body, brain.now))


def presence_fields(
    node_id: str = seeds.NODE_ID, digests: dict[str, dict[str, str]] | None = None, **changes: Any
) -> Fields:
    """A heartbeat's body, and a hello's."""
    boot = {"agent": "a1", "kamailio": "k1", "rtpengine": "r1"}
    return {"node": node_id, "bootIds": boot, "digests": digests or {}, "version": "1", **changes}


async def hello(
    brain: LocalBrain,
    node_id: str = seeds.NODE_ID,
    digests: dict[str, dict[str, str]] | None = None,
    **changes: Any,
) -> Fields:
    status, reply = await post_as(brain, node_id, "/fleet/hello", presence_fields(node_id, digests, **changes))
    assert status == 200, reply
    return reply


async def heartbeat(
    brain: LocalBrain,
    node_id: str = seeds.NODE_ID,
    digests: dict[str, dict[str, str]] | None = None,
    **changes: Any,
) -> tuple[int, Fields]:
    return await post_as(brain, node_id, "/fleet/heartbeat", presence_fields(node_id, digests, **changes))


async def heartbeats(
    brain: LocalBrain,
    seconds: int,
    node_id: str = seeds.NODE_ID,
    digests: dict[str, dict[str, str]] | None = None,
) -> None:
    """The node's heartbeats every 2 s for that long."""
    for _ in range(seconds // 2):
        status, reply = await heartbeat(brain, node_id, digests)
        assert status == 200, reply
        await brain.advance(2_000)


async def usage(brain: LocalBrain, tenant: seeds.Tenant) -> dict[str, int]:
    """What is held, by user id."""
    status, reply = await brain.get(f"/cac?accountId={tenant.account_id}")
    assert status == 200, reply
    return {one["subject"]: one["used"] for one in reply["dimensions"]}


def record(brain: LocalBrain, call_id: str) -> Fields:
    """The call's row in D1; raises when there is none."""
    found = brain.control.connection.execute("SELECT * FROM call_cdr WHERE call_id = ?", (call_id,)).fetchone()
    assert found is not None, f"D1 has no record of {call_id}"
    return dict(found)


def rows(brain: LocalBrain, tenant: seeds.Tenant, table: str) -> list[tuple[Any, ...]]:
    """All rows of one table of the account's object."""
    connection = brain.presence.contexts[tenant.account_id].connection
    return [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")]


async def reconfigure(brain: LocalBrain, tenant: seeds.Tenant, statement: str, *params: Any) -> None:
    """Writes to D1 and pokes the account, as the API does."""
    brain.control.connection.execute(statement, params)
    body = json.dumps({"accountId": tenant.account_id})
    status, reply = await brain.post("/config/poke", body, operator())
    assert status == 200, reply
