"""What is different between two flow documents, whatever their form: drafts may be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_PARTS: Final = ("nodes", "edges")
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`path`: names and positions between dots. None: there is none on that side."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class PartChange:
    id: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class PartsChange:
    """`added` and `removed` are ids."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[PartChange, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """`fields`: what is neither a node nor an edge."""

    nodes: PartsChange
    edges: PartsChange
    fields: tuple[FieldChange, ...]


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> Diff:
    rest = ({name: value for name, value in one.items() if not _is_parts(name, value)} for one in (before, after))
    return Diff(
        _parts(before.get("nodes"), after.get("nodes")),
        _parts(before.get("edges"), after.get("edges")),
        tuple(_changes("", *rest)),
    )


def _is_parts(name: str, value: Any) -> bool:
    return name in _PARTS and isinstance(value, list)


def _parts(before: Any, after: Any) -> PartsChange:
    old, new = _by_id(before), _by_id(after)
    changed = ((key, tuple(_changes("", old[key], new[key]))) for key in new if key in old)
    return PartsChange(
        tuple(key for key in new if key not in old),
        tuple(key for key in old if key not in new),
        tuple(PartChange(key, fields) for key, fields in changed if fields),
    )


def _by_id(parts: Any) -> dict[str, Any]:
    """By id; one without an id by its position, and one with an id that was there before by both."""
    found: dict[str, Any] = {}
    for position, part in enumerate(parts if isinstance(parts, list) else ()):
        given = part.get("id") if isinstance(part, dict) else None
        key = given if isinstance(given, str) else f"#{position}"
        while key in found:
            key += f"#{position}"
        found[key] = part
    return found


def _changes(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from _changes(_under(path, name), before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        for position in range(max(len(before), len(after))):
            yield from _changes(_under(path, position), _at(before, position), _at(after, position))
    elif not _same(before, after):
        yield FieldChange(path, None if before is _ABSENT else before, None if after is _ABSENT else after)


def _under(path: str, name: str | int) -> str:
    return f"{path}.{name}" if path else str(name)


def _at(values: list[Any], position: int) -> Any:
    return values[position] if position < len(values) else _ABSENT


def _same(before: Any, after: Any) -> bool:
    """As JSON: true is not 1."""
    return before is after or (type(before) is type(after) and bool(before == after))
