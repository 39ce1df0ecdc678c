"""A flow on paper."""

from __future__ import annotations

import pytest

from tandem.domain.flows import Data, Line, Reply, Script, simulate
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
    assert (len(found.commands), found.reason) == (1_000, None)
