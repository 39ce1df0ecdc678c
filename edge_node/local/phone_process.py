"""The process of one phone: PJSIP's user agent, driven by JSON lines (see `phone_messages`).

PJSIP allows one endpoint a process, and its Python wheel four calls at once. Everything runs in the main thread: the
loop reads commands, lets PJSIP handle its events and answers the calls that are due.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import sys
import time
from typing import Any

import pjsua2 as pj

from edge_node.local.phone_messages import Event, EventName, PhoneConfig
from edge_node.local.phone_pjsip import MEDIA_EVENTS, Sound, account_settings
from edge_node.pjsip.endpoint import POLL_MILLISECONDS, operation, received, start_endpoint
from edge_node.pjsip.line import Line

FAREWELL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
_OK = 200


class PhoneLine(Line):
    def event(self, name: EventName, **fields: Any) -> None:
        self.send({"event": dataclasses.asdict(Event(name=name, at=time.monotonic(), **fields))})


class PhoneCall(pj.Call):  # type: ignore[misc]  # PJSIP's classes have no types
    """One call; turns PJSIP's callbacks into events."""

    def __init__(self, phone: PhoneProcess, number: int, pjsip_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, pjsip_id)
        self.phone = phone
        self.number = number
        self.sip_call_id = self.getInfo().callIdString if pjsip_id != pj.PJSUA_INVALID_ID else ""
        self.hung_up = False
        self.confirmed = False
        self.media_status = pj.PJSUA_CALL_MEDIA_NONE
        self.requests: dict[str, float] = {}

    def onCallState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        info = self.getInfo()
        self.sip_call_id = info.callIdString
        about = {
            "code": info.lastStatusCode,
            "reason": info.lastReason,
            "peer": info.remoteUri,
            "text": received(prm.e),
        }
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            self._event(EventName.RINGING, **about)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.confirmed = True
            self._event(EventName.ANSWERED, **about)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.phone.sound.media.pop(self.number, None)
            self._event(EventName.ENDED, local=self.hung_up, **about)
            self.phone.ended.append(self)

    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        self.phone.sound.media.pop(self.number, None)
        info = self.getInfo()  # kept: `info.media` points into it
        for index, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            if media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD):
                self.phone.sound.connect(self.number, self.getAudioMedia(index))
            if media.status != self.media_status and (name := MEDIA_EVENTS.get(media.status)):
                self._event(name)
            self.media_status = media.status

    def onCallTsxState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        transaction = prm.e.body.tsxState.tsx
        if transaction.role != pj.PJSIP_ROLE_UAC:
            return
        method = transaction.method
        if transaction.state == pj.PJSIP_TSX_STATE_CALLING and self.confirmed:
            self.requests[method] = time.monotonic()
        elif transaction.statusCode >= _OK and method in self.requests:
            took = time.monotonic() - self.requests.pop(method)
            about = {"code": transaction.statusCode, "reason": transaction.statusText, "text": received(prm.e)}
            self._event(EventName.TRANSACTION, method=method, took=took, **about)

    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        self._event(EventName.DTMF, digit=prm.digit)

    def _event(self, name: EventName, **fields: Any) -> None:
        self.phone.line.event(name, call=self.number, sip_call_id=self.sip_call_id, **fields)


class PhoneAccount(pj.Account):  # type: ignore[misc]  # PJSIP's classes have no types
    """The registration, and the door for incoming calls."""

    def __init__(self, phone: PhoneProcess) -> None:
        super().__init__()
        self.phone = phone

    def onRegState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        if prm.code // 100 == 2:
            name = EventName.REGISTERED if prm.expiration > 0 else EventName.UNREGISTERED
        else:
            name = EventName.REGISTRATION_FAILED
        self.phone.line.event(name, code=prm.code, reason=prm.reason, text=prm.rdata.wholeMsg)

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        phone = self.phone
        call = phone.add_call(prm.callId)
        call._event(EventName.INCOMING, peer=call.getInfo().remoteUri, text=prm.rdata.wholeMsg)
        if phone.answer_code and phone.answer_delay <= 0:
            phone.answer(call.number, phone.answer_code)
            return
        if phone.ring:
            call.answer(operation(pj.PJSIP_SC_RINGING))
        if phone.answer_code:
            phone.due.append((time.monotonic() + phone.answer_delay, call.number, phone.answer_code))


class PhoneProcess:
    """The endpoint, its account and its live calls; `do_*` are the commands."""

    def __init__(self, config: PhoneConfig, line: PhoneLine) -> None:
        self.line = line
        self.sound = Sound()
        self.calls: dict[int, PhoneCall] = {}
        self.ended: list[PhoneCall] = []
        self.due: list[tuple[float, int, int]] = []
        self.answer_code = 0
        self.answer_delay = 0.0
        self.ring = True
        self.config = config
        self.made = 0
        self.stopping = False
        self.endpoint = start_endpoint("Tandem test phone", config.host, config.port, config.transport, config.log)
        self.account = PhoneAccount(self)
        self.account.create(account_settings(config))

    def add_call(self, pjsip_id: int = pj.PJSUA_INVALID_ID) -> PhoneCall:
        self.made += 1
        call = self.calls[self.made] = PhoneCall(self, self.made, pjsip_id)
        return call

    def answer(self, number: int, code: int) -> None:
        call = self.calls[number]
        call.hung_up = code >= 300
        call.answer(operation(code))

    def tend(self) -> None:
        """Answer the calls whose time has come, and let go of those that ended."""
        now = time.monotonic()
        for entry in [entry for entry in self.due if entry[0] <= now]:
            self.due.remove(entry)
            if entry[1] in self.calls:
                self.answer(entry[1], entry[2])
        while self.ended:
            self.calls.pop(self.ended.pop().number, None)

    def finish(self) -> None:
        """Hang up, close the recording, and give the BYEs a moment to be answered."""
        self.sound.stop_playing()
        self.sound.stop_recording()
        self.endpoint.hangupAllCalls()
        until = time.monotonic() + FAREWELL_SECONDS
        while self.calls and time.monotonic() < until:
            self.endpoint.libHandleEvents(POLL_MILLISECONDS)
            self.tend()

    def do_register(self) -> None:
        self.account.setRegistration(True)

    def do_unregister(self) -> None:
        self.account.setRegistration(False)

    def do_call(self, to: str, late_offer: bool) -> int:
        call = self.add_call()
        try:
            call.makeCall(to, operation(flags=pj.PJSUA_CALL_NO_SDP_OFFER if late_offer else 0))
        except pj.Error:
            del self.calls[call.number]
            raise
        return call.number

    def do_answer(self, call: int | None, code: int) -> None:
        self.answer(self._call(call).number, code)

    def do_auto_answer(self, code: int, delay: float, ring: bool) -> None:
        self.answer_code, self.answer_delay, self.ring = code, delay, ring

    def do_hang_up(self, call: int | None) -> None:
        live = self._call(call)
        live.hung_up = True
        live.hangup(operation())

    def do_hold(self, call: int | None) -> None:
        self._call(call).setHold(operation())

    def do_unhold(self, call: int | None) -> None:
        self._call(call).reinvite(operation(flags=pj.PJSUA_CALL_UNHOLD))

    def do_reinvite(self, call: int | None, late_offer: bool) -> None:
        self._call(call).reinvite(operation(flags=pj.PJSUA_CALL_NO_SDP_OFFER if late_offer else 0))

    def do_update(self, call: int | None) -> None:
        self._call(call).update(operation())

    def do_send_dtmf(self, call: int | None, digits: str) -> None:
        self._call(call).dialDtmf(digits)

    def do_play(self, path: str) -> None:
        self.sound.play(path)

    def do_stop_playing(self) -> None:
        self.sound.stop_playing()

    def do_record(self, path: str) -> None:
        self.sound.record(path)

    def do_stop_recording(self) -> None:
        self.sound.stop_recording()

    def do_packets(self, call: int | None) -> dict[str, int]:
        stat = self._call(call).getStreamStat(0)  # kept: `stat.rtcp` points into it
        sent, received = stat.rtcp.txStat, stat.rtcp.rxStat
        return {"sent": sent.pkt, "received": received.pkt, "lost": received.loss}

    def do_stop(self) -> None:
        self.stopping = True

    def _call(self, number: int | None) -> PhoneCall:
        live = number or max(self.calls, default=0)
        if live not in self.calls:
            raise LookupError(f"no call {number}" if number else "no call")
        return self.calls[live]


def _obey(phone: PhoneProcess, command: dict[str, Any]) -> None:
    number, verb = command.pop("id"), command.pop("do")
    try:
        phone.line.send({"re": number, "ok": getattr(phone, f"do_{verb}")(**command)})
    except pj.Error as error:
        phone.line.send({"re": number, "error": error.reason or error.info()})
    except LookupError as error:
        phone.line.send({"re": number, "error": str(error)})


def main() -> None:
    line = PhoneLine()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it closes its phones
    settings = line.first()
    if settings is None:
        return
    if settings.pop("die_with_parent"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    phone = PhoneProcess(PhoneConfig(**settings), line)
    line.event(EventName.READY)
    while not phone.stopping and (commands := line.arrived()) is not None:
        for command in commands:
            _obey(phone, command)
        phone.endpoint.libHandleEvents(POLL_MILLISECONDS)
        phone.tend()
    phone.finish()
    # PJSIP's objects refer to each other in ways that Python's end of process does not know.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
