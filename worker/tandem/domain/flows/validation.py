"""Whether a flow can be published: all problems at once (spec 20, "The flow document")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tandem.domain.flows import document, parts, sketch
from tandem.domain.flows.addresses import refusal
from tandem.domain.flows.document import EXIT, Data, Edge, Graph
from tandem.domain.flows.expressions import ExpressionError, parse
from tandem.domain.flows.loops import loops, reached
from tandem.domain.flows.outcomes import calls, exits, has_digits, is_exit, is_free, outcomes, required
from tandem.domain.flows.patterns import PatternError, compile_pattern
from tandem.domain.flows.problems import Known, Problem
from tandem.domain.flows.session import DEEPEST
from tandem.domain.flows.silence import Silence
from tandem.domain.flows.sketch import Sketch, read
from tandem.domain.flows.values import is_template
from tandem.domain.flows.web import header_problem, url_problem

__all__ = ["check", "problems", "read", "references", "unhandled"]


def problems(graph: Graph, known: Known) -> list[Problem]:
    return list(_problems(sketch.of_graph(graph), known))


def check(found: Any, known: Known) -> tuple[Graph | None, list[Problem]]:
    """The graph in a JSON value, unless it is none, and all that is wrong with it: a node that cannot be read does not
    hide what else is."""
    graph = read(found)
    if isinstance(graph, Graph):
        return graph, problems(graph, known)
    drawn = sketch.draw(found)
    return None, graph if drawn is None else [*graph, *_problems(drawn, known)]


def references(graph: Graph) -> frozenset[tuple[str, str]]:
    """(kind, id) of all that the graph names, kinds as in `Known.ids`; under both where it may be one or the other."""
    return frozenset(
        (kind, ident) for node in graph.nodes for _, kinds, ident in parts.references(node.data) for kind in kinds
    )


def unhandled(graph: Graph, flow_id: str, name: str, caller: Graph) -> list[Problem]:
    """What is missing in a published flow that calls this one (`flow_id`) for the exits that it would have."""
    handles = {(edge.source, edge.source_handle) for edge in caller.edges}
    every = ((node.id, node.data) for node in caller.nodes)
    nodes = [ident for ident, data in every if isinstance(data, document.Subflow) and data.flow_id == flow_id]
    return [
        Problem(
            "unhandled_exit",
            f"The flow {name} calls this one at its node {node_id}, and nothing follows the exit {one} there; add an"
            " edge for it and publish that flow first.",
            edge_id=next(edge.id for edge in graph.edges if edge.target == f"{EXIT}{one}"),
        )
        for node_id in nodes
        for one in sorted(exits(graph))
        if (node_id, one) not in handles
    ]


def _problems(drawn: Sketch, known: Known) -> Iterator[Problem]:
    nodes = dict(drawn.nodes)
    yield from _twice(drawn)
    if drawn.start is not None and drawn.start not in nodes:
        yield Problem("unknown_start", f"The flow starts at {drawn.start}, and there is no such node.", field="start")
    for edge in drawn.edges:
        yield from _of_edge(edge, nodes, known)
    yield from _missing(drawn, nodes, known)
    yield from _ways(drawn, nodes, known)
    for ident, data in drawn.nodes:
        if data is not None:
            yield from _of_data(ident, data, known)
            yield from _dangling(ident, data, known)
            yield from _of_calls(ident, data, known)


def _twice(drawn: Sketch) -> Iterator[Problem]:
    for ident, count in Counter(ident for ident, _ in drawn.nodes).items():
        if count > 1:
            yield Problem("duplicate_id", f"{count} nodes have the id {ident}.", node_id=ident)
    for ident, count in Counter(edge.id for edge in drawn.edges).items():
        if count > 1:
            yield Problem("duplicate_id", f"{count} edges have the id {ident}.", edge_id=ident)
    seen: set[tuple[str, str]] = set()
    for edge in drawn.edges:
        if (edge.source, edge.source_handle) in seen:
            text = f"Another edge leaves {edge.source} by {edge.source_handle}; one outcome leads to one place."
            yield Problem("duplicate_edge", text, edge_id=edge.id)
        seen.add((edge.source, edge.source_handle))


def _of_edge(edge: Edge, nodes: Mapping[str, Data | None], known: Known) -> Iterator[Problem]:
    if edge.target.startswith(EXIT):
        if not is_exit(edge.target[len(EXIT) :]):
            text = "The name of an exit has 1 to 64 letters, digits, dots, hyphens and underscores."
            yield Problem("bad_exit", text, edge_id=edge.id, field="target")
    elif edge.target not in nodes:
        yield Problem("unknown_target", f"There is no node {edge.target}.", edge_id=edge.id, field="target")
    if edge.source not in nodes:
        yield Problem("unknown_source", f"There is no node {edge.source}.", edge_id=edge.id, field="source")
    data = nodes.get(edge.source)
    allowed = None if data is None else outcomes(data, known.flows)
    if data is None or allowed is None or edge.source_handle in allowed or is_free(data, edge.source_handle):
        return
    text = f"Node {edge.source} ({data.kind}) has no outcome {edge.source_handle}."
    yield Problem("unknown_outcome", text, edge_id=edge.id, field="sourceHandle")


def _missing(drawn: Sketch, nodes: Mapping[str, Data | None], known: Known) -> Iterator[Problem]:
    handles: dict[str, set[str]] = {ident: set() for ident in nodes}
    for edge in drawn.edges:
        handles.setdefault(edge.source, set()).add(edge.source_handle)
    for ident, data in nodes.items():
        if data is None:
            continue
        for outcome in sorted(required(data, known.flows) - handles[ident]):
            yield Problem("missing_outcome", f"Nothing follows the outcome {outcome}.", node_id=ident)
        if isinstance(data, document.Menu) and not has_digits(handles[ident]):
            yield Problem("missing_outcome", "A menu needs an edge for at least one digit.", node_id=ident)


def _ways(drawn: Sketch, nodes: Mapping[str, Data | None], known: Known) -> Iterator[Problem]:
    links: dict[str, list[str]] = {ident: [] for ident in nodes}
    for edge in drawn.edges:
        if edge.source in nodes and edge.target in nodes:
            links[edge.source].append(edge.target)
    if drawn.start is not None and drawn.start in nodes:
        found = reached(links, [drawn.start])
        for ident in nodes:
            if ident not in found:
                yield Problem("unreachable", "No way leads from the start to this node.", node_id=ident)
    silent = Silence(known.flows).links(nodes, drawn.edges)
    for group in loops(silent, dict.fromkeys(ident for ident in nodes if ident in silent)):
        text = f"These nodes go round without waiting for anything: {', '.join(group)}."
        yield Problem("endless_loop", text, node_id=group[0])


def _dangling(ident: str, data: Data, known: Known) -> Iterator[Problem]:
    for name, kinds, wanted in parts.references(data):
        if all(kind in known.ids and wanted not in known.ids[kind] for kind in kinds):
            what = " or ".join(kind.replace("_", " ") for kind in kinds)
            yield Problem("unknown_reference", f"There is no {what} {wanted}.", node_id=ident, field=name)


def _of_calls(ident: str, data: Data, known: Known) -> Iterator[Problem]:
    """A flow must not come to call itself, and not more than `DEEPEST` may be under way at once."""
    if not isinstance(data, document.Subflow):
        return
    links = {flow_id: calls(graph) for flow_id, graph in known.flows.items()}
    if known.flow_id is not None and known.flow_id in reached({**links, known.flow_id: ()}, [data.flow_id]):
        text = f"Flow {data.flow_id} leads back to this flow."
        yield Problem("recursion", text, node_id=ident, field="flowId")
        return
    level = {data.flow_id}
    for _ in range(DEEPEST - 1):
        level = {called for flow_id in level for called in links.get(flow_id, ())}
    if level:
        yield Problem("too_deep", f"More than {DEEPEST} flows call one another.", node_id=ident, field="flowId")


def _of_data(ident: str, data: Data, known: Known) -> Iterator[Problem]:
    for name, text in parts.templates(data):
        if not is_template(text):
            message = "Each {{ has to be followed by the name of a variable and }}."
            yield Problem("bad_template", message, node_id=ident, field=name)
    for name, text in parts.patterns(data):
        try:
            compile_pattern(text)
        except PatternError as error:
            yield Problem("bad_pattern", f"This is no regular expression: {error}.", node_id=ident, field=name)
    for name, text in parts.numbers(data):
        if not text.strip():
            yield Problem("incomplete", "There is no number to dial.", node_id=ident, field=name)
    match data:
        case document.SetVariable():
            yield from _of_expressions(ident, data)
        case document.HttpRequest():
            yield from _of_request(ident, data, known)
        case document.Menu() | document.Collect():
            if data.min_digits > data.max_digits:
                yield Problem("bad_digits", "minDigits is above maxDigits.", node_id=ident, field="minDigits")
        case document.Switch():
            yield from _of_cases(ident, data)
        case document.Conference():
            if data.conference_id is None and data.room_variable is None:
                text = "A conference has conferenceId or roomVariable."
                yield Problem("incomplete", text, node_id=ident, field="conferenceId")
        case document.Dial():
            if data.record:
                yield Problem("not_available", "Calls cannot be recorded yet.", node_id=ident, field="record")
        case _:
            pass


def _of_expressions(ident: str, data: document.SetVariable) -> Iterator[Problem]:
    for index, one in enumerate(data.assignments):
        try:
            parse(one.expression)
        except ExpressionError as error:
            where = f"assignments.{index}.expression"
            yield Problem("bad_expression", f"This is no expression: {error}.", node_id=ident, field=where)


def _of_request(ident: str, data: document.HttpRequest, known: Known) -> Iterator[Problem]:
    wrong = url_problem(data.url)
    if wrong is not None:
        yield Problem("bad_url", f"This cannot be requested: {wrong}.", node_id=ident, field="url")
    elif "{{" not in data.url:
        refused = refusal(data.url, known.http_allow)
        if refused is not None:
            yield Problem("bad_url", refused, node_id=ident, field="url")
    if data.method == "GET" and data.body is not None:
        yield Problem("bad_body", "A GET has no body.", node_id=ident, field="body")
    for name in data.headers:
        wrong = header_problem(name)
        if wrong is not None:
            yield Problem("bad_header", f"{name}: {wrong}.", node_id=ident, field=f"headers.{name}")


def _of_cases(ident: str, data: document.Switch) -> Iterator[Problem]:
    for case, count in Counter(data.cases).items():
        if case == "else" or count > 1:
            text = f"The case {case} is there twice." if count > 1 else "The case else is what no case is for."
            yield Problem("duplicate_case", text, node_id=ident, field="cases")
