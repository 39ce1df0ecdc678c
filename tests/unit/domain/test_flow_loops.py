"""Loops that wait for nothing, in a flow and through the flows that it calls."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.domain.flows import Known, problems
from tests.support.flow_nodes import END
from tests.support.flow_problems import ENTRY, NOTHING, codes
from tests.support.flows import graph

# Loops.

GET = {"kind": "httpRequest", "url": "https://x.example"}
HELLO = {"kind": "play", "audioId": "m"}
QUEUE = {"kind": "enqueue", "queueId": "q"}


@pytest.mark.parametrize(
    ("nodes", "edges", "groups"),
    [
        ({"a": ENTRY}, {"a": "a"}, ["a"]),
        ({"a": ENTRY, "b": ENTRY}, {"a": "b", "b": "a"}, ["a, b"]),
        ({"a": ENTRY, "b": HELLO}, {"a": "b", "b": "a"}, []),
        ({"a": GET, "b": ENTRY}, {"a success": "b", "a error": "b", "a timeout": "b", "b": "a"}, ["a, b"]),
        ({"a": QUEUE}, {"a no_agents": "a"}, ["a"]),
        (
            {"a": ENTRY, "b": GET, "c": ENTRY, "d": ENTRY, "e": ENTRY},
            {"a": "b", "b success": "c", "b error": "b", "b timeout": "d", "c": "d", "d": "e", "e": "d"},
            ["b", "d, e"],
        ),
        (
            {"a": GET, "b": ENTRY, "c": ENTRY, "d": END},
            {"a success": "b", "a error": "c", "a timeout": "d", "b": "a", "c": "d"},
            ["a, b"],
        ),
        ({"s": HELLO, "a": ENTRY, "b": ENTRY}, {"s": "a", "a": "b", "b": "s"}, []),
    ],
)
def test_loops_that_wait_for_nothing(nodes: dict[str, Any], edges: dict[str, str], groups: list[str]) -> None:
    found = problems(graph(nodes, edges), NOTHING)
    assert [one.code for one in found] == ["endless_loop"] * len(groups)
    assert [one.message.partition(": ")[2] for one in found] == [f"{group}." for group in groups]
    assert [one.node_id for one in found] == [group.partition(",")[0] for group in groups]


SILENT = graph({"a": ENTRY}, {"a": "exit:good"})
HEARD = graph({"a": HELLO}, {"a": "exit:good"})
CHECKED = graph(
    {"a": {"kind": "switch", "variable": "x", "cases": ["1"]}, "b": HELLO},
    {"a 1": "exit:known", "a else": "b", "b": "exit:asked"},
)
OUTER = graph({"a": {"kind": "subflow", "flowId": "silent"}}, {"a good": "exit:good"})
DEAF = graph({"a": {"kind": "subflow", "flowId": "heard"}}, {"a good": "exit:good"})
ROUND = graph({"a": {"kind": "subflow", "flowId": "round"}, "b": HELLO}, {"a good": "a", "b": "exit:good"})
FLOWS = {
    "silent": SILENT,
    "heard": HEARD,
    "checked": CHECKED,
    "outer": OUTER,
    "deaf": DEAF,
    "empty": graph({}, {}, "a"),
}


@pytest.mark.parametrize(
    ("flow_id", "edges", "groups"),
    [
        ("silent", {"a good": "a"}, ["a"]),
        ("silent", {"a good": "b", "b": "a"}, ["a, b"]),
        ("silent", {"a good": "end"}, []),
        ("heard", {"a good": "a"}, []),
        ("outer", {"a good": "a"}, ["a"]),
        ("deaf", {"a good": "a"}, []),
        ("checked", {"a known": "end", "a asked": "a"}, []),
        ("checked", {"a known": "a", "a asked": "end"}, ["a"]),
        ("gone", {"a good": "a"}, []),
        ("empty", {}, []),
    ],
)
def test_a_subflow_waits_where_its_flow_does(flow_id: str, edges: dict[str, str], groups: list[str]) -> None:
    nodes: dict[str, Any] = {"a": {"kind": "subflow", "flowId": flow_id}}
    nodes |= {"b": ENTRY} if "b" in edges else {}
    nodes |= {"end": END} if "end" in edges.values() else {}
    found = problems(graph(nodes, edges), Known(flows=FLOWS))
    assert [one.message.partition(": ")[2] for one in found] == [f"{group}." for group in groups]
    assert {one.code for one in found} <= {"endless_loop"}


def test_flows_that_call_one_another_are_looked_at_once() -> None:
    made = graph({"a": {"kind": "subflow", "flowId": "round"}}, {"a good": "a"})
    assert codes(problems(made, Known(flows={"round": ROUND}))) == [("too_deep", "a")]
