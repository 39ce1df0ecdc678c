"""Values of variables: texts, numbers and truth, small each and not too many; and the templates that they go into."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

Value = str | int | float | bool
Variables = Mapping[str, Value]

MASK: Final = "***"
LONGEST: Final = 4_096  # characters of a text, and of a filled template
MOST: Final = 200  # variables of a frame
LARGEST: Final = 65_536  # characters of all texts of a frame
HIGHEST: Final = 10**15  # of a number, either way: exact in a float too
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_OPEN: Final = re.compile(r"\{\{(?:\s{0,8}([A-Za-z_][A-Za-z0-9_]{0,63})\s{0,8}\}\})?")


class BadValueError(Exception):
    """A value that cannot be made; the message holds no value, for it may be a secret."""


def text(value: Value) -> str:
    """Numbers with as many places as they need, 9 at most."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value)


def number(value: Value) -> int | float | None:
    """None for what is no number; texts of digits are."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return value
    found = _NUMBER.fullmatch(value.strip())
    if found is None:
        return None
    return int(found[0]) if found[1] is None else float(found[0])


def bounded(value: Value) -> Value:
    """The value itself. Raises `BadValueError` for a text that is too long or a number that is too high."""
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise BadValueError(f"a text has more than {LONGEST} characters")
    elif not -HIGHEST <= value <= HIGHEST:  # NaN too
        raise BadValueError("a number is out of range")
    return value


def compare(operator: str, left: Value, right: Value) -> bool:
    """`eq ne lt le gt ge`: as numbers where both are, else as texts."""
    first, second = number(left), number(right)
    if first is None or second is None:
        return _COMPARISONS[operator](text(left), text(right))
    return _COMPARISONS[operator](first, second)


_COMPARISONS: Final[Mapping[str, Callable[..., bool]]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
}


def _storable(value: Value) -> Value:
    """Without lone surrogates, which JSON can name and UTF-8 cannot hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def assign(variables: Variables, values: Variables) -> Variables:
    """The variables with `values`. Raises `BadValueError` when that is too much."""
    if not values:
        return variables
    result = {**variables, **{name: bounded(_storable(value)) for name, value in values.items()}}
    if len(result) > MOST:
        raise BadValueError(f"a flow has more than {MOST} variables")
    if sum(len(value) for value in result.values() if isinstance(value, str)) > LARGEST:
        raise BadValueError(f"a flow's variables have more than {LARGEST} characters")
    return result


def render(template: str, variables: Variables, escape: Callable[[str], str] = str, longest: int = LONGEST) -> str:
    """The template with its `{{names}}` replaced, an unset one by nothing; `escape` is for the values.

    Raises `BadValueError` when the whole is longer than `longest`.
    """
    parts: list[str] = []
    room, last = longest, 0
    for found in _OPEN.finditer(template):
        if found[1] is not None:
            parts += (template[last : found.start()], escape(text(variables.get(found[1], ""))))
            room -= len(parts[-1]) + len(parts[-2])
            last = found.end()
            if room < 0:
                break
    parts.append(template[last:])
    if room < len(parts[-1]):
        raise BadValueError(f"a filled template has more than {longest} characters")
    return "".join(parts)


def names(template: str) -> frozenset[str]:
    """The variables that the template shows."""
    return frozenset(found[1] for found in _OPEN.finditer(template) if found[1] is not None)


def is_template(template: str) -> bool:
    """Whether every `{{` begins a variable's name and ends with `}}`."""
    return all(found[1] is not None for found in _OPEN.finditer(template))
