"""`POST /flow` (spec 20): the node starts a call's flow, and tells the outcome of each command to get the next."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from tandem.contracts.auth import Text
from tandem.contracts.base import BrainMessage, NodeMessage
from tandem.domain.flows.commands import Answer as Answer
from tandem.domain.flows.commands import Bridge as Bridge
from tandem.domain.flows.commands import Command as Command
from tandem.domain.flows.commands import Dial as Dial
from tandem.domain.flows.commands import Gather as Gather
from tandem.domain.flows.commands import HangUp as HangUp
from tandem.domain.flows.commands import Media as Media
from tandem.domain.flows.commands import Noop as Noop
from tandem.domain.flows.commands import Play as Play
from tandem.domain.flows.commands import Sound as Sound
from tandem.domain.flows.commands import Speech as Speech


class FlowData(NodeMessage):
    """What an outcome comes with. `digits`, `terminator`: of gather. `cause`: why a leg failed or the caller is gone (a
    SIP code or a word). `message`: what went wrong; of dial, which music or whisper was not heard."""

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


def command_of(reply: FlowReply) -> Command:
    """Raises pydantic's `ValidationError` for a command that this node does not know, or that lacks something."""
    # Through JSON: its lists are tuples here.
    return _COMMAND.validate_json(json.dumps({**reply.args, "cmd": reply.cmd}))


_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
