"""The one error shape (spec 00): `{"ok": false, "error": {"code", "message", "field"?, "request_id"?}}`."""

from __future__ import annotations

from typing import Final, TypeVar

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
    "forbidden": 403,
    "account_suspended": 403,
    "unknown_domain": 404,
    "unknown_account": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "hello_required": 409,
    "too_large": 413,
    "not_mine": 421,
    "internal_error": 500,
    "unavailable": 503,
}


class TandemError(Exception):
    """An answer other than success. `code` is one of `STATUS`; `message` is a sentence a human can act on."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    @property
    def status(self) -> int:
        return STATUS[self.code]


class ErrorBody(BrainMessage):
    code: str
    message: str
    field: str | None = None
    request_id: str | None = None


class ErrorReply(BrainMessage):
    ok: bool = False
    error: ErrorBody


def error_reply(error: TandemError, request_id: str | None) -> str:
    body = ErrorBody(code=error.code, message=error.message, field=error.field, request_id=request_id)
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
