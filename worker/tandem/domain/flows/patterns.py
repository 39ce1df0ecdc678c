"""Regular expressions over typed digits and variables, matched in time linear in pattern and subject.

`re` backtracks: an operator's pattern could stop the object that runs the call, and no look at a pattern tells for
sure which do (`(a|a)(a|a)…` needs no quantifier). So a pattern becomes a machine of states that are followed all at
once (Thompson 1968). It matches the whole subject. There are characters, `.`, `[…]`, `\\d \\w \\s` and their opposites,
groups, `|`, `* + ? {m,n}`, and `^` and `$` at the ends, where they change nothing; all else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MOST_STATES: Final = 300
LONGEST_SUBJECT: Final = 128
_DEEPEST: Final = 20
_HIGHEST: Final = "\U0010ffff"
_COUNTED: Final = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}", re.ASCII)
_RANGES: Final = {
    "d": (("0", "9"),),
    "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
    "s": (("\t", "\r"), (" ", " ")),
}


class PatternError(ValueError):
    """What cannot be a pattern; the message says why."""


@dataclass(frozen=True, slots=True)
class _Chars:
    """One character of these ranges, or one of none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def has(self, char: str) -> bool:
        return any(first <= char <= last for first, last in self.ranges) is not self.negated


@dataclass(frozen=True, slots=True)
class _Sequence:
    items: tuple[_Tree, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    branches: tuple[_Tree, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    """`most` None: as often as it comes."""

    item: _Tree
    least: int
    most: int | None


_Tree = _Chars | _Sequence | _Choice | _Repeat


@dataclass(frozen=True, slots=True)
class Pattern:
    """A state is a set of characters that leads to the next state, or the states that it stands for."""

    states: tuple[_Chars | tuple[int, ...], ...]

    def matches(self, subject: str) -> bool:
        """Whether the whole subject matches; one that is too long does not."""
        if len(subject) > LONGEST_SUBJECT:
            return False
        current = self._spread([0])
        for char in subject:
            following = []
            for index in current:
                state = self._state(index)
                if isinstance(state, _Chars) and state.has(char):
                    following.append(index + 1)
            current = self._spread(following)
        return len(self.states) in current

    def _state(self, index: int) -> _Chars | tuple[int, ...]:
        return self.states[index] if index < len(self.states) else ()

    def _spread(self, indexes: list[int]) -> set[int]:
        """The states that can be in without another character; one past the last is the end."""
        seen: set[int] = set()
        while indexes:
            index = indexes.pop()
            if index not in seen:
                seen.add(index)
                state = self._state(index)
                if not isinstance(state, _Chars):
                    indexes.extend(state)
        return seen


@lru_cache(maxsize=256)
def compile_pattern(text: str) -> Pattern:
    """Raises `PatternError`."""
    tree = _Parser(text).parse()
    if _size(tree) > MOST_STATES:
        raise PatternError("the pattern is too large; use smaller counts")
    states: list[_Chars | tuple[int, ...]] = []
    _emit(tree, states)
    return Pattern(tuple(states))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def parse(self) -> _Tree:
        tree = self._choice()
        if self._at < len(self._text):
            raise PatternError("a ) closes nothing")
        return tree

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise PatternError("the pattern ends too early")
        self._at += 1
        return char

    def _choice(self) -> _Tree:
        branches = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _sequence(self) -> _Tree:
        items: list[_Tree] = []
        if self._depth == 0 and self._peek() == "^":
            self._at += 1
        while self._peek() not in ("", "|", ")"):
            if self._depth == 0 and self._text[self._at : self._at + 2] in ("$", "$|"):
                self._at += 1
            else:
                items.append(self._repeated(self._item()))
        return _Sequence(tuple(items))

    def _item(self) -> _Tree:
        char = self._take()
        match char:
            case "(":
                return self._group()
            case "[":
                return _Chars(*self._ranges())
            case ".":
                return _Chars(((chr(0), _HIGHEST),))
            case "\\":
                return _escaped(self._take())
            case "*" | "+" | "?" | "{":
                raise PatternError(f"{char} has nothing to repeat")
            case "^" | "$":
                raise PatternError(f"{char} is allowed at the ends alone")
            case _:
                return _Chars(((char, char),))

    def _group(self) -> _Tree:
        if self._peek() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                raise PatternError("of groups with (? there is (?: alone")
            self._at += 2
        self._depth += 1
        if self._depth > _DEEPEST:
            raise PatternError("groups are nested too deep")
        tree = self._choice()
        if self._peek() != ")":
            raise PatternError("a group is not closed")
        self._at += 1
        self._depth -= 1
        return tree

    def _repeated(self, item: _Tree) -> _Tree:
        char = self._peek()
        if char == "{":
            return self._counted(item)
        if char == "" or char not in "*+?":
            return item
        self._at += 1
        self._once()
        return _Repeat(item, 1 if char == "+" else 0, 1 if char == "?" else None)

    def _counted(self, item: _Tree) -> _Tree:
        found = _COUNTED.match(self._text, self._at)
        if found is None:
            raise PatternError("a { begins no count like {2} or {2,4}")
        self._at = found.end()
        self._once()
        least = int(found[1])
        most = least if found[2] is None else None if found[3] is None else int(found[3])
        if most is not None and most < least:
            raise PatternError("a count ends before it begins")
        return _Repeat(item, least, most)

    def _once(self) -> None:
        if self._peek() != "" and self._peek() in "*+?{":
            raise PatternError("one quantifier follows another")

    def _ranges(self) -> tuple[tuple[tuple[str, str], ...], bool]:
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[tuple[str, str]] = []
        while not ranges or self._peek() != "]":
            first = self._class_item()
            if isinstance(first, tuple):
                ranges += first
                continue
            last = first
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                end = self._class_item()
                if isinstance(end, tuple) or end < first:
                    raise PatternError("a range in [ ] ends before it begins")
                last = end
            ranges.append((first, last))
        self._at += 1
        return tuple(ranges), negated

    def _class_item(self) -> str | tuple[tuple[str, str], ...]:
        char = self._take()
        if char != "\\":
            return char
        escaped = _escaped(self._take())
        if escaped.negated:
            raise PatternError("in [ ] there are no \\D, \\W and \\S")
        return escaped.ranges if len(escaped.ranges) > 1 or escaped.ranges == _RANGES["d"] else escaped.ranges[0][0]


def _escaped(char: str) -> _Chars:
    if char.lower() in _RANGES:
        return _Chars(_RANGES[char.lower()], char.isupper())
    if char.isalnum():
        raise PatternError(f"there is no \\{char}")
    return _Chars(((char, char),))


def _size(tree: _Tree) -> int:
    """The states that `_emit` makes at most; counted before they are made."""
    match tree:
        case _Chars():
            return 1
        case _Sequence():
            return sum(_size(item) for item in tree.items)
        case _Choice():
            return sum(_size(branch) + 2 for branch in tree.branches)
        case _:
            copies = tree.least + 1 if tree.most is None else tree.most
            return (_size(tree.item) + 1) * copies + 1


def _emit(tree: _Tree, states: list[_Chars | tuple[int, ...]]) -> None:
    match tree:
        case _Chars():
            states.append(tree)
        case _Sequence():
            for item in tree.items:
                _emit(item, states)
        case _Choice():
            _emit_choice(tree, states)
        case _:
            for item, optional in _copies(tree):
                at = len(states)
                if optional:
                    states.append(())
                _emit(item, states)
                if optional:
                    states[at] = (at + 1, len(states))
            if tree.most is None:
                _emit_loop(tree.item, states)


def _copies(tree: _Repeat) -> Iterator[tuple[_Tree, bool]]:
    """What must come, then what may."""
    yield from ((tree.item, False) for _ in range(tree.least))
    if tree.most is not None:
        yield from ((tree.item, True) for _ in range(tree.most - tree.least))


def _emit_loop(item: _Tree, states: list[_Chars | tuple[int, ...]]) -> None:
    at = len(states)
    states.append(())
    _emit(item, states)
    states.append((at,))
    states[at] = (at + 1, len(states))


def _emit_choice(tree: _Choice, states: list[_Chars | tuple[int, ...]]) -> None:
    at = len(states)
    states.append(())
    starts, ends = [], []
    for branch in tree.branches:
        starts.append(len(states))
        _emit(branch, states)
        ends.append(len(states))
        states.append(())
    states[at] = tuple(starts)
    for end in ends:
        states[end] = (len(states),)
