"""`POST /fleet/hello` and `/fleet/heartbeat`, decided inside the region's FLEET object."""

from __future__ import annotations

from typing import Final

from tandem.contracts.errors import TandemError
from tandem.contracts.events import NOTHING
from tandem.contracts.fleet import BootIds, DesiredState, HeartbeatReply, HeartbeatRequest, HelloReply, HelloRequest
from tandem.contracts.objects import NodeChanged, NodeState, NodeStateQuery, open_envelope
from tandem.domain.fleet import OWN_GAP_MS, NodeStatus, heartbeat, hello, tick, watcher_woke
from tandem.runtime import Env
from tandem.runtime.log import log
from tandem.store.nodes import Nodes
from tandem.store.nodes import Telling as PendingTelling

TELL_BATCH: Final = 20


def take_hello(
    nodes: Nodes, request: HelloRequest, node_id: str, now: int, fleet: list[str] | None = None
) -> HelloReply:
    """The node's whole desired state, and the accounts whose snapshot is wanted: all that it had or has to do with.

    `fleet`: the SIP addresses of all nodes, None while they cannot be read.
    """
    node, change = hello(nodes.get(node_id), node_id, _boot(request.boot_ids), now)
    nodes.put(node)
    nodes.report(node_id, request.load.wire(), request.version)
    if change is not None:
        nodes.tell(node_id, change)
    send = sorted(nodes.digests(node_id).keys() | request.digests.keys())
    nodes.set_digests(node_id, request.digests)
    nodes.take_wanted(node_id)
    return HelloReply(now=now, send=send, desired=DesiredState(fleet=fleet or []))


def take_heartbeat(
    nodes: Nodes, request: HeartbeatRequest, node_id: str, now: int, fleet: list[str] | None = None
) -> HeartbeatReply:
    """Asks for the snapshot of every account whose digest changed. Raises `hello_required` for a node that is unknown,
    was lost, or started a process anew."""
    node = heartbeat(nodes.get(node_id), _boot(request.boot_ids), now)
    if node is None:
        raise TandemError("hello_required", "Say hello first: POST /fleet/hello with your whole state.")
    nodes.put(node)
    nodes.report(node_id, request.load.wire(), None)
    wanted = set(nodes.take_wanted(node_id))
    nodes.set_digests(node_id, request.digests)
    return HeartbeatReply(now=now, send=sorted(wanted.union(nodes.take_wanted(node_id))), fleet=fleet)


def state_of(nodes: Nodes, query: NodeStateQuery) -> NodeState:
    node = nodes.get(query.node_id)
    if node is None:
        return NodeState(status="unknown")
    digests = nodes.digests_of(query.node_id, query.account_id) or NOTHING
    if query.dialogs != digests.dialogs:
        nodes.want(query.node_id, query.account_id)
    return NodeState(status="active" if node.status is NodeStatus.ACTIVE else "lost", digests=digests)


def _boot(boot_ids: BootIds) -> str:
    return f"{boot_ids.agent} {boot_ids.kamailio} {boot_ids.rtpengine}"


class Watch:
    """Finds nodes that went silent; after its own absence it gives every node fresh time."""

    name = "watch"

    def __init__(self, nodes: Nodes, now: int) -> None:
        self._nodes = nodes
        self._expected: int | None = None
        self._grant(now)

    def next_due(self, now: int) -> int | None:
        self._expected = self._nodes.next_deadline()
        return self._expected

    async def run(self, now: int) -> None:
        if self._expected is not None and now - self._expected > OWN_GAP_MS:
            self._grant(now)
        for node in self._nodes.all():
            after, change = tick(node, now)
            if change is not None:
                self._nodes.put(after)
                self._nodes.tell(node.node_id, change)
        self._nodes.prune(now)

    def _grant(self, now: int) -> None:
        for node in self._nodes.all():
            self._nodes.put(watcher_woke(node, now))


class Telling:
    """Tells the accounts on a lost or returned node, each in order, until it has taken it; none waits for another."""

    name = "telling"

    def __init__(self, nodes: Nodes, env: Env) -> None:
        self._nodes = nodes
        self._env = env

    def next_due(self, now: int) -> int | None:
        return now if self._nodes.has_tellings() else None

    async def run(self, now: int) -> None:
        """Raises `ConnectionError`, to be run again, when there are accounts that could not be told."""
        failed: set[str] = set()
        last = 0
        while tellings := self._nodes.tellings(last, TELL_BATCH):
            for one in tellings:
                last = one.id
                if one.account_id in failed:
                    continue
                if await self._told(one):
                    self._nodes.told(one)
                else:
                    failed.add(one.account_id)
        if failed:
            raise ConnectionError(f"{len(failed)} accounts could not be told")

    async def _told(self, one: PendingTelling) -> bool:
        message = NodeChanged(account_id=one.account_id, node_id=one.node_id, change=one.change.value)
        try:
            reply = await self._env.presence.call(one.account_id, "node_changed", one.account_id, message.wire())
        except Exception as error:
            log("warning", "object_unreachable", account_id=one.account_id, error=type(error).__name__)
            return False
        return open_envelope(reply)[0] < 500
