"""`POST /flow` (spec 20): the node starts a call's flow, and tells the outcome of each command to get the next."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tandem.contracts.auth import Text
from tandem.contracts.base import BrainMessage, NodeMessage
from tandem.domain.flows.commands import Command


class FlowData(NodeMessage):
    """What an outcome comes with. `digits`, `terminator`: of gather. `cause`: why a leg failed or the caller is gone (a
    SIP code or a word). `message`: what went wrong."""

    digits: Annotated[str, Field(max_length=64)] | None = None
    terminator: Annotated[str, Field(max_length=1)] | None = None
    cause: Text | None = None
    message: Text | None = None


class FlowRequest(NodeMessage):
    """Without `outcome`: the call has reached the engine, begin. With it: what became of command `seq`.

    A request that is sent again gets the same command again.
    """

    call_id: Text
    account_id: Text
    outcome: Text | None = None
    seq: Annotated[int, Field(ge=0)] | None = None
    data: FlowData = FlowData()
    vars: dict[str, Any] = {}


class FlowReply(BrainMessage):
    """`{"cmd", "seq", "args"}`: `args` are the fields of the command."""

    cmd: str
    seq: int
    args: dict[str, Any] = {}


def reply_of(command: Command, seq: int) -> FlowReply:
    fields = command.model_dump(mode="json", exclude_none=True)
    return FlowReply(cmd=fields.pop("cmd"), seq=seq, args=fields)
