"""What is wrong with flows, in few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.domain.flows import Known, Problem, problems
from tandem.domain.flows.outcomes import outcomes, required
from tests.support.flow_nodes import END
from tests.support.flows import graph

ENTRY = {"kind": "entry"}
NOTHING = Known()
SUB = graph({"a": ENTRY, "b": ENTRY}, {"a": "exit:good", "b": "exit:bad"})
CALLING = Known(flows={"f": SUB})


def codes(found: list[Problem]) -> list[tuple[str, str | None]]:
    return [(one.code, one.node_id or one.edge_id) for one in found]


def of_node(data: Mapping[str, Any], known: Known = CALLING) -> list[Problem]:
    """The problems of the node's own: it has an edge for all that it comes to."""
    (node,) = graph({"node": data}, {}).nodes
    handles = set(required(node.data, known.flows) or outcomes(node.data, known.flows) or ())
    if data["kind"] == "menu":
        handles.add("digit:1")
    nodes = {"node": data, "end": END} if handles else {"node": data}
    return problems(graph(nodes, {f"node {one}": "end" for one in handles}), known)
