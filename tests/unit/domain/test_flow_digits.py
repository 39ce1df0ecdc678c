"""What menu and collect come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows.commands import Gather, HangUp
from tests.support.flow_nodes import SPOKEN, Step, alone, texts
from tests.support.flows import Run

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
