"""The application: every path, every error in the one shape, the description of itself."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tandem.api import docs, routes, routes_flows
from tandem.api.faults import first_fault
from tandem.contracts.errors import TandemError, error_reply
from tandem.contracts.v1.objects import OBJECTS
from tandem.runtime.log import log

VERSION: Final = "1"
_ABOUT: Final = (
    "Sets up a Tandem telephone platform. Changes are live on every node within two seconds. Numbers are given in any"
    " usual form and kept as E.164 digits; times are epoch milliseconds, durations seconds."
)


def make_app() -> FastAPI:
    """The same for every request of the isolate, and made while it starts; bindings come with each request's state."""
    app = FastAPI(
        title="Tandem",
        version=VERSION,
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    router = APIRouter(prefix="/v1")
    for one in OBJECTS:
        routes.add(router, one)
    routes.add_actions(router)
    routes_flows.add(router)
    app.include_router(router)
    docs.add(app)
    app.add_exception_handler(TandemError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, TandemError)
    return _error(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _error(request, first_fault(error.errors()))


async def _no_route(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    if error.status_code == 405:
        refused = TandemError("method_not_allowed", f"{path} does not take {request.method}.")
        return _error(request, refused, dict(error.headers or {}))
    if error.status_code == 404:
        return _error(request, TandemError("not_found", f"There is nothing at {path}."))
    return _error(request, TandemError("invalid_request", "The body is not JSON."))


def _error(request: Request, error: TandemError, headers: dict[str, str] | None = None) -> Response:
    headers = headers or {}
    if error.retry_after_sec is not None:
        headers["retry-after"] = str(error.retry_after_sec)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    text = error_reply(error, request.state.request_id)
    return Response(text, error.status, headers, "application/json")


def failure(request_id: str, error: Exception) -> tuple[int, str]:
    """The reply to what nobody foresaw; what it was is in the log alone."""
    log("error", "api_failed", request_id=request_id, error=f"{type(error).__name__}: {error}"[:500])
    failed = TandemError("internal_error", "The brain failed; the incident is in its log.")
    return failed.status, error_reply(failed, request_id)
