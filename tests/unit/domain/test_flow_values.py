"""Values of variables and the templates that show them."""

from __future__ import annotations

import pytest

from tandem.domain.flows.values import (
    LARGEST,
    LONGEST,
    MOST,
    BadValueError,
    Value,
    assign,
    bounded,
    compare,
    is_template,
    names,
    number,
    render,
    text,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "true"), (False, "false"), (3, "3"), (3.0, "3"), (-0.0, "0"), (2.5, "2.5"), (0.1 + 0.2, "0.3"), ("x", "x")],
)
def test_text(value: Value, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, None),
        (7, 7),
        (1.5, 1.5),
        ("0012", 12),
        (" -3 ", -3),
        ("+1.25", 1.25),
        ("", None),
        ("1e5", None),
        ("1" * 16, None),
        ("٣", None),
        ("12a", None),
    ],
)
def test_number(value: Value, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        ("10", "gt", "9", True),
        ("a10", "gt", "a9", False),
        ("007", "eq", 7, True),
        ("yes", "eq", "yes", True),
        (True, "eq", "true", True),
        ("1", "ne", "x", True),
        (1, "lt", 2, True),
        (2, "le", 2, True),
        (2, "ge", 3, False),
    ],
)
def test_compare_as_numbers_where_both_are(left: Value, operator: str, right: Value, expected: bool) -> None:
    assert compare(operator, left, right) is expected


def test_a_value_has_bounds() -> None:
    assert bounded("x" * LONGEST) == "x" * LONGEST
    assert bounded(-(10**15)) == -(10**15)
    for value in ("x" * (LONGEST + 1), 10**15 + 1, float("nan"), float("inf")):
        with pytest.raises(BadValueError):
            bounded(value)


def test_variables_have_bounds_together() -> None:
    full = {f"v{index}": index for index in range(MOST)}
    assert len(assign(full, {"v0": 1})) == MOST
    with pytest.raises(BadValueError, match="200 variables"):
        assign(full, {"one_more": 1})
    large = {f"v{index}": "x" * LONGEST for index in range(LARGEST // LONGEST)}
    with pytest.raises(BadValueError, match="65536 characters"):
        assign(large, {"more": "x"})
    assert assign(large, {}) is large


def test_a_lone_surrogate_is_no_text_to_keep() -> None:
    assert assign({}, {"a": "x\ud800y"}) == {"a": "x?y"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""),
        ("no names", "no names"),
        ("{{a}}", "1"),
        ("x{{ a }}y{{b}}z", "x1y<&>z"),
        ("{{unset}}.", "."),
        ('{"o":{"a":"{{a}}"}}', '{"o":{"a":"1"}}'),
        ("{{a", "{{a"),
        ("{{{a}}}", "{{{a}}}"),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert render(template, {"a": 1, "b": "<&>"}) == expected


def test_escape_is_for_the_values_alone() -> None:
    assert render("<{{b}}>", {"b": "<"}, lambda value: value.replace("<", "&lt;")) == "<&lt;>"


def test_a_filled_template_has_a_bound() -> None:
    values = {"a": "x" * 50}
    assert len(render("{{a}}{{a}}", values, longest=100)) == 100
    for template in ("{{a}}{{a}}.", ".{{a}}{{a}}", "{{a}}" * 100, "." * 101):
        with pytest.raises(BadValueError, match="100 characters"):
            render(template, values, longest=100)


def test_what_a_template_shows() -> None:
    assert names("{{a}} {{ b }} {{a}} {{1}}") == {"a", "b"}
    assert is_template("{{a}} }} { }")
    assert not is_template("{{a}} {{")
    assert not is_template("{{a b}}")
