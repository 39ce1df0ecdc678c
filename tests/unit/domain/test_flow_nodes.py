"""What the nodes come to that decide by themselves, and those that end a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows import Facts
from tandem.domain.flows.commands import Answer, HangUp
from tandem.domain.hours import Schedule, make_rule
from tests.support.flow_nodes import alone, assignments, texts
from tests.support.flows import Run, facts, graph

# condition, timeCondition, switch, setVariable


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("eq", "42", True),
        ("eq", "{{other}}", True),
        ("ne", "42", False),
        ("lt", "100", True),
        ("le", "42", True),
        ("gt", "42", False),
        ("ge", "42", True),
        ("contains", "4", True),
        ("contains", "x", False),
        ("starts_with", "04", True),
        ("ends_with", "04", False),
        ("matches", r"\d+", True),
        ("matches", r"\d", False),
        ("in", "1, 042 ,7", True),
        ("in", "0,42", False),
        ("is_set", "", True),
        ("is_empty", "", False),
    ],
)
def test_condition(operator: str, value: str, expected: bool) -> None:
    rule = {"variable": "x", "operator": operator, "value": value, "handle": "yes"}
    run = alone({"kind": "condition", "rules": [rule]}, "yes", "else", vars={"x": "042", "other": "42"})
    assert run.start() == HangUp()
    assert run.outcomes[0] == ("node", "yes" if expected else "else")


@pytest.mark.parametrize(
    ("operator", "expected"), [("is_set", "else"), ("is_empty", "yes"), ("eq", "yes"), ("gt", "else")]
)
def test_condition_on_what_is_not_set(operator: str, expected: str) -> None:
    rule = {"variable": "unset", "operator": operator, "handle": "yes"}
    run = alone({"kind": "condition", "rules": [rule]}, "yes", "else")
    run.start()
    assert run.outcomes[0] == ("node", expected)


def test_the_first_rule_that_holds_decides() -> None:
    rules = [
        {"variable": "direction", "operator": "eq", "value": value, "handle": handle}
        for value, handle in (("outbound", "a"), ("inbound", "b"), ("inbound", "c"))
    ]
    run = alone({"kind": "condition", "rules": rules}, "a", "b", "c", "else")
    run.start()
    assert run.outcomes[0] == ("node", "b")


OPEN = Schedule("s", None, (make_rule("weekly", 1, "10:00", "17:00", None, None, False),))
CLOSED = Schedule("s", "UTC", OPEN.rules)
HOLIDAY = Schedule("s", None, (make_rule("date", None, None, None, "2026-07-06", None, True),))


@pytest.mark.parametrize(
    ("schedule", "outcomes", "expected"),
    [
        (OPEN, ("in_hours", "out_of_hours", "holiday"), "n0"),
        (CLOSED, ("in_hours", "out_of_hours", "holiday"), "n1"),
        (HOLIDAY, ("in_hours", "out_of_hours", "holiday"), "n2"),
        (HOLIDAY, ("in_hours", "out_of_hours"), "n1"),
    ],
)
def test_time_condition(schedule: Schedule, outcomes: tuple[str, ...], expected: str) -> None:
    """At 8 in the morning UTC, 10 in Berlin."""
    node = {"kind": "timeCondition", "scheduleId": "s"}
    run = alone(node, *outcomes, schedules={"s": schedule}, timezone="Europe/Berlin")
    assert run.start() == HangUp()
    assert run.node == expected


def test_time_condition_without_its_schedule() -> None:
    run = alone({"kind": "timeCondition", "scheduleId": "s"}, "in_hours")
    assert run.start() == Answer()
    assert run.trace[-1].error == "schedule s is gone"


@pytest.mark.parametrize(("value", "expected"), [("7", "7"), ("x y", "x y"), ("70", "else"), ("", "else")])
def test_switch(value: str, expected: str) -> None:
    run = alone({"kind": "switch", "variable": "x", "cases": ["7", "x y"]}, "7", "x y", "else", vars={"x": value})
    assert run.start() == HangUp()
    assert run.outcomes[0] == ("node", expected)


def test_set_variable_sees_what_was_set_before_it() -> None:
    run = alone(assignments(("a", "1"), ("b", "a + 1"), ("a", "b + 1")), "default")
    assert run.start() == HangUp()
    assert (run.variables["a"], run.variables["b"]) == (3, 2)
    assert run.trace[0].variables == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("expression", "message"),
    [("1 / 0", "a: a number is divided by zero"), ("1 +", "it ends too early"), ("-'x'", "a: a value is not a number")],
)
def test_set_variable_that_cannot_be_computed(expression: str, message: str) -> None:
    run = alone(assignments(("a", expression)), "default")
    assert run.start() == Answer()
    assert run.trace[-1].error == message


def test_more_variables_than_a_flow_may_have() -> None:
    nodes: dict[str, Mapping[str, Any]] = {}
    for part in range(5):
        nodes[f"n{part}"] = assignments(*((f"v{part}_{index}", "1") for index in range(50)))
    run = Run(facts(graph(nodes, {f"n{part}": f"n{part + 1}" for part in range(4)})))
    assert run.start() == Answer()
    assert run.trace[-1].error == "a flow has more than 200 variables"
    assert "v3_0" not in run.variables


# hangup, and what is not built yet


@pytest.mark.parametrize(("fields", "cause"), [({}, "normal"), ({"cause": "486"}, "486")])
def test_hangup_before_the_answer(fields: dict[str, str], cause: str) -> None:
    run = alone({"kind": "hangup", **fields})
    assert run.start() == HangUp(cause=cause)
    assert run.reason == "completed"


UNBUILT = [
    ({"kind": "enqueue", "queueId": "q"}, "no_agents"),
    ({"kind": "callback", "queueId": "q", "numberVariable": "n"}, "refused"),
    ({"kind": "voicemail", "mailboxId": "m"}, "full"),
    ({"kind": "record", "variable": "r"}, "timeout"),
    ({"kind": "conference", "conferenceId": "c"}, "refused"),
]


@pytest.mark.parametrize(("node", "outcome"), UNBUILT)
def test_what_is_not_built_takes_its_error_outcome(node: Mapping[str, Any], outcome: str) -> None:
    run = alone(node, outcome)
    assert run.start() == HangUp()
    assert run.outcomes[0] == ("node", outcome)
    assert run.trace[0].error == f"{node['kind']} is not available yet"


@pytest.mark.parametrize(
    ("kind", "outcome"), [("queue", "no_agents"), ("voicemail", "full"), ("conference", "refused")]
)
def test_a_target_of_its_own_is_a_flow_of_one_node(kind: str, outcome: str) -> None:
    run = Run(Facts(target_kind=kind, target_id="x_1", direction="inbound", from_num="1", to_num="2"))
    assert run.start() == Answer()
    assert texts(run.said("answered")) == ["Sorry, your call cannot be completed. Goodbye."]
    assert [(one.flow_id, one.node_id, one.outcome) for one in run.trace] == [("implicit", kind, outcome)]
