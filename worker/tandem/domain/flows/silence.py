"""Which ways through a graph lead on without a wait for anyone, in the flows that it calls too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tandem.domain.flows import document
from tandem.domain.flows.document import EXIT, Data, Edge, Graph
from tandem.domain.flows.loops import reached
from tandem.domain.flows.outcomes import UNHEARD


class Silence:
    """`flows`: the graphs that are called."""

    def __init__(self, flows: Mapping[str, Graph]) -> None:
        self._flows = flows
        self._exits: dict[str, frozenset[str]] = {}

    def links(self, nodes: Mapping[str, Data | None], edges: Iterable[Edge]) -> dict[str, list[str]]:
        """Where each of the nodes that need not wait leads without a wait: nodes and exits.

        Whether a text comes out empty, there is a number to dial, or a leg is let in, only the call tells: what goes
        round by that ends by the interpreter's guard.
        """
        found: dict[str, list[str]] = {}
        for edge in edges:
            data = nodes.get(edge.source)
            if data is not None and self._is_silent(data, edge.source_handle):
                found.setdefault(edge.source, []).append(edge.target)
        return found

    def _is_silent(self, data: Data, outcome: str) -> bool:
        if isinstance(data, document.Subflow):
            return outcome in self.exits(data.flow_id)
        return data.kind in UNHEARD

    def exits(self, flow_id: str) -> frozenset[str]:
        """Those by which the flow may be left without a wait. Of flows that lead back to themselves, which is a problem
        of its own, none."""
        if flow_id not in self._exits:
            self._exits[flow_id] = frozenset()
            graph = self._flows.get(flow_id)
            if graph is not None:
                links = self.links({node.id: node.data for node in graph.nodes}, graph.edges)
                ends = (one for one in reached(links, [graph.start]) if one.startswith(EXIT))
                self._exits[flow_id] = frozenset(end[len(EXIT) :] for end in ends)
        return self._exits[flow_id]
