"""The machine between nodes: fences, the answer, the default error treatment, ends."""

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
    Tell,
    Trace,
    new_session,
    step,
)
from tandem.domain.flows.commands import Answer, HangUp, Noop, Play, Speech
from tandem.domain.flows.session import mint
from tests.support.flow_nodes import AGAIN, DIAL, END, GET, GOODBYE, HELLO, heard, two_plays
from tests.support.flows import T0, Run, facts, graph

ASK = {"kind": "menu", "prompt": {"text": "Press one."}}


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
