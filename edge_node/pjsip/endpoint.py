"""PJSIP's endpoint as our processes use it: everything in the main thread, G.711 alone, no sound device.

A null device keeps the clock of PJSIP's conference bridge. Note for pjsua2: what a temporary object's attribute points
to dies with the temporary.
"""

from __future__ import annotations

from typing import Any

import pjsua2 as pj

CLOCK_RATE = 8_000
CODECS = ("PCMU/8000/1", "PCMA/8000/1")
POLL_MILLISECONDS = 10
_TRANSPORTS = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}


def operation(code: int = 0, *, flags: int = 0) -> Any:
    """Parameters of a call operation with PJSUA's default settings and `flags` (PJSUA_CALL_…)."""
    parameters = pj.CallOpParam(True)
    parameters.statusCode = code
    parameters.opt.flag |= flags
    return parameters


def received(event: Any) -> str:
    """The SIP message that caused an event, empty when none did (a timer, our own request)."""
    if event.type != pj.PJSIP_EVENT_TSX_STATE or event.body.tsxState.type != pj.PJSIP_EVENT_RX_MSG:
        return ""
    return str(event.body.tsxState.src.rdata.wholeMsg)


def start_endpoint(user_agent: str, host: str, port: int, transport: str = "udp", log: str = "") -> Any:
    """The endpoint, listening. `port` 0 is any free one; `log` is a file for PJSIP's log with all SIP messages."""
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.uaConfig.userAgent = user_agent
    settings.logConfig.consoleLevel = 0
    settings.logConfig.level = 5 if log else 0
    settings.logConfig.filename = log
    settings.medConfig.clockRate = CLOCK_RATE
    settings.medConfig.sndClockRate = CLOCK_RATE
    settings.medConfig.ecTailLen = 0
    settings.medConfig.noVad = True
    settings.medConfig.sndAutoCloseTime = -1  # else the clock of a recording stops a second after the last call
    endpoint.libInit(settings)
    listening = pj.TransportConfig()
    listening.port = port
    listening.boundAddress = host
    endpoint.transportCreate(_TRANSPORTS[transport], listening)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 200 if codec.codecId in CODECS else 0)
    return endpoint
