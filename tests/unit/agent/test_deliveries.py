"""Another node's call: who may bring one, and with what."""

from __future__ import annotations

import pytest

from edge_node.agent.app import Agent
from tandem.contracts.deliver import make
from tests.unit.agent.stubs import CALL, CREDENTIAL, FakeKamailio, StubBrain, eventually

AOR = "sip:dev_01@acme.tandem.test"


async def in_fleet(agent: Agent, brain: StubBrain) -> None:
    """The stub's peers reach the agent with a hello or a heartbeat."""
    seen = len(brain.bodies("/fleet/heartbeat"))
    brain.answer["/fleet/heartbeat"] = lambda _: {
        "ok": True,
        "now": brain.now(),
        "status": "active",
        "send": [],
        "fleet": ["127.0.0.1:5555"],
    }
    await eventually(lambda: len(brain.bodies("/fleet/heartbeat")) > seen + 1)


async def test_a_node_hands_a_call_over(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    await in_fleet(agent, brain)
    token = make(CREDENTIAL, CALL, AOR, brain.now())
    answer = await kamailio.ask("7:9", "deliver", ruri=AOR, deliver=token)
    assert answer == {"tm": "7:9", "do": "deliver", "flags": ""}
    assert not brain.bodies("/route")
    assert not brain.bodies("/auth")
    assert agent.live.calls == 0


@pytest.mark.parametrize(
    ("changed", "credential"),
    [
        ({"src": "127.0.0.9"}, CREDENTIAL),
        ({"sport": 5556}, CREDENTIAL),
        ({"proto": "tcp"}, CREDENTIAL),
        ({"ruri": "sip:dev_02@acme.tandem.test"}, CREDENTIAL),
        ({"deliver": "call_1.2.3"}, CREDENTIAL),
        ({}, "another node's"),
    ],
)
async def test_anything_else_is_forbidden(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio, changed: dict[str, str | int], credential: str
) -> None:
    await in_fleet(agent, brain)
    token = make(credential, CALL, AOR, brain.now())
    answer = await kamailio.ask("7:9", "deliver", **{"ruri": AOR, "deliver": token, **changed})
    assert (answer["do"], answer["code"]) == ("reply", 403)


async def test_nobody_is_in_the_fleet_before_the_brain_says_so(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    token = make(CREDENTIAL, CALL, AOR, brain.now())
    assert (await kamailio.ask("7:9", "deliver", ruri=AOR, deliver=token))["code"] == 403
