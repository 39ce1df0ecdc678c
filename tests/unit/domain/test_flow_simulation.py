"""A flow on paper."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tandem.domain.flows import Data, Line, Reply, Script, Simulation, simulate
from tandem.domain.flows.simulation import MOST_COMMANDS, MOST_EFFORT, MOST_TRACED
from tandem.domain.hours import Schedule, make_rule
from tests.support.flows import T0, facts, graph

END = {"kind": "hangup"}
OFFICE = Schedule("s", None, (make_rule("weekly", 1, "08:00", "08:01", None, None, False),))
FLOW = facts(
    graph(
        {
            "hours": {"kind": "timeCondition", "scheduleId": "s"},
            "hello": {"kind": "play", "audioId": "m_hello"},
            "menu": {"kind": "menu", "prompt": {"text": "One?"}},
            "crm": {"kind": "httpRequest", "url": "https://crm.example", "save": [{"variable": "to", "path": "to"}]},
            "dial": {"kind": "dial", "targets": [{"number": "{{to}}"}]},
            "closed": {"kind": "hangup", "cause": "480"},
            "end": END,
        },
        {
            "hours in_hours": "hello",
            "hours out_of_hours": "closed",
            "hello": "menu",
            "menu digit:1": "crm",
            "menu timeout": "end",
            "menu invalid": "end",
            "crm success": "dial",
            "crm error": "end",
            "dial busy": "end",
            "dial failed": "menu",
        },
    ),
    schedules={"s": OFFICE},
)
ONE = Line("digits", Data(digits="1"))
TO = Reply(200, '{"to": "100"}')


def cmds(*lines: Line, at: int = T0, replies: tuple[Reply, ...] = ()) -> tuple[list[str], str | None]:
    found = simulate(FLOW, Script(at, lines, replies))
    assert [seq for seq, _ in found.commands] == list(range(1, len(found.commands) + 1))
    return [command.cmd for _, command in found.commands], found.reason


@pytest.mark.parametrize(
    ("lines", "replies", "expected", "reason"),
    [
        ((), (), ["answer", "play", "gather"], None),
        ((ONE,), (), ["answer", "play", "gather", "hangup"], "completed"),
        ((ONE,), (TO,), ["answer", "play", "gather", "dial"], None),
        ((ONE, Line("busy")), (TO,), ["answer", "play", "gather", "dial", "hangup"], "completed"),
        ((ONE, Line("failed")), (TO,), ["answer", "play", "gather", "dial", "gather"], None),
        (
            (ONE, Line("answered"), Line("ended")),
            (TO,),
            ["answer", "play", "gather", "dial", "bridge", "hangup"],
            "completed",
        ),
        ((Line("missing", node_id="hello"),), (), ["answer", "play", "play", "hangup"], "error"),
        ((Line("hangup", node_id="hello"),), (), ["answer", "play", "noop"], "caller_hangup"),
        ((Line("hangup", node_id="menu"),), (), ["answer", "play", "gather", "noop"], "caller_hangup"),
        ((Line("hangup", node_id="dial"),), (), ["answer", "play", "gather"], None),
        ((Line("hangup"),), (), ["answer", "play", "gather", "noop"], "caller_hangup"),
    ],
)
def test_a_script(lines: tuple[Line, ...], replies: tuple[Reply, ...], expected: list[str], reason: str | None) -> None:
    assert cmds(*lines, replies=replies) == (expected, reason)


def test_it_runs_at_a_given_time_and_takes_its_time() -> None:
    assert cmds(at=T0 + 120_000) == (["hangup"], "completed")
    found = simulate(FLOW, Script(T0, [Line("timeout", after_ms=5_000), Line("hangup", after_ms=2_000)]))
    assert [(one.node_id, one.outcome, one.at - T0) for one in found.trace] == [
        ("hours", "in_hours", 0),
        ("hello", "default", 0),
        ("menu", "timeout", 5_000),
        ("menu", "hangup", 7_000),
    ]


def test_a_request_without_a_reply_is_an_error() -> None:
    found = simulate(FLOW, Script(T0, [ONE]))
    assert [(one.outcome, one.error) for one in found.trace if one.node_id == "crm"] == [
        ("error", "the script has no reply for it")
    ]


def test_a_flow_that_is_gone() -> None:
    found = simulate(facts(), Script(T0, [Line("missing", node_id="x")]))
    assert ([command.cmd for _, command in found.commands], found.reason) == (["answer", "play", "hangup"], "error")


def test_a_flow_that_never_waits_for_the_script() -> None:
    found = simulate(facts(graph({"a": {"kind": "play", "audioId": "m_hello"}}, {"a": "a"})), Script(T0))
    assert (len(found.commands), found.reason) == (MOST_COMMANDS, "too_long")


def put(number: int, expression: str = "1") -> dict[str, Any]:
    return {
        "kind": "setVariable",
        "assignments": [{"variable": f"v{one}", "expression": expression} for one in range(number)],
    }


def round_and_round(data: dict[str, Any], length: int) -> Simulation:
    """A command, then `length` of the node, and again; without an end of its own."""
    nodes = {"play": {"kind": "play", "audioId": "m_hello"}} | {f"n{one}": data for one in range(length)}
    ways = [*nodes, "play"]
    flow = graph(nodes, dict(pairwise(ways)))
    return simulate(facts(flow), Script(T0))


@pytest.mark.parametrize(
    ("data", "length", "bound"),
    [({"kind": "entry"}, 90, MOST_TRACED), (put(1), 90, MOST_TRACED), (put(50), 30, MOST_EFFORT)],
)
def test_a_simulation_is_followed_no_further_than_it_may(data: dict[str, Any], length: int, bound: int) -> None:
    found = round_and_round(data, length)
    assert found.reason == "too_long"
    assert len(found.trace) <= MOST_TRACED + length + 1
    if bound == MOST_EFFORT:
        assert len(found.trace) * 50 <= MOST_EFFORT + length * 50
    assert all(one.error is None for one in found.trace)


@pytest.mark.parametrize("replies", [0, 100])
def test_what_is_computed_between_two_requests_counts_once(replies: int) -> None:
    request = {"kind": "httpRequest", "url": "https://x.example/"}
    nodes: dict[str, dict[str, Any]] = {"play": {"kind": "play", "audioId": "m_hello"}}
    for one in range(20):
        nodes |= {f"put{one}": put(50), f"ask{one}": request}
    names = [*nodes, "play"]
    edges: dict[str, str] = {}
    for source, target in pairwise(names):
        outcomes = ("success", "error") if source.startswith("ask") else ("default",)
        edges |= {f"{source} {outcome}": target for outcome in outcomes}
    found = simulate(facts(graph(nodes, edges)), Script(T0, replies=[Reply(200)] * replies))
    assert found.reason == "too_long"
    visits = sum(one.kind == "setVariable" for one in found.trace)
    # A request costs some effort as well.
    assert MOST_EFFORT - 1_100 <= visits * 50 <= MOST_EFFORT
