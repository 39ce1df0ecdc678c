"""What a call's session (CALL_SESSION) asks of the account's PRESENCE: texts in, a text out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tandem.contracts.base import BrainMessage


class SessionQuery(BrainMessage):
    """A call that a node has brought to its media engine: what is it to run?"""

    call_id: str
    node_id: str


class FlowRow(BrainMessage):
    """A published version; `graph` is the JSON text of a `Graph`."""

    flow_id: str
    name: str
    version: int
    graph: str


class ExitRow(BrainMessage):
    """The flow to which a ring group leads, and the variables that are set on the way."""

    flow_id: str
    vars: dict[str, str] = {}


class MediaRow(BrainMessage):
    key: str
    etag: str


class SessionFacts(BrainMessage):
    """All that the session needs, as it is now: the session keeps it to its end.

    `target_kind` is `flow queue voicemail conference`. `flows` has the flow and all that it leads to, as a
    subflow or by a ring group of `exits`, which are by the group's id; `schedules` are {id: [timezone, rows of
    time_schedule_rule]} in the shape of `store.routing_rows`; `media` by id; `playlists` {id: media ids}. `vars` are
    those that the route set.
    """

    target_kind: str
    target_id: str
    vars: dict[str, str] = {}
    direction: str
    from_num: str
    to_num: str
    timezone: str
    language: str
    voice: Literal["female", "male"]
    flows: list[FlowRow] = []
    schedules: dict[str, Any] = {}
    media: dict[str, MediaRow] = {}
    playlists: dict[str, list[str]] = {}
    exits: dict[str, ExitRow] = {}


class LegTarget(BrainMessage):
    """`dest_kind` as of a route target, `number` with what is dialled as `dest_id`, or `members`: a ring group by its
    id, whose exit is not followed."""

    dest_kind: str
    dest_id: str


class PlaceLeg(BrainMessage):
    """The session orders a leg: PRESENCE keeps what it rings, and answers with the token that lets it in. Idempotent by
    `leg_id`. Without `timeout_sec` each target rings for its own time. `caller_id` is a number of the account to show
    instead of the caller's."""

    call_id: str
    leg_id: str
    node_id: str
    targets: Annotated[list[LegTarget], Field(min_length=1)]
    timeout_sec: int | None = None
    caller_id: str | None = None


class LegPlaced(BrainMessage):
    """`noted` is for the trace: what of the order cannot be as it was asked for."""

    uri: str
    token: str
    noted: str | None = None


class CallQuery(BrainMessage):
    call_id: str


class CallAlive(BrainMessage):
    """`live`: the account still has this call."""

    live: bool
