"""The paths of `/v1`, made from the table of objects. FastAPI reads the models from the annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from tandem.api import actions, bulk, calls, login, media, objects, replies
from tandem.api.opening import IF_MATCH, LONGEST_PAGE, ONCE, PAGE, opening
from tandem.api.services import Services
from tandem.api.work import Work
from tandem.contracts.v1.base import AccountId
from tandem.contracts.v1.calls import ExplainReply, ExplainRequest, LoginReply, LoginRequest
from tandem.contracts.v1.objects import BY_NAME, Object, Verb
from tandem.contracts.v1.people import PasswordReset
from tandem.contracts.v1.tenancy import ConsolePassword
from tandem.store.config_tables import TABLES

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def add(router: APIRouter, one: Object) -> None:
    """The paths of an object."""
    table = TABLES[one.name]
    work = opening(one.scope, operator_only=one.operator_only)
    query = _query(one)

    async def list_(asked: BaseModel, work: Work = work) -> Response:
        listing = calls.list_calls(work, asked.model_dump()) if one.name == "calls" else None
        return await (listing or objects.list_(work, table, asked.model_dump()))

    async def get(object_id: str, work: Work = work) -> Response:
        return await objects.get(work, table, object_id)

    async def create(body: Any, work: Work = work) -> Response:
        return await objects.create(work, table, body)

    async def update(object_id: str, body: BaseModel, work: Work = work) -> Response:
        return await objects.update(work, table, object_id, body)

    async def delete(object_id: str, work: Work = work) -> Response:
        deleting = media.delete(work, object_id) if one.name == "media" else objects.delete(work, table, object_id)
        return await deleting

    async def import_(request: Request, account_id: AccountId = None, work: Work = work) -> Response:
        return await bulk.import_(work, table, request.headers.get("content-type", ""), account_id)

    # The models differ from object to object, so the annotations that FastAPI reads are set here.
    list_.__annotations__["asked"] = Annotated[query, Query()]
    create.__annotations__["body"] = one.create
    update.__annotations__["body"] = one.patch
    path, single = f"/{one.name}", f"/{one.name}/{{object_id}}"

    def route(verb: Verb, where: str, endpoint: Any, method: str, summary: str) -> None:
        if verb in one.verbs:
            router.add_api_route(
                where,
                endpoint,
                methods=[method],
                summary=summary,
                operation_id=f"{verb}_{one.name}",
                responses=replies.of_verb(verb, one),
                status_code=replies.STATUS[verb],
                response_model=None,
                openapi_extra=_HEADERS.get(verb, {}) | (_IMPORT if verb == "import" else {}),
                tags=[one.name],
            )

    route("list", path, list_, "GET", f"Lists {one.name}.")
    route("create", path, create, "POST", f"Makes a {one.singular}.")
    route("import", f"{path}/import", import_, "POST", f"Makes many {one.name}: all or none.")
    route("get", single, get, "GET", f"Shows a {one.singular}.")
    route("update", single, update, "PATCH", f"Changes a {one.singular}.")
    route("delete", single, delete, "DELETE", f"Deletes a {one.singular}.")


_HEADERS: Final[dict[Verb, dict[str, Any]]] = {
    "create": ONCE,
    "import": ONCE,
    "update": IF_MATCH,
    "delete": IF_MATCH,
}
_IMPORT: Final = {
    "requestBody": {
        "required": True,
        "description": "At most 10 000 lines; each has the fields of a create. CSV starts with a header line.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}, "text/csv": {"schema": {"type": "string"}}},
    }
}


def _camel(one: Object) -> str:
    return one.singular.title().replace(" ", "")


def _query(one: Object) -> type[BaseModel]:
    """The query of a list: a page, an account, and the object's filters."""
    fields: dict[str, Any] = {
        "limit": (int, Field(PAGE, ge=1, le=LONGEST_PAGE, description="Items in a page.")),
        "cursor": (str | None, Field(None, max_length=200, description="The page before's next_cursor.")),
        "account_id": (AccountId, None),
    }
    for name in one.filters:
        if name in ("from_ts", "to_ts"):
            shown = "Calls that began then or later" if name == "from_ts" else "Calls that began before"
            fields[name] = (int | None, Field(None, ge=0, lt=2**48, description=f"{shown}, epoch ms."))
        else:
            kind: Any = (
                bool if one.item.model_fields[name].annotation is bool else Annotated[str, Field(max_length=200)]
            )
            fields[name] = (kind | None, Field(None, description=f"Only those with this {name}."))
    return create_model(f"{_camel(one)}Query", __config__=ConfigDict(extra="forbid"), **fields)


def add_actions(router: APIRouter) -> None:
    """What is no verb of an object."""

    def post(path: str, tag: str, responses: replies.Responses) -> Callable[[Endpoint], Endpoint]:
        once = {} if tag in ("login", "explain") else ONCE
        return router.post(path, tags=[tag], response_model=None, responses=responses, openapi_extra=once)

    @post("/login", "login", replies.of_model(LoginReply, 413))
    async def log_in(request: Request, body: LoginRequest) -> Response:
        """A token for 12 hours. Five wrong passwords lock a login for 15 minutes."""
        services: Services = request.state.services
        await services.count_login(request, body.email)
        return await login.login(services.env.control, services.signing_key, body, services.now())

    @post("/explain", "explain", replies.of_model(ExplainReply, 404, 413))
    async def explain(body: ExplainRequest, work: Annotated[Work, opening("numbers")]) -> Response:
        """What would happen to a call, and why; no call is placed and nothing is counted."""
        return await calls.explain(work, body)

    @post("/devices/{object_id}/password", "devices", replies.of_action(BY_NAME["devices"]))
    async def device_password(
        object_id: str, body: PasswordReset, work: Annotated[Work, opening("devices")]
    ) -> Response:
        """Gives a device a new password, shown once."""
        return await actions.device_password(work, object_id, body.password)

    @post("/console-users/{object_id}/password", "console-users", replies.of_action(BY_NAME["console-users"]))
    async def console_password(
        object_id: str, body: ConsolePassword, work: Annotated[Work, opening("account")]
    ) -> Response:
        """Gives a console user a new password; all logins end."""
        return await actions.console_password(work, object_id, body.password)

    @post("/keys/{object_id}/revoke", "keys", replies.of_action(BY_NAME["keys"]))
    async def revoke_key(object_id: str, work: Annotated[Work, opening("account")]) -> Response:
        """Ends a key at once."""
        return await actions.revoke_key(work, object_id)

    @post("/nodes/{object_id}/credential", "nodes", replies.of_action(BY_NAME["nodes"]))
    async def node_credential(object_id: str, work: Annotated[Work, opening("nodes", operator_only=True)]) -> Response:
        """Gives a node a new credential, shown once; the old one ends within a minute."""
        return await actions.node_credential(work, object_id)
