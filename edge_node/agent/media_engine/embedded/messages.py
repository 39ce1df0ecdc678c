"""What a process of the engine is told and what it tells.

Both directions are JSON lines. The first line in is a `ProcessConfig`; then come commands `{"id", "do", …arguments}`,
each answered by `{"re": id, "ok": value}` or `{"re": id, "error": text, "code": word}`. An event is
`{"event": name, …}` with the fields named at each. `call` numbers the calls of one process: what
arrives from 1 up, by the process; legs from -1 down, by the parent, so that it knows them before they can speak.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

CALLERS_A_PROCESS: Final = 2
"""The wheel takes four calls a process: two callers, each with the leg that he may be connected to."""


class Told(StrEnum):
    """Events. `code` is a SIP code, 0 without one."""

    READY = "ready"  # version
    ARRIVED = "arrived"  # call, headers: an INVITE, with its X-Tandem-… by lower-case name
    RINGING = "ringing"  # call: a provisional answer
    ANSWERED = "answered"  # call
    MEDIA = "media"  # call, away, both_ways, early: what a negotiation led to; early: before the answer
    REINVITED = "reinvited"  # call, code: the final answer to our re-INVITE
    DIGIT = "digit"  # call, digit
    PLAYED = "played"  # call, play: a play is over, by itself or because it was stopped
    ENDED = "ended"  # call, code: once, for each call that was told of


class Failure(StrEnum):
    """Why a command was not done (`code`)."""

    GONE = "gone"  # no such call
    MEDIA = "media"  # a file that cannot be played, a call without audio
    FULL = "full"  # no room for a call now
    REFUSED = "refused"  # PJSIP says no: something else is under way


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """Where one process listens, whose INVITEs it takes (`kamailio`, host:port) and where it sends its own."""

    host: str
    sip_port: int
    rtp_port: int
    rtp_ports: int
    kamailio: str


@dataclass(frozen=True, slots=True)
class Description:
    """Where a party's relay wants its audio, and in what: the essence of its session description.

    `event_type` is the payload type of telephone-event, None without it.
    """

    host: str
    port: int
    codec: str
    payload_type: int
    event_type: int | None

    def fields(self) -> dict[str, Any]:
        return asdict(self)
