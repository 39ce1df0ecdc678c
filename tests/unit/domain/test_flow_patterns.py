"""Regular expressions in linear time."""

from __future__ import annotations

import itertools
import re
import sys

import pytest

from tandem.domain.flows.patterns import LONGEST_SUBJECT, MOST_STATES, PatternError, compile_pattern

SUBJECTS = ["".join(chars) for size in range(5) for chars in itertools.product("a1.-c]", repeat=size)]
SUBJECTS += ["1234", "12", "1212", "aabc", "123", "bcc", "*#", "2", "\t", "ä", "_Z9", "٣"]


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "a|",
        "(|a)1",
        r"\d{4}",
        r"^\d{2,3}$",
        r"\d{2,}",
        r"a{0}1",
        r"a{0,2}1?",
        r"(a|1)*c",
        r"(?:12)+",
        r"((a)(1|c)?)+",
        r"(a*)*c",
        r"(a*)+",
        r"[0-9*#]{1,4}",
        r"[^a-c]+",
        r"[\d-]+",
        r"[]a]+",
        r"[^]a]",
        r"[a-]+",
        r"[\]\-.]+",
        r"[\s\w]+",
        r"\w+",
        r"\W+",
        r"\D+",
        r"\S*",
        r"\s",
        r"\.\*|a.c",
        r"a.?]*",
        r"]-",
        r"a-c",
    ],
)
def test_it_matches_what_re_does(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    reference = re.compile(pattern, re.ASCII | re.DOTALL)
    for subject in SUBJECTS:
        assert compiled.matches(subject) is (reference.fullmatch(subject) is not None), subject


def test_ends_are_each_branch_of_the_whole() -> None:
    compiled = compile_pattern("^1$|^2$")
    assert [compiled.matches(subject) for subject in ("1", "2", "12", "")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "a group is not closed"),
        ("a)", "a ) closes nothing"),
        ("*a", "* has nothing to repeat"),
        ("a|+", "+ has nothing to repeat"),
        ("{2}", "{ has nothing to repeat"),
        ("a**", "one quantifier follows another"),
        ("a+?", "one quantifier follows another"),
        ("a{2}{3}", "one quantifier follows another"),
        ("a{x}", "a { begins no count like {2} or {2,4}"),
        ("a{1234}", "a { begins no count like {2} or {2,4}"),
        ("a{3,2}", "a count ends before it begins"),
        ("[a", "the pattern ends too early"),
        ("[", "the pattern ends too early"),
        ("[a-", "the pattern ends too early"),
        ("a\\", "the pattern ends too early"),
        ("[9-0]", "a range in [ ] ends before it begins"),
        (r"[a-\d]", "a range in [ ] ends before it begins"),
        (r"[\D]", "in [ ] there are no \\D, \\W and \\S"),
        (r"\1", "there is no \\1"),
        (r"a\b", "there is no \\b"),
        ("(?=a)", "of groups with (? there is (?: alone"),
        ("(?P<n>a)", "of groups with (? there is (?: alone"),
        ("a^b", "^ is allowed at the ends alone"),
        ("a$b", "$ is allowed at the ends alone"),
        ("(a$)", "$ is allowed at the ends alone"),
        ("(^a)", "^ is allowed at the ends alone"),
        ("(" * 21 + ")" * 21, "groups are nested too deep"),
        ("((a{99}){99}){99}", "the pattern is too large; use smaller counts"),
        ("(a|b){200}", "the pattern is too large; use smaller counts"),
    ],
)
def test_what_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert str(caught.value) == message


def test_a_subject_has_a_bound() -> None:
    compiled = compile_pattern("a*")
    assert compiled.matches("a" * LONGEST_SUBJECT)
    assert not compiled.matches("a" * (LONGEST_SUBJECT + 1))


@pytest.mark.parametrize(
    "pattern",
    ["(a*)*b", "(a|a)*b", "(a|a)" * 30 + "b", "a?" * 60 + "a" * 60 + "b", "a*" * 60 + "b", "(a?){60}b"],
)
def test_what_backtracks_takes_linear_steps(pattern: str) -> None:
    """Twice the subject, twice the lines of Python that run (what backtracks would need thousands of times as many)."""
    assert len(compile_pattern(pattern).states) <= MOST_STATES
    half = _lines_run(pattern, "a" * (LONGEST_SUBJECT // 2))
    assert _lines_run(pattern, "a" * LONGEST_SUBJECT) <= 2.5 * half
    assert half <= 50 * LONGEST_SUBJECT * MOST_STATES


def _lines_run(pattern: str, subject: str) -> int:
    count = 0

    def trace(*_: object) -> object:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        found = compile_pattern(pattern).matches(subject)
    finally:
        sys.settrace(before)
    assert not found
    return count
