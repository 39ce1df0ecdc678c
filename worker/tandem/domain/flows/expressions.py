"""Expressions of `setVariable`: a small language over texts, numbers and truth, bounded by what it has.

    tries + 1
    "sip:" + lower(trim(name)) if vip == "yes" and tries < 3 else called_number

There are literals, variables (an unset one is an empty text), `+ - * / // %`, `== != < <= > >=`, `and or not`,
`a if b else c`, parentheses and the functions of `FUNCTIONS`. There are no attributes, no indexes, no loops and no
powers: nothing in it leads to a Python object. Time and memory follow from bounds: length and nesting of the text, and
the size of each value on the way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tandem.domain.flows.values import LONGEST, BadValueError, Value, Variables, bounded, compare, number, text

_LONGEST_TEXT: Final = 1_000
_DEEPEST: Final = 20
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?)(?![0-9A-Za-z_.])
        |(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})(?![0-9A-Za-z_])
        |(?P<text>"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*')
        |(?P<sign>==|!=|<=|>=|//|[-+*/%<>(),]))""",
    re.VERBOSE | re.ASCII,
)
_WORDS: Final = frozenset({"and", "or", "not", "if", "else"})
_COMPARISONS: Final = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_Run = Callable[[Variables], Value]


class ExpressionError(ValueError):
    """What is no expression; the message says why and where."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`names`: the variables that it reads."""

    names: frozenset[str]
    _run: _Run

    def value(self, variables: Variables) -> Value:
        """Raises `BadValueError` for what cannot be computed."""
        return self._run(variables)


@lru_cache(maxsize=256)
def parse(source: str) -> Expression:
    """Raises `ExpressionError`."""
    parser = _Parser(_tokens(source))
    run = parser.parse()
    return Expression(frozenset(parser.names), run)


@dataclass(frozen=True, slots=True)
class _Token:
    """`kind` is `number name text sign`, or `word` for one of the language's own; the last one is the empty sign."""

    kind: str
    source: str


def _tokens(source: str) -> list[_Token]:
    if len(source) > _LONGEST_TEXT:
        raise ExpressionError(f"it has more than {_LONGEST_TEXT} characters")
    tokens: list[_Token] = []
    at, end = 0, len(source.rstrip())
    while at < end:
        found = _TOKEN.match(source, at)
        if found is None or found.lastgroup is None:
            raise ExpressionError(f"cannot be read from character {at + 1} on")
        word = found[found.lastgroup]
        tokens.append(_Token("word" if word in _WORDS else found.lastgroup, word))
        at = found.end()
    tokens.append(_Token("sign", ""))
    return tokens


class _Parser:
    """Recursive descent; each rule returns what computes its value."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.names: set[str] = set()
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def parse(self) -> _Run:
        run = self._choice()
        if self._at < len(self._tokens) - 1:
            raise self._unexpected()
        return run

    def _unexpected(self) -> ExpressionError:
        source = self._tokens[self._at].source
        return ExpressionError(f"{source} is not expected there" if source else "it ends too early")

    def _next_is(self, *sources: str) -> str | None:
        """Takes the next token if it is one of these signs or words."""
        token = self._tokens[self._at]
        if token.kind not in ("sign", "word") or token.source not in sources:
            return None
        self._at += 1
        return token.source

    def _expect(self, source: str) -> None:
        if self._next_is(source) is None:
            raise self._unexpected()

    def _choice(self) -> _Run:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError("it is nested too deep")
        run = self._any()
        if self._next_is("if"):
            run = self._conditional(run)
        self._depth -= 1
        return run

    def _conditional(self, chosen: _Run) -> _Run:
        test = self._any()
        self._expect("else")
        other = self._choice()
        return lambda variables: chosen(variables) if _is_true(test(variables)) else other(variables)

    def _any(self) -> _Run:
        runs = [self._all()]
        while self._next_is("or"):
            runs.append(self._all())
        return runs[0] if len(runs) == 1 else lambda variables: _first(runs, variables, True)

    def _all(self) -> _Run:
        runs = [self._negation()]
        while self._next_is("and"):
            runs.append(self._negation())
        return runs[0] if len(runs) == 1 else lambda variables: _first(runs, variables, False)

    def _negation(self) -> _Run:
        negated, one = False, False
        while self._next_is("not"):
            negated, one = True, not one
        run = self._comparison()
        return (lambda variables: _is_true(run(variables)) is not one) if negated else run

    def _comparison(self) -> _Run:
        left = self._sum()
        sign = self._next_is(*_COMPARISONS)
        if sign is None:
            return left
        operator, right = _COMPARISONS[sign], self._sum()
        return lambda variables: compare(operator, left(variables), right(variables))

    def _sum(self) -> _Run:
        return self._chain(self._product, "+", "-")

    def _product(self) -> _Run:
        return self._chain(self._signed, "*", "/", "//", "%")

    def _chain(self, operand: Callable[[], _Run], *signs: str) -> _Run:
        first = operand()
        rest: list[tuple[str, _Run]] = []
        while sign := self._next_is(*signs):
            rest.append((sign, operand()))
        return (lambda variables: _folded(first, rest, variables)) if rest else first

    def _signed(self) -> _Run:
        signed, sign = False, 1
        while self._next_is("-"):
            signed, sign = True, -sign
        run = self._primary()
        return (lambda variables: sign * _number(run(variables))) if signed else run

    def _primary(self) -> _Run:
        if self._next_is("("):
            run = self._choice()
            self._expect(")")
            return run
        token = self._tokens[self._at]
        if token.kind in ("sign", "word"):
            raise self._unexpected()
        self._at += 1
        if token.kind == "name":
            return self._named(token.source)
        value = _literal(token)
        return lambda _: value

    def _named(self, name: str) -> _Run:
        if self._next_is("("):
            return self._call(name)
        if name in ("true", "false"):
            return lambda _: name == "true"
        self.names.add(name)
        return lambda variables: variables.get(name, "")

    def _call(self, name: str) -> _Run:
        if name not in FUNCTIONS:
            raise ExpressionError(f"there is no function {name}")
        function, least, most = FUNCTIONS[name]
        runs: list[_Run] = []
        while not self._next_is(")"):
            if runs:
                self._expect(",")
            runs.append(self._choice())
        if not least <= len(runs) <= most:
            raise ExpressionError(f"{name} does not take {len(runs)} arguments")
        return lambda variables: bounded(function(*(run(variables) for run in runs)))


def _literal(token: _Token) -> Value:
    if token.kind == "text":
        return re.sub(r"\\(.)", r"\1", token.source[1:-1])
    return float(token.source) if "." in token.source else int(token.source)


def _is_true(value: Value) -> bool:
    """Everything but false, 0 and the empty text."""
    return bool(value)


def _first(runs: list[_Run], variables: Variables, wanted: bool) -> Value:
    """The first value that is as true as `wanted`, else the last: what `or` and `and` come to."""
    value: Value = wanted
    for run in runs:
        value = run(variables)
        if _is_true(value) is wanted:
            break
    return value


def _folded(first: _Run, rest: list[tuple[str, _Run]], variables: Variables) -> Value:
    value = first(variables)
    for sign, run in rest:
        value = bounded(_added(value, run(variables)) if sign == "+" else _computed(sign, value, run(variables)))
    return value


def _added(left: Value, right: Value) -> Value:
    """Numbers are added; anything else is put together as texts, digits that were typed too."""
    if isinstance(left, str | bool) or isinstance(right, str | bool):
        return text(left) + text(right)
    return left + right


def _computed(sign: str, left: Value, right: Value) -> Value:
    first, second = _number(left), _number(right)
    if sign == "-":
        return first - second
    if sign == "*":
        return first * second
    if second == 0:
        raise BadValueError("a number is divided by zero")
    if sign == "/":
        return first / second
    return first // second if sign == "//" else first % second


def _number(value: Value) -> int | float:
    found = number(value)
    if found is None:
        raise BadValueError("a value is not a number")
    return found


def _place(value: Value) -> int:
    """A position or a length: a whole number from 0 on, not above the longest text."""
    return min(max(int(_number(value)), 0), LONGEST)


def _substring(value: Value, start: Value, length: Value = LONGEST) -> str:
    first = _place(start)
    return text(value)[first : first + _place(length)]


def _replace(value: Value, old: Value, new: Value) -> str:
    subject, part, other = text(value), text(old), text(new)
    if part == "":
        return subject
    if len(subject) + subject.count(part) * len(other) > LONGEST + subject.count(part) * len(part):
        raise BadValueError("a text becomes too long")
    return subject.replace(part, other)


def _round(value: Value, places: Value = 0) -> int | float:
    return round(_number(value), min(_place(places), 9))


# Name to function, and how few and how many arguments it takes.
FUNCTIONS: Final[dict[str, tuple[Callable[..., Value], int, int]]] = {
    "abs": (lambda value: abs(_number(value)), 1, 1),
    "ceil": (lambda value: math.ceil(_number(value)), 1, 1),
    "contains": (lambda value, part: text(part) in text(value), 2, 2),
    "ends_with": (lambda value, part: text(value).endswith(text(part)), 2, 2),
    "floor": (lambda value: math.floor(_number(value)), 1, 1),
    "length": (lambda value: len(text(value)), 1, 1),
    "lower": (lambda value: text(value).lower(), 1, 1),
    "max": (lambda *values: max(map(_number, values)), 1, 20),
    "min": (lambda *values: min(map(_number, values)), 1, 20),
    "number": (_number, 1, 1),
    "replace": (_replace, 3, 3),
    "round": (_round, 1, 2),
    "starts_with": (lambda value, part: text(value).startswith(text(part)), 2, 2),
    "substring": (_substring, 2, 3),
    "text": (text, 1, 1),
    "trim": (lambda value: text(value).strip(), 1, 1),
    "upper": (lambda value: text(value).upper(), 1, 1),
}
