"""What is different between two flow documents."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.domain.flows.diff import Diff, FieldChange, PartChange, PartsChange, diff

NOTHING = PartsChange((), (), ())


def node(node_id: str, **data: Any) -> dict[str, Any]:
    return {"id": node_id, "data": {"kind": "say", **data}}


def nodes(*parts: Any) -> dict[str, Any]:
    return {"start": "a", "nodes": list(parts)}


def changed(before: Any, after: Any) -> tuple[PartChange, ...]:
    found = diff(nodes(before), nodes(after))
    assert (found.edges, found.fields, found.nodes.added, found.nodes.removed) == (NOTHING, (), (), ())
    return found.nodes.changed


def test_the_same_is_no_difference() -> None:
    graph = nodes(node("a", text="hi", tags=[1, {"x": None}]), node("b")) | {"edges": [{"id": "e", "source": "a"}]}
    assert diff(graph, graph) == Diff(NOTHING, NOTHING, ())
    assert diff({}, {}) == Diff(NOTHING, NOTHING, ())


def test_nodes_and_edges_come_go_and_change() -> None:
    before = {"start": "a", "nodes": [node("a"), node("b"), node("c")], "edges": [{"id": "e1", "target": "b"}]}
    after = {
        "start": "c",
        "nodes": [node("c"), node("d"), node("a", text="hi")],
        "edges": [{"id": "e2", "target": "b"}, {"id": "e1", "target": "c"}],
    }
    assert diff(before, after) == Diff(
        PartsChange(("d",), ("b",), (PartChange("a", (FieldChange("data.text", None, "hi"),)),)),
        PartsChange(("e2",), (), (PartChange("e1", (FieldChange("target", "b", "c"),)),)),
        (FieldChange("start", "a", "c"),),
    )


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ({"text": "a"}, {"text": "b"}, [("data.text", "a", "b")]),
        ({"text": "a"}, {}, [("data.text", "a", None)]),
        ({"prompt": {"text": "a", "voice": "male"}}, {"prompt": {"text": "b"}},
         [("data.prompt.text", "a", "b"), ("data.prompt.voice", "male", None)]),
        ({"targets": [{"id": "x"}, {"id": "y"}]}, {"targets": [{"id": "z"}]},
         [("data.targets.0.id", "x", "z"), ("data.targets.1", {"id": "y"}, None)]),
        ({"targets": []}, {"targets": ["x"]}, [("data.targets.0", None, "x")]),
        ({"prompt": {"text": "a"}}, {"prompt": "a"}, [("data.prompt", {"text": "a"}, "a")]),
        ({"bargeIn": True}, {"bargeIn": 1}, [("data.bargeIn", True, 1)]),
        ({"text": None}, {"text": 0}, [("data.text", None, 0)]),
    ],
)  # fmt: skip
def test_a_change_names_its_path(before: Any, after: Any, fields: list[tuple[str, Any, Any]]) -> None:
    expected = (PartChange("a", tuple(FieldChange(*one) for one in fields)),)
    assert changed(node("a", **before), node("a", **after)) == expected


def test_a_draft_of_any_form_is_compared() -> None:
    """No id, an id twice, a part that is none: each still has a name of its own."""
    found = diff(
        nodes(node("a"), {}, 7), nodes(node("a"), node("a", text="hi"), "x", {"id": 5}, {"id": "#4"}, node("#4"))
    )
    assert found.nodes == PartsChange(
        ("a#1", "#3", "#4", "#4#5"), ("#1",), (PartChange("#2", (FieldChange("", 7, "x"),)),)
    )
    assert diff({"nodes": 5}, {"nodes": [node("a")], "edges": None}) == Diff(
        PartsChange(("a",), (), ()), NOTHING, (FieldChange("nodes", 5, None), FieldChange("edges", None, None))
    )
