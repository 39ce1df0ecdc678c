"""`GET /cac` and `POST /cac/reset`, with a node that answers commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.contracts.signature import verify
from tandem.runtime.cpython import outside
from tests.support import scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME

ALICE = ACME.people["1001"].user_id
BOB = ACME.people["1002"].user_id
URL = "http://192.0.2.1:8085"


class Node:
    """The node's command endpoint: checks the signature and answers `reconcile` with `dialogs`."""

    def __init__(self, brain: LocalBrain) -> None:
        self.brain = brain
        self.dialogs: list[dict[str, Any]] = []
        self.status = 200
        self.word = "done"
        self.text: str | None = None
        self.commands: list[dict[str, Any]] = []

    async def post(self, url: str, body: str, headers: dict[str, str], timeout_ms: int) -> tuple[int, str]:
        assert url == f"{URL}/commands"
        verify(seeds.credential(), "POST", "/commands", body.encode(), headers, self.brain.now)
        command = json.loads(body)
        assert command["expires_at"] - command["issued_at"] == timeout_ms == 5_000
        self.commands.append(command)
        result = {"asOf": self.brain.now, "digests": scene.NOTHING, "dialogs": self.dialogs, "contacts": []}
        text = json.dumps({"id": command["id"], "status": self.word, "result": result})
        return self.status, text if self.text is None else self.text


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    for digits in ACME.people:
        await brain.register(ACME, digits)
    brain.write([("UPDATE node SET command_url = ?", (URL,))])
    return brain


@pytest.fixture
def edge(phones: LocalBrain) -> Node:
    found = Node(phones)
    outside.post = found.post
    return found


async def reset(brain: LocalBrain) -> dict[str, Any]:
    status, reply = await brain.post("/cac/reset", json.dumps({"accountId": ACME.account_id}), scene.operator())
    assert status == 200, reply
    return reply


async def test_every_dimension_is_shown_with_its_limit(phones: LocalBrain) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET max_simultaneous = 5 WHERE id = ?", BOB)
    await phones.invite(ACME, "1001", "1002")
    status, reply = await phones.get(f"/cac?accountId={ACME.account_id}", scene.operator())
    assert status == 200
    assert reply == {
        "ok": True,
        "account_id": ACME.account_id,
        "live_calls": 1,
        "child_calls": 0,
        "windows": [],
        "dimensions": [
            {"dimension": "user_simultaneous", "subject": ALICE, "used": 1},
            {"dimension": "user_simultaneous", "subject": BOB, "used": 1, "max": 5},
        ],
    }


async def test_a_reset_asks_the_nodes_and_drops_ghosts(phones: LocalBrain, edge: Node) -> None:
    kept = await phones.invite(ACME, "1001", "1002")
    await phones.invite(ACME, "1003", "1002")
    await phones.advance(10_000)
    edge.dialogs = [scene.listing(kept)]
    reply = await reset(phones)
    assert reply["nodes"] == {seeds.NODE_ID: "done"}
    assert edge.commands[0]["op"] == "reconcile"
    assert edge.commands[0]["args"] == {"account_id": ACME.account_id}
    assert (reply["live_calls"], await scene.usage(phones, ACME)) == (1, {ALICE: 1, BOB: 1})


async def test_a_reset_rebuilds_counts_that_went_wrong(phones: LocalBrain, edge: Node) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    edge.dialogs = [scene.listing(routed, "early")]
    connection = phones.presence.contexts[ACME.account_id].connection
    connection.execute("DELETE FROM holding WHERE leg = 'callee'")
    connection.execute("INSERT INTO holding VALUES ('call_ghost', 'caller', 'user_simultaneous', ?)", (ALICE,))
    assert await scene.usage(phones, ACME) == {ALICE: 2}
    assert {one["subject"]: one["used"] for one in (await reset(phones))["dimensions"]} == {ALICE: 1, BOB: 1}


@pytest.mark.parametrize(("status", "word"), [(503, "done"), (200, "failed"), (200, "expired"), (200, "refused")])
async def test_a_node_that_cannot_answer_keeps_its_calls(
    phones: LocalBrain, edge: Node, status: int, word: str
) -> None:
    await phones.invite(ACME, "1001", "1002")
    await phones.advance(10_000)
    edge.status, edge.word = status, word
    reply = await reset(phones)
    assert reply["nodes"][seeds.NODE_ID] != "done"
    assert reply["live_calls"] == 1


@pytest.mark.parametrize("text", ["", "[]", '{"id": "c", "status": "done", "result": {"asOf": "now", "dialogs": 7}}'])
async def test_a_node_that_talks_nonsense_keeps_its_calls(
    phones: LocalBrain, edge: Node, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await phones.invite(ACME, "1001", "1002")
    await phones.advance(10_000)
    edge.text = text
    reply = await reset(phones)
    assert reply["nodes"] == {seeds.NODE_ID: f"Node {seeds.NODE_ID} answered something else than what is live on it."}
    assert reply["live_calls"] == 1
    assert '"command_not_understood"' in capsys.readouterr().out


async def test_a_node_that_cannot_be_reached_keeps_its_calls(phones: LocalBrain) -> None:
    await phones.invite(ACME, "1001", "1002")
    await phones.advance(10_000)
    assert "cannot be reached" in (await reset(phones))["nodes"][seeds.NODE_ID]
    phones.write([("UPDATE node SET command_url = NULL", ())])
    assert "no command address" in (await reset(phones))["nodes"][seeds.NODE_ID]
    phones.write([("UPDATE node SET status = 'retired'", ())])
    assert (await reset(phones))["nodes"] == {seeds.NODE_ID: "retired"}
    assert await phones.get(f"/cac?accountId={ACME.account_id}", scene.operator()) is not None


async def test_a_reset_of_a_quiet_account_is_empty(brain: LocalBrain) -> None:
    reply = await reset(brain)
    assert (reply["live_calls"], reply["dimensions"], reply["nodes"]) == (0, [], {})
