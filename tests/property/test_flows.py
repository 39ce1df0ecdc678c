"""Flows of any shape under any events, and what an operator may write into them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.domain.flows import (
    CallEnded,
    Data,
    Effect,
    Event,
    Facts,
    Fetch,
    Fetched,
    Finish,
    Graph,
    Known,
    LegPlaced,
    LegRefused,
    PlaceLeg,
    Refuse,
    Session,
    Started,
    Stepped,
    Tell,
    Trace,
    check,
    decode,
    encode,
    new_session,
    problems,
    read,
    step,
)
from tandem.domain.flows.commands import Noop
from tandem.domain.flows.expressions import ExpressionError, parse
from tandem.domain.flows.outcomes import outcomes
from tandem.domain.flows.patterns import LONGEST_SUBJECT, PatternError, compile_pattern
from tandem.domain.flows.session import DEEPEST
from tandem.domain.flows.values import HIGHEST, LONGEST, MASK, BadValueError
from tandem.domain.flows.walk import MOST_MOVES
from tandem.domain.hours import Schedule, make_rule
from tests.support.flows import T0, facts
from tests.support.flows import graph as graph_of

# Digits that are typed where they are masked, and nowhere else.
SECRET = "735190"
NAMES = [f"n{index}" for index in range(8)]
SPOKEN = st.sampled_from([{"text": "x"}, {"text": "{{a}}{{b}}"}, {"audioId": "m_hello"}, {"audioId": "m_none"}])
VARIABLE = st.sampled_from(["a", "b", "pin", "caller_number"])
EXPRESSION = st.sampled_from(["1", "a + 1", "pin", "'x' + pin", "a - 1", "1 / a", "b + a + b + a", "upper(b)"])

HANDLE = st.sampled_from(["yes", "no"])
RULE = st.one_of(
    st.fixed_dictionaries(
        {
            "variable": VARIABLE,
            "operator": st.sampled_from(["eq", "gt", "contains", "in", "is_set"]),
            "value": st.sampled_from(["1", SECRET, "{{b}}"]),
            "handle": HANDLE,
        }
    ),
    st.fixed_dictionaries(
        {"variable": VARIABLE, "operator": st.just("matches"), "value": st.just("[0-9]*"), "handle": HANDLE}
    ),
)


def node(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"kind": st.just(kind), **fields})


DATA: st.SearchStrategy[dict[str, Any]] = st.one_of(
    node("entry"),
    node("play", audioId=st.sampled_from(["m_hello", "m_none"])),
    node("say", text=st.sampled_from(["Hello", "{{a}}", "{{pin}}", "{{b}}{{b}}"])),
    node("menu", prompt=SPOKEN, maxFailures=st.integers(1, 3), maxTimeouts=st.integers(1, 3), mask=st.booleans()),
    node("collect", prompt=SPOKEN, variable=st.just("pin"), mask=st.just(True), regex=st.sampled_from([r"\d+", "9"])),
    node("collect", prompt=SPOKEN, variable=VARIABLE, mask=st.just(True), maxTries=st.integers(1, 3)),
    node("condition", rules=st.lists(RULE, min_size=1, max_size=3)),
    node("timeCondition", scheduleId=st.sampled_from(["s", "gone"])),
    node(
        "setVariable",
        assignments=st.lists(
            st.fixed_dictionaries({"variable": VARIABLE, "expression": EXPRESSION, "secret": st.booleans()}),
            min_size=1,
            max_size=4,
        ),
    ),
    node(
        "httpRequest",
        url=st.just("https://x.example/{{b}}"),
        save=st.just([{"variable": "b", "path": "v"}, {"variable": "a", "path": "status"}]),
    ),
    node("switch", variable=VARIABLE, cases=st.just(["1", SECRET])),
    node("dial", targets=st.sampled_from([[{"kind": "user", "id": "u"}], [{"number": "{{a}}"}]]), whisper=SPOKEN),
    node("ringGroup", ringGroupId=st.just("r")),
    node("enqueue", queueId=st.just("q")),
    node("callback", queueId=st.just("q"), numberVariable=VARIABLE),
    node("voicemail", mailboxId=st.just("m")),
    node("record", variable=VARIABLE),
    node("conference", conferenceId=st.just("c")),
    node("transfer", target=st.just({"number": "1{{a}}"})),
    node("subflow", flowId=st.sampled_from(["flow_1", "flow_2"]), inputs=st.just({"a": "{{pin}}", "b": "{{b}}"})),
    node("hangup"),
)
# Of these most loops are made that wait for nobody.
QUIET = st.one_of(
    node("entry"),
    node("play", audioId=st.just("m_hello")),
    node("switch", variable=VARIABLE, cases=st.just(["1", SECRET])),
    node("subflow", flowId=st.sampled_from(["flow_1", "flow_2"])),
    node("subflow", flowId=st.sampled_from(["flow_1", "flow_2"]), inputs=st.just({"a": "1"})),
)
EXITS = ("good", "bad")
# One that comes back without a word, and one that does so by one of its exits.
SUBGRAPHS = {
    "flow_1": graph_of({"x": {"kind": "entry"}, "y": {"kind": "entry"}}, {"x": "exit:good", "y": "exit:bad"}),
    "flow_2": graph_of(
        {"look": {"kind": "switch", "variable": "a", "cases": ["1"]}, "ask": {"kind": "play", "audioId": "m_hello"}},
        {"look 1": "exit:good", "look else": "ask", "ask": "exit:bad"},
    ),
}
SCHEDULES = {"s": Schedule("s", None, (make_rule("weekly", 1, "00:00", "12:00", None, None, False),))}


@st.composite
def graphs(draw: st.DrawFn, whole: bool, kinds: st.SearchStrategy[dict[str, Any]] = DATA) -> dict[str, Any]:
    """`whole`: each outcome has an edge. Else anything may be missing."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    targets = st.sampled_from([*names, "exit:good", "exit:bad"] + ([] if whole else ["nowhere"]))
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    for name in names:
        data = draw(kinds)
        nodes.append({"id": name, "data": data})
        made = Graph.model_validate({"start": name, "nodes": nodes[-1:]}).nodes[0].data
        handles = set(outcomes(made, SUBGRAPHS) or ())
        if data["kind"] == "menu":
            handles |= {"digit:1", "digit:*"}
        for handle in sorted(handles):
            if whole or draw(st.booleans()):
                edge = {"id": f"e{len(edges)}", "source": name, "target": draw(targets), "sourceHandle": handle}
                edges.append(edge)
    document = {"start": names[0], "nodes": nodes, "edges": edges}
    return _reached(document) if whole else document


def _reached(document: dict[str, Any]) -> dict[str, Any]:
    """Without what no way leads to."""
    found, left = set(), [document["start"]]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += [edge["target"] for edge in document["edges"] if edge["source"] == one]
    return {
        "start": document["start"],
        "nodes": [one for one in document["nodes"] if one["id"] in found],
        "edges": [one for one in document["edges"] if one["source"] in found],
    }


# What may be said of a command: (outcome, digits).
PROPER: dict[str, list[tuple[str, str | None]]] = {
    "answer": [("answered", None)],
    "play": [("done", None), ("missing", None)],
    "gather": [("digits", "1"), ("digits", "*"), ("digits", "22"), ("timeout", None), ("missing", None)],
    "dial": [("answered", None), ("no_answer", None), ("busy", None), ("failed", None)],
    "bridge": [("ended", None)],
    "hangup": [("ended", None)],
    "noop": [("ended", None)],
}
ANY: list[tuple[str, str | None]] = [
    ("error", None),
    ("nonsense", None),
    ("digits", "1"),
    ("answered", None),
    ("ended", None),
    ("done", None),
]
REPLIES = [(200, '{"v": 1}'), (200, "no"), (200, json.dumps({"v": "w" * LONGEST})), (500, "")]


class Driver:
    """A call whose events are drawn; checks what must hold after each."""

    def __init__(self, given_facts: Facts, draw: Callable[[st.SearchStrategy[Any]], Any], proper: bool) -> None:
        self.facts = given_facts
        self.draw = draw
        self.proper = proper
        self.session: Session = new_session("seed")
        self.at = T0
        self.trace: list[Trace] = []
        self.finished = 0

    def happen(self, event: Event) -> None:
        before = self.session
        assert decode(json.loads(json.dumps(encode(before)))) == before
        self.session, effects = step(self.facts, before, event)
        assert (self.session, effects) == step(self.facts, before, event), "it is pure"
        self._check_effects(event, effects)
        assert self.session.moves <= MOST_MOVES + 1
        assert len(self.session.frames) <= DEEPEST
        assert self.session.seq - before.seq in (0, 1)
        self._repeat(event)

    def _check_effects(self, event: Event, effects: tuple[Effect, ...]) -> None:
        *before, last = effects
        self.finished += sum(isinstance(one, Finish) for one in effects)
        assert self.finished <= 1
        assert (self.session.status == "ended") is (self.finished == 1)
        self.trace += [one for one in effects if isinstance(one, Trace)]
        if isinstance(event, CallEnded):
            assert isinstance(last, Finish | Refuse)
            return
        assert isinstance(last, Tell | Fetch | PlaceLeg), "the caller never waits for nothing"
        assert all(isinstance(one, Trace | Finish) for one in before)
        if isinstance(last, Tell):
            assert (last.seq, last.command) == (self.session.seq, self.session.command)
            assert self.session.pending is None
        else:
            assert self.session.pending == last

    def _repeat(self, event: Event) -> None:
        if isinstance(event, Stepped | Started):
            again, effects = step(self.facts, self.session, event)
            assert again == self.session
            (effect,) = effects
            assert effect == (self.session.pending or Tell(self.session.seq, self.session.command or Noop()))

    def stray(self) -> None:
        """An event out of its time changes nothing."""
        seq = self.draw(st.integers(-1, self.session.seq + 3).filter(lambda one: one != self.session.seq))
        strays: list[Event] = [
            Stepped(self.at, seq, "done"),
            Fetched(self.at, "none", 200),
            LegPlaced(self.at, "none", "sip:x", "t"),
            LegRefused(self.at, "none", "x"),
        ]
        event = self.draw(st.sampled_from(strays))
        after, (effect,) = step(self.facts, self.session, event)
        assert after == self.session
        assert isinstance(effect, Refuse) or (isinstance(effect, Tell) and seq == self.session.seq - 1)

    def advance(self) -> None:
        self.at += self.draw(st.integers(0, 10_000))
        match self.session.pending:
            case Fetch(fetch_id=fetch_id):
                status, body = self.draw(st.sampled_from(REPLIES))
                error = self.draw(st.sampled_from([None, None, None, "down"]))
                self.happen(Fetched(self.at, fetch_id, status, body, error, self.draw(st.booleans())))
            case PlaceLeg(leg_id=leg_id):
                if self.draw(st.booleans()):
                    self.happen(LegPlaced(self.at, leg_id, "sip:leg@127.0.0.1", "token"))
                else:
                    self.happen(LegRefused(self.at, leg_id, f"not {SECRET}" if self._has_secret() else "no"))
            case None:
                self._say()

    def _say(self) -> None:
        command = self.session.command
        assert command is not None
        said = PROPER[command.cmd] if self.proper else [*PROPER[command.cmd], *ANY]
        outcome, digits = self.draw(st.sampled_from(said))
        if outcome == "digits" and getattr(command, "secret", False):
            digits = self.draw(st.sampled_from([SECRET, SECRET, digits]))
        message = f"could not: {SECRET}" if outcome == "error" and self._has_secret() else None
        self.happen(Stepped(self.at, self.session.seq, outcome, Data(digits=digits, message=message)))

    def _has_secret(self) -> bool:
        return any(str(one.variables[name]) == SECRET for one in self.session.frames for name in one.secrets)

    def run(self, length: int) -> None:
        self.happen(Started(self.at))
        for _ in range(length):
            if self.session.status == "ended":
                break
            if self.draw(st.integers(0, 4)) == 0:
                self.stray()
            self.advance()
        if self.session.pending is None:
            self.happen(Stepped(self.at, self.session.seq, "hangup"))
        else:
            self.happen(CallEnded(self.at, "expired"))
        assert self.session.status == "ended"
        self.stray()
        assert SECRET not in repr(self.trace)


def facts_of(graph: Graph) -> Facts:
    made = facts(graph, *SUBGRAPHS.values(), schedules=SCHEDULES)
    assert set(made.flows) == {"flow_0", "flow_1", "flow_2"}
    return made


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@settings(max_examples=400, deadline=None, suppress_health_check=SLOW)
@given(graphs(whole=True) | graphs(whole=True, kinds=QUIET), st.data())
def test_a_flow_that_validates_waits_or_ends_and_handles_every_outcome(
    document: dict[str, Any], data: st.DataObject
) -> None:
    graph = read(document)
    assert isinstance(graph, Graph)
    found = problems(graph, Known(flows=SUBGRAPHS, flow_id="flow_0"))
    # What chance makes now and then; the other problems it cannot make.
    assert {one.code for one in found} <= {"endless_loop"}
    driver = Driver(facts_of(graph), data.draw, proper=True)
    driver.run(40)
    if not found:
        errors = [one.entry.error for one in driver.trace if one.entry.error]
        assert not [one for one in errors if "no edge leads on" in one or "node is gone" in one]
        assert not [one for one in driver.trace if _is_guard(one) and not _is_of_the_call(one, driver.trace)]


def _is_guard(trace: Trace) -> bool:
    return "have nothing to wait for" in (trace.entry.error or "")


def _is_of_the_call(guard: Trace, trace: list[Trace]) -> bool:
    """Whether something that the graph does not tell kept the flow from waiting since the last command: a text or a
    number that came out empty, a leg that was refused."""
    errors = {one.entry.error for one in trace if one.entry.seq == guard.entry.seq}
    return not errors.isdisjoint({"there is nothing to say", "there is no number to dial", "no", f"not {MASK}"})


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(graphs(whole=False), st.data())
def test_a_flow_that_does_not_validate_does_so_too_with_any_outcome(
    document: dict[str, Any], data: st.DataObject
) -> None:
    graph = read(document)
    assert isinstance(graph, Graph)
    Driver(facts_of(graph), data.draw, proper=False).run(40)


# What a secret goes through: each node leads on to the next by all of its outcomes.
LINKS = st.one_of(
    node(
        "setVariable",
        assignments=st.lists(
            st.fixed_dictionaries(
                {
                    "variable": st.sampled_from(["a", "b", "pin"]),
                    "expression": st.sampled_from(
                        ["a", "pin", "'x' + pin", "b or pin", "'1' if pin else pin", "a + b"]
                    ),
                }
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    node("switch", variable=st.sampled_from(["a", "b", "pin"]), cases=st.just([SECRET, f"x{SECRET}"])),
    node("condition", rules=st.just([{"variable": "pin", "operator": "eq", "value": SECRET, "handle": "yes"}])),
    node("subflow", flowId=st.just("flow_1"), inputs=st.just({"a": "{{pin}}", "b": "{{a}}{{b}}"})),
    node("say", text=st.just("{{a}}{{pin}}")),
    node("dial", targets=st.just([{"number": "{{pin}}"}]), whisper=st.just({"text": "{{a}}"})),
    node("httpRequest", url=st.just("https://x.example/{{pin}}"), save=st.just([{"variable": "c", "path": "v"}])),
)
COPYING = Graph.model_validate(
    {
        "start": "copy",
        "nodes": [
            {"id": "copy", "data": {"kind": "setVariable", "assignments": [{"variable": "c", "expression": "a + b"}]}},
            {"id": "look", "data": {"kind": "switch", "variable": "a", "cases": [SECRET]}},
        ],
        "edges": [
            {"id": "e0", "source": "copy", "target": "look"},
            {"id": "e1", "source": "look", "target": "exit:good", "sourceHandle": SECRET},
            {"id": "e2", "source": "look", "target": "exit:bad", "sourceHandle": "else"},
        ],
    }
)


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(st.lists(LINKS, min_size=1, max_size=6), st.data())
def test_a_secret_is_in_no_trace_wherever_it_goes(links: list[dict[str, Any]], data: st.DataObject) -> None:
    ask = {"kind": "collect", "variable": "pin", "prompt": {"text": "PIN?"}, "mask": True, "regex": SECRET}
    nodes = [{"id": f"n{index}", "data": one} for index, one in enumerate([ask, *links, {"kind": "hangup"}])]
    flows = {"flow_1": COPYING}
    edges = [
        {"id": f"{made.id}{handle}", "source": made.id, "target": f"n{index + 1}", "sourceHandle": handle}
        for index, made in enumerate(Graph.model_validate({"start": "n0", "nodes": nodes}).nodes)
        for handle in outcomes(made.data, flows) or ()
        if ":" not in handle
    ]
    graph = Graph.model_validate({"start": "n0", "nodes": nodes, "edges": edges})
    assert problems(graph, Known(flows=flows)) == []
    Driver(facts(graph, COPYING), data.draw, proper=False).run(40)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None, suppress_health_check=SLOW)
@given(graphs(whole=False), st.data())
def test_a_document_that_is_spoilt_anywhere_is_read_or_explained(document: dict[str, Any], data: st.DataObject) -> None:
    spoilt = json.loads(json.dumps(document))
    for _ in range(data.draw(st.integers(1, 3))):
        _spoil(spoilt, data)
    graph, found = check(spoilt, Known(ids={"media": frozenset({"m_hello"})}, flows=SUBGRAPHS))
    assert graph is not None or found
    for one in found:
        assert one.message.endswith(".")
    if graph is not None:
        step(facts_of(graph), new_session("s"), Started(T0))


def _spoil(spoilt: Any, data: st.DataObject) -> None:
    """Something at some place is replaced or taken away."""
    place = spoilt
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or data.draw(st.integers(0, 3)) == 0:
            break
        place = inner
    if data.draw(st.booleans()):
        place[key] = data.draw(JSON)
    else:
        del place[key]


WORDS = st.sampled_from(
    ["a", "b", "1", "2.5", "'x'", '"y"', "999999999999999", "+", "-", "*", "/", "//", "%", "==", "<", ",", ".", "[",
     "(", ")", "and", "or", "not", "if", "else", "upper(", "replace(", "substring(", "round(", "__class__"]
)  # fmt: skip


@settings(max_examples=1_000, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=25).map(" ".join)))
def test_any_text_is_an_expression_with_a_small_value_or_none(source: str) -> None:
    with suppress(ExpressionError, BadValueError):
        expression = parse(source)
        assert expression.names <= set(re.findall(r"\w+", source))
        value = expression.value({"a": 3, "b": "z" * LONGEST})
        assert type(value) in (str, int, float, bool)
        assert len(value) <= LONGEST if isinstance(value, str) else abs(value) <= HIGHEST


PIECES = st.sampled_from(
    [
        "a",
        "1",
        ".",
        r"\d",
        r"\w",
        r"\S",
        "[a1]",
        "[^a]",
        "(",
        "(?:",
        ")",
        "|",
        "*",
        "+",
        "?",
        "{2}",
        "{0,2}",
        "{1,}",
        "-",
    ]
)


@settings(max_examples=1_000, deadline=None)
@given(st.lists(PIECES, max_size=10).map("".join), st.text("a1-é", max_size=6))
def test_what_is_a_pattern_matches_what_re_does(pattern: str, subject: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except PatternError:
        return
    assert compiled.matches(subject) is (re.fullmatch(pattern, subject, re.ASCII | re.DOTALL) is not None)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_none(pattern: str) -> None:
    with suppress(PatternError):
        compile_pattern(pattern).matches("a" * LONGEST_SUBJECT)
