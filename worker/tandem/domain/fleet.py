"""Which edge nodes are alive (spec 50, "Fleet, failover, regions").

A node is lost after 6 s without a heartbeat, counted only while the watcher itself was up: after it woke, or after a
gap of its own, every node gets a fresh 6 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

LOST_AFTER_MS: Final = 6_000
OWN_GAP_MS: Final = 2_000


class NodeStatus(StrEnum):
    ACTIVE = "active"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Node:
    """`deadline` (epoch ms) is when the node counts as lost; `boot_ids` change when a process of it restarted."""

    node_id: str
    status: NodeStatus
    deadline: int
    boot_ids: str


class Change(StrEnum):
    """What the accounts on a node must be told."""

    LOST = "lost"
    RETURNED = "returned"


def hello(node: Node | None, node_id: str, boot_ids: str, now: int) -> tuple[Node, Change | None]:
    change = Change.RETURNED if node is not None and node.status is NodeStatus.LOST else None
    return Node(node_id, NodeStatus.ACTIVE, now + LOST_AFTER_MS, boot_ids), change


def heartbeat(node: Node | None, boot_ids: str, now: int) -> Node | None:
    """The node after a heartbeat; None means that it must say hello first: unknown, lost, or started anew."""
    if node is None or node.status is NodeStatus.LOST or node.boot_ids != boot_ids:
        return None
    return replace(node, deadline=now + LOST_AFTER_MS)


def watcher_woke(node: Node, now: int) -> Node:
    """The watcher was away: what it did not hear meanwhile says nothing about the node."""
    if node.status is NodeStatus.LOST:
        return node
    return replace(node, deadline=max(node.deadline, now + LOST_AFTER_MS))


def tick(node: Node, now: int) -> tuple[Node, Change | None]:
    if node.status is NodeStatus.LOST or now < node.deadline:
        return node, None
    return replace(node, status=NodeStatus.LOST), Change.LOST
