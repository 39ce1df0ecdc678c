"""What is wrong with a flow, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.domain.flows import Graph, Known, Problem, check, problems, read, references, unhandled
from tandem.domain.flows.document import MOST_NODES
from tandem.domain.flows.outcomes import ERRORS, INSTEAD, SERVED, calls, exits, outcomes
from tandem.domain.flows.sketch import draw
from tests.support.flow_nodes import END, SPOKEN
from tests.support.flow_problems import CALLING, ENTRY, NOTHING, SUB, codes, of_node
from tests.support.flows import document, graph

# A node of each kind, and the outcomes that need an edge.
KINDS: list[tuple[dict[str, Any], set[str]]] = [
    (ENTRY, {"default"}),
    ({"kind": "play", "audioId": "m"}, {"default"}),
    ({"kind": "say", "text": "x"}, {"default"}),
    ({"kind": "menu", "prompt": SPOKEN}, {"timeout", "invalid"}),
    ({"kind": "collect", "prompt": SPOKEN, "variable": "x"}, {"matched", "no_match", "timeout"}),
    (
        {"kind": "condition", "rules": [{"variable": "x", "operator": "is_set", "handle": name} for name in "aab"]},
        {"a", "b", "else"},
    ),
    ({"kind": "timeCondition", "scheduleId": "s"}, {"in_hours", "out_of_hours"}),
    ({"kind": "setVariable", "assignments": [{"variable": "x", "expression": "1"}]}, {"default"}),
    ({"kind": "httpRequest", "url": "https://x.example"}, {"success", "error", "timeout"}),
    ({"kind": "switch", "variable": "x", "cases": ["1", "two words"]}, {"1", "two words", "else"}),
    ({"kind": "dial", "targets": [{"number": "1"}]}, {"no_answer", "busy", "failed"}),
    ({"kind": "ringGroup", "ringGroupId": "r"}, set()),
    ({"kind": "enqueue", "queueId": "q"}, set()),
    ({"kind": "callback", "queueId": "q", "numberVariable": "n"}, {"scheduled", "refused"}),
    ({"kind": "voicemail", "mailboxId": "v"}, {"full"}),
    ({"kind": "record", "variable": "r"}, {"recorded", "timeout"}),
    ({"kind": "conference", "conferenceId": "c"}, {"refused"}),
    ({"kind": "transfer", "target": {"number": "1"}}, {"failed"}),
    ({"kind": "subflow", "flowId": "f"}, {"good", "bad"}),
    (END, set()),
]


def test_there_are_20_kinds() -> None:
    assert len({data["kind"] for data, _ in KINDS}) == 20


@pytest.mark.parametrize(("data", "needed"), KINDS)
def test_every_outcome_needs_an_edge_but_for_those_that_end_well(data: dict[str, Any], needed: set[str]) -> None:
    found = problems(graph({"node": data}, {}), CALLING)
    expected = [("missing_outcome", f"Nothing follows the outcome {name}.") for name in sorted(needed)]
    if data["kind"] == "menu":
        expected.append(("missing_outcome", "A menu needs an edge for at least one digit."))
    assert [(one.code, one.message) for one in found] == expected
    assert {one.node_id for one in found} <= {"node"}


@pytest.mark.parametrize(("data", "needed"), KINDS)
def test_a_node_has_its_outcomes_and_no_others(data: dict[str, Any], needed: set[str]) -> None:
    (node,) = graph({"node": data}, {}).nodes
    every = outcomes(node.data, CALLING.flows)
    assert every is not None
    assert needed <= every
    kind = data["kind"]
    assert ERRORS.get(kind) in {None, *every}
    assert SERVED.get(kind, frozenset()) <= every
    for handle in [*sorted(every), "nonsense"]:
        made = graph({"node": data, "end": END}, {f"node {handle}": "end"})
        wrong = [one for one in problems(made, CALLING) if one.code == "unknown_outcome"]
        # An exit that the called flow may yet get is none.
        assert [one.edge_id for one in wrong] == (["e0"] if handle == "nonsense" and kind != "subflow" else [])
        assert all(one.message == f"Node node ({kind}) has no outcome nonsense." for one in wrong)


def test_what_stands_for_another_outcome_is_one_of_the_kind() -> None:
    for (kind, outcome), other in INSTEAD.items():
        (data,) = (data for data, _ in KINDS if data["kind"] == kind)
        (node,) = graph({"node": data}, {}).nodes
        assert {outcome, other} <= (outcomes(node.data, {}) or set())


@pytest.mark.parametrize(
    ("fields", "handle", "allowed"),
    [
        ({}, "digit:1", True),
        ({}, "digit:*", True),
        ({}, "digit:#", True),
        ({"terminators": ""}, "digit:#", True),
        ({"minDigits": 2, "maxDigits": 3}, "digit:#", True),
        ({"minDigits": 2, "maxDigits": 3}, "digit:12", True),
        ({"minDigits": 2, "maxDigits": 3}, "digit:1", False),
        ({"minDigits": 2, "maxDigits": 3}, "digit:1234", False),
        ({"maxDigits": 3}, "digit:1#", False),
        ({}, "digit:", False),
        ({}, "digit:a", False),
    ],
)
def test_the_digits_of_a_menu(fields: dict[str, Any], handle: str, allowed: bool) -> None:
    edges = {"node timeout": "end", "node invalid": "end", "node digit:7": "end", f"node {handle}": "end"}
    menu = {"kind": "menu", "prompt": SPOKEN, **fields}
    found = problems(graph({"node": menu, "end": END}, edges), NOTHING)
    wrong = [one for one in found if one.message == f"Node node (menu) has no outcome {handle}."]
    assert len(wrong) == (not allowed)


@pytest.mark.parametrize(("handle", "allowed"), [("key:1", True), ("key:#", True), ("key:12", False), ("key:", False)])
def test_the_keys_of_a_queue(handle: str, allowed: bool) -> None:
    found = problems(graph({"n": {"kind": "enqueue", "queueId": "q"}, "end": END}, {f"n {handle}": "end"}), NOTHING)
    assert codes(found) == ([] if allowed else [("unknown_outcome", "e0")])


@pytest.mark.parametrize(
    ("nodes", "edges", "start", "expected"),
    [
        ({"a": END}, {}, "b", [("unknown_start", None)]),
        ({"a": ENTRY}, {"a": "b"}, None, [("unknown_target", "e0")]),
        ({"a": END}, {"b": "a"}, None, [("unknown_source", "e0")]),
        ({"a": ENTRY}, {"a": "exit:"}, None, [("bad_exit", "e0")]),
        ({"a": ENTRY}, {"a": "exit:a b"}, None, [("bad_exit", "e0")]),
        ({"a": ENTRY}, {"a": "exit:a"}, None, []),
        ({"a": END, "b": END}, {}, None, [("unreachable", "b")]),
        ({"a": END, "b": ENTRY, "c": END}, {"b": "c"}, None, [("unreachable", "b"), ("unreachable", "c")]),
    ],
)
def test_where_edges_lead(
    nodes: dict[str, Any], edges: dict[str, str], start: str | None, expected: list[tuple[str, str | None]]
) -> None:
    assert codes(problems(graph(nodes, edges, start), NOTHING)) == expected


def test_what_is_there_twice() -> None:
    made = document({"a": ENTRY, "b": END}, {"a": "b"})
    made["nodes"].append({"id": "b", "data": END})
    made["edges"].append({"id": "e0", "source": "a", "target": "b"})
    found = problems(Graph.model_validate(made), NOTHING)
    assert codes(found) == [("duplicate_id", "b"), ("duplicate_id", "e0"), ("duplicate_edge", "e0")]


def test_an_unreachable_node_is_no_news_when_there_is_no_start() -> None:
    assert codes(problems(graph({"a": END, "b": END}, {}, "c"), NOTHING)) == [("unknown_start", None)]


# Flows that call flows.


def calling(*flow_ids: str) -> Graph:
    nodes = {f"n{index}": {"kind": "subflow", "flowId": flow_id} for index, flow_id in enumerate(flow_ids)}
    return graph(
        {"in": {"kind": "switch", "variable": "x", "cases": list(nodes)}, **nodes, "end": END},
        {**{f"in {name}": name for name in nodes}, "in else": "end"},
    )


LEAF = graph({"end": END}, {})


@pytest.mark.parametrize(
    ("called", "flows", "flow_id", "expected"),
    [
        (("f1",), {"f1": LEAF}, "f0", []),
        (("f0",), {"f0": LEAF}, "f0", [("recursion", "n0")]),
        (("f0",), {}, None, []),
        (("f1", "f2"), {"f1": LEAF, "f2": calling("f3"), "f3": calling("f0")}, "f0", [("recursion", "n1")]),
        (("f1",), {"f1": calling("f1")}, "f0", [("too_deep", "n0")]),
        (("f1",), {**{f"f{level}": calling(f"f{level + 1}") for level in range(1, 7)}, "f7": LEAF}, "f0", []),
        (
            ("f1",),
            {**{f"f{level}": calling(f"f{level + 1}") for level in range(1, 8)}, "f8": LEAF},
            None,
            [("too_deep", "n0")],
        ),
        (("f1",), {}, "f0", []),
    ],
)
def test_calls(
    called: tuple[str, ...], flows: dict[str, Graph], flow_id: str | None, expected: list[tuple[str, str]]
) -> None:
    assert codes(problems(calling(*called), Known(flows=flows, flow_id=flow_id))) == expected


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ({"a good": "end", "a bad": "end", "b good": "end", "b bad": "end", "b other": "end"}, []),
        ({"a good": "end", "b bad": "end"}, [("a", "bad", "e1"), ("b", "good", "e0")]),
    ],
)
def test_what_a_caller_has_no_edge_for(edges: dict[str, str], expected: list[tuple[str, str, str]]) -> None:
    nodes: dict[str, Any] = {name: {"kind": "subflow", "flowId": "f"} for name in "ab"}
    caller = graph({**nodes, "c": {"kind": "subflow", "flowId": "g"}, "end": END}, edges)
    found = unhandled(SUB, "f", "Reception", caller)
    assert [(one.code, one.node_id, one.edge_id) for one in found] == [
        ("unhandled_exit", None, edge_id) for _, _, edge_id in expected
    ]
    assert [one.message for one in found] == [
        f"The flow Reception calls this one at its node {node}, and nothing follows the exit {name} there; add an edge"
        " for it and publish that flow first."
        for node, name, _ in expected
    ]


def test_a_subflow_has_the_exits_that_its_flow_has() -> None:
    made = graph({"a": {"kind": "subflow", "flowId": "f"}, "end": END}, {"a good": "end", "a other one": "end"})
    assert codes(problems(made, CALLING)) == [("unknown_outcome", "e1"), ("missing_outcome", "a")]
    assert problems(made, NOTHING) == []
    assert exits(SUB) == {"good", "bad"}
    assert calls(made) == {"f"}


# References.

REFERRING: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"kind": "play", "audioId": "x"}, [("audioId", "media")]),
    ({"kind": "play", "playlistId": "x"}, [("playlistId", "playlist")]),
    (
        {"kind": "menu", "prompt": {"audioId": "x"}, "reprompt": {"audioId": "x"}, "invalidPrompt": {"audioId": "x"}},
        [("prompt.audioId", "media"), ("reprompt.audioId", "media"), ("invalidPrompt.audioId", "media")],
    ),
    ({"kind": "collect", "variable": "v", "prompt": {"audioId": "x"}}, [("prompt.audioId", "media")]),
    ({"kind": "timeCondition", "scheduleId": "x"}, [("scheduleId", "schedule")]),
    (
        {
            "kind": "dial",
            "targets": [
                *({"kind": kind, "id": "x"} for kind in ("user", "extension", "ring_group", "forward")),
                {"number": "x"},
            ],
            "whisper": {"audioId": "x"},
            "music": "x",
        },
        [
            ("whisper.audioId", "media"),
            ("targets.0.id", "user"),
            ("targets.1.id", "extension"),
            ("targets.2.id", "ring_group"),
            ("targets.3.id", "forward"),
            ("music", "media or playlist"),
        ],
    ),
    ({"kind": "ringGroup", "ringGroupId": "x"}, [("ringGroupId", "ring_group")]),
    ({"kind": "enqueue", "queueId": "x"}, [("queueId", "queue")]),
    ({"kind": "callback", "queueId": "x", "numberVariable": "v"}, [("queueId", "queue")]),
    (
        {"kind": "voicemail", "mailboxId": "x", "greeting": {"audioId": "x"}},
        [("greeting.audioId", "media"), ("mailboxId", "voicemail")],
    ),
    ({"kind": "conference", "conferenceId": "x"}, [("conferenceId", "conference")]),
    ({"kind": "transfer", "target": {"kind": "user", "id": "x"}, "mode": "attended", "music": "x"},
     [("target.id", "user"), ("music", "media or playlist")]),
    ({"kind": "subflow", "flowId": "x"}, [("flowId", "flow")]),
    ({"kind": "say", "text": "x"}, []),
]  # fmt: skip
ALL_KINDS = ("media", "playlist", "schedule", "user", "extension", "ring_group", "forward", "queue", "voicemail",
             "conference", "flow")  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), REFERRING)
def test_references_that_lead_nowhere(data: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    known = Known(ids={kind: frozenset({"y"}) for kind in ALL_KINDS})
    found = [one for one in of_node(data, known) if one.code == "unknown_reference"]
    assert [(one.field, one.message) for one in found] == [
        (field, f"There is no {kind.replace('_', ' ')} x.") for field, kind in expected
    ]
    assert {one.node_id for one in found} <= {"node"}
    there = Known(ids={kind: frozenset({"x"}) for kind in ALL_KINDS})
    for other in (there, NOTHING):
        assert [one for one in of_node(data, other) if one.code == "unknown_reference"] == []
    named = references(graph({"node": data}, {}))
    assert named == {(kind.strip(), "x") for _, kinds in expected for kind in kinds.split(" or ")}


def test_music_may_be_a_file_or_a_playlist() -> None:
    data = {"kind": "dial", "targets": [{"number": "1"}], "music": "x"}
    for kind in ("media", "playlist"):
        known = Known(ids={"media": frozenset(), "playlist": frozenset(), kind: frozenset({"x"})})
        assert of_node(data, known) == []


# The form of the document.


def test_what_an_installation_lets_be_requested() -> None:
    made = {"kind": "httpRequest", "url": "http://127.0.0.1:9001/"}
    assert codes(of_node(made)) == [("bad_url", "node")]
    assert of_node(made, Known(http_allow=frozenset({"127.0.0.1:9001"}))) == []


def test_a_graph_is_read() -> None:
    made = document({"a": ENTRY, "b": END}, {"a": "b"})
    found = read(made)
    assert isinstance(found, Graph)
    assert check(made, NOTHING) == (found, [])


def test_all_that_is_wrong_is_said_in_one_go() -> None:
    made = document(
        {
            "a": ENTRY,
            "b": {"kind": "menu", "prompt": {"text": "x", "audioId": "y"}, "maxDigits": "3", "colour": "red"},
            "c": {"kind": "fax"},
            "d": {"kind": "play", "audioId": "m_none"},
            "e": {},
            "f": END,
        },
        {"a": "b", "b digit:1": "nowhere", "c anything": "d", "d default": "b"},
    )
    made["edges"].append({"id": "long", "source": "a", "target": "f", "sourceHandle": "x" * 81})
    made["edges"].append({"id": "e9", "source": "b", "target": "e", "sourceHandle": "timeout"})
    made["nodes"].append("nonsense")
    found, wrong = check(made, Known(ids={"media": frozenset()}))
    assert found is None
    assert [(one.code, one.node_id or one.edge_id, one.field) for one in wrong] == [
        ("wrong_form", "b", "prompt"),
        ("wrong_form", "b", "maxDigits"),
        ("wrong_form", "b", "colour"),
        ("unknown_kind", "c", None),
        ("unknown_kind", "e", None),
        ("wrong_form", None, "nodes.6"),
        ("wrong_form", "long", "sourceHandle"),
        ("unknown_target", "e1", "target"),
        ("unreachable", "c", None),
        ("unreachable", "d", None),
        ("unreachable", "f", None),
        ("unknown_reference", "d", "audioId"),
    ]
    assert wrong[0].message == "a prompt has either audioId or text."


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (None, [(None, None)]),
        ([], [(None, None)]),
        ({}, [(None, "start"), (None, "nodes")]),
        ({"start": 1, "nodes": []}, [(None, "start")]),
        ({"start": "a", "nodes": {}}, [(None, "nodes")]),
        ({"start": "a", "nodes": [{"id": 5, "data": END}]}, [(None, "nodes.0.id"), (None, "start")]),
        ({"start": "a", "nodes": [{"id": "x" * 65, "data": END}]}, [(None, "nodes.0.id"), (None, "start")]),
        ({"start": "a", "nodes": [{"id": "a", "data": END}], "edges": 7}, [(None, "edges")]),
        ({"start": "a", "nodes": [{"id": "a", "data": END}], "edges": [7]}, [(None, "edges.0")]),
        ({"start": "a", "nodes": [{"id": "a", "data": END, "colour": 1}]}, [("a", "colour")]),
        ({"start": "a", "nodes": [{"id": "a", "data": END}] * (MOST_NODES + 1)}, [(None, "nodes")]),
    ],
)
def test_documents_of_a_wrong_form(made: object, expected: list[tuple[str | None, str | None]]) -> None:
    found, wrong = check(made, NOTHING)
    assert found is None
    assert [(one.node_id, one.field) for one in wrong] == expected
    assert all(one.message.endswith(".") for one in wrong)


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({"kind": "play"}, None, "play has either audioId or playlistId."),
        ({"kind": "play", "audioId": "x", "playlistId": "y"}, None, "play has either audioId or playlistId."),
        ({"kind": "menu", "prompt": {}}, "prompt", "a prompt has either audioId or text."),
        ({"kind": "dial", "targets": [{}]}, "targets.0", "a target has either kind and id, or number."),
        ({"kind": "dial", "targets": [{"kind": "user"}]}, "targets.0", "a target has either kind and id, or number."),
        (
            {"kind": "transfer", "target": {"number": "1", "kind": "user", "id": "x"}},
            "target",
            "a target has either kind and id, or number.",
        ),
        ({"kind": "transfer", "target": {"number": "1"}, "music": "m"}, None, "music is for an attended transfer."),
        ({"kind": "hangup", "cause": "200"}, "cause", "String should match pattern '^(normal|[456][0-9]{2})$'."),
    ],
)
def test_data_of_a_wrong_form(data: dict[str, Any], field: str | None, message: str) -> None:
    assert read(document({"a": data}, {})) == [Problem("wrong_form", message, node_id="a", field=field)]


def test_no_more_errors_than_somebody_reads() -> None:
    nodes = [{"id": f"n{index}", "data": {"kind": "fax"}} for index in range(MOST_NODES)]
    found = read({"start": "n0", "nodes": nodes})
    assert isinstance(found, list)
    assert len(found) == 200


def test_a_start_that_cannot_be_read_is_not_unknown_besides() -> None:
    drawn = draw({"start": None, "nodes": [{"id": "a", "data": END}, {"id": "b", "data": END}]})
    assert drawn is not None
    assert drawn.start is None
    assert [ident for ident, _ in drawn.nodes] == ["a", "b"]
