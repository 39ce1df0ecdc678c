"""Paths of flows, media and traces that are no verb of an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Header, Path, Query, Request, Response

from tandem.api import calls, flows, media, replies
from tandem.api.opening import IF_MATCH, LONGEST_PAGE, ONCE, PAGE, opening
from tandem.api.work import Work
from tandem.contracts.v1.flows import (
    MOST_VERSION,
    CallTrace,
    FlowDiff,
    FlowVerdict,
    FlowVersionReply,
    FlowVersions,
    SimulateReply,
    SimulateRequest,
)
from tandem.contracts.v1.media import MEDIA_TYPES
from tandem.contracts.v1.objects import BY_NAME

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Flows = Annotated[Work, opening("flows")]
Calls = Annotated[Work, opening("cdr")]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Items in a page.")]
Cursor = Annotated[str | None, Query(max_length=200, description="The page before's next_cursor.")]
Number = Annotated[int, Path(ge=1, le=MOST_VERSION)]
Side = Annotated[str, Query(pattern=r"^(draft|[1-9][0-9]{0,9})$", description="A version's number, or draft.")]
From = Annotated[
    str | None,
    Query(alias="from", pattern=r"^(draft|[1-9][0-9]{0,9})$", description="As `to`; default: the last version."),
]
Known = Annotated[str, Header(alias="if-none-match", max_length=200, description="An ETag: 304 when it is still it.")]
_SOUND: Final = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD: Final = {
    **IF_MATCH,
    "requestBody": {
        "required": True,
        "description": "The file itself, at most 20 MB, with its Content-Length.",
        "content": dict.fromkeys(MEDIA_TYPES, _SOUND),
    },
}


def add(router: APIRouter) -> None:
    def path(
        method: str, where: str, tag: str, responses: replies.Responses, extra: dict[str, Any] | None = None
    ) -> Callable[[Endpoint], Endpoint]:
        made: Callable[[Endpoint], Endpoint] = router.api_route(
            where, methods=[method], tags=[tag], response_model=None, responses=responses, openapi_extra=extra or {}
        )
        return made

    once_if_match = {"parameters": [*ONCE["parameters"], *IF_MATCH["parameters"]]}

    @path("POST", "/flows/{object_id}/validate", "flows", replies.of_model(FlowVerdict, 404, 413))
    async def validate_flow(object_id: str, work: Flows) -> Response:
        """All that is wrong with the draft."""
        return await flows.validate(work, object_id)

    @path("POST", "/flows/{object_id}/publish", "flows", replies.of_action(BY_NAME["flows"], 422), once_if_match)
    async def publish_flow(object_id: str, work: Flows) -> Response:
        """Makes the draft what new calls take, as a new version; refused with all problems when it has any."""
        return await flows.publish(work, object_id)

    @path("POST", "/flows/{object_id}/archive", "flows", replies.of_action(BY_NAME["flows"]), once_if_match)
    async def archive_flow(object_id: str, work: Flows) -> Response:
        """Takes a flow out of use; its draft and its versions stay. Publishing it puts it into use again."""
        return await flows.archive(work, object_id)

    @path("GET", "/flows/{object_id}/versions", "flows", replies.of_model(FlowVersions, 404))
    async def list_flow_versions(object_id: str, work: Flows, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
        """What was ever published, newest first."""
        return await flows.versions(work, object_id, limit, cursor)

    @path("GET", "/flows/{object_id}/versions/{version}", "flows", replies.of_model(FlowVersionReply, 404))
    async def get_flow_version(object_id: str, version: Number, work: Flows) -> Response:
        """A version with its graph."""
        return await flows.version(work, object_id, version)

    @path("GET", "/flows/{object_id}/diff", "flows", replies.of_model(FlowDiff, 404))
    async def diff_flow(object_id: str, work: Flows, from_: From = None, to: Side = "draft") -> Response:
        """What is different between two versions, or a version and the draft."""
        return await flows.compare(work, object_id, from_, to)

    @path("POST", "/flows/{object_id}/simulate", "flows", replies.of_model(SimulateReply, 404, 413, 422))
    async def simulate_flow(object_id: str, body: SimulateRequest, work: Flows) -> Response:
        """What the flow would do with a call, given what its commands come to; no call is placed."""
        return await flows.try_out(work, object_id, body)

    @path("PUT", "/media/{object_id}/content", "media", replies.of_action(BY_NAME["media"], 411, 415, 422), _UPLOAD)
    async def upload_media(object_id: str, request: Request, work: Flows) -> Response:
        """Uploads a sound file: WAV (PCM, A-law, µ-law), MP3, Ogg or FLAC."""
        return await media.upload(work, object_id, request.headers.get("content-type", ""), request.state.content)

    @path("GET", "/media/{object_id}/content", "media", replies.of_file(media.SERVED_AS.values()))
    async def download_media(object_id: str, work: Flows, known: Known = "") -> Response:
        """The sound file as it was uploaded."""
        return await media.download(work, object_id, known)

    @path("GET", "/calls/{object_id}/trace", "calls", replies.of_model(CallTrace, 404))
    async def trace_call(object_id: str, work: Calls, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
        """What happened in a call, step by step: the nodes of its flow, what was pressed, what came of it."""
        return await calls.trace(work, object_id, limit, cursor)
