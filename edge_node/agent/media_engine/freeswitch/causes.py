"""Hang-up causes between the switch's words, SIP codes and what is told of a call.

The switch's words are Q.850 causes with some of its own; RFC 4497 section 8.4.1 maps them to SIP.
"""

from __future__ import annotations

import re
from typing import Final

from edge_node.agent.media_engine.base import LegFailedError
from edge_node.agent.media_engine.freeswitch.codec import Event

NORMAL: Final = "NORMAL_CLEARING"
_CODES: Final = {
    "UNALLOCATED_NUMBER": 404,
    "NO_ROUTE_DESTINATION": 404,
    "USER_BUSY": 486,
    "NO_USER_RESPONSE": 408,
    "NO_ANSWER": 480,
    "SUBSCRIBER_ABSENT": 480,
    "USER_NOT_REGISTERED": 480,
    "CALL_REJECTED": 603,
    "NUMBER_CHANGED": 410,
    "DESTINATION_OUT_OF_ORDER": 502,
    "INVALID_NUMBER_FORMAT": 484,
    "FACILITY_REJECTED": 501,
    "NORMAL_CIRCUIT_CONGESTION": 503,
    "NETWORK_OUT_OF_ORDER": 503,
    "NORMAL_TEMPORARY_FAILURE": 503,
    "SWITCH_CONGESTION": 503,
    "REQUESTED_CHAN_UNAVAIL": 503,
    "INCOMPATIBLE_DESTINATION": 488,
    "BEARERCAPABILITY_NOTAVAIL": 488,
    "RECOVERY_ON_TIMER_EXPIRE": 504,
    "ALLOTTED_TIMEOUT": 408,
    "MEDIA_TIMEOUT": 408,
    "ORIGINATOR_CANCEL": 487,
    "LOSE_RACE": 487,
}
# Time was up: for the switch by its own count, for us by ours.
_TIMES: Final = frozenset({"NO_ANSWER", "ALLOTTED_TIMEOUT", "PROGRESS_TIMEOUT", "ORIGINATOR_CANCEL"})
TIME_UP: Final = 487


def of_channel(event: Event) -> str:
    """How a channel ended: `normal`, or a SIP code."""
    word = event.get("Hangup-Cause") or event.get("variable_hangup_cause")
    if word in (NORMAL, "NONE", "", "BLIND_TRANSFER", "ATTENDED_TRANSFER"):
        return "normal"
    return str(_said(event) or _CODES.get(word, 500))


def of_leg(word: str, event: Event | None) -> LegFailedError:
    """`word` is the cause of a leg that was not answered; `event` its end, where it was seen."""
    code = _said(event) if event else 0
    return LegFailedError(code or (TIME_UP if word in _TIMES else _CODES.get(word, 500)))


def _said(event: Event) -> int:
    """The final SIP code that a party sent, 0 without one."""
    found = re.fullmatch(r"sip:(\d{3})", event.get("variable_proto_specific_hangup_cause"))
    return int(found[1]) if found and int(found[1]) >= 300 else 0
