"""`POST /fleet/hello` and `/fleet/heartbeat` (spec 50, "Fleet, failover, regions")."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tandem.contracts.auth import Text
from tandem.contracts.base import BrainMessage, NodeMessage
from tandem.contracts.events import AccountDigests

HEARTBEAT_SEC = 2


class BootIds(NodeMessage):
    """One id per start of each process: a changed id means that the process lost its memory."""

    agent: Text
    kamailio: Text
    rtpengine: Text = ""


class Load(NodeMessage):
    calls: int = 0
    media_channels: int = 0
    cpu_percent: float = 0.0
    rtp_sessions: int = 0


class HeartbeatRequest(NodeMessage):
    node: Text
    boot_ids: BootIds
    load: Load = Load()
    digests: dict[str, AccountDigests] = Field(default={}, max_length=10_000)


class HelloRequest(HeartbeatRequest):
    """`sip_address` is the node's `host:port` for SIP over UDP, as other nodes reach it."""

    version: Text
    command_url: Text | None = None
    sip_address: Text | None = None


class DesiredState(BrainMessage):
    """What the node must look like before it takes calls. `fleet`: the SIP addresses (`host:port`) of all nodes."""

    drain: bool = False
    bans: list[str] = []
    trunks: list[str] = []
    fleet: list[str] = []


class HeartbeatReply(BrainMessage):
    """`now` is the brain's clock (epoch ms); `send` names the accounts whose snapshot is wanted.

    `fleet` (None: unchanged) holds the SIP addresses (`host:port`) of all nodes: who may deliver calls to this one.
    """

    ok: Literal[True] = True
    now: int
    status: Literal["active", "draining"] = "active"
    send: list[str] = []
    fleet: list[str] | None = None


class HelloReply(HeartbeatReply):
    desired: DesiredState = DesiredState()
