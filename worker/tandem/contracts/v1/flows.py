"""Call flows: the draft that is written, the versions that calls take, and what can be asked about them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tandem.contracts.v1.base import Fields, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import Name, Text

MOST_GRAPH_BYTES: Final = 256 * 1024
MOST_VERSION: Final = 2**31
FlowStatus = Literal["draft", "published", "archived"]


def _bounded(graph: dict[str, Any]) -> dict[str, Any]:
    # Raises ValueError for numbers beyond any float, too.
    size = len(json.dumps(graph, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())
    if size > MOST_GRAPH_BYTES:
        raise ValueError(f"must not be longer than {MOST_GRAPH_BYTES} bytes as JSON, and has {size}")
    return graph


def _empty() -> dict[str, Any]:
    return {"start": "entry", "nodes": [], "edges": []}


Graph = Annotated[dict[str, Any], AfterValidator(_bounded)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Version = Annotated[int, Field(ge=1, le=MOST_VERSION)]


class FlowFields(Fields):
    name: Name = Field(description="Unique in the account.")
    graph: Graph = Field(
        default_factory=_empty,
        description="The draft: start, nodes and edges, at most 256 KB. It may have problems until it is published.",
    )


class FlowCreate(FlowFields, Owned):
    """A call flow. Calls take its published version; its draft is changed and published again."""


class _Published(BaseModel):
    status: FlowStatus = Field(description="draft: never published; archived: taken out of use.")
    version: int = Field(description="The last version that was published; 0: none.")
    published_at: int | None = Field(description="Epoch ms.")
    unpublished: bool = Field(description="The draft is not what calls take.")


class FlowSummary(_Published, OwnedItem):
    """A call flow without its draft."""

    name: str


class Flow(FlowFields, _Published, OwnedItem):
    """A call flow. Calls take its published version; its draft is changed and published again."""


FlowPatch = patch_of(FlowFields)


class FlowProblem(BaseModel):
    """What is wrong with a graph."""

    code: str
    message: str = Field(description="One sentence that a human can act on.")
    node_id: str | None = None
    edge_id: str | None = None
    field: str | None = Field(None, description="A path in the node or the edge.")


class FlowVerdict(BaseModel):
    ok: bool
    valid: bool = Field(description="It could be published.")
    problems: list[FlowProblem] = Field(description="All that is wrong with the draft.")


class FlowVersionSummary(BaseModel):
    version: int
    published_at: int = Field(description="Epoch ms.")
    published_by: str = Field(description="Id of the key or the console user.")


class FlowVersion(FlowVersionSummary):
    """What was published once; it never changes."""

    graph: dict[str, Any]


class FlowVersions(BaseModel):
    ok: bool
    items: list[FlowVersionSummary] = Field(description="Newest first.")
    next_cursor: str | None


class FlowVersionReply(BaseModel):
    ok: bool
    item: FlowVersion


class FieldChange(BaseModel):
    """A value that is another; null: there is none on that side."""

    path: str = Field(description="Names and positions between dots.")
    before: Any
    after: Any


class PartChange(BaseModel):
    id: str
    fields: list[FieldChange]


class PartsChange(BaseModel):
    added: list[str] = Field(description="Ids.")
    removed: list[str] = Field(description="Ids.")
    changed: list[PartChange]


class FlowDiff(BaseModel):
    """`from`, `to`: the sides that were compared."""

    model_config = ConfigDict(populate_by_name=True)

    ok: bool
    from_: str = Field(alias="from")
    to: str
    nodes: PartsChange
    edges: PartsChange
    fields: list[FieldChange] = Field(description="What is neither a node nor an edge, such as start.")


class ScriptedOutcome(Fields):
    """What the next command comes to."""

    outcome: Annotated[str, Field(min_length=1, max_length=32)] = Field(
        description="As a node would report it: digits, timeout, answered, no_answer, busy, failed, ended, hangup, …"
    )
    node_id: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="The flow's node that it is meant for. Commands that simply succeed (answer, play, hangup) do so by"
        " themselves, a play only unless the next outcome names its node.",
    )
    digits: Annotated[str, Field(pattern=r"^[0-9*#A-D]{0,64}$")] | None = Field(None, description="What was pressed.")
    terminator: Annotated[str, Field(pattern=r"^[0-9*#]$")] | None = Field(None, description="What ended the digits.")
    cause: Annotated[str, Field(max_length=64)] | None = Field(None, description="Why a leg failed: SIP code or word.")
    message: Text | None = Field(None, description="What went wrong.")
    after_ms: int = Field(0, ge=0, le=86_400_000, description="How long it took.")


class ScriptedReply(Fields):
    """What the next HTTP request comes to."""

    status: int = Field(200, ge=0, le=599, description="HTTP status.")
    body: str = Field("", max_length=65_536, description="The body, as text.")
    error: Text | None = Field(None, description="The request could not be made, and why.")
    timed_out: bool = Field(False, description="There was no reply in time.")


class SimulateRequest(Fields):
    """A call that is only imagined: what each command comes to, and what the flow does then."""

    version: Version | None = Field(None, description="A published version; null: the draft.")
    at: Annotated[int, Field(ge=0, le=2**48 - 1)] | None = Field(None, description="Epoch ms; default: now.")
    direction: Literal["inbound", "internal"] = Field("inbound", description="Where the call comes from.")
    from_: Annotated[str, Field(max_length=64)] = Field("", alias="from", description="The caller's number.")
    to: Annotated[str, Field(max_length=64)] = Field("", description="What was called.")
    vars: dict[Variable, Annotated[str, Field(max_length=2_000)]] = Field(
        {}, max_length=50, description="Variables that the route to the flow sets."
    )
    outcomes: list[ScriptedOutcome] = Field([], max_length=500, description="In order.")
    replies: list[ScriptedReply] = Field([], max_length=100, description="In order; without one a request fails.")


class SimulatedCommand(BaseModel):
    seq: int
    cmd: str
    args: dict[str, Any]


class SimulatedStep(BaseModel):
    """A node that was left. Secret values are `***`."""

    at: int = Field(description="Epoch ms.")
    entered_at: int = Field(description="Epoch ms.")
    seq: int
    flow_id: str
    node_id: str
    kind: str
    outcome: str
    done: bool = Field(description="False: the node goes on, as after a wrong digit.")
    variables: dict[str, str | int | float | bool] = Field(description="Those that it set.")
    digits: str | None = None
    error: str | None = None


class SimulateReply(BaseModel):
    ok: bool
    reason: str | None = Field(
        description="Why it ended; null: it waits for the outcome of its last command; too_long: the flow would go on,"
        " but it is followed no further than for some 1,000 commands or steps of the trace."
    )
    commands: list[SimulatedCommand]
    trace: list[SimulatedStep]


class TraceStep(BaseModel):
    """A step of a call."""

    at: int = Field(description="Epoch ms.")
    source: str = Field(description="What tells it, such as flow.")
    seq: int = Field(description="Position among the steps of its source.")
    kind: str
    node_id: str | None = Field(description="The flow's node.")
    data: dict[str, Any]


class CallTrace(BaseModel):
    ok: bool
    items: list[TraceStep] = Field(description="In the order in which they happened.")
    next_cursor: str | None
