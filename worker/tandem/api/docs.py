"""The API's description of itself: OpenAPI 3.1, and a page of it that needs no script and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from tandem.api import replies

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "code{background:#f3f3f3;padding:.1em .3em}table{border-collapse:collapse;width:100%}"
    "td,th{border-bottom:1px solid #ddd;padding:.3em .6em;text-align:left;vertical-align:top}"
    "h2{margin-top:2.5em}summary{cursor:pointer;padding:.3em 0}nav a{margin-right:1em}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "public, max-age=300",
}
_METHODS: Final = ("get", "post", "put", "patch", "delete")


def add(app: FastAPI) -> None:
    async def document(request: Request) -> Response:
        return Response(json.dumps(describe(app)), 200, HEADERS, "application/json")

    async def page(request: Request) -> Response:
        return Response("".join(_page(describe(app))), 200, HEADERS, "text/html")

    app.add_route("/v1/openapi.json", document, methods=["GET"], include_in_schema=False)
    app.add_route("/v1/docs", page, methods=["GET"], include_in_schema=False)


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    document = app.openapi()
    known = document["components"]["schemas"]
    if "ErrorContent" not in known:
        known.update(replies.schemas())
    return document


def _page(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                groups.setdefault(item[method]["tags"][0], []).append((method, path, item[method]))
    yield "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    yield f"<title>{escape(info['title'])} /v1</title><style>{_STYLE}</style>"
    yield f"<h1>{escape(info['title'])} /v1</h1><p>{escape(info['description'])}</p>"
    yield "<p>Send an API key as <code>x-api-key</code>, or a token of <code>POST /v1/login</code> as"
    yield " <code>Authorization: Bearer</code>. The same as <a href=openapi.json>OpenAPI 3.1</a>.</p><nav>"
    yield "".join(f"<a href='#{escape(name)}'>{escape(name)}</a>" for name in groups)
    yield "</nav>"
    for name, operations in groups.items():
        yield f"<h2 id='{escape(name)}'>{escape(name)}</h2>"
        for method, path, operation in operations:
            yield from _operation(document, method, path, operation)


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    about = operation.get("summary", ""), operation.get("description", "")
    yield f"<details><summary><code>{method.upper()} {escape(path)}</code> {escape(about[0])}</summary>"
    yield f"<p>{escape(about[1])}</p><table>"
    for one in operation.get("parameters", ()):
        yield _row(one["name"], one["in"], one.get("required", False), one["schema"], one.get("description", ""))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        schema = _resolve(document, body)
        for name, field in schema.get("properties", {}).items():
            yield _row(name, "body", name in schema.get("required", ()), field, field.get("description", ""))
    yield "</table></details>"


def _row(name: str, place: str, required: bool, schema: dict[str, Any], about: str) -> str:
    must = " (required)" if required else ""
    kind = f"{_kind(schema)}{must}"
    return f"<tr><td><code>{escape(name)}</code><td>{place}<td>{escape(kind)}<td>{escape(about)}"


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "value"))


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema
    return found
