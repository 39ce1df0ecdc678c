"""Digits: the machine by table and by property, and the buffer of those that were typed ahead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.agent.flow import gather
from edge_node.agent.flow.gather import Gathering, Phase
from edge_node.agent.flow.keys import MOST, Keys
from tandem.contracts.flow import Gather

# What happens: a digit, `~` the end of the sounds, a number of ms that pass.
Happening = str | int


def rules(
    least: int = 1, most: int = 1, terminators: str = "#", first: int = 5_000, next_: int = 3_000, barge: bool = True
) -> Gather:
    return Gather(
        sounds=(),
        min_digits=least,
        max_digits=most,
        terminators=terminators,
        timeout_ms=first,
        inter_digit_timeout_ms=next_,
        barge_in=barge,
    )


def run(wanted: Gather, happenings: list[Happening], sounds: bool) -> tuple[Gathering, int]:
    """The state at the end, and when that came."""
    now, state = 0, gather.begin(wanted, 0, sounds=sounds)
    for one in happenings:
        if state.over:
            break
        if isinstance(one, int):
            now += one
            state = gather.expired(state, now)
        elif one == "~":
            state = gather.sounds_over(state, now)
        else:
            state = gather.digit(state, one, now)
    return state, now


@pytest.mark.parametrize(
    ("wanted", "sounds", "happenings", "result", "digits", "terminator"),
    [
        # one digit ends it, within the prompt and after it
        (rules(), True, ["1"], "digits", "1", None),
        (rules(), True, ["~", 4_999, "2"], "digits", "2", None),
        (rules(), False, [4_999, "*"], "digits", "*", None),
        # nobody says anything: the time counts from the end of the prompt
        (rules(), True, [60_000, "~", 5_000], "timeout", "", None),
        (rules(), False, [5_000], "timeout", "", None),
        # the terminator alone
        (rules(), True, ["#"], "timeout", "", "#"),
        (rules(least=0), True, ["#"], "digits", "", "#"),
        # many digits: by number, by terminator, by silence
        (rules(4, 4), True, ["1", "2", "3", "4"], "digits", "1234", None),
        (rules(2, 6), True, ["1", "2", "#"], "digits", "12", "#"),
        (rules(2, 6), True, ["1", "2", 2_999, "3", 3_000], "digits", "123", None),
        (rules(3, 6), True, ["1", "2", 3_000], "timeout", "12", None),
        (rules(3, 6), True, ["1", "2", "#"], "timeout", "12", "#"),
        # no terminators: # is a digit like others
        (rules(1, 1, ""), True, ["#"], "digits", "#", None),
        (rules(1, 4, "*#"), True, ["7", "*"], "digits", "7", "*"),
        # the end of a prompt that was interrupted changes nothing
        (rules(2, 2), True, ["1", "~", 2_999, "2"], "digits", "12", None),
        # letters of a keypad that has them
        (rules(1, 2), True, ["A", "D"], "digits", "AD", None),
    ],
)
def test_gather(
    wanted: Gather, sounds: bool, happenings: list[Happening], result: str, digits: str, terminator: str | None
) -> None:
    state, _ = run(wanted, happenings, sounds)
    assert state.over
    assert (state.result, state.digits, state.terminator) == (result, digits, terminator)


def test_not_over_before_its_time() -> None:
    cases: list[list[Happening]] = [[4_999], ["~", 4_999], ["1", 2_999]]
    for happenings in cases:
        state, _ = run(rules(1, 4), happenings, sounds="~" in happenings)
        assert not state.over
        assert state.deadline is not None


def test_while_the_prompt_plays_no_time_runs() -> None:
    state, _ = run(rules(), [3_600_000], sounds=True)
    assert (state.phase, state.deadline) == (Phase.SOUNDS, None)


def test_what_comes_after_the_end_changes_nothing() -> None:
    state, _ = run(rules(), ["1"], sounds=True)
    assert gather.digit(state, "2", 1) == state
    assert gather.sounds_over(state, 1) == state
    assert gather.expired(state, 10**9) == state


@given(
    st.integers(0, 6),
    st.integers(1, 6),
    st.sampled_from(["", "#", "*#"]),
    st.booleans(),
    st.lists(st.sampled_from(["0", "9", "*", "#", "~", 100, 2_000, 6_000])),
)
def test_any_order_ends_within_its_time(
    least: int, more: int, terminators: str, sounds: bool, happenings: list[Happening]
) -> None:
    wanted = rules(least, least + more, terminators)
    state, now = run(wanted, [*happenings, "~", 5_000], sounds)
    assert state.over or state.deadline is not None
    assert len(state.digits) <= wanted.max_digits
    assert not set(state.digits) & set(terminators)
    longest = wanted.timeout_ms + wanted.max_digits * wanted.inter_digit_timeout_ms
    assert state.deadline is None or state.deadline <= now + longest
    if state.over:
        assert state.result == ("digits" if len(state.digits) >= least else "timeout")
        assert state.terminator is None or state.terminator in terminators


def test_digits_wait_in_their_order() -> None:
    keys = Keys()
    for number, key in enumerate("12#"):
        keys.press(key, number)
    assert keys.any.is_set()
    assert [keys.take() for _ in range(3)] == [("1", 0), ("2", 1), ("#", 2)]
    assert not keys
    assert not keys.any.is_set()


def test_nobody_fills_the_memory() -> None:
    keys = Keys()
    for number in range(10 * MOST):
        keys.press("1", number)
    assert len([keys.take() for _ in range(MOST)]) == MOST
    assert not keys


def full(most: int, digits: str) -> Gathering:
    return run(rules(most, most), list(digits), sounds=False)[0]


@pytest.mark.parametrize(
    ("before", "most", "typed", "after", "left"),
    [
        ("", 4, "1234", [("#", 500)], ""),  # soon after
        ("#2", 4, "1234", [], "2"),  # typed ahead
        ("", 4, "1234", [("#", 9_000)], "#"),  # too late to belong to it
        ("", 4, "1234", [("2", 100), ("#", 200)], "2#"),  # something else came first
        ("", 1, "1", [("#", 100)], "#"),  # one digit of a menu
        ("", 4, "12#", [("#", 100)], "#"),  # it was ended by its terminator
    ],
)
def test_a_terminator_after_the_last_digit_belongs_to_the_number(
    before: str, most: int, typed: str, after: list[tuple[str, int]], left: str
) -> None:
    keys = Keys()
    for key in before:
        keys.press(key, 0)
    keys.closed(full(most, typed), 0)
    for key, at in after:
        keys.press(key, at)
    found = ""
    while keys:
        found += keys.take()[0]
    assert found == left


def test_what_was_forgotten_is_gone() -> None:
    keys = Keys()
    keys.closed(full(4, "1234"), 0)
    keys.press("1", 0)
    keys.forget()
    assert not keys
    keys.press("#", 1)
    assert keys.take() == ("#", 1)
