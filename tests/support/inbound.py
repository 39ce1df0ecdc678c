"""Calls from outside to numbers that ring some of a tenant's extensions at once, and accounts below others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from tests.support import rows, scene, seeds
from tests.support.local_brain import LocalBrain

STRANGER = "192.0.2.9"
_numbers = itertools.count(1)


def below(parent_id: str, tenant: seeds.Tenant) -> Iterator[rows.Row]:
    """The rows of a tenant whose account is below another."""
    for statement, params in seeds.rows_of(tenant):
        if statement.startswith("INSERT INTO account "):
            yield (
                "INSERT INTO account (id, parent_id, name, created_at) VALUES (?, ?, ?, 0)",
                (tenant.account_id, parent_id, tenant.domain),
            )
        else:
            yield statement, params


def number_of(tenant: seeds.Tenant, ring: str) -> str:
    """The number that rings these extensions (`1001 1002`)."""
    return f"1202555{int(tenant.account_id[4:]):02d}{_mask(ring):04d}"


def did_of(tenant: seeds.Tenant, ring: str) -> str:
    return f"did_{tenant.account_id[4:]}_{_mask(ring)}"


def numbers(tenant: seeds.Tenant, *rings: str, **columns: rows.Value) -> Iterator[rows.Row]:
    """A number for each of `rings`, which anybody may call, and the group behind it."""
    for ring in rings:
        group = f"rg_{tenant.account_id[4:]}_{_mask(ring)}"
        yield rows.insert("ring_group", id=group, account_id=tenant.account_id, name=f"group of {ring}")
        for place, digits in enumerate(ring.split()):
            yield rows.insert(
                "ring_group_member",
                id=f"rgm_{group}_{place}",
                account_id=tenant.account_id,
                ring_group_id=group,
                user_id=tenant.people[digits].user_id,
                position=place,
            )
        fields: rows.Fields = {"id": did_of(tenant, ring), "account_id": tenant.account_id}
        fields |= {"e164": number_of(tenant, ring), "accept_any_source": 1}
        yield rows.insert("did", **(fields | {"dest_kind": "ring_group", "dest_id": group} | columns))


def question(tenant: seeds.Tenant, ring: str, source: str = STRANGER, node_id: str = seeds.NODE_ID) -> dict[str, Any]:
    """The body of a question about a call to the number that rings these extensions."""
    return to_number(number_of(tenant, ring)) | {"sourceIp": source, "node": node_id}


def to_number(e164: str) -> dict[str, Any]:
    uri = f"sip:+{e164}@edge.tandem.test"
    return {
        "sipCallId": f"in-{next(_numbers)}",
        "fromTag": "t",
        "cseq": "1",
        "from": "sip:15550100@carrier.test",
        "fromDomain": "carrier.test",
        "to": uri,
        "ruri": uri,
        "sourceIp": STRANGER,
        "sourcePort": 5060,
        "transport": "udp",
        "node": seeds.NODE_ID,
    }


async def ask(brain: LocalBrain, tenant: seeds.Tenant, body: dict[str, Any]) -> dict[str, Any]:
    """The `rtjson` of the reply, with the question under `asked`."""
    status, reply = await scene.post_as(brain, body["node"], "/route", body)
    assert status == 200, reply
    assert reply["rtjson"]["account_id"] == tenant.account_id
    return {**reply["rtjson"], "asked": body}


def _mask(ring: str) -> int:
    """The extensions 1001, 1002, ... as bits."""
    return sum(1 << int(digits) - 1001 for digits in ring.split())
