"""How many SQL statements the decisions of a plain call between extensions cost in its object."""

from __future__ import annotations

import json

from tests.support import node, scene
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME

ALICE = ACME.people["1001"]
MOST = {"route": 11, "early": 4, "answer": 4, "end": 5}


async def test_a_plain_call_pays_for_no_limit_that_it_does_not_have(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    await brain.invite(ACME, "1001", "1002")
    ran: list[str] = []
    connection = brain.presence.contexts[ACME.account_id].connection
    body = json.loads(node.invite_body(ACME, "1001", "1002"))
    _, asked = await brain.post("/route", json.dumps(body))
    body["credentials"] = node.respond_to(asked["challenge"], ALICE, "INVITE", body["ruri"])
    connection.set_trace_callback(ran.append)
    found: dict[str, int] = {}

    def count(step: str) -> None:
        found[step] = len([one for one in ran if one.strip() not in ("BEGIN", "COMMIT")])
        ran.clear()

    _, reply = await brain.post("/route", json.dumps(body))
    count("route")
    routed = {**reply["rtjson"], "asked": body}
    for number, step in enumerate(("early", "answer", "end"), 1):
        await scene.send(brain, scene.dialog(brain, ACME, routed, step, number))
        count(step)
    assert found == MOST
