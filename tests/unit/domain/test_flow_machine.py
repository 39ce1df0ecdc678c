"""The machine between nodes: fences, the answer, the default error treatment, subflows, ends, the trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows import (
    CallEnded,
    Facts,
    Fetch,
    Fetched,
    Finish,
    LegPlaced,
    LegRefused,
    PlaceLeg,
    Refuse,
    Started,
    Stepped,
    Tell,
    Trace,
    new_session,
    step,
)
from tandem.domain.flows.commands import Answer, Command, Dial, Gather, HangUp, Noop, Play, Speech
from tandem.domain.flows.draft import MOST_EFFORT
from tandem.domain.flows.session import DEEPEST, mint
from tandem.domain.flows.walk import MOST_COMMANDS, MOST_MOVES
from tests.support.flows import T0, Run, facts, graph

END = {"kind": "hangup"}
HELLO = {"kind": "play", "audioId": "m_hello"}
AGAIN = {"kind": "play", "audioId": "m_again"}
ASK = {"kind": "menu", "prompt": {"text": "Press one."}}
GOODBYE = "Sorry, your call cannot be completed. Goodbye."
GET = {"kind": "httpRequest", "url": "https://crm.example/"}
DIAL = {"kind": "dial", "targets": [{"number": "100"}]}


def heard(command: object) -> str:
    assert isinstance(command, Play)
    (sound,) = command.sounds
    return sound.text if isinstance(sound, Speech) else sound.key


def two_plays() -> Run:
    return Run(facts(graph({"a": HELLO, "b": AGAIN, "end": END}, {"a": "b", "b": "end"})))


# The fence.


def test_one_command_after_the_other() -> None:
    run = two_plays()
    assert run.start() == Answer()
    assert heard(run.said("answered")) == "acc/m_hello.wav"
    assert heard(run.said("done")) == "acc/m_again.wav"
    assert run.said("done") == HangUp()
    assert run.said("ended") == Noop()
    assert run.session.seq == 5
    assert run.reason == "completed"


def test_a_repeated_step_gets_the_same_command_and_advances_nothing() -> None:
    run = two_plays()
    run.start()
    run.said("answered")
    before = run.session
    for outcome in ("answered", "hangup", "error"):
        assert heard(run.said_of(1, outcome)) == "acc/m_hello.wav"
        assert run.session == before
    assert heard(run.start()) == "acc/m_hello.wav"
    assert run.session == before


@pytest.mark.parametrize("seq", [-1, 0, 1, 4, 99])
def test_a_stale_step_is_refused(seq: int) -> None:
    run = two_plays()
    run.start()
    run.said("answered")
    run.said("done")
    before = run.session
    assert run.said_of(seq, "done") == Refuse("stale_step", f"The flow is at step 3, not at {seq}.")
    assert run.session == before


def test_before_its_start_a_flow_has_no_step() -> None:
    run = two_plays()
    assert isinstance(run.said_of(0, "done"), Refuse)
    assert isinstance(run.said_of(-1, "done"), Refuse)
    assert run.session == new_session("seed")
    run.start()
    assert isinstance(run.said_of(0, "done"), Refuse)


def test_what_is_asked_for_meanwhile_is_asked_for_again() -> None:
    run = Run(facts(graph({"a": HELLO, "b": GET, "end": END}, {"a": "b", "b success": "end"})))
    run.answered()
    fetch = run.said("done")
    assert isinstance(fetch, Fetch)
    before = run.session
    assert run.said_of(2, "done") == fetch
    assert run.start() == fetch
    assert isinstance(run.said_of(1, "done"), Refuse)
    assert isinstance(run.said_of(3, "done"), Refuse)
    assert run.session == before
    assert run.fetched() == HangUp()


def test_what_is_asked_for_first_has_no_step_to_repeat() -> None:
    run = Run(facts(graph({"b": GET, "end": END}, {"b success": "end"})))
    fetch = run.start()
    assert isinstance(fetch, Fetch)
    assert run.start() == fetch
    assert isinstance(run.said_of(0, "done"), Refuse)
    assert run.fetched() == HangUp()


@pytest.mark.parametrize(
    "event",
    [
        Fetched(T0, "another", 200),
        LegPlaced(T0, "another", "sip:x", "t"),
        LegRefused(T0, "another", "no"),
    ],
)
@pytest.mark.parametrize("node", [GET, DIAL, HELLO])
def test_what_nobody_waits_for_changes_nothing(
    event: Fetched | LegPlaced | LegRefused, node: Mapping[str, Any]
) -> None:
    run = Run(facts(graph({"a": HELLO, "b": node}, {"a": "b"})))
    run.answered()
    run.said("done")
    before = run.session
    assert run.happen(event) == Refuse("stale_step", "The flow does not wait for this.")
    assert run.session == before


def test_ids_are_made_of_the_seed() -> None:
    def order(seed: str) -> str:
        run = Run(facts(graph({"a": DIAL}, {})))
        run.session = new_session(seed)
        placed = run.answered()
        assert isinstance(placed, PlaceLeg)
        return placed.leg_id

    assert order("a") == order("a") != order("b")
    assert order("a").startswith("leg_")
    assert len(order("a")) == 30


def test_no_two_ids_are_the_same() -> None:
    run = Run(facts(graph({"a": GET, "b": GET}, {"a success": "b", "b success": "a"})))
    found = {(fetch := run.start())}
    for _ in range(10):
        fetch = run.fetched()
        assert isinstance(fetch, Fetch)
        found.add(fetch)
    assert len({one.fetch_id for one in found if isinstance(one, Fetch)}) == 11
    assert mint("seed", 0, T0) < mint("seed", 0, T0 + 1)


# The answer.


def test_the_call_is_answered_once_and_not_before_it_has_to_be() -> None:
    run = Run(
        facts(
            graph(
                {"a": {"kind": "entry"}, "b": GET, "c": HELLO, "d": AGAIN, "end": END},
                {"a": "b", "b success": "c", "c": "d", "d": "end"},
            )
        )
    )
    assert isinstance(run.start(), Fetch)
    assert run.fetched() == Answer()
    run.said("answered")
    run.said("done")
    assert run.said("done") == HangUp()
    assert [one.node_id for one in run.trace] == ["a", "b", "c", "d", "end"]


@pytest.mark.parametrize(("data", "message"), [({"message": "no socket"}, "no socket"), ({}, "answer came to error")])
def test_a_call_that_cannot_be_answered_is_hung_up(data: dict[str, str], message: str) -> None:
    run = two_plays()
    run.start()
    assert run.said("error", **data) == HangUp()
    assert run.reason == "error"
    assert run.trace[0].error == message


# The default error treatment.


@pytest.mark.parametrize(
    ("language", "spoken", "text"),
    [("de-AT", "de-AT", "Auf Wiederhören"), ("ja-JP", "en-US", "Goodbye"), ("en-GB", "en-GB", "Goodbye")],
)
def test_goodbye_in_the_language_of_the_account(language: str, spoken: str, text: str) -> None:
    run = Run(facts(graph({"a": HELLO}, {}), language=language, voice="male"))
    run.answered()
    command = run.said("done")
    assert isinstance(command, Play)
    (sound,) = command.sounds
    assert isinstance(sound, Speech)
    assert (sound.language, sound.voice) == (spoken, "male")
    assert text in sound.text


@pytest.mark.parametrize("outcome", ["done", "missing", "error", "whatever"])
def test_after_the_goodbye_the_call_is_hung_up_whatever_became_of_it(outcome: str) -> None:
    run = Run(facts(graph({"a": HELLO}, {})))
    run.answered()
    assert heard(run.said("done")) == GOODBYE
    assert run.trace[0].error == "no edge leads on from default"
    assert run.said(outcome) == HangUp()
    assert run.reason == "error"


def test_a_missing_edge_takes_the_error_outcome_where_that_leads_on() -> None:
    run = Run(facts(graph({"a": DIAL, "end": END}, {"a failed": "end"})))
    run.answered()
    run.placed()
    assert run.said("busy", cause="486") == HangUp()
    assert (run.trace[0].outcome, run.trace[0].error) == ("busy", "no edge leads on from busy: 486")
    assert run.outcomes[1] == ("end", "hangup")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (facts(), "flow flow_0 is gone"),
        (facts(target_kind="user", target_id="us_1"), "user us_1 is gone"),
        (facts(graph({"a": HELLO}, {}, start="none")), "the node is gone"),
        (facts(graph({"a": {"kind": "entry"}}, {"a": "none"})), "the node is gone"),
        (facts(graph({"a": HELLO}, {}), vars={"x": "y" * 5000}), "a text has more than 4096 characters"),
    ],
)
def test_a_flow_that_is_gone_or_broken(given: Facts, message: str) -> None:
    run = Run(given)
    assert run.start() == Answer()
    assert run.trace[-1].error == message
    assert heard(run.said("answered")) == GOODBYE
    assert run.said("done") == HangUp()


def test_a_caller_who_is_gone_before_the_goodbye_to_a_flow_that_is_gone() -> None:
    run = Run(facts())
    run.start()
    assert run.said("hangup") == Noop()
    assert run.reason == "caller_hangup"
    assert [(one.flow_id, one.node_id, one.kind) for one in run.trace] == [("flow_0", "", "")] * 2


def test_facts_that_change_under_a_call_end_it_with_a_goodbye() -> None:
    """The shell pins them; a node that turns into another kind is none to go on with."""
    run = Run(facts(graph({"a": GET}, {})))
    fetch = run.start()
    assert isinstance(fetch, Fetch)
    run.facts = facts(graph({"a": HELLO}, {}))
    assert run.fetched() == Answer()
    assert run.trace[-1].error == "the node is another one now"
    run = two_plays()
    run.answered()
    run.facts = facts()
    assert heard(run.said("done")) == GOODBYE
    run = Run(facts(graph({"a": ASK}, {})))
    run.answered()
    run.facts = facts()
    assert heard(run.said("timeout")) == GOODBYE


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


# Ends.


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_the_caller_may_hang_up_at_every_step(seq: int) -> None:
    run = two_plays()
    run.start()
    for outcome in ("answered", "done")[: seq - 1]:
        run.said(outcome)
    assert run.said("hangup", cause="487") == Noop()
    assert run.reason == "caller_hangup"
    assert run.session.status == "ended"
    assert (run.trace[-1].outcome, run.trace[-1].error) == ("hangup", "487")
    before = run.session
    assert run.said("hangup") == Noop()
    assert run.said_of(seq, "hangup") == Noop()
    assert isinstance(run.said_of(seq - 1, "hangup"), Refuse)
    assert run.session == before


def test_a_caller_who_hangs_up_a_bridge() -> None:
    run = Run(facts(graph({"a": DIAL, "b": HELLO}, {"a answered": "b"})))
    run.answered()
    run.placed()
    run.said("answered")
    assert run.said("hangup") == Noop()
    assert run.session.status == "ended"
    assert run.reason == "caller_hangup"


def test_after_the_last_command_there_is_nothing_to_do() -> None:
    run = Run(facts(graph({"end": END}, {})))
    assert run.start() == HangUp()
    assert run.said("ended") == Noop()
    assert run.said_of(1, "ended") == Noop()
    assert run.said("ended") == Noop()
    assert run.session.seq == 2
    assert run.start() == Noop()


@pytest.mark.parametrize("node", [HELLO, DIAL, GET])
def test_a_call_that_has_ended_elsewhere(node: Mapping[str, Any]) -> None:
    """Nothing is told to a node that has not asked; when it does, it hangs up."""
    run = Run(facts(graph({"x": HELLO, "a": node}, {"x": "a"})))
    run.answered()
    run.said("done")
    seq = run.session.seq
    assert run.ended() is None
    assert run.reason == "expired"
    assert (run.trace[-1].node_id, run.trace[-1].outcome, run.trace[-1].error) == ("a", "ended", "expired")
    assert isinstance(run.happen(Fetched(T0, "f")), Refuse)
    assert run.said_of(seq, "done") == HangUp()
    assert run.said("ended") == Noop()
    assert run.ended() == Refuse("stale_step", "The flow has ended.")


def test_a_call_that_has_ended_before_it_began() -> None:
    run = two_plays()
    assert run.ended("not_on_node") is None
    assert run.start() == HangUp()
    assert run.said("ended") == Noop()


def test_a_finish_comes_before_the_last_command() -> None:
    session, effects = step(facts(graph({"end": END}, {})), new_session("s"), Started(T0))
    assert [type(effect) for effect in effects] == [Trace, Finish, Tell]
    assert session.status == "ended"
    _, effects = step(facts(graph({"a": HELLO}, {})), new_session("s"), CallEnded(T0, "expired"))
    assert [type(effect) for effect in effects] == [Finish]


# The trace.


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
