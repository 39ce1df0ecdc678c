"""How much a flow may do: in a row, in one step, in one call, and how deep it may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows import (
    Fetch,
    Finish,
    PlaceLeg,
    Started,
    Stepped,
    Tell,
    Trace,
    new_session,
    step,
)
from tandem.domain.flows.commands import Answer, Command, HangUp
from tandem.domain.flows.draft import MOST_EFFORT
from tandem.domain.flows.session import DEEPEST
from tandem.domain.flows.walk import MOST_COMMANDS, MOST_MOVES
from tests.support.flow_nodes import AGAIN, DIAL, END, GET, GOODBYE, HELLO, heard
from tests.support.flows import T0, Run, facts, graph

# Guards.


@pytest.mark.parametrize("length", [MOST_MOVES - 1, MOST_MOVES])
def test_so_many_nodes_in_a_row_and_no_more(length: int) -> None:
    nodes: dict[str, Mapping[str, Any]] = {f"n{index}": {"kind": "entry"} for index in range(length)}
    edges = {f"n{index}": f"n{index + 1}" for index in range(length - 1)}
    run = Run(facts(graph({**nodes, "end": END}, {**edges, f"n{length - 1}": "end"})))
    if length < MOST_MOVES:
        assert run.start() == HangUp()
    else:
        assert run.start() == Answer()
        assert run.trace[-1].error == "more than 100 nodes in a row have nothing to wait for"


def computing(nodes: int, data: Mapping[str, Any], way: str = "default") -> Run:
    """A flow of so many of the node, which says Hello before them and after."""
    made = {"hello": HELLO} | {f"n{index}": data for index in range(nodes)} | {"again": AGAIN}
    ways = [f"{one} {way}" if one.startswith("n") else one for one in made]
    run = Run(facts(graph(made, dict(zip(ways[:-1], [*made][1:], strict=True))), vars={"text": "a" * 100}))
    run.answered()
    return run


LONG_SUM = "+".join("1" * 500)  # 999 characters
MANY = [{"variable": "x", "expression": "1"}] * 50
LONG = [{"variable": "x", "expression": LONG_SUM}] * 50
RULE = {"variable": "text", "operator": "eq", "value": "{{x}}" * 79, "handle": "h"}
SLOW_RULE = {"variable": "text", "operator": "matches", "value": "[b]*" * 20, "handle": "h"}


@pytest.mark.parametrize(
    ("data", "way", "most"),
    [
        ({"kind": "setVariable", "assignments": MANY}, "default", MOST_EFFORT // 50),
        ({"kind": "setVariable", "assignments": LONG}, "default", MOST_EFFORT // 500),
        ({"kind": "condition", "rules": [RULE] * 50}, "else", MOST_EFFORT // 200),
        ({"kind": "condition", "rules": [SLOW_RULE] * 50}, "else", 3),
        (
            {"kind": "subflow", "flowId": "flow_0", "inputs": {f"x{index}": "{{x}}" * 800 for index in range(60)}},
            "never",
            0,
        ),
    ],
)
def test_so_much_is_computed_in_one_step_and_no_more(data: Mapping[str, Any], way: str, most: int) -> None:
    """Not more than some tenths of a second of a node's wait."""
    if most:
        assert heard(computing(most, data, way).said("done")) == "acc/m_again.wav"
    run = computing(most + 1, data, way)
    assert heard(run.said("done")) == GOODBYE
    assert run.trace[-1].node_id == f"n{most}"
    assert run.trace[-1].error == "the flow computes too much before it waits for something"


def test_requests_are_no_wait() -> None:
    run = Run(facts(graph({"a": GET}, {"a success": "a", "a error": "a"})))
    awaited = run.start()
    count = 0
    while isinstance(awaited, Fetch):
        count += 1
        awaited = run.fetched(status=500 if count % 2 else 200)
    assert count == MOST_MOVES
    assert awaited == Answer()


def test_legs_that_are_refused_are_no_wait() -> None:
    run = Run(facts(graph({"a": DIAL}, {"a failed": "a"})))
    awaited = run.answered()
    count = 0
    while isinstance(awaited, PlaceLeg):
        count += 1
        awaited = run.leg_refused()
    assert count == MOST_MOVES
    assert heard(awaited) == GOODBYE


def test_a_call_has_so_many_commands_and_no_more() -> None:
    given = facts(graph({"a": HELLO}, {"a": "a"}))
    session, effects = step(given, new_session("s"), Started(T0))
    told: Command = Answer()
    while not isinstance(told, HangUp):
        session, effects = step(given, session, Stepped(T0, session.seq, "answered" if told == Answer() else "done"))
        last = effects[-1]
        assert isinstance(last, Tell)
        told = last.command
    assert session.seq == MOST_COMMANDS + 1
    assert Finish("error") in effects
    traced = [one.entry.error for one in effects if isinstance(one, Trace)]
    assert traced == [None, "the call has had 10000 commands"]


# Subflows.


def called(inner: Mapping[str, Mapping[str, Any]], edges: Mapping[str, str], **inputs: str) -> Run:
    outer = graph(
        {
            "set": {"kind": "setVariable", "assignments": [{"variable": "who", "expression": "'Ada'"}]},
            "sub": {"kind": "subflow", "flowId": "flow_1", "inputs": inputs},
            "good": HELLO,
            "bad": END,
        },
        {"set": "sub", "sub good": "good", "sub bad": "bad"},
    )
    return Run(facts(outer, graph(inner, edges)))


def test_a_subflow_has_variables_of_its_own_and_leaves_by_a_named_exit() -> None:
    run = called({"a": AGAIN}, {"a": "exit:good"}, name="Dear {{who}}")
    assert heard(run.answered()) == "acc/m_again.wav"
    assert run.variables == {
        "caller_number": "+4930111",
        "called_number": "+4930600",
        "direction": "inbound",
        "name": "Dear Ada",
    }
    assert heard(run.said("done")) == "acc/m_hello.wav"
    assert run.variables["who"] == "Ada"
    assert "name" not in run.variables
    assert [(one.flow_id, one.node_id, one.outcome, one.done) for one in run.trace] == [
        ("flow_0", "set", "default", True),
        ("flow_0", "sub", "entered", False),
        ("flow_1", "a", "default", True),
        ("flow_0", "sub", "good", True),
    ]
    assert run.trace[-1].at - run.trace[-1].entered_at == 2_000


def test_an_exit_that_the_caller_has_no_edge_for() -> None:
    run = called({"a": {"kind": "entry"}}, {"a": "exit:unheard_of"})
    assert run.start() == Answer()
    assert run.trace[-1].error == "no edge leads on from unheard_of"


def test_an_exit_of_a_flow_that_nobody_called_ends_the_call() -> None:
    run = Run(facts(graph({"a": HELLO}, {"a": "exit:done"})))
    run.answered()
    assert run.said("done") == HangUp()
    assert run.reason == "completed"


def test_a_subflow_can_hang_up() -> None:
    run = called({"a": {"kind": "hangup", "cause": "404"}}, {})
    assert run.start() == HangUp(cause="404")
    assert run.reason == "completed"


def test_a_subflow_that_is_gone() -> None:
    run = Run(facts(graph({"a": {"kind": "subflow", "flowId": "flow_9"}}, {})))
    assert run.start() == Answer()
    assert run.trace[-1].error == "flow flow_9 is gone"


def test_inputs_that_are_too_much() -> None:
    inputs = {f"v{index}": "x" for index in range(198)}
    run = called({"a": END}, {}, **inputs)
    assert run.start() == Answer()
    assert run.trace[-1].error == "a flow has more than 200 variables"
    assert len(run.session.frames) == 1


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1])
def test_so_many_flows_deep_and_no_deeper(depth: int) -> None:
    flows = [
        graph({"a": {"kind": "subflow", "flowId": f"flow_{level}"}}, {"a up": "exit:up"}) for level in range(1, depth)
    ]
    run = Run(facts(*flows, graph({"a": HELLO}, {"a": "exit:up"})))
    assert run.start() == Answer()
    if depth == DEEPEST:
        run.said("answered")
        assert run.said("done") == HangUp()
        assert [one.flow_id for one in run.trace if one.done] == [f"flow_{level}" for level in reversed(range(depth))]
    else:
        assert run.trace[-1].error == "more than 8 flows call one another"
