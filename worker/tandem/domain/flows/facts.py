"""What a call's flow is run with: pinned when the call reaches the engine, the same to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from tandem.domain.flows import document
from tandem.domain.flows.document import Graph
from tandem.domain.hours import Schedule
from tandem.domain.target import Target

IMPLICIT: Final = "implicit"


@dataclass(frozen=True)
class Flow:
    """A published version."""

    flow_id: str
    name: str
    version: int
    graph: Graph

    @cached_property
    def nodes(self) -> Mapping[str, document.Data]:
        return {node.id: node.data for node in self.graph.nodes}

    @cached_property
    def edges(self) -> Mapping[tuple[str, str], str]:
        """(node id, outcome) to where it leads."""
        return {(edge.source, edge.source_handle): edge.target for edge in self.graph.edges}


@dataclass(frozen=True, slots=True)
class MediaFile:
    """`key` is the object in R2, `etag` names its content."""

    key: str
    etag: str


@dataclass(frozen=True)
class Facts:
    """`target_kind` is `flow queue voicemail conference`; `flows` has the flow and all that it leads to, `playlists`
    the ids of their media; `exits` the flow to which a ring group leads, by the group's id; `vars` are those that the
    route set. `timezone` is for schedules that have none of their own."""

    target_kind: str
    target_id: str
    direction: str
    from_num: str
    to_num: str
    timezone: str = "UTC"
    language: str = "en-US"
    voice: Literal["female", "male"] = "female"
    flows: Mapping[str, Flow] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    media: Mapping[str, MediaFile] = field(default_factory=dict)
    playlists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exits: Mapping[str, Target] = field(default_factory=dict)
    vars: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def root(self) -> Flow | None:
        """The flow to begin with: for a queue, mailbox or conference one of that single node. None: it is gone."""
        if self.target_kind == "flow":
            return self.flows.get(self.target_id)
        return implicit(self.target_kind, self.target_id)

    def flow(self, flow_id: str) -> Flow | None:
        return self.root if flow_id == IMPLICIT else self.flows.get(flow_id)


def implicit(target_kind: str, target_id: str) -> Flow | None:
    """A DID or an extension that leads straight to such a target runs a flow of one node (spec 20, "Execution")."""
    data: dict[str, str]
    match target_kind:
        case "queue":
            data = {"kind": "enqueue", "queueId": target_id}
        case "voicemail":
            data = {"kind": "voicemail", "mailboxId": target_id}
        case "conference":
            data = {"kind": "conference", "conferenceId": target_id}
        case _:
            return None
    graph = Graph.model_validate({"start": target_kind, "nodes": [{"id": target_kind, "data": data}]})
    return Flow(IMPLICIT, target_kind, 0, graph)
