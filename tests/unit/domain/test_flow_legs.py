"""What dial, ringGroup and transfer come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows import PlaceLeg
from tandem.domain.flows.commands import Bridge, Dial, HangUp, Media, Speech
from tandem.domain.flows.session import DEEPEST
from tandem.domain.target import Target
from tests.support.flow_nodes import END, GOODBYE, alone, assignments, texts
from tests.support.flows import Run, facts, graph

DIAL = {
    "kind": "dial",
    "targets": [{"kind": "user", "id": "us_1"}, {"number": " {{called_number}} "}, {"number": "{{unset}}"}],
    "callerId": "{{called_number}}",
    "timeoutSec": 20,
}
DIAL_EDGES = ("no_answer", "busy", "failed")
GROUP = {"kind": "ringGroup", "ringGroupId": "rg_1"}
TRANSFER = {"kind": "transfer", "target": {"kind": "extension", "id": "ext_1"}, "timeoutSec": 30}


@pytest.mark.parametrize(
    ("data", "targets", "timeout", "caller"),
    [
        (DIAL, (Target("user", "us_1"), Target("number", "+4930600")), 20, "+4930600"),
        ({**DIAL, "callerId": "{{unset}}"}, (Target("user", "us_1"), Target("number", "+4930600")), 20, None),
        (GROUP, (Target("ring_group", "rg_1"),), None, None),
        (TRANSFER, (Target("extension", "ext_1"),), 30, None),
        ({**TRANSFER, "timeoutSec": None}, (Target("extension", "ext_1"),), None, None),
    ],
)
def test_a_leg_is_ordered(
    data: Mapping[str, Any], targets: tuple[Target, ...], timeout: int | None, caller: str | None
) -> None:
    run = alone(data)
    order = run.answered()
    assert isinstance(order, PlaceLeg)
    assert (order.targets, order.timeout_sec, order.caller_id) == (targets, timeout, caller)
    command = run.placed()
    expected = Dial(leg_id=order.leg_id, uri="sip:leg@127.0.0.1", token="token", timeout_sec=timeout or 300)
    assert command == expected


@pytest.mark.parametrize(
    ("data", "outcome", "expected"),
    [
        (DIAL, "no_answer", "no_answer"),
        (DIAL, "busy", "busy"),
        (DIAL, "failed", "failed"),
        (GROUP, "no_answer", "exit"),
        (GROUP, "busy", "exit"),
        (GROUP, "failed", "exit"),
        (TRANSFER, "no_answer", "failed"),
        (TRANSFER, "busy", "failed"),
        (TRANSFER, "failed", "failed"),
    ],
)
def test_a_leg_that_is_not_answered(data: Mapping[str, Any], outcome: str, expected: str) -> None:
    run = alone(data, *DIAL_EDGES, "exit")
    run.answered()
    run.placed()
    assert run.said(outcome, cause="486") == HangUp()
    assert run.outcomes[0] == ("node", expected)
    assert run.trace[0].error == "486"


@pytest.mark.parametrize(
    ("outcome", "data", "message"),
    [
        ("error", {"message": "no seat"}, "no seat"),
        ("done", {}, "the leg came to done"),
        ("missing", {}, "dial came to missing"),
    ],
)
@pytest.mark.parametrize(("node", "expected"), [(DIAL, "failed"), (GROUP, "exit"), (TRANSFER, "failed")])
def test_a_leg_that_goes_wrong(
    node: Mapping[str, Any], expected: str, outcome: str, data: dict[str, str], message: str
) -> None:
    run = alone(node, *DIAL_EDGES, "exit")
    run.answered()
    run.placed()
    assert run.said(outcome, **data) == HangUp()
    assert run.outcomes[0] == ("node", expected)
    assert run.trace[0].error == message


@pytest.mark.parametrize(
    ("music", "noted", "expected"),
    [
        ("m_music", "not owned", ("placed", "not owned")),
        ("m_none", "not owned", ("missing", "media m_none is gone; not owned")),
        ("m_none", None, ("missing", "media m_none is gone")),
    ],
)
def test_what_is_not_as_it_was_ordered_is_in_the_trace(
    music: str, noted: str | None, expected: tuple[str, str]
) -> None:
    run = alone({**DIAL, "music": music}, *DIAL_EDGES)
    run.answered()
    assert isinstance(run.placed(noted), Dial)
    (entry,) = run.trace
    assert (entry.outcome, entry.error, entry.done) == (*expected, False)


EXITS = {"rg_1": Target("flow", "flow_1", (("from", "sales"),))}
AFTER = graph({"ask": {"kind": "menu", "prompt": {"text": "{{from}} {{line}} {{own}}?"}}}, {"ask digit:1": "exit:good"})


def test_the_edge_of_a_ring_group_wins_over_its_own_exit() -> None:
    run = alone(GROUP, "exit", exits=EXITS)
    order = run.answered()
    assert isinstance(order, PlaceLeg)
    assert order.targets == (Target("members", "rg_1"),)
    run.placed()
    assert run.said("no_answer") == HangUp()
    assert run.outcomes == [("node", "exit"), ("n0", "hangup")]


def test_without_an_edge_the_call_goes_over_to_the_flow_of_the_ring_group_s_exit() -> None:
    first = graph({"set": assignments(("own", "1")), "node": GROUP}, {"set": "node", "node answered": "exit:x"})
    run = Run(facts(first, AFTER, exits=EXITS, vars={"line": "7"}))
    order = run.answered()
    assert isinstance(order, PlaceLeg)
    assert order.targets == (Target("ring_group", "rg_1"),)
    run.placed()
    assert texts(run.said("busy", cause="486")) == ["sales 7 ?"]
    assert (run.trace[-1].node_id, run.trace[-1].outcome, run.trace[-1].error) == ("node", "exit", "486")
    assert run.said("digits", digits="1") == HangUp()
    assert run.outcomes == [("set", "default"), ("node", "exit"), ("ask", "digit:1")]
    assert run.reason == "completed"


def test_a_flow_that_a_ring_group_leads_to_does_not_come_back_to_who_called_the_group_s() -> None:
    caller = graph({"sub": {"kind": "subflow", "flowId": "flow_2"}, "end": END}, {"sub good": "end"})
    run = Run(facts(caller, AFTER, graph({"node": GROUP}, {}), exits=EXITS))
    run.answered()
    run.placed()
    assert texts(run.said("failed")) == ["sales  ?"]
    assert run.said("digits", digits="1") == HangUp()
    assert run.outcomes == [("node", "exit"), ("ask", "digit:1")]


def test_ring_groups_that_lead_round_end() -> None:
    run = Run(facts(graph({"node": GROUP}, {}), exits={"rg_1": Target("flow", "flow_0")}))
    run.answered()
    for _ in range(DEEPEST):
        run.placed()
        heard = run.said("no_answer")
    assert texts(heard) == [GOODBYE]
    assert run.trace[-1].error == "more than 8 flows call one another"


@pytest.mark.parametrize("exits", [{}, {"rg_1": Target("flow", "flow_gone")}])
def test_a_ring_group_that_leads_nowhere_ends_with_a_goodbye(exits: dict[str, Target]) -> None:
    run = alone(GROUP, exits=exits)
    run.answered()
    run.placed()
    assert texts(run.said("no_answer")) == [GOODBYE]
    assert run.said("done") == HangUp()
    assert run.reason == "error"


@pytest.mark.parametrize(("node", "expected"), [(DIAL, "failed"), (GROUP, "exit"), (TRANSFER, "failed")])
def test_a_leg_that_is_refused(node: Mapping[str, Any], expected: str) -> None:
    run = alone(node, expected)
    run.answered()
    assert run.leg_refused("too many calls") == HangUp()
    assert (run.trace[0].outcome, run.trace[0].error) == (expected, "too many calls")


@pytest.mark.parametrize("node", [DIAL, GROUP, TRANSFER])
@pytest.mark.parametrize("edge", [True, False])
def test_who_answers_is_bridged(node: Mapping[str, Any], edge: bool) -> None:
    """When the other side has hung up, the flow goes on, or the call is over."""
    run = alone(node, *(("answered",) if edge else ()))
    order = run.answered()
    assert isinstance(order, PlaceLeg)
    run.placed()
    assert run.said("answered") == Bridge(leg_id=order.leg_id, release=True)
    assert run.session.status == "bridged"
    assert run.said("ended") == HangUp()
    assert run.session.status == "ended"
    assert run.outcomes == [("node", "answered"), ("n0", "hangup")][: 1 + edge]
    assert run.reason == "completed"
    assert all(one.error is None for one in run.trace)


@pytest.mark.parametrize(
    ("outcome", "data", "message"),
    [
        ("error", {"message": "488"}, "488"),
        ("error", {}, "bridge came to error"),
        ("done", {}, "the bridge came to done"),
    ],
)
def test_a_bridge_that_fails(outcome: str, data: dict[str, str], message: str) -> None:
    run = alone(DIAL, *DIAL_EDGES)
    run.answered()
    run.placed()
    run.said("answered")
    assert run.said(outcome, **data) == HangUp()
    assert run.session.status == "ended"
    assert (run.trace[1].outcome, run.trace[1].error) == ("failed", message)


def test_nobody_to_dial() -> None:
    run = alone({"kind": "dial", "targets": [{"number": "{{unset}}"}]}, *DIAL_EDGES)
    assert run.answered() == HangUp()
    assert (run.trace[0].outcome, run.trace[0].error) == ("failed", "there is no number to dial")


@pytest.mark.parametrize(
    ("node", "keys"),
    [
        ({**DIAL, "music": "m_music"}, ["acc/m_music.wav"]),
        ({**DIAL, "music": "pl_two"}, ["acc/m_hello.wav", "acc/m_music.wav"]),
        ({**TRANSFER, "mode": "attended", "music": "m_music"}, ["acc/m_music.wav"]),
        ({**TRANSFER, "mode": "attended"}, []),
    ],
)
def test_what_the_caller_hears_meanwhile(node: Mapping[str, Any], keys: list[str]) -> None:
    run = alone(node)
    run.answered()
    command = run.placed()
    assert isinstance(command, Dial)
    assert [sound.key for sound in command.music if isinstance(sound, Media)] == keys


def test_missing_music_is_ringing() -> None:
    run = alone({**DIAL, "music": "m_none"}, *DIAL_EDGES)
    run.answered()
    command = run.placed()
    assert isinstance(command, Dial)
    assert command.music == ()
    assert (run.trace[0].outcome, run.trace[0].done, run.trace[0].error) == ("missing", False, "media m_none is gone")


def test_what_should_have_been_heard_and_was_not_is_in_the_trace() -> None:
    run = alone(DIAL, *DIAL_EDGES)
    run.answered()
    run.placed()
    assert isinstance(run.said("answered", message="whisper: acc/m_psst.wav: not_found"), Bridge)
    noted = run.trace[0]
    assert (noted.outcome, noted.done, noted.error) == ("answered", False, "whisper: acc/m_psst.wav: not_found")


def test_a_secret_in_what_was_not_heard_is_in_no_trace() -> None:
    secret = {"variable": "pin", "expression": "'8642'", "secret": True}
    nodes: dict[str, Mapping[str, Any]] = {"set": {"kind": "setVariable", "assignments": [secret]}, "node": DIAL}
    run = Run(facts(graph(nodes, {"set": "node"})))
    run.answered()
    run.placed()
    run.said("answered", message="whisper: no voice for 8642")
    assert run.trace[-1].error == "whisper: no voice for ***"


def test_why_a_leg_failed_stands_beside_what_was_not_heard() -> None:
    run = alone(DIAL, *DIAL_EDGES)
    run.answered()
    run.placed()
    run.said("busy", cause="486", message="music: acc/m_music.wav: not_found")
    assert (run.trace[0].outcome, run.trace[0].error) == ("busy", "486; music: acc/m_music.wav: not_found")


def test_whisper() -> None:
    run = alone({**DIAL, "whisper": {"text": "Call from {{caller_number}}"}})
    run.answered()
    command = run.placed()
    assert isinstance(command, Dial)
    (sound,) = command.whisper
    assert isinstance(sound, Speech)
    assert sound.text == "Call from +4930111"
    run = alone({**DIAL, "whisper": {"audioId": "m_none"}}, *DIAL_EDGES)
    run.answered()
    assert run.placed() == HangUp()
    assert run.outcomes[0] == ("node", "failed")
