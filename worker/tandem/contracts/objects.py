"""What the Worker in front and the Durable Objects say to each other: texts in, a text out.

The reply is `<status> <json>`, so that the Worker passes the JSON on without reading it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tandem.contracts.base import BrainMessage
from tandem.contracts.events import AccountDigests


@dataclass(frozen=True, slots=True)
class Origin:
    """The verified sender of a node's request. `sip_address` is its `host:port` for other nodes; empty: not known."""

    node_id: str
    region: str
    request_id: str
    sip_address: str = ""
    credential_version: int = 1

    def encode(self) -> str:
        return f"{self.node_id} {self.region} {self.request_id} {self.sip_address} {self.credential_version}"

    @staticmethod
    def decode(text: str) -> Origin:
        node_id, region, request_id, sip_address, version = text.split(" ")
        return Origin(node_id, region, request_id, sip_address, int(version))

    def again(self) -> Origin:
        """For asking an object a second time on behalf of one request: the object may have seen the request's id. A
        replay of the request stops at the first."""
        return replace(self, request_id=f"{self.request_id}-2")


def envelope(status: int, text: str) -> str:
    return f"{status} {text}"


def open_envelope(text: str) -> tuple[int, str]:
    return int(text[:3]), text[4:]


class NodeChanged(BrainMessage):
    """FLEET → PRESENCE: a node that has to do with the account was lost, or returned."""

    account_id: str
    node_id: str
    change: Literal["lost", "returned"]


class NodeStateQuery(BrainMessage):
    """PRESENCE → FLEET, when leases ran out: what of this node? `dialogs` is the digest of the newest snapshot that
    PRESENCE has; when the node's is another, FLEET asks the node for a new one."""

    node_id: str
    account_id: str
    dialogs: str | None = None


class NodeState(BrainMessage):
    """`unknown`: FLEET has not heard of the node, or not for long enough to say."""

    status: Literal["active", "lost", "unknown"]
    digests: AccountDigests | None = None
