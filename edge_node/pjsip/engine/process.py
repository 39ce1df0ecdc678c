"""A process of the embedded engine: PJSIP's user agent with two callers and the legs that they may be connected to.

It decides nothing. It ends with its parent: when its input closes it hangs up and exits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import time
from collections import deque
from typing import Any, Final

import pjsua2 as pj

from edge_node.agent.media_engine.embedded.messages import (
    CALLERS_A_PROCESS,
    Description,
    Failure,
    ProcessConfig,
    Told,
)
from edge_node.pjsip.endpoint import POLL_MILLISECONDS, operation, start_endpoint
from edge_node.pjsip.engine import native, sdp
from edge_node.pjsip.engine.call import EngineCall
from edge_node.pjsip.engine.sound import Files, Music, Ringing, SoundError, Source
from edge_node.pjsip.line import Line

MAX_CALLS: Final = 4  # what the wheel was built for
FAREWELL_SECONDS: Final = 1.0
AGENT_LOST: Final = "agent_lost"
_DECLINE: Final = 603


class CommandError(Exception):
    def __init__(self, code: Failure, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Account(pj.Account):  # type: ignore[misc]  # PJSIP's classes have no types
    """The door for incoming calls."""

    def __init__(self, process: EngineProcess) -> None:
        super().__init__()
        self._process = process

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        self._process.arrived(prm.callId, prm.rdata.srcAddress, prm.rdata.wholeMsg)


class EngineProcess:
    """The endpoint, its account and its live calls; `do_*` are the commands."""

    def __init__(self, config: ProcessConfig, line: Line) -> None:
        self._config = config
        self._line = line
        self._calls: dict[int, EngineCall] = {}
        self._made = 0
        self._finished: deque[Any] = deque()  # players at their end
        self._ended: list[EngineCall] = []
        self.stopping = False
        native.quiet()
        self.endpoint = start_endpoint("Tandem", config.host, config.sip_port)
        native.configure(self.endpoint)
        self.nobody = self.endpoint.audDevManager().getPlaybackDevMedia()  # the null device hears, and forgets
        self.account = _Account(self)
        self.account.create(_account_settings(config))

    def tell(self, event: Told, **fields: Any) -> None:
        self._line.send({"event": event, **fields})

    def obey(self, command: dict[str, Any]) -> None:
        number, verb = command.pop("id"), command.pop("do")
        try:
            self._line.send({"re": number, "ok": getattr(self, f"do_{verb}")(**command)})
        except CommandError as error:
            self._line.send({"re": number, "error": str(error), "code": error.code})
        except SoundError as error:
            self._line.send({"re": number, "error": str(error), "code": Failure.MEDIA})
        except pj.Error as error:
            self._line.send({"re": number, "error": error.reason or error.info(), "code": Failure.REFUSED})

    def tend(self) -> None:
        """Let PJSIP work for a moment, go on where a file is over, forget the calls that are over."""
        self.endpoint.libHandleEvents(POLL_MILLISECONDS)
        while self._finished:
            player = self._finished.popleft()
            for call in self._calls.values():
                if call.source is not None and call.source.media is player:
                    self._advance(call, call.source)
        self._ended.clear()

    def finish(self) -> None:
        """Hang up, and give the BYEs a moment to be answered. Who was not told to stop has lost the agent."""
        if not self.stopping:
            self._hang_up_lost()
        self.endpoint.hangupAllCalls()
        until = time.monotonic() + FAREWELL_SECONDS
        while native.calls() and time.monotonic() < until:
            self.tend()

    def _hang_up_lost(self) -> None:
        """Nobody else can tell the call's record why."""
        for call in list(self._calls.values()):
            parameters = operation()
            parameters.txOption.headers.append(_reason(f'200;text="{AGENT_LOST}"'))
            with contextlib.suppress(pj.Error):  # it is just over
                call.hangup(parameters)

    def _advance(self, call: EngineCall, source: Source) -> None:
        try:
            goes_on = source.advance()
        except SoundError:
            goes_on = False  # it was there when the play began; the rest is left out
        if goes_on:
            call.feed()
        else:
            call.sound(None)

    # --- from PJSIP

    def arrived(self, pjsip_id: int, source: str, message: str) -> None:
        self._made += 1
        call = EngineCall(self, self._made, next(iter(sdp.codecs(sdp.body(message))), ""), pjsip_id)
        self._calls[call.number] = call
        callers = sum(other.incoming for other in self._calls.values())
        if source != self._config.kamailio:
            call.answer(operation(pj.PJSIP_SC_FORBIDDEN))
        elif callers > CALLERS_A_PROCESS:
            call.answer(operation(pj.PJSIP_SC_SERVICE_UNAVAILABLE))
        else:
            call.told_of = True
            self.tell(Told.ARRIVED, call=call.number, headers=_tandem_headers(message))

    def refeed(self, changed: EngineCall) -> None:
        """PJSIP exchanged the audio of a call."""
        changed.feed(anew=True)
        for call in self._calls.values():
            if call.listens is changed:
                call.feed(anew=True)

    def ended(self, call: EngineCall) -> None:
        self._calls.pop(call.number, None)
        self._ended.append(call)  # not let go of in its own callback
        for other in self._calls.values():
            if other.listens is call:
                other.listens = None
                other.feed()

    # --- commands

    def do_ping(self) -> None:
        """Nothing: that it is answered says enough."""

    def do_stop(self) -> None:
        self.stopping = True

    def do_answer(self, call: int) -> None:
        self._call(call).answer(operation(pj.PJSIP_SC_OK))

    def do_play(self, call: int, play: int, files: list[str], loop: int) -> bool:
        """False: it is over already, since there was nothing in the files."""
        source = Files(files, loop, play, self._finished)
        if source.media is None:
            self._call(call).sound(None)
            return False
        self._audible(call).sound(source)
        return True

    def do_music(self, call: int, file: str) -> None:
        self._audible(call).sound(Music(file))

    def do_ringing(self, call: int) -> None:
        """180 before the answer; after it, or where the caller hears us already, the tone."""
        ringing = self._call(call)
        if ringing.incoming and not ringing.confirmed and ringing.media is None:
            ringing.answer(operation(pj.PJSIP_SC_RINGING))
        else:
            ringing.sound(Ringing())

    def do_quiet(self, call: int, play: int | None = None) -> None:
        """Stops what sounds; with `play`, that one alone."""
        sounding = self._call(call)
        if play is None or (sounding.source is not None and sounding.source.play == play):
            sounding.sound(None)

    def do_dial(self, call: int, near: int, uri: str, headers: list[tuple[str, str]]) -> None:
        if native.calls() >= MAX_CALLS:
            raise CommandError(Failure.FULL, "four calls are up")
        leg = EngineCall(self, call, self._call(near).codec)
        leg.told_of = True
        parameters = operation()
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            parameters.txOption.headers.append(header)
        self._calls[call] = leg
        try:
            leg.makeCall(uri, parameters)
        except pj.Error:
            self._calls.pop(call, None)
            raise

    def do_listen(self, call: int, to: int | None, early: bool = False) -> None:
        """Let a call hear another one, or none. `early`: it is a caller who may not have been answered."""
        ears = self._audible(call) if early else self._call(call)
        ears.listens = None if to is None else self._call(to)
        ears.feed()

    def do_describe(self, call: int) -> dict[str, Any] | None:
        description = self._call(call).description()
        return None if description is None else description.fields()

    def do_reinvite(self, call: int, elsewhere: dict[str, Any] | None) -> None:
        self._call(call).offer(None if elsewhere is None else Description(**elsewhere))

    def do_hang_up(self, call: int, code: int) -> None:
        ending = self._call(call)
        parameters = operation(0 if ending.confirmed else code or _DECLINE if ending.incoming else 0)
        if code and (ending.confirmed or not ending.incoming):
            parameters.txOption.headers.append(_reason(str(code)))
        ending.hangup(parameters)

    def _call(self, number: int) -> EngineCall:
        if number not in self._calls:
            raise CommandError(Failure.GONE, "no such call")
        return self._calls[number]

    def _audible(self, number: int) -> EngineCall:
        """A call that can be made to hear something: one not answered yet gets early media (RFC 3960)."""
        call = self._call(number)
        if call.incoming and not call.confirmed and call.media is None:
            call.answer(operation(pj.PJSIP_SC_PROGRESS))
        return call


def _reason(cause: str) -> Any:
    """RFC 3326."""
    header = pj.SipHeader()
    header.hName, header.hValue = "Reason", f"SIP;cause={cause}"
    return header


def _account_settings(config: ProcessConfig) -> Any:
    account = pj.AccountConfig()
    account.idUri = f"sip:tandem@{config.host}"
    account.sipConfig.proxies.append(f"sip:{config.kamailio};lr")
    account.natConfig.contactRewriteUse = 0
    account.natConfig.viaRewriteUse = 0
    account.natConfig.sipOutboundUse = 0
    # A refresh of its own would be a re-INVITE that nobody here ordered.
    account.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
    account.mediaConfig.lockCodecEnabled = False
    account.mediaConfig.transportConfig.boundAddress = config.host
    account.mediaConfig.transportConfig.port = config.rtp_port
    account.mediaConfig.transportConfig.portRange = config.rtp_ports - 2
    return account


def _tandem_headers(message: str) -> dict[str, str]:
    lines = message.partition("\r\n\r\n")[0].split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    named = ((name.strip().lower(), value.strip()) for name, _, value in pairs)
    return {name: value for name, value in named if name.startswith("x-tandem-")}


def main() -> None:
    line = Line()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it closes its processes
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    settings = line.first()
    if settings is None:
        return
    process = EngineProcess(ProcessConfig(**settings), line)
    process.tell(Told.READY, version=process.endpoint.libVersion().full)
    while not process.stopping and (commands := line.arrived()) is not None:
        for command in commands:
            process.obey(command)
        process.tend()
    process.finish()
    # PJSIP's objects refer to each other in ways that Python's end of process does not know.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
