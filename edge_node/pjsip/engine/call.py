"""One call of the engine: PJSIP's callbacks turned into events, and what it hears."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import pjsua2 as pj

from edge_node.agent.media_engine.embedded.messages import Description, Told
from edge_node.pjsip.endpoint import operation
from edge_node.pjsip.engine import native, sdp
from edge_node.pjsip.engine.sound import Source

if TYPE_CHECKING:
    from edge_node.pjsip.engine.process import EngineProcess

DIGITS: Final = "0123456789*#ABCD"
_AUDIBLE: Final = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
_OK: Final = 200


class EngineCall(pj.Call):  # type: ignore[misc]  # PJSIP's classes have no types
    """`codec` is the one of G.711's two that the call is to use, empty while any will do.

    It hears its `source` if it has one, else the call that it `listens` to. `away`: its audio goes past us.
    """

    def __init__(self, process: EngineProcess, number: int, codec: str = "", pjsip_id: int = pj.PJSUA_INVALID_ID):
        super().__init__(process.account, pjsip_id)
        self.process = process
        self.number = number
        self.codec = codec
        self.incoming = pjsip_id != pj.PJSUA_INVALID_ID
        self.told_of = False
        self.confirmed = False
        self.over = False
        self.source: Source | None = None
        self.listens: EngineCall | None = None
        self.away = False
        self.media: Any = None
        self._both_ways = False
        self._stream = 0
        self._fed_by: Any = None
        self._reinviting = False
        self._elsewhere: Description | None = None  # while our re-INVITE that sends the audio away is being written
        self._proposed_away = False

    # --- what the parent wants

    def offer(self, elsewhere: Description | None) -> None:
        """Re-INVITE the party, to somebody else's audio or (None) to ours. Raises `pj.Error` when PJSIP cannot now."""
        self._elsewhere, self._reinviting = elsewhere, True
        try:
            self.reinvite(operation())
        except pj.Error:
            self._reinviting = False
            raise
        finally:
            self._elsewhere = None

    def description(self) -> Description | None:
        """Where the party's side wants its audio; None when it wants none, or not by IPv4."""
        if self.media is None:
            return None
        stream = self.getStreamInfo(0)
        host, _, port = stream.remoteRtpAddress.rpartition(":")
        if ":" in host:
            return None
        event = stream.audTxEventPt
        return Description(host, int(port), stream.codecName, stream.txPt, event if event > 0 else None)

    def sound(self, source: Source | None) -> None:
        """Let it hear this from now on; None: the call that it listens to."""
        before, self.source = self.source, source
        if before is not None and before.play:
            self._tell(Told.PLAYED, play=before.play)
        self.feed()

    def feed(self, *, anew: bool = False) -> None:
        """Connect what it is to hear; `anew` when its own audio, or what it heard, was exchanged by PJSIP."""
        wanted: Any = None
        if self.source is not None:
            wanted = self.source.media
        elif self.listens is not None and not self.listens.away:
            wanted = self.listens.media
        if self.media is None or self.away:
            wanted = None
        if wanted is self._fed_by and not anew:
            return
        # What is gone from PJSIP's conference bridge is disconnected already.
        if self._fed_by is not None and self.media is not None:
            with contextlib.suppress(pj.Error):
                self._fed_by.stopTransmit(self.media)
        self._fed_by = wanted
        if wanted is not None:
            wanted.startTransmit(self.media)

    # --- what PJSIP says

    def onCallState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            self._tell(Told.RINGING)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED and not self.confirmed:
            self.confirmed = True
            self._tell(Told.ANSWERED)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED and not self.over:
            self.over = True
            self.media = self._fed_by = None
            self.source = self.listens = None
            self._tell(Told.ENDED, code=info.lastStatusCode)
            self.process.ended(self)

    def onCallSdpCreated(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        """Our own description is written: of our offer, or (`remSdp`) of our answer to the party's."""
        ours, theirs = prm.sdp.wholeSdp, prm.remSdp.wholeSdp
        self._proposed_away = self._elsewhere is not None
        if self._elsewhere is not None:
            prm.sdp.wholeSdp = sdp.elsewhere(ours, self._elsewhere)
        elif self.codec and (not theirs or self.codec in sdp.codecs(theirs)):
            prm.sdp.wholeSdp = sdp.only(ours, self.codec)

    def onStreamPreCreate(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        prm.streamInfo.rtcpSdesByeDisabled = True  # a BYE on RTCP is not for somebody else's audio

    def onStreamCreated(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        self._stream = int(prm.stream)
        if self._proposed_away:
            native.pause(self._stream)

    def onStreamDestroyed(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        if int(prm.stream) == self._stream:
            self._stream = 0

    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        info = self.getInfo()  # kept: `info.media` points into it
        audio = next((one for one in info.media if one.type == pj.PJMEDIA_TYPE_AUDIO), None)
        audible = audio is not None and audio.status in _AUDIBLE and audio.audioConfSlot != pj.PJSUA_INVALID_ID
        self.media = self.getAudioMedia(audio.index) if audio is not None and audible else None
        self._both_ways = audio is not None and audio.status == pj.PJSUA_CALL_MEDIA_ACTIVE
        self.away = self._proposed_away
        if self._stream and self.away:
            native.pause(self._stream)
        elif self._stream and self._both_ways:
            native.resume(self._stream)
        if self.media is not None:
            self.codec = self.getStreamInfo(0).codecName
            # Somebody must hear it always: a jitter buffer that nobody reads is full, and stumbles, when one does.
            self.media.startTransmit(self.process.nobody)
        self.process.refeed(self)
        early = info.state == pj.PJSIP_INV_STATE_EARLY
        self._tell(Told.MEDIA, away=self.away, both_ways=self._both_ways, early=early)

    def onCallTsxState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        state = prm.e.body.tsxState
        transaction = state.tsx
        if transaction.role == pj.PJSIP_ROLE_UAC:
            if transaction.method == "INVITE" and transaction.statusCode >= _OK and self._reinviting:
                self._reinviting = False
                self._tell(Told.REINVITED, code=transaction.statusCode)
        elif transaction.state == pj.PJSIP_TSX_STATE_TRYING:
            if transaction.method == "INFO":
                self._information(transaction, state.src.rdata)
            elif transaction.method == "OPTIONS":  # is this dialog alive? PJSUA would say 500
                native.respond(transaction.pjTransaction, state.src.rdata.pjRxData, _OK)

    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        self._digit(prm.digit)

    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        prm.statusCode = pj.PJSIP_SC_DECLINE  # who is called is for the brain to say

    def onCallReplaceRequest(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def _information(self, transaction: Any, request: Any) -> None:
        """INFO: PJSUA answers `dtmf-relay`, and leaves a bare digit to us, or what nobody knows."""
        head, _, body = request.wholeMsg.partition("\r\n\r\n")
        kind = next(
            (line.partition(":")[2].strip().lower() for line in head.split("\r\n") if _is_type(line)), "nothing"
        )
        if kind in ("application/dtmf-relay", "application/media_control+xml"):
            return
        code = pj.PJSIP_SC_UNSUPPORTED_MEDIA_TYPE
        if kind == "application/dtmf":
            code = _OK if self._digit(body.strip()) else pj.PJSIP_SC_BAD_REQUEST
        elif kind == "nothing":
            code = _OK
        native.respond(transaction.pjTransaction, request.pjRxData, code)

    def _digit(self, digit: str) -> bool:
        digit = digit.upper()
        known = len(digit) == 1 and digit in DIGITS
        if known:
            self._tell(Told.DIGIT, digit=digit)
        return known

    def _tell(self, event: Told, **fields: Any) -> None:
        if self.told_of:
            self.process.tell(event, call=self.number, **fields)


def _is_type(line: str) -> bool:
    return line.partition(":")[0].strip().lower() in ("content-type", "c")
