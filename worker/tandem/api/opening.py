"""What every path has: who may ask, and the headers that it takes."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from tandem.api.services import LONGEST_HEADER, Services
from tandem.api.work import Work

PAGE: Final = 50
LONGEST_PAGE: Final = 200
_api_key = APIKeyHeader(name="x-api-key", auto_error=False, description="An API key, sk_…")
_bearer = HTTPBearer(auto_error=False, description="A token of POST /v1/login.")
Key = Annotated[str | None, Security(_api_key)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def opening(scope: str, *, operator_only: bool = False) -> Any:
    """The dependency that identifies the caller and checks the scope."""

    async def open_work(request: Request, key: Key, bearer: Bearer) -> Work:
        services: Services = request.state.services
        work = await services.open(request, key or "", "" if bearer is None else bearer.credentials)
        work.principal.require(scope)
        if operator_only:
            work.principal.require_operator()
        return work

    return Depends(open_work)


def _header(name: str, about: str) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": LONGEST_HEADER}
    return {"parameters": [{"name": name, "in": "header", "required": False, "schema": schema, "description": about}]}


ONCE: Final = _header("Idempotency-Key", "The same request with the same key is done once within 24 hours.")
IF_MATCH: Final = _header("If-Match", 'Only if the revision is still this one: "3".')
