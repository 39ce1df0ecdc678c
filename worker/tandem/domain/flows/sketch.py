"""A flow document as far as it can be read, so that what is wrong with one node does not hide the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from tandem.domain.flows.document import MOST_EDGES, MOST_NODES, Data, Edge, Graph, Node
from tandem.domain.flows.problems import Problem

_MOST_ERRORS: Final = 200
_LONGEST_ID: Final = 64


@dataclass(frozen=True, slots=True)
class Sketch:
    """`start` None, or a node's data None: it cannot be read."""

    start: str | None
    nodes: Sequence[tuple[str, Data | None]]
    edges: Sequence[Edge]


def of_graph(graph: Graph) -> Sketch:
    return Sketch(graph.start, [(node.id, node.data) for node in graph.nodes], graph.edges)


def read(document: Any) -> Graph | list[Problem]:
    """The graph in a JSON value; or all that is wrong with its form, with the ids of nodes and edges."""
    try:
        return Graph.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    return [_problem(document, one["type"], one["loc"], one["msg"]) for one in found[:_MOST_ERRORS]]


def draw(document: Any) -> Sketch | None:
    """What can be read of a document that is no graph; None when its lists cannot."""
    if not isinstance(document, Mapping):
        return None
    start: Any = document.get("start")
    nodes: Any = document.get("nodes")
    edges: Any = document.get("edges", [])
    if not _is_list(nodes, MOST_NODES) or not _is_list(edges, MOST_EDGES):
        return None
    return Sketch(start if isinstance(start, str) else None, list(_nodes(nodes)), list(_edges(edges)))


def _is_list(value: Any, most: int) -> bool:
    return isinstance(value, list) and len(value) <= most


def _nodes(raws: list[Any]) -> Iterator[tuple[str, Data | None]]:
    for raw in raws:
        try:
            node = Node.model_validate(raw)
        except ValidationError:
            ident = _id(raw)
            if ident is not None:
                yield ident, None
        else:
            yield node.id, node.data


def _edges(raws: list[Any]) -> Iterator[Edge]:
    for raw in raws:
        with suppress(ValidationError):
            yield Edge.model_validate(raw)


def _id(raw: Any) -> str | None:
    found = raw.get("id") if isinstance(raw, Mapping) else None
    return found if isinstance(found, str) and len(found) <= _LONGEST_ID else None


def _problem(document: Any, kind: str, loc: Sequence[int | str], message: str) -> Problem:
    """`loc` as pydantic gives it: the list, the index, the fields, with the node's kind after `data`."""
    code = "unknown_kind" if kind in ("union_tag_invalid", "union_tag_not_found") else "wrong_form"
    text = f"{message.removeprefix('Value error, ')}."
    if len(loc) < 2 or loc[0] not in ("nodes", "edges") or not isinstance(loc[1], int):
        return Problem(code, text, field=_path(loc))
    ident = _id(document[loc[0]][loc[1]])
    if ident is None:
        return Problem(code, text, field=_path(loc))
    fields = loc[2:]
    if fields[:1] == ("data",):
        fields = fields[2:]
    if loc[0] == "edges":
        return Problem(code, text, edge_id=ident, field=_path(fields))
    return Problem(code, text, node_id=ident, field=_path(fields))


def _path(loc: Sequence[int | str]) -> str | None:
    return ".".join(str(part) for part in loc) or None
