"""PJSIP as a phone uses it: the endpoint, one account, a player and a recorder. With `phone_process` the only importer
of pjsua2.

There is no sound device: a null device keeps the clock of PJSIP's conference bridge, a WAV player speaks and a WAV
recorder listens. Note for pjsua2: what a temporary object's attribute points to dies with the temporary.
"""

from __future__ import annotations

from typing import Any

import pjsua2 as pj

from edge_node.local.phone_messages import EventName, PhoneConfig

CLOCK_RATE = 8_000
CODECS = ("PCMU/8000/1", "PCMA/8000/1")


MEDIA_EVENTS = {
    pj.PJSUA_CALL_MEDIA_ACTIVE: EventName.MEDIA_ACTIVE,
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: EventName.MEDIA_HELD,
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: EventName.MEDIA_REMOTE_HELD,
}


class Sound:
    """What all calls of a phone say and where all that they hear goes."""

    def __init__(self) -> None:
        self.player: Any = None
        self.recorder: Any = None
        self.media: dict[int, Any] = {}

    def connect(self, call: int, media: Any) -> None:
        self.media[call] = media
        if self.player is not None:
            self.player.startTransmit(media)
        if self.recorder is not None:
            media.startTransmit(self.recorder)

    def play(self, path: str) -> None:
        self.stop_playing()
        self.player = pj.AudioMediaPlayer()
        self.player.createPlayer(path)
        for media in self.media.values():
            self.player.startTransmit(media)

    def stop_playing(self) -> None:
        self.player = None

    def record(self, path: str) -> None:
        self.stop_recording()
        self.recorder = pj.AudioMediaRecorder()
        self.recorder.createRecorder(path)
        # The null device is silent; it keeps the recording running at the pace of the clock while no call speaks.
        pj.Endpoint.instance().audDevManager().getCaptureDevMedia().startTransmit(self.recorder)
        for media in self.media.values():
            media.startTransmit(self.recorder)

    def stop_recording(self) -> None:
        self.recorder = None


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


def start_endpoint(config: PhoneConfig) -> Any:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.uaConfig.userAgent = "Tandem test phone"
    settings.logConfig.consoleLevel = 0
    settings.logConfig.level = 5 if config.log else 0
    settings.logConfig.filename = config.log
    settings.medConfig.clockRate = CLOCK_RATE
    settings.medConfig.sndClockRate = CLOCK_RATE
    settings.medConfig.ecTailLen = 0
    settings.medConfig.noVad = True
    settings.medConfig.sndAutoCloseTime = -1  # else the clock of a recording stops a second after the last call
    endpoint.libInit(settings)
    transport = pj.TransportConfig()
    transport.port = config.port
    transport.boundAddress = config.host
    kinds = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}
    endpoint.transportCreate(kinds[config.transport], transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 200 if codec.codecId in CODECS else 0)
    return endpoint


def account_settings(config: PhoneConfig) -> Any:
    account = pj.AccountConfig()
    account.idUri = f"sip:{config.user}@{config.domain}"
    account.regConfig.registrarUri = f"sip:{config.domain}"
    account.regConfig.registerOnAdd = False
    account.regConfig.timeoutSec = config.expires
    account.regConfig.retryIntervalSec = config.retry
    account.regConfig.firstRetryIntervalSec = config.retry
    transport = ";transport=tcp" if config.transport == "tcp" else ""
    account.sipConfig.proxies.append(f"sip:{config.registrar}{transport};lr")
    account.sipConfig.authCreds.append(pj.AuthCredInfo("digest", config.domain, config.auth_user, 0, config.password))
    account.natConfig.contactRewriteUse = 0
    account.natConfig.viaRewriteUse = 0
    account.natConfig.sipOutboundUse = 0
    account.mediaConfig.transportConfig.boundAddress = config.host
    account.mediaConfig.transportConfig.port = 0
    return account
