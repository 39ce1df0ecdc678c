"""A node's body as fields and as the JSON text that the objects read; JSON or form-encoded (spec 10)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic_core import from_json

from tandem.contracts.errors import TandemError
from tandem.runtime import Request

FORM: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 200
_INTEGERS: Final = ("sourcePort", "expires")


@dataclass(frozen=True, slots=True)
class Body:
    fields: dict[str, Any]
    text: str


def read_body(request: Request) -> Body:
    """Raises `TandemError` `invalid_request` for what is neither a JSON object nor a form."""
    if request.method == "GET":
        return Body({}, "")
    if request.body[:1] != "{" and request.header("content-type").partition(";")[0].strip().lower() == FORM:
        fields = _form(request.body)
        return Body(fields, json.dumps(fields))
    try:
        # Unlike json.loads it refuses lone surrogates, and nesting that would exhaust the stack.
        found = from_json(request.body)
    except ValueError:
        raise TandemError("invalid_request", "The body is not JSON.") from None
    if not isinstance(found, dict):
        raise TandemError("invalid_request", "The body must be a JSON object.")
    return Body(found, request.body)


def _form(text: str) -> dict[str, Any]:
    """`credentials.username=…` is the field `username` of the object `credentials`; numbers are written as digits."""
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise TandemError("invalid_request", "The body is not a form.") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        outer, dot, inner = name.partition(".")
        into = fields.setdefault(outer, {}) if dot else fields
        if not isinstance(into, dict) or (inner or outer) in into:
            raise TandemError("invalid_request", f"Field {name}: is given twice.", name)
        into[inner or outer] = int(value) if name in _INTEGERS and _is_number(value) else value
    return fields


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= 12
