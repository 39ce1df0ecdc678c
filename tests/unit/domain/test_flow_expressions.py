"""The language of `setVariable`."""

from __future__ import annotations

import pytest

from tandem.domain.flows.expressions import FUNCTIONS, ExpressionError, parse
from tandem.domain.flows.values import LONGEST, BadValueError, Value

VARIABLES: dict[str, Value] = {"tries": 2, "name": " Ada ", "digits": "0042", "vip": True, "long": "x" * LONGEST}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1", 1),
        ("1.50", 1.5),
        (" 'a' ", "a"),
        ('"it\'s"', "it's"),
        (r"'it\'s a \\'", "it's a \\"),
        ("true", True),
        ("false", False),
        ("tries + 1", 3),
        ("unset", ""),
        ("digits + 1", "00421"),
        ("number(digits) + 1", 43),
        ("digits - 1", 41),
        ("vip + 'x'", "truex"),
        ("2 + 3 * 4 - 5", 9),
        ("(2 + 3) * 4", 20),
        ("7 / 2", 3.5),
        ("7 // 2 % 2", 1),
        ("10 - 2 - 3", 5),
        ("-tries", -2),
        ("--tries", 2),
        ("3 - -2", 5),
        ("tries == '2'", True),
        ("tries != 2", False),
        ("1 < 2", True),
        ("2 <= 1", False),
        ("'b' > 'a'", True),
        ("1 >= 1", True),
        ("not vip", False),
        ("not not vip", True),
        ("not tries == 3", True),
        ("unset or 'none'", "none"),
        ("name or 1 / 0", " Ada "),
        ("0 or ''", ""),
        ("vip and tries", 2),
        ("'' and 1 / 0", ""),
        ("'a' if vip else 'b'", "a"),
        ("'a' if unset else 'b' if tries > 5 else 'c'", "c"),
        ("1 / 0 if false else 1", 1),
        ("abs(-3)", 3),
        ("ceil(1.2)", 2),
        ("contains(name, 'd')", True),
        ("ends_with(name, 'a ')", True),
        ("floor(1.8)", 1),
        ("length(digits)", 4),
        ("lower(name)", " ada "),
        ("max(1, '3', 2)", 3),
        ("min(tries)", 2),
        ("replace('1-2-3', '-', '')", "123"),
        ("replace('aa', '', 'b')", "aa"),
        ("round(2.567, 2)", 2.57),
        ("round(2.567)", 3),
        ("starts_with(digits, '00')", True),
        ("substring(digits, 2)", "42"),
        ("substring(digits, 1, 2)", "04"),
        ("substring(digits, -5, 99999)", "0042"),
        ("text(tries) + text(1)", "21"),
        ("trim(name)", "Ada"),
        ("upper(trim(name))", "ADA"),
    ],
)
def test_values(source: str, expected: Value) -> None:
    found = parse(source).value(VARIABLES)
    assert found == expected
    assert isinstance(found, bool) is isinstance(expected, bool)


def test_the_table_of_functions_is_tested_whole() -> None:
    tested = {parameter[0] for mark in test_values.pytestmark for parameter in mark.args[1]}  # type: ignore[attr-defined]
    assert all(any(f"{name}(" in source for source in tested) for name in FUNCTIONS)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "it ends too early"),
        ("1 +", "it ends too early"),
        ("1 2", "2 is not expected there"),
        ("(1", "it ends too early"),
        ("1)", ") is not expected there"),
        ("and 1", "and is not expected there"),
        ("1 if 2", "it ends too early"),
        ("1 if 2 or 3 + 4 5", "5 is not expected there"),
        ("max(1 2)", "2 is not expected there"),
        ("max(1,", "it ends too early"),
        ("upper()", "upper does not take 0 arguments"),
        ("upper('a', 'b')", "upper does not take 2 arguments"),
        ("open('x')", "there is no function open"),
        ("name.upper", "cannot be read from character 5 on"),
        ("name[0]", "cannot be read from character 5 on"),
        ("1 < 2 < 3", "< is not expected there"),
        ("2 ** 3", "* is not expected there"),
        ("'open", "cannot be read from character 1 on"),
        (r"'\x41'", "cannot be read from character 1 on"),
        ("1e9", "cannot be read from character 1 on"),
        ("1" * 16, "cannot be read from character 1 on"),
        ("a" * 65, "cannot be read from character 1 on"),
        ("f'{a}'", "' is not expected"),
        ("lambda: 1", "cannot be read from character 7 on"),
        ("(" * 21 + "1" + ")" * 21, "it is nested too deep"),
        ("1 if 1 else " * 21 + "1", "it is nested too deep"),
        ("abs(" * 21 + "1" + ")" * 21, "it is nested too deep"),
        ("1" + " " * 1000, "it has more than 1000 characters"),
    ],
)
def test_what_is_no_expression(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(source)
    assert message[:20] in str(caught.value) or str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "divided by zero"),
        ("1 // 0", "divided by zero"),
        ("1 % 0.0", "divided by zero"),
        ("name - 1", "not a number"),
        ("-name", "not a number"),
        ("abs(vip)", "not a number"),
        ("long + '.'", "more than 4096"),
        ("999999999999999 * 999999999999999", "out of range"),
        ("replace(long, 'x', 'yy')", "too long"),
        ("upper('\u00df' + long)", "more than 4096"),
    ],
)
def test_what_cannot_be_computed(source: str, message: str) -> None:
    with pytest.raises(BadValueError, match=message) as caught:
        parse(source).value(VARIABLES)
    assert "Ada" not in str(caught.value)


def test_the_largest_replacement_is_one_that_fits() -> None:
    assert parse("replace(long, 'xx', 'yy')").value(VARIABLES) == "y" * LONGEST


def test_names_are_the_variables_that_it_reads() -> None:
    assert parse("upper(a) + 'b' if c else true").names == {"a", "c"}


def test_a_long_chain_is_no_deep_one() -> None:
    assert parse("+".join(["1"] * 500)).value({}) == 500
    assert parse("-" * 999 + "1").value({}) == -1
    assert parse("not " * 249 + "1").value({}) is False
