"""What a flow document mentions."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.domain.flows.mentions import mentioned_by, mentions

ULID = "01arz3ndektsv4rrffq69g5fav"
GRAPH: dict[str, Any] = {
    "start": "menu",
    "nodes": [
        {"id": "menu", "data": {"kind": "menu", "prompt": {"audioId": f"media_{ULID}"}, "maxDigits": 1}},
        {"id": "dial", "data": {"targets": [{"kind": "user", "id": f"us_{ULID}"}, {"id": f"ext_{ULID}"}]}},
        {"id": "again", "data": {"kind": "play", "audioId": f"media_{ULID}", "playlistId": f"pl_{ULID}"}},
        {"id": "other", "data": [f"rg_{ULID}", f"fwd_{ULID}", f"sch_{ULID}", f"flow_{ULID}", f"acc_{ULID}"]},
    ],
}


def test_ids_are_found_wherever_they_stand() -> None:
    assert mentions(GRAPH) == {
        kind: {f"{prefix}_{ULID}"}
        for kind, prefix in {
            "flow": "flow", "user": "us", "extension": "ext", "ring_group": "rg", "forward": "fwd", "schedule": "sch",
            "media": "media", "playlist": "pl",
        }.items()
    }  # fmt: skip


@pytest.mark.parametrize("text", [f"x us_{ULID}", f"us_{ULID}x", f"us_{ULID.upper()}", "us_1", f"q_{ULID}", ""])
def test_other_texts_are_none(text: str) -> None:
    assert not any(mentions({"a": text, text: 1}).values())


@pytest.mark.parametrize("nodes", [None, 5, [7], [{}], [{"id": 5, "data": f"media_{ULID}"}]])
def test_a_draft_of_any_form_is_searched(nodes: Any) -> None:
    assert mentioned_by({"nodes": nodes}, f"media_{ULID}") == ()


def test_the_nodes_that_mention_an_object_are_named() -> None:
    assert mentioned_by(GRAPH, f"media_{ULID}") == ("menu", "again")
    assert mentioned_by(GRAPH, f"us_{ULID}") == ("dial",)
    assert mentioned_by(GRAPH, "us_other") == ()
