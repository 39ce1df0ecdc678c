"""The one error shape (spec 00): `{"ok": false, "error": {"code", "message", "field"?, "request_id"?}}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from tandem.contracts.base import BrainMessage

M = TypeVar("M", bound=BaseModel)

STATUS: Final = {
    "invalid_request": 400,
    "unsigned_request": 401,
    "bad_signature": 401,
    "stale_request": 401,
    "unknown_node": 401,
    "replayed_request": 409,
    "unauthenticated": 401,
    "wrong_login": 401,
    "forbidden": 403,
    "missing_scope": 403,
    "account_suspended": 403,
    "unknown_domain": 404,
    "unknown_account": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "hello_required": 409,
    "conflict": 409,
    "stale_step": 409,
    "in_use": 409,
    "idempotency_conflict": 409,
    "length_required": 411,
    "precondition_failed": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "not_mine": 421,
    "unknown_reference": 422,
    "import_failed": 422,
    "invalid_flow": 422,
    "unreadable_media": 422,
    "rate_limited": 429,
    "internal_error": 500,
    "unavailable": 503,
}


class TandemError(Exception):
    """An answer other than success. `code` is one of `STATUS`; `message` is a sentence a human can act on.

    `referrers` [{object, id, field}] keep something from being deleted; `lines` [{line, field, message}] are wrong ones
    of an import; `problems` [{code, message, node_id?, edge_id?, field?}] keep a flow from being published;
    `retry_after_sec` goes into the Retry-After header.
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        *,
        referrers: Sequence[Mapping[str, Any]] | None = None,
        lines: Sequence[Mapping[str, Any]] | None = None,
        problems: Sequence[Mapping[str, Any]] | None = None,
        retry_after_sec: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.referrers = referrers
        self.lines = lines
        self.problems = problems
        self.retry_after_sec = retry_after_sec

    @property
    def status(self) -> int:
        return STATUS[self.code]


class ErrorBody(BrainMessage):
    code: str
    message: str
    field: str | None = None
    request_id: str | None = None
    referrers: list[dict[str, Any]] | None = None
    lines: list[dict[str, Any]] | None = None
    problems: list[dict[str, Any]] | None = None


class ErrorReply(BrainMessage):
    ok: bool = False
    error: ErrorBody


def error_reply(error: TandemError, request_id: str | None) -> str:
    body = ErrorBody(
        code=error.code,
        message=error.message,
        field=error.field,
        request_id=request_id,
        referrers=None if error.referrers is None else [dict(one) for one in error.referrers],
        lines=None if error.lines is None else [dict(one) for one in error.lines],
        problems=None if error.problems is None else [dict(one) for one in error.problems],
    )
    return ErrorReply(error=body).wire()


def parse(model: type[M], text: str) -> M:
    """The message in `text`. Raises `TandemError` `invalid_request` that names the first wrong field."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f"Field {field}: " if field else ""
        raise TandemError("invalid_request", f"{where}{first['msg']}.", field or None) from None
