"""Routes that join later and end by themselves, through real sockets: what Kamailio is told, and when."""

from __future__ import annotations

import time

from edge_node.agent.app import Agent
from edge_node.agent.staggered import plan
from tandem.contracts.route import Directive
from tests.unit.agent.stubs import CALL, FakeKamailio, Json, StubBrain, directive, eventually, question

TM = "7:9"


def route(name: str, ring_ms: int = 25_000, hop: str | None = None) -> Json:
    more = {} if hop is None else {"dst_uri": hop}
    return {"uri": f"sip:dev_{name}@acme.tandem.test", "fr_timer": 5000, "fr_inv_timer": ring_ms, **more}


def group(*later: tuple[int, Json], routes: list[Json] | None = None) -> Json:
    batches = [{"after_ms": after_ms, "routes": [one]} for after_ms, one in later]
    return directive(routes=routes or [route("a")], later=batches)


async def start(brain: StubBrain, kamailio: FakeKamailio, reply: Json) -> Json:
    brain.answer["/route"] = lambda body: reply if "callId" not in body else rejected()
    return await kamailio.ask(TM, "route")


def rejected() -> Json:
    return directive(action="reject", routes=[], code=480, reason="Nobody")


async def asks_again(kamailio: FakeKamailio, joined: str, outcome: str = "busy") -> None:
    kamailio.answers.pop(TM, None)
    kamailio.send(question(TM, "route", callid_ours=CALL, outcome=outcome, joined=joined))


async def test_the_document_holds_all_routes_and_says_when(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    answer = await start(brain, kamailio, group((9_000, route("c")), (5_000, route("b", 12_000))))
    assert [one["uri"][8] for one in answer["rtjson"]["routes"]] == ["a", "b", "c"]
    assert all(one["flags"] for one in answer["rtjson"]["routes"])
    assert "later" not in answer["rtjson"]
    assert {name: answer[name] for name in ("first", "ends", "wait", "ring")} == {
        "first": 1,
        "ends": 1,
        "wait": 9_000,
        "ring": 26_000,
    }
    assert len(agent.decisions.staggered) == 1


async def test_the_usual_directive_needs_none_of_this(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    answer = await start(brain, kamailio, directive(routes=[route("a"), route("b")]))
    assert "first" not in answer
    assert len(agent.decisions.staggered) == 0


def test_serial_routes_have_their_own_timers_anyway() -> None:
    raw = directive(routing="serial", routes=[route("a", 5_000), route("b", 9_000)])["rtjson"]
    assert plan(Directive.model_validate(raw)) is None


async def test_routes_join_and_end_in_time(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    began = time.monotonic()
    await start(brain, kamailio, group((200, route("b", 300)), routes=[route("a", 300)]))
    await eventually(lambda: ("over", TM, "1") in kamailio.orders)
    assert time.monotonic() - began >= 0.5
    assert kamailio.orders[:3] == [("add", TM, "1"), ("over", TM, "0"), ("over", TM, "1")]
    await eventually(lambda: kamailio.orders.count(("over", TM, "0")) == 2, what="said again: nobody else repeats it")


async def test_an_answer_ends_the_timers(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    await start(brain, kamailio, group((300, route("b"))))
    kamailio.dialog("b.1", "answer", 2, target="sip:dev_a@acme.tandem.test")
    await eventually(lambda: brain.events("dialog"))
    assert brain.events("dialog")[0]["target"] == "sip:dev_a@acme.tandem.test"
    assert len(agent.decisions.staggered) == 0
    assert not kamailio.orders


async def test_a_question_is_held_until_the_next_route_is_due(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    await start(brain, kamailio, group((300, route("b")), (600, route("c"))))
    await asks_again(kamailio, "0,")
    await eventually(lambda: TM in kamailio.answers)
    assert kamailio.answers[TM] == [{"tm": TM, "do": "ring", "from": 1, "until": 2}]
    assert len(brain.bodies("/route")) == 1
    await eventually(lambda: ("add", TM, "2") in kamailio.orders, what="b rings, so c joins")
    await asks_again(kamailio, "0,1,2,", "no_answer")
    await eventually(lambda: TM in kamailio.answers)
    assert kamailio.answers[TM][0]["code"] == 480
    assert brain.bodies("/route")[1]["outcome"] == "no_answer"


async def test_an_addition_that_crossed_the_question_is_made_up_for(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    """Once: a phone that is not reachable then is given up."""
    await start(brain, kamailio, group((10, route("b")), (20, route("c"))))
    await eventually(lambda: len(kamailio.orders) == 2)
    await asks_again(kamailio, "0,")
    await eventually(lambda: TM in kamailio.answers)
    assert kamailio.answers[TM] == [{"tm": TM, "do": "ring", "from": 1, "until": 3}]
    await asks_again(kamailio, "0,2,")
    await eventually(lambda: TM in kamailio.answers)
    assert kamailio.answers[TM][0]["do"] == "reply"


async def test_a_later_route_of_another_node_names_it(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    answer = await start(brain, kamailio, group((50, route("b", hop="sip:127.0.0.2:5060;transport=udp"))))
    assert answer["rtjson"]["routes"][1]["dst_uri"] == "sip:127.0.0.2:5060;transport=udp"
    await eventually(lambda: ("add", TM, "1") in kamailio.orders)
