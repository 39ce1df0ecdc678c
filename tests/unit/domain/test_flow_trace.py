"""What the trace says of a call, and what it leaves out."""

from __future__ import annotations

from typing import Any

from tandem.domain.flows import (
    PlaceLeg,
)
from tandem.domain.flows.commands import Dial, Gather
from tests.support.flow_nodes import DIAL, END, HELLO, two_plays
from tests.support.flows import T0, Run, facts, graph


def test_what_is_made_of_a_secret_is_one() -> None:
    run = Run(
        facts(
            graph(
                {
                    "pin": {"kind": "collect", "variable": "pin", "prompt": {"text": "PIN"}, "mask": True},
                    "copy": {
                        "kind": "setVariable",
                        "assignments": [
                            {"variable": "copy", "expression": "'x' + pin"},
                            {"variable": "token", "expression": "'t0ken'", "secret": True},
                            {"variable": "size", "expression": "3"},
                            {"variable": "pin2", "expression": "copy"},
                        ],
                    },
                    "sub": {"kind": "subflow", "flowId": "flow_1", "inputs": {"code": "{{copy}}", "open": "o{{size}}"}},
                },
                {"pin matched": "copy", "copy": "sub"},
            ),
            graph(
                {
                    "switch": {"kind": "switch", "variable": "code", "cases": ["x8642"]},
                    "shown": {
                        "kind": "setVariable",
                        "assignments": [
                            {"variable": "again", "expression": "code + '!'"},
                            {"variable": "clear", "expression": "open"},
                        ],
                    },
                    "play": HELLO,
                },
                {"switch x8642": "shown", "shown": "play"},
            ),
        )
    )
    asked = run.answered()
    assert isinstance(asked, Gather)
    assert asked.secret
    run.said("digits", digits="8642")
    assert run.session.frames[0].variables["pin2"] == "x8642"
    run.said("error", message="cannot decode for x8642! with t0ken, 8642")
    by_node = {one.node_id: one for one in run.trace}
    assert by_node["pin"].digits == "***"
    assert by_node["pin"].variables == {"pin": "***"}
    assert by_node["copy"].variables == {"copy": "***", "token": "***", "size": 3, "pin2": "***"}
    assert by_node["switch"].outcome == "***"
    assert by_node["shown"].variables == {"again": "***", "clear": "o3"}
    assert by_node["play"].error == "cannot decode for *** with ***, ***"
    assert "8642" not in repr(run.trace)


def test_a_secret_that_is_overwritten_is_one_no_more() -> None:
    def set_to(expression: str, secret: bool) -> dict[str, Any]:
        return {"kind": "setVariable", "assignments": [{"variable": "x", "expression": expression, "secret": secret}]}

    run = Run(facts(graph({"a": set_to("1", True), "b": set_to("2", False), "end": END}, {"a": "b", "b": "end"})))
    run.start()
    assert [one.variables for one in run.trace] == [{"x": "***"}, {"x": 2}, {}]


def test_a_long_value_is_cut_in_the_trace() -> None:
    node = {"kind": "setVariable", "assignments": [{"variable": "x", "expression": f"'{'y' * 300}'"}]}
    run = Run(facts(graph({"a": node, "end": END}, {"a": "end"})))
    run.start()
    assert run.trace[0].variables == {"x": "y" * 256}
    assert run.variables["x"] == "y" * 300


def test_the_trace_says_when_and_at_which_step() -> None:
    run = two_plays()
    run.answered()
    run.at += 5_000
    run.said("done")
    (entry,) = run.trace
    assert (entry.entered_at - T0, entry.at - T0, entry.seq, entry.kind) == (0, 7_000, 2, "play")


def test_the_pinned_leg_survives_its_session() -> None:
    run = Run(facts(graph({"a": DIAL}, {})))
    order = run.answered()
    assert isinstance(order, PlaceLeg)
    command = run.placed()
    assert isinstance(command, Dial)
    assert command.leg_id == order.leg_id
