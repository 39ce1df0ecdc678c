"""Which addresses the nodes learn of each other, from D1 or from what each says of itself."""

from __future__ import annotations

import json

import pytest

from tests.support import node, rows, scene, seeds
from tests.support.local_brain import LocalBrain

OTHER = rows.insert("node", id="node_2", region="elsewhere", created_at=0, sip_address="198.51.100.2:5060")


async def beat(brain: LocalBrain) -> list[str] | None:
    await scene.heartbeats(brain, 10)
    status, reply = await scene.heartbeat(brain)
    assert status == 200, reply
    found: list[str] | None = reply.get("fleet")
    return found


async def test_what_a_node_says_of_itself_and_what_an_operator_wrote(brain: LocalBrain) -> None:
    brain.write([OTHER])
    reply = await scene.hello(brain, sipAddress="198.51.100.1:5070")
    assert reply["desired"]["fleet"] == ["198.51.100.2:5060"]
    assert await beat(brain) == ["198.51.100.1:5070", "198.51.100.2:5060"]
    brain.write([("UPDATE node SET sip_address = '198.51.100.1:5060' WHERE id = ?", (seeds.NODE_ID,))])
    assert await beat(brain) == ["198.51.100.1:5060", "198.51.100.2:5060"]
    brain.write([("UPDATE node SET status = 'retired' WHERE id = 'node_2'", ())])
    assert await beat(brain) == ["198.51.100.1:5060"]


async def test_the_list_stays_as_it_is_while_d1_is_away(brain: LocalBrain) -> None:
    await scene.hello(brain, sipAddress="198.51.100.1:5070")
    assert await beat(brain) == ["198.51.100.1:5070"]
    brain.control.available = False
    assert await beat(brain) == ["198.51.100.1:5070"]


async def test_a_hello_needs_no_d1(brain: LocalBrain) -> None:
    await scene.hello(brain)
    brain.control.available = False
    reply = await scene.hello(brain, sipAddress="198.51.100.1:5070")
    assert reply["desired"]["fleet"] == []
    assert await beat(brain) is None


@pytest.mark.parametrize("told", [7, "", "198.51.100.1", "198.51.100.1:999999", "a b:5060", "x" * 300 + ":5060"])
async def test_an_address_that_is_none_is_not_kept(brain: LocalBrain, told: str | int) -> None:
    fields = scene.presence_fields(sipAddress=told)
    await scene.post_as(brain, seeds.NODE_ID, "/fleet/hello", fields)
    assert reported(brain) is None


async def test_a_hello_that_is_refused_changes_no_address(brain: LocalBrain) -> None:
    """Neither a malformed one nor a replay, which brings back what the node said before."""
    fields = scene.presence_fields(sipAddress="198.51.100.1:5070")
    status, _ = await brain.post("/fleet/hello", json.dumps(fields | {"bootIds": "none"}))
    assert (status, reported(brain)) == (400, None)
    body = json.dumps(fields)
    headers = node.signed("POST", "/fleet/hello", body, brain.now)
    assert (await brain.post("/fleet/hello", body, headers))[0] == 200
    assert reported(brain) == "198.51.100.1:5070"
    await scene.hello(brain, sipAddress="198.51.100.9:5070")
    assert (await brain.post("/fleet/hello", body, headers))[0] == 409
    assert reported(brain) == "198.51.100.9:5070"


def reported(brain: LocalBrain) -> str | None:
    found: str | None = brain.control.connection.execute("SELECT reported_sip_address FROM node").fetchone()[0]
    return found
