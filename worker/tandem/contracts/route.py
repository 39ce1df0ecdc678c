"""`POST /route` (spec 10): where a call goes. The reply is a document that Kamailio's rtjson module consumes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tandem.contracts.auth import DigestCredentials, Port, Text, Transport
from tandem.contracts.base import BrainMessage, NodeMessage


class RouteRequest(NodeMessage):
    """The first question of a call, or, with `call_id` and `outcome`, what became of the last directive.

    `headers` holds those that a decision may need, by lower-case name: `p-called-party-id`, `diversion`.

    `account_id` goes with `call_id`: the account of the call as the first answer named it.

    `leg` is the token of a leg that the media engine places (contracts/legs.py), with the `account_id` that came beside
    it; the answer's `call_id` names the leg.

    `question_id` tells a question that is asked again (a retry) from the next one with the same outcome.

    `outcome` is `no_answer | busy | declined | unreachable | redirected:<uri> | carrier_failed:<code> | cancelled`.
    """

    call_id: Text | None = None
    account_id: Text | None = None
    sip_call_id: Annotated[str, Field(min_length=1, max_length=1024)]
    from_tag: Text
    cseq: Text
    from_: Annotated[Text, Field(alias="from")]
    from_domain: Text
    to: Text
    to_domain: Text | None = None
    ruri: Text
    source_ip: Text
    source_port: Port
    transport: Transport
    node: Text
    credentials: DigestCredentials | None = None
    outcome: Text | None = None
    question_id: Text | None = None
    leg: Text | None = None
    user_agent: Text | None = None
    pai: Text | None = None
    privacy: Text | None = None
    headers: dict[str, str] = {}


class MediaProfile(BrainMessage):
    """What rtpengine makes of one leg's session description."""

    profile: Literal["RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVPF"] = "RTP/AVP"
    ice: Literal["remove", "force"] = "remove"


class HeaderUri(BrainMessage):
    display: str = ""
    uri: str


class RouteHeaders(BrainMessage):
    from_: Annotated[HeaderUri | None, Field(serialization_alias="from", validation_alias="from")] = None
    to: HeaderUri | None = None
    extra: str | None = None


class Route(BrainMessage):
    """One branch. `uri` is a device AOR; timers are in milliseconds as tm's `t_set_fr` takes them.

    `dst_uri` is the next hop when another node holds the contact. In a parallel directive a route whose `fr_inv_timer`
    is shorter than the longest ends its own branch only.
    """

    uri: str
    dst_uri: str | None = None
    path: str | None = None
    socket: str | None = None
    headers: RouteHeaders | None = None
    branch_flags: int | None = None
    fr_timer: int
    fr_inv_timer: int
    rtpengine: MediaProfile = MediaProfile()


class Later(BrainMessage):
    """Branches that join the ringing call after `after_ms`, unless it was answered, cancelled or timed out by then."""

    after_ms: Annotated[int, Field(gt=0)]
    routes: list[Route]


class Directive(BrainMessage):
    """The `rtjson` document: the module's own keys, and Tandem's beside them (the module ignores those).

    `headers` are lines that a rejection carries besides `retry_after_sec`, such as `Reason`.
    """

    success: bool = True
    version: str = "1.0"
    routing: Literal["serial", "parallel"] = "parallel"
    routes: list[Route] = []
    later: list[Later] | None = None
    action: Literal["proxy", "reject", "flow", "outbound"]
    account_id: str
    call_id: str
    code: int | None = None
    reason: str | None = None
    retry_after_sec: int | None = None
    headers: list[str] | None = None
    max_duration_sec: int = 14_400
    vars: dict[str, str] = {}
    rtpengine: MediaProfile = MediaProfile()
    cdr: dict[str, str] = {}

    def wire(self) -> str:
        return self.model_dump_json(exclude_none=True, by_alias=True)


class RouteReply(BrainMessage):
    rtjson: Directive

    def wire(self) -> str:
        return self.model_dump_json(exclude_none=True, by_alias=True)
