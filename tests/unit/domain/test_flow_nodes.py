"""What each node kind comes to: one table per kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows import Facts, PlaceLeg
from tandem.domain.flows.commands import Answer, Bridge, Dial, Gather, HangUp, Media, Play, Speech
from tandem.domain.flows.session import DEEPEST
from tandem.domain.hours import Schedule, make_rule
from tandem.domain.target import Target
from tests.support.flows import Run, facts, graph

END = {"kind": "hangup"}
SPOKEN = {"text": "Hello"}
Step = tuple[str, dict[str, str]]


def alone(data: Mapping[str, Any], *outcomes: str, **others: Any) -> Run:
    """A flow of that node, and one that hangs up for each of its outcomes: `n<index>`."""
    nodes: dict[str, Mapping[str, Any]] = {"node": data}
    edges = {}
    for index, outcome in enumerate(outcomes):
        nodes[f"n{index}"] = END
        edges[f"node {outcome}"] = f"n{index}"
    return Run(facts(graph(nodes, edges), **others))


def texts(command: object) -> list[str]:
    assert isinstance(command, Play | Gather)
    return [sound.text if isinstance(sound, Speech) else sound.key for sound in command.sounds]


# play and say


def test_play_of_a_file() -> None:
    run = alone({"kind": "play", "audioId": "m_hello", "loop": 3}, "default")
    assert run.answered() == Play(sounds=(Media(key="acc/m_hello.wav", etag="etag-m_hello"),), loop=3)
    assert run.said("done") == HangUp()
    assert run.outcomes == [("node", "default"), ("n0", "hangup")]


def test_play_of_a_playlist() -> None:
    assert texts(alone({"kind": "play", "playlistId": "pl_two"}).answered()) == ["acc/m_hello.wav", "acc/m_music.wav"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "play", "audioId": "m_none"}, "media m_none is gone"),
        ({"kind": "play", "playlistId": "pl_none"}, "playlist pl_none is gone or empty"),
        ({"kind": "play", "playlistId": "pl_empty"}, "playlist pl_empty is gone or empty"),
        ({"kind": "menu", "prompt": {"audioId": "m_none"}}, "media m_none is gone"),
        ({"kind": "menu", "prompt": {"text": " {{unset}} "}}, "there is nothing to say"),
    ],
)
def test_a_missing_sound_is_never_silence(data: Mapping[str, Any], message: str) -> None:
    run = alone(data, "default")
    assert texts(run.answered()) == ["Sorry, your call cannot be completed. Goodbye."]
    assert (run.trace[-1].outcome, run.trace[-1].error) == ("error", message)
    assert run.said("done") == HangUp()
    assert run.reason == "error"


@pytest.mark.parametrize(
    ("outcome", "data", "message"),
    [
        ("missing", {}, "play came to missing"),
        ("error", {"message": "no decoder"}, "no decoder"),
        ("digits", {}, "the sound came to digits"),
    ],
)
def test_a_sound_that_cannot_be_played(outcome: str, data: dict[str, str], message: str) -> None:
    run = alone({"kind": "play", "audioId": "m_hello"}, "default")
    run.answered()
    assert texts(run.said(outcome, **data)) == ["Sorry, your call cannot be completed. Goodbye."]
    assert run.trace[-1].error == message


@pytest.mark.parametrize(
    ("said", "account", "expected"),
    [
        ({}, {}, ("en-US", "female")),
        ({}, {"language": "de-DE", "voice": "male"}, ("de-DE", "male")),
        ({"language": "fr-FR", "voice": "male"}, {"language": "de-DE"}, ("fr-FR", "male")),
    ],
)
def test_say(said: dict[str, str], account: dict[str, str], expected: tuple[str, str]) -> None:
    run = alone({"kind": "say", "text": "You call {{called_number}}.", **said}, "default", **account)
    command = run.answered()
    assert isinstance(command, Play)
    (sound,) = command.sounds
    assert isinstance(sound, Speech)
    assert (sound.text, sound.language, sound.voice) == ("You call +4930600.", *expected)
    assert len(sound.hash) == 64


def test_what_is_said_has_a_name_of_its_own() -> None:
    hashes = set()
    for fields in ({}, {"language": "de-DE"}, {"voice": "male"}, {"text": "Hello."}):
        command = alone({"kind": "say", "text": "Hello", **fields}).answered()
        assert isinstance(command, Play)
        (sound,) = command.sounds
        assert isinstance(sound, Speech)
        hashes.add(sound.hash)
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("text", "shared"),
    [("Hello", True), ("Your PIN is {{pin}}", False), ("{{caller_number}}", False), ("{ {pin} }", True)],
)
def test_what_holds_a_variable_is_not_shared(text: str, shared: bool) -> None:
    node: Mapping[str, Any]
    for node in ({"kind": "say", "text": text}, {"kind": "menu", "prompt": {"text": text}}):
        command = alone(node).answered()
        if text == "Your PIN is {{pin}}":
            assert texts(command) == ["Your PIN is"], "filled in, it looks like any other"
        assert isinstance(command, Play | Gather)
        assert [sound.shared for sound in command.sounds if isinstance(sound, Speech)] == [shared]


def test_the_goodbye_is_shared() -> None:
    command = alone({"kind": "play", "audioId": "m_none"}).answered()
    assert isinstance(command, Play)
    assert [sound.shared for sound in command.sounds if isinstance(sound, Speech)] == [True]


def test_a_text_that_is_empty_is_passed_over() -> None:
    run = alone({"kind": "say", "text": "{{unset}}"}, "default")
    assert run.answered() == HangUp()
    assert run.trace[0].error == "there is nothing to say"


def test_a_text_that_becomes_too_long() -> None:
    run = Run(
        facts(
            graph(
                {
                    "a": {"kind": "setVariable", "assignments": [{"variable": "x", "expression": f"'{'y' * 900}'"}]},
                    "b": {"kind": "say", "text": "{{x}}{{x}}{{x}}"},
                },
                {"a": "b"},
            )
        )
    )
    assert texts(run.answered()) == ["Sorry, your call cannot be completed. Goodbye."]
    assert run.trace[-1].error == "a filled template has more than 2000 characters"


# menu

MENU = {
    "kind": "menu",
    "prompt": SPOKEN,
    "reprompt": {"text": "Again"},
    "invalidPrompt": {"audioId": "m_wrong"},
    "maxFailures": 2,
    "maxTimeouts": 2,
}
MENU_EDGES = ("digit:1", "digit:#", "timeout", "invalid")


def menu(*steps: Step, **fields: Any) -> Run:
    run = alone({**MENU, **fields}, *MENU_EDGES)
    run.answered()
    for outcome, data in steps:
        run.said(outcome, **data)
    return run


def test_menu_asks() -> None:
    run = alone({**MENU, "maxDigits": 2, "timeoutSec": 7, "interDigitTimeoutSec": 4, "bargeIn": False}, *MENU_EDGES)
    command = run.answered()
    assert isinstance(command, Gather)
    assert texts(command) == ["Hello"]
    assert command.model_dump(exclude={"cmd", "sounds"}) == {
        "min_digits": 1,
        "max_digits": 2,
        "terminators": "#",
        "timeout_ms": 7_000,
        "inter_digit_timeout_ms": 4_000,
        "barge_in": False,
        "secret": False,
    }


ONE: Step = ("digits", {"digits": "1"})
NINE: Step = ("digits", {"digits": "9"})
HASH: Step = ("timeout", {"terminator": "#"})
STAR: Step = ("timeout", {"terminator": "*"})
FEW: Step = ("timeout", {"digits": "1", "terminator": "#"})
NOTHING: Step = ("timeout", {})


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ((ONE,), "digit:1"),
        ((NINE, ONE), "digit:1"),
        ((NOTHING, ONE), "digit:1"),
        ((HASH,), "digit:#"),
        ((("digits", {"terminator": "#"}),), "digit:#"),
        ((NINE, NINE), "invalid"),
        ((NOTHING, NOTHING), "timeout"),
        ((NINE, NOTHING, NINE), "invalid"),
        ((NOTHING, NINE, NOTHING), "timeout"),
        ((FEW, FEW), "invalid"),
        ((FEW, NOTHING, NOTHING), "timeout"),
        ((STAR, STAR), "invalid"),
        ((("digits", {}), NINE), "invalid"),
    ],
)
def test_menu_outcomes(steps: tuple[Step, ...], outcome: str) -> None:
    run = menu(*steps)
    assert run.outcomes[0] == ("node", outcome)
    assert [one.done for one in run.trace[: len(steps)]] == [False] * (len(steps) - 1) + [True]
    assert isinstance(run.session.command, HangUp)


@pytest.mark.parametrize(
    ("step", "fields", "expected"),
    [
        (NINE, {}, ["acc/m_wrong.wav", "Again"]),
        (NOTHING, {}, ["Again"]),
        (STAR, {}, ["acc/m_wrong.wav", "Again"]),
        (FEW, {}, ["acc/m_wrong.wav", "Again"]),
        (NINE, {"invalidPrompt": None}, ["Again"]),
        (NOTHING, {"reprompt": None}, ["Hello"]),
        (NINE, {"reprompt": None}, ["acc/m_wrong.wav", "Hello"]),
    ],
)
def test_menu_asks_again(step: Step, fields: dict[str, Any], expected: list[str]) -> None:
    assert texts(menu(step, **fields).session.command) == expected


def test_menu_of_several_digits() -> None:
    run = alone({**MENU, "maxDigits": 2}, "digit:12", "digit:1", "timeout", "invalid")
    run.answered()
    run.said("digits", digits="12")
    assert run.outcomes[0] == ("node", "digit:12")
    assert run.trace[0].digits == "12"


def test_menu_that_masks_its_digits() -> None:
    run = menu(NINE, ("timeout", {"digits": "7"}), ONE, mask=True, maxFailures=3)
    assert [(one.outcome, one.digits) for one in run.trace[:3]] == [
        ("invalid", "***"),
        ("invalid", "***"),
        ("digit:***", "***"),
    ]
    assert isinstance(run.session.command, HangUp)
    run = alone({**MENU, "mask": True}, *MENU_EDGES)
    command = run.answered()
    assert isinstance(command, Gather)
    assert command.secret


@pytest.mark.parametrize(
    "again", [{"reprompt": {"text": "{{unset}}"}, "invalidPrompt": None}, {"reprompt": {"audioId": "no"}}]
)
def test_menu_whose_second_prompt_is_missing(again: dict[str, Any]) -> None:
    assert texts(menu(NOTHING, **again).session.command) == ["Sorry, your call cannot be completed. Goodbye."]


@pytest.mark.parametrize("node", [MENU, {"kind": "collect", "variable": "x", "prompt": SPOKEN}])
@pytest.mark.parametrize("outcome", ["missing", "error", "answered"])
def test_asking_that_fails(node: Mapping[str, Any], outcome: str) -> None:
    run = alone(node, "timeout")
    run.answered()
    assert texts(run.said(outcome)) == ["Sorry, your call cannot be completed. Goodbye."]
    assert outcome in str(run.trace[-1].error)


# collect

COLLECT = {"kind": "collect", "variable": "pin", "prompt": SPOKEN, "invalidPrompt": {"text": "Wrong"}, "maxTries": 2}
FOUR = {"regex": r"\d{4}"}
GOOD: Step = ("digits", {"digits": "1234"})
BAD: Step = ("digits", {"digits": "12"})


@pytest.mark.parametrize(
    ("fields", "steps", "outcome"),
    [
        ({}, (GOOD,), "matched"),
        ({}, (("digits", {}),), "matched"),
        (FOUR, (GOOD,), "matched"),
        (FOUR, (BAD, GOOD), "matched"),
        (FOUR, (NOTHING, GOOD), "matched"),
        (FOUR, (BAD, BAD), "no_match"),
        (FOUR, (NOTHING, BAD), "no_match"),
        (FOUR, (BAD, NOTHING), "timeout"),
        ({"minDigits": 4}, (FEW, FEW), "no_match"),
        ({"minDigits": 4}, (HASH, ("timeout", {"digits": "12"})), "no_match"),
        ({"minDigits": 4}, (FEW, GOOD), "matched"),
        ({"minDigits": 4}, (FEW, NOTHING), "timeout"),
        ({}, (NOTHING, NOTHING), "timeout"),
        ({"maxTries": 1}, (NOTHING,), "timeout"),
    ],
)
def test_collect_outcomes(fields: dict[str, Any], steps: tuple[Step, ...], outcome: str) -> None:
    run = alone({**COLLECT, **fields}, "matched", "no_match", "timeout")
    run.answered()
    for said, data in steps:
        run.said(said, **data)
    assert run.outcomes[0] == ("node", outcome)
    if outcome == "matched":
        assert run.variables["pin"] == steps[-1][1].get("digits", "")


def test_collect_asks_again() -> None:
    run = alone({**COLLECT, **FOUR, "terminator": "*"}, "matched")
    command = run.answered()
    assert isinstance(command, Gather)
    assert command.terminators == "*"
    assert texts(run.said(BAD[0], **BAD[1])) == ["Wrong", "Hello"]
    assert run.trace[-1].digits == "12"


def test_collect_of_too_few_digits_says_that_they_are_wrong() -> None:
    run = alone({**COLLECT, "minDigits": 4, "invalidPrompt": {"text": "Wrong"}}, "no_match")
    run.answered()
    assert texts(run.said(FEW[0], **FEW[1])) == ["Wrong", "Hello"]
    assert (run.trace[-1].outcome, run.trace[-1].digits) == ("no_match", "1")


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


def assignments(*pairs: tuple[str, str], **fields: Any) -> dict[str, Any]:
    made = [{"variable": name, "expression": expression, **fields} for name, expression in pairs]
    return {"kind": "setVariable", "assignments": made}


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


# dial, ringGroup, transfer

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


GOODBYE = "Sorry, your call cannot be completed. Goodbye."


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
