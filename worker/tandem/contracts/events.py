"""`POST /presence/event` (spec 10): at-least-once, idempotent by event id, batched, tolerant of disorder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tandem.contracts.auth import Port, Text, Transport
from tandem.contracts.base import BrainMessage, NodeMessage

MAX_BATCH = 100
LONGEST_MEDIA_MS = 366 * 86_400_000
EventId = Annotated[str, Field(min_length=1, max_length=128)]


class ContactState(NodeMessage):
    """One contact of a device as the node's location store holds it; `expires_at` in epoch ms."""

    device_id: Text
    contact: Text
    expires_at: int
    transport: Transport = "udp"
    user_agent: Text | None = None
    path: Text | None = None
    source_ip: Text | None = None
    source_port: Port | None = None


class DialogState(NodeMessage):
    """One live call on a node; `early` covers everything between the routing decision and the answer."""

    call_id: Text | None = None
    sip_call_id: Text
    from_tag: Text
    cseq: Text | None = None
    state: Literal["early", "answered"] = "early"


class EventBase(NodeMessage):
    """`at` is epoch ms, by the brain's clock as the node knows it from its heartbeats."""

    event_id: EventId
    account_id: Text
    at: int


class RegisterEvent(EventBase, ContactState):
    type: Literal["register"] = "register"
    state: Literal["added", "refreshed", "expired", "removed"]


class LegStats(NodeMessage):
    """Of the call's media: mean opinion score (1-5), jitter in ms, loss in per cent."""

    mos: float | None = None
    jitter: float | None = None
    loss: float | None = None


class DialogEvent(EventBase):
    """A step in a call's life. `seq` grows by one within a call on its node; a later one wins over an earlier.

    `call_id` is absent when the node gave up before it got an answer from `/route`: then the SIP identifiers name it.
    `target` (of an answer) is the `uri` of the route that answered: the other branches are over then.
    """

    type: Literal["dialog"] = "dialog"
    call_id: Text | None = None
    sip_call_id: Text
    from_tag: Text
    cseq: Text | None = None
    seq: Annotated[int, Field(ge=0)]
    state: Literal["start", "early", "answer", "end", "failed"]
    cause: Text | None = None
    target: Text | None = None
    hung_up_by: Literal["caller", "callee", "platform"] | None = None
    stats: LegStats | None = None


class MediaEvent(EventBase):
    """The media engine has taken a call's media, given it up (the parties' audio goes past it), or is done with it.
    `media_app_ms` is how long it has had it since the call began."""

    type: Literal["media"] = "media"
    call_id: Text
    state: Literal["held", "released", "ended"]
    media_app_ms: Annotated[int, Field(ge=0, le=LONGEST_MEDIA_MS)]


class SnapshotEvent(EventBase):
    """Everything that is live for one account on a node, as of `as_of` (epoch ms, the brain's clock)."""

    type: Literal["snapshot"] = "snapshot"
    as_of: int
    digests: AccountDigests
    dialogs: list[DialogState]
    contacts: list[ContactState]


class AccountDigests(NodeMessage):
    """First 16 hex digits of SHA-256 over sorted lines: call ids (`dialogs`), `device_id contact` (`contacts`)."""

    dialogs: Text
    contacts: Text


# SHA-256 of no lines: a node that says nothing of an account has nothing of it.
NOTHING = AccountDigests(dialogs="e3b0c44298fc1c14", contacts="e3b0c44298fc1c14")

Event = Annotated[RegisterEvent | DialogEvent | MediaEvent | SnapshotEvent, Field(discriminator="type")]


class EventBatch(NodeMessage):
    node: Text
    events: Annotated[list[Event], Field(min_length=1, max_length=MAX_BATCH)]


class EventAck(BrainMessage):
    """Events in `acked` are done with (taken, repeated, or refused for good: `refused` says why)."""

    ok: Literal[True] = True
    acked: list[str]
    refused: dict[str, str] = {}


SnapshotEvent.model_rebuild()
EventBatch.model_rebuild()
