"""A real SIP phone on PJSIP, as a child process: register, call, answer, hold, play a tone, record what is heard.

    with Phone("1001", secret, "acme.tandem.test", "127.0.0.1:5060") as alice:
        alice.register()
        alice.play_tone(440)
        alice.record(folder / "alice.wav")
        call = alice.call("1002")
        alice.wait_for("answered", 5)
        alice.hang_up()

Every method is synchronous and safe to call from any thread; in asyncio use `await asyncio.to_thread(…)`. A phone has
up to four calls at once (the wheel's limit); `call=None` means the latest that has not ended.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from edge_node.local import audio
from edge_node.local.phone_link import CallEndedError, PhoneError, PhoneGoneError, PhoneLink, RegistrationError
from edge_node.local.phone_messages import Event, EventName, PhoneConfig
from edge_node.local.settings import LOOPBACK

__all__ = [
    "CallEndedError",
    "Event",
    "EventName",
    "Packets",
    "Phone",
    "PhoneError",
    "PhoneGoneError",
    "RegistrationError",
]


@dataclasses.dataclass(frozen=True)
class Packets:
    """RTP packets of a call so far."""

    sent: int
    received: int
    lost: int


class Phone(PhoneLink):
    """One phone of one user. Raises `PhoneError` when its process does not start.

    `registrar` ("host:port") gets every request, whatever `domain` says; `port` is the phone's own (0: any free one) on
    the address `host`. `expires` is what it asks for in seconds, `retry` the pause before it repeats a failed
    registration (0: never). `log` is a file for PJSIP's log with all SIP messages.
    """

    def __init__(
        self,
        user: str,
        password: str,
        domain: str,
        registrar: str,
        *,
        transport: str = "udp",
        port: int = 0,
        host: str = LOOPBACK,
        auth_user: str = "",
        expires: int = 600,
        retry: int = 0,
        log: Path | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-phone-")
        try:
            super().__init__(
                PhoneConfig(
                    user=user,
                    password=password,
                    domain=domain,
                    registrar=registrar,
                    transport=transport,
                    port=port,
                    host=host,
                    auth_user=auth_user or user,
                    expires=expires,
                    retry=retry,
                    log=str(log.absolute()) if log else "",
                )
            )
        except BaseException:
            self._folder.cleanup()
            raise

    def close(self) -> None:
        super().close()
        self._folder.cleanup()

    # --- registration

    def register(self, timeout: float = 10.0) -> Event:
        """Register and wait for the answer. Raises `RegistrationError` with the SIP code."""
        self.forget(EventName.REGISTERED, EventName.REGISTRATION_FAILED)
        self.command("register")
        event = self.wait_for((EventName.REGISTERED, EventName.REGISTRATION_FAILED), timeout)
        if event.name is EventName.REGISTRATION_FAILED:
            raise RegistrationError(f"{self} could not register", event)
        return event

    def unregister(self, timeout: float = 10.0) -> Event:
        """Remove this phone's contact and wait for the answer. Raises `RegistrationError`."""
        self.forget(EventName.UNREGISTERED, EventName.REGISTRATION_FAILED)
        self.command("unregister")
        event = self.wait_for((EventName.UNREGISTERED, EventName.REGISTRATION_FAILED), timeout)
        if event.name is EventName.REGISTRATION_FAILED:
            raise RegistrationError(f"{self} could not unregister", event)
        return event

    # --- calls

    def call(self, extension: str, *, late_offer: bool = False) -> int:
        """Send an INVITE to an extension of the own domain or to a `sip:` URI; returns the call's number at once.

        `late_offer` sends it without SDP: the callee offers and the ACK answers (RFC 3261 section 13.2.1).
        """
        to = extension if extension.startswith("sip:") else f"sip:{extension}@{self.config.domain}"
        return int(self.command("call", to=to, late_offer=late_offer))

    def answer(self, call: int | None = None) -> None:
        self.command("answer", call=call, code=200)

    def reject(self, code: int = 486, call: int | None = None) -> None:
        self.command("answer", call=call, code=code)

    def auto_answer(self, delay: float = 0.0, *, code: int = 200, ring: bool = True) -> None:
        """Answer every later call with `code` after `delay` seconds (0: without ringing). `code` 0: never again."""
        self.command("auto_answer", code=code, delay=delay, ring=ring)

    def hang_up(self, call: int | None = None) -> None:
        """End a call in any state: CANCEL, refusal or BYE."""
        self.command("hang_up", call=call)

    def hold(self, call: int | None = None) -> None:
        """Send a re-INVITE with `sendonly`; `media_held` follows here, `media_remote_held` there."""
        self.command("hold", call=call)

    def unhold(self, call: int | None = None) -> None:
        """Send a re-INVITE with `sendrecv`; `media_active` follows on both sides."""
        self.command("unhold", call=call)

    def reinvite(self, call: int | None = None, *, late_offer: bool = False) -> None:
        """Send a re-INVITE that changes nothing (session refresh); a `transaction` event tells its answer."""
        self.command("reinvite", call=call, late_offer=late_offer)

    def update(self, call: int | None = None) -> None:
        """Send an UPDATE with an offer (RFC 3311); a `transaction` event tells its answer."""
        self.command("update", call=call)

    def send_dtmf(self, digits: str, call: int | None = None) -> None:
        """Send digits as telephone-events (RFC 4733)."""
        self.command("send_dtmf", call=call, digits=digits)

    # --- sound

    def play_tone(self, hz: int, level_dbfs: float = -10.0) -> None:
        """Speak a steady tone into all calls, present and later."""
        path = Path(self._folder.name) / f"tone-{hz}-{level_dbfs}.wav"
        audio.write_tone(path, hz, level_dbfs=level_dbfs)
        self.play(path)

    def play(self, path: Path) -> None:
        """Speak a WAV file in a loop."""
        self.command("play", path=str(path.absolute()))

    def stop_playing(self) -> None:
        self.command("stop_playing")

    def record(self, path: Path) -> None:
        """Write all that is heard from now on into a new WAV file, silence included, in step with the clock."""
        self.command("record", path=str(path.absolute()))

    def stop_recording(self) -> None:
        self.command("stop_recording")

    def packets(self, call: int | None = None) -> Packets:
        """RTP packets of a call whose media is running."""
        return Packets(**self.command("packets", call=call))
