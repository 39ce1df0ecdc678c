"""Faults of input as the one error shape: the field, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from tandem.contracts.errors import TandemError
from tandem.contracts.v1.fields import SENTENCES

# Rules between fields name the field in front of their message.
_NAMED: Final = re.compile(r"([a-z_0-9]+): (.*)", re.DOTALL)
# Ids: a prefix, or some of them, and a ULID.
_ID: Final = re.compile(r"\^(\(?[a-z|]+\)?)_\[0-7\]")
_PLACES: Final = ("body", "query", "path", "header")


def first_fault(errors: Sequence[Any]) -> TandemError:
    """pydantic's first error as `invalid_request`."""
    first = errors[0]
    place, *rest = first["loc"] or ("",)
    parts = rest if place in _PLACES else [place, *rest]
    field = ".".join(str(part) for part in parts)
    said = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    if first["type"] == "json_invalid":
        return TandemError("invalid_request", "The body is not JSON.")
    named = _NAMED.fullmatch(said) if first["type"] == "value_error" and not field else None
    if named is not None:
        field, said = named[1], named[2]
    if first["type"] == "extra_forbidden":
        said = "there is no such field"
    elif first["type"] == "missing":
        said = "is missing"
    elif first["type"] == "string_pattern_mismatch":
        said = _shape(first["ctx"]["pattern"])
    if not field:
        return TandemError("invalid_request", f"The {place or 'body'} is wrong: {said}.")
    return TandemError("invalid_request", f"Field {field}: {said}.", field)


def _shape(pattern: str) -> str:
    """What a text must look like, in words: a pattern helps nobody who does not know what it is for."""
    prefixes = _ID.match(pattern)
    if prefixes is not None:
        return f"must be an id {prefixes[1].strip('()').replace('|', '_… or ')}_…"
    return SENTENCES.get(pattern, "is not of the form that it must have")
