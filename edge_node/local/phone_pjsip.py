"""PJSIP as a phone uses it: one account, a WAV player that speaks and a WAV recorder that listens."""

from __future__ import annotations

from typing import Any

import pjsua2 as pj

from edge_node.local.phone_messages import EventName, PhoneConfig

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
