"""What a phone's process is told and what it tells: the messages between `phone` and `phone_process`.

Both directions are JSON lines. The first line in is a `PhoneConfig` with `die_with_parent` added; then come commands
`{"id", "do", …arguments}`, each answered by `{"re": id, "ok": value}` or `{"re": id, "error": text}`. An event is
`{"event": {…fields of Event}}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class EventName(StrEnum):
    READY = "ready"
    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    REGISTRATION_FAILED = "registration_failed"
    INCOMING = "incoming"
    RINGING = "ringing"
    ANSWERED = "answered"
    MEDIA_ACTIVE = "media_active"
    MEDIA_HELD = "media_held"
    MEDIA_REMOTE_HELD = "media_remote_held"
    TRANSACTION = "transaction"
    DTMF = "dtmf"
    ENDED = "ended"


@dataclass(frozen=True)
class Event:
    """Something that happened to a phone.

    `at` is CLOCK_MONOTONIC in seconds (the same clock in every process of a machine). `call` numbers the calls of one
    phone from 1 (0: no call). `code` and `reason` are those of the SIP response, `text` is the whole SIP message where
    there is one. `peer` is the other party's name-addr. `method` and `took` (seconds) belong to `transaction`: a
    request that this phone sent inside a call and that got its final response. `local` tells on `ended` that this
    phone hung up or refused.
    """

    name: EventName
    at: float
    call: int = 0
    sip_call_id: str = ""
    code: int = 0
    reason: str = ""
    peer: str = ""
    method: str = ""
    took: float = 0.0
    digit: str = ""
    local: bool = False
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class PhoneConfig:
    """One phone: its account and where it sends everything (`registrar` is the edge, an outbound proxy)."""

    user: str
    password: str
    domain: str
    registrar: str
    transport: str
    port: int
    host: str
    auth_user: str
    expires: int
    retry: int
    log: str
