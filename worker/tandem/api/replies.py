"""What the API's description says of replies: JSON Schema by reference, so that no model is built to describe them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from tandem.contracts.v1.calls import ExplainReply, LoginReply
from tandem.contracts.v1.flows import (
    CallTrace,
    FlowDiff,
    FlowProblem,
    FlowVerdict,
    FlowVersionReply,
    FlowVersions,
    SimulateReply,
)
from tandem.contracts.v1.objects import OBJECTS, Object, Verb

Responses = dict[int | str, dict[str, Any]]
STATUS: Final[dict[Verb, int]] = {"list": 200, "get": 200, "create": 201, "update": 200, "delete": 200, "import": 201}
_ALWAYS: Final = (400, 401, 403, 413, 429, 500, 503)
_ERRORS: Final[dict[Verb, tuple[int, ...]]] = {
    "list": (404,),
    "get": (404,),
    "create": (404, 409, 422),
    "update": (404, 409, 412, 422),
    "delete": (404, 409, 412),
    "import": (404, 409, 415, 422),
}
# Secrets beside the item, in the reply that makes them.
_SHOWN_ONCE: Final = {"devices": "password", "keys": "key", "nodes": "credential"}
_MEANINGS: Final = {
    200: "Done.",
    201: "Made.",
    304: "It is still the one that If-None-Match names.",
    400: "Something about the request is wrong; `field` names it.",
    401: "There is no valid credential.",
    403: "The credential may not do this.",
    404: "There is no such thing within reach of the credential.",
    409: "It contradicts something that is there.",
    411: "There is no Content-Length.",
    412: "If-Match names another revision.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken.",
    422: "It names something that does not exist; lines of an import, a flow, or a sound file are wrong.",
    429: "Too many requests; Retry-After tells when to come back.",
    500: "A fault of the platform.",
    503: "Try again; Retry-After may tell when.",
}
_REPLIES: Final = (
    LoginReply,
    ExplainReply,
    FlowVerdict,
    FlowVersions,
    FlowVersionReply,
    FlowDiff,
    SimulateReply,
    CallTrace,
)
_OK: Final = {"type": "boolean", "const": True}


class Problem(BaseModel):
    """What went wrong."""

    code: str
    message: str = Field(description="One sentence that a human can act on.")
    field: str | None = Field(None, description="The field that is wrong.")
    request_id: str
    referrers: list[dict[str, str]] | None = Field(None, description="What refers to the object: object, id, field.")
    lines: list[dict[str, Any]] | None = Field(None, description="Wrong lines of an import: line, field, message.")
    problems: list[FlowProblem] | None = Field(None, description="All that is wrong with a flow.")


class ErrorContent(BaseModel):
    ok: Literal[False]
    error: Problem


def of_verb(verb: Verb, one: Object) -> Responses:
    item, listed = _ref(one.item), _ref(one.listed or one.item)
    properties: dict[Verb, dict[str, Any]] = {
        "list": {"items": {"type": "array", "items": listed}, "next_cursor": {"type": ["string", "null"]}},
        "get": {"item": item},
        "create": {"item": item},
        "update": {"item": item},
        "delete": {},
        "import": {"imported": {"type": "integer"}},
    }
    schema = _object(properties[verb])
    if verb == "create" and one.name in _SHOWN_ONCE:
        schema["properties"][_SHOWN_ONCE[one.name]] = _secret()
    return {STATUS[verb]: _content(STATUS[verb], schema), **_errors(*_ERRORS[verb])}


def of_action(one: Object, *errors: int) -> Responses:
    schema = _object({"item": _ref(one.item)})
    if one.name in _SHOWN_ONCE:
        schema["properties"][_SHOWN_ONCE[one.name]] = _secret()
    return {200: _content(200, schema), **_errors(404, 409, 412, *errors)}


def of_model(model: type[BaseModel], *errors: int) -> Responses:
    return {200: _content(200, _ref(model)), **_errors(*errors)}


def of_file(media_types: Iterable[str]) -> Responses:
    """A file, or that it is still the one that is known."""
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in media_types}
    return {
        200: {"description": _MEANINGS[200], "content": content},
        304: {"description": _MEANINGS[304]},
        **_errors(404),
    }


def schemas() -> dict[str, Any]:
    """Everything that replies refer to."""
    listed = (one.listed for one in OBJECTS if one.listed is not None)
    models: tuple[type[BaseModel], ...] = (ErrorContent, *_REPLIES, *(one.item for one in OBJECTS), *listed)
    _, found = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    definitions: dict[str, Any] = found["$defs"]
    return definitions


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"ok": _OK, **properties}, "required": ["ok", *properties]}


def _secret() -> dict[str, Any]:
    return {"type": "string", "description": "Shown this once; not in the reply to a repeated Idempotency-Key."}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _errors(*statuses: int) -> Responses:
    return {status: _content(status, _ref(ErrorContent)) for status in sorted({*_ALWAYS, *statuses})}


def _content(status: int, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": _MEANINGS[status], "content": {"application/json": {"schema": schema}}}
