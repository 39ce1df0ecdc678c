"""What is wrong with a flow document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tandem.domain.flows.document import Graph


@dataclass(frozen=True, slots=True)
class Problem:
    """`message` is a sentence for the operator; `field` is a path in the node or edge, in the document's names."""

    code: str
    message: str
    node_id: str | None = None
    edge_id: str | None = None
    field: str | None = None


@dataclass(frozen=True)
class Known:
    """What the account has. `ids`: by kind (`schedule media playlist flow ring_group user extension forward`); a kind
    that is not in it is not checked. `flows`: the published graphs of the flows that are called, and of those that they
    call. `flow_id`: the flow that is checked, None for one that is new. `http_allow`: `host:port` that may be requested
    though they are not of the public internet."""

    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    flows: Mapping[str, Graph] = field(default_factory=dict)
    flow_id: str | None = None
    http_allow: frozenset[str] = frozenset()
