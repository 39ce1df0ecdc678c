"""When a node counts as lost, and what its return is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.domain.fleet import LOST_AFTER_MS, Change, Node, NodeStatus, heartbeat, hello, tick, watcher_woke

NOW = 1_000_000
UP = Node("node_1", NodeStatus.ACTIVE, NOW + LOST_AFTER_MS, "a k r")
LOST = replace(UP, status=NodeStatus.LOST, deadline=NOW - 1)


@pytest.mark.parametrize(("known", "change"), [(None, None), (UP, None), (LOST, Change.RETURNED)])
def test_hello(known: Node | None, change: Change | None) -> None:
    assert hello(known, "node_1", "a k r", NOW) == (UP, change)


@pytest.mark.parametrize(
    ("known", "boot_ids", "after"),
    [
        (UP, "a k r", replace(UP, deadline=NOW + 1 + LOST_AFTER_MS)),
        (UP, "a k2 r", None),
        (LOST, "a k r", None),
        (None, "a k r", None),
    ],
)
def test_heartbeat(known: Node | None, boot_ids: str, after: Node | None) -> None:
    assert heartbeat(known, boot_ids, NOW + 1) == after


@pytest.mark.parametrize(
    ("known", "now", "after", "change"),
    [
        (UP, NOW + LOST_AFTER_MS - 1, UP, None),
        (UP, NOW + LOST_AFTER_MS, replace(UP, status=NodeStatus.LOST), Change.LOST),
        (LOST, NOW + LOST_AFTER_MS, LOST, None),
    ],
)
def test_tick(known: Node, now: int, after: Node, change: Change | None) -> None:
    assert tick(known, now) == (after, change)


@pytest.mark.parametrize(
    ("known", "now", "deadline"),
    [
        (UP, NOW + 60_000, NOW + 60_000 + LOST_AFTER_MS),
        (UP, NOW - 1, UP.deadline),
        (LOST, NOW + 60_000, LOST.deadline),
    ],
)
def test_a_watcher_that_was_away_gives_fresh_time(known: Node, now: int, deadline: int) -> None:
    assert watcher_woke(known, now) == replace(known, deadline=deadline)
