"""A node with a media engine, as the brain hears it: calls that go to the engine, and legs that it places."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

from tandem.contracts.ids import new_id
from tandem.contracts.objects import open_envelope
from tests.support import rows, scene, seeds
from tests.support.local_brain import LocalBrain

Fields = dict[str, Any]
_numbers = itertools.count(1)


def with_engine(
    tenant: seeds.Tenant, digits: str = "600", kind: str = "flow", dest: str | None = None
) -> list[rows.Row]:
    """The account's engine, and an extension that leads to it."""
    number = int(tenant.account_id[4:]) * 1_000_000 + int(digits)
    return [
        rows.update("account", tenant.account_id, media_engine="embedded"),
        rows.extension(tenant, number, digits, kind, dest or f"{kind}_{seeds.suffix(1)}"),
    ]


def leg_id(now: int) -> str:
    return new_id("leg", now, os.urandom(10))


async def ask_presence(brain: LocalBrain, tenant: seeds.Tenant, method: str, fields: Fields) -> tuple[int, Fields]:
    """A session's question to the account's object."""
    account = tenant.account_id
    status, text = open_envelope(await brain.presence.call(account, method, account, json.dumps(fields)))
    found: Fields = json.loads(text)
    return status, found


async def order(
    brain: LocalBrain, tenant: seeds.Tenant, call: Fields, *targets: str, **changes: Any
) -> tuple[int, Fields]:
    """`place_leg` for targets written as `kind:id`; the reply, with the leg's id."""
    named = [dict(zip(("dest_kind", "dest_id"), one.split(":", 1), strict=True)) for one in targets]
    fields = {
        "call_id": call["call_id"],
        "leg_id": leg_id(brain.now),
        "node_id": seeds.NODE_ID,
        "targets": named,
        "timeout_sec": 30,
    } | changes
    status, reply = await ask_presence(brain, tenant, "place_leg", fields)
    return status, reply | {"leg_id": fields["leg_id"]}


def question(tenant: seeds.Tenant, placed: Fields, **changes: Any) -> Fields:
    """The node's question about the INVITE with which the engine places a leg."""
    number = next(_numbers)
    fields: Fields = {
        "accountId": tenant.account_id,
        "leg": placed["token"],
        "sipCallId": f"leg-{number}",
        "fromTag": f"e{number}",
        "cseq": "1",
        "from": "sip:engine@127.0.0.1",
        "fromDomain": "127.0.0.1",
        "to": placed["uri"],
        "ruri": placed["uri"],
        "sourceIp": "127.0.0.1",
        "sourcePort": 5080,
        "transport": "udp",
        "node": seeds.NODE_ID,
    }
    return fields | changes


async def route(brain: LocalBrain, asked: Fields, node_id: str = seeds.NODE_ID) -> Fields:
    """The directive, with the question under `asked`."""
    status, reply = await scene.post_as(brain, node_id, "/route", asked)
    assert status == 200, reply
    return {**reply["rtjson"], "asked": asked}


async def place(brain: LocalBrain, tenant: seeds.Tenant, call: Fields, *targets: str, **changes: Any) -> Fields:
    """A leg that is ordered and let in."""
    status, placed = await order(brain, tenant, call, *targets, **changes)
    assert status == 200, placed
    return await route(brain, question(tenant, placed))


async def then(brain: LocalBrain, routed: Fields, outcome: str, **changes: Any) -> Fields:
    """What follows on an outcome."""
    return await route(brain, routed["asked"] | {"callId": routed["call_id"], "outcome": outcome} | changes)


def devices(directive: Fields) -> list[str]:
    assert directive["action"] == "proxy", directive
    return [one["uri"].removeprefix("sip:").partition("@")[0] for one in directive["routes"]]


def media(
    brain: LocalBrain, tenant: seeds.Tenant, routed: Fields, state: str, milliseconds: int, **fields: Any
) -> Fields:
    whole = {"callId": routed["call_id"], "state": state, "mediaAppMs": milliseconds} | fields
    return scene.event(brain, tenant, "media", **whole)
