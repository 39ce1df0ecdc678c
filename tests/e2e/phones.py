"""Phones for tests: opened by name, each with a tone of its own, closed whatever happens.

    def test_two_phones_talk(phones: Phones) -> None:
        alice = phones.open("1001", secret, "acme.tandem.test")
        bob = phones.open("1002", secret, "acme.tandem.test")
        phones.connect(alice, bob)
        phones.converse(alice, bob)

`phones` is a fixture for the edge node at the configured SIP port; `Phones(registrar, folder)` is a context manager for
any other.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from edge_node.local import audio, settings
from edge_node.local.phone import Phone, PhoneError

# No tone is another's harmonic or near it, and each fits whole periods into a second.
TONES = (440, 1000, 620, 1460, 780, 1180, 2140, 530)
POLL_SECONDS = 0.05
ANSWER_SECONDS = 10.0
TALK_SECONDS = 1.0
TALK_DEADLINE = 10.0


class Phones:
    """The phones of one test; their recordings and SIP logs are left in `folder`."""

    def __init__(self, registrar: str, folder: Path) -> None:
        self.registrar = registrar
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._tones: dict[Phone, int] = {}
        self._recordings = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def open(
        self, user: str, password: str, domain: str, *, registered: bool = True, transport: str = "udp", port: int = 0
    ) -> Phone:
        """A phone that speaks its own tone, registered unless told otherwise."""
        log = self.folder / f"{user}@{domain}-{len(self._tones)}.log"
        phone = Phone(user, password, domain, self.registrar, transport=transport, port=port, log=log)
        self._stack.enter_context(phone)
        self.adopt(phone)
        if registered:
            phone.register()
        return phone

    def adopt(self, phone: Phone) -> None:
        """A phone of another edge node takes part: it gets a tone of these."""
        self._tones[phone] = TONES[len(self._tones) % len(TONES)]
        phone.play_tone(self._tones[phone])

    def unregister(self) -> None:
        """Take every phone that lives off the edge, so that the next test's calls find only its own."""
        for phone in self._tones:
            with contextlib.suppress(PhoneError):
                phone.unregister()

    def connect(self, caller: Phone, callee: Phone, extension: str | None = None, *, late_offer: bool = False) -> int:
        """Place a call, answer it and wait until both have media; returns the caller's number of the call."""
        call = caller.call(extension or callee.config.user, late_offer=late_offer)
        incoming = callee.wait_for("incoming", ANSWER_SECONDS)
        caller.wait_for("ringing", ANSWER_SECONDS, call=call)
        callee.answer(incoming.call)
        caller.wait_for("answered", ANSWER_SECONDS, call=call)
        callee.wait_for("answered", ANSWER_SECONDS, call=incoming.call)
        caller.wait_for("media_active", ANSWER_SECONDS, call=call)
        callee.wait_for("media_active", ANSWER_SECONDS, call=incoming.call)
        return call

    def talk(self, one: Phone, other: Phone, seconds: float) -> None:
        """They converse, again and again, for so long: one gap, of a stall of the machine, does not fail it all."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.converse(one, other)

    def converse(self, one: Phone, other: Phone) -> None:
        """Fail unless from now on each hears the other for a while without a gap, and no other phone of this test."""
        here, there = self._record(one), self._record(other)
        with contextlib.ExitStack() as recording:
            recording.callback(one.stop_recording)
            recording.callback(other.stop_recording)
            self._hears(here, one, other)
            self._hears(there, other, one)
        for path, listener, speaker in ((here, one, other), (there, other, one)):
            self._hears_nobody(path, listener, but=speaker)

    def hears(self, listener: Phone, speaker: Phone) -> None:
        """Fail unless from now on the listener hears the speaker for a while without a gap."""
        path = self._record(listener)
        with contextlib.ExitStack() as recording:
            recording.callback(listener.stop_recording)
            self._hears(path, listener, speaker)

    def hears_nobody(self, listener: Phone, *, seconds: float = TALK_SECONDS, after: float = 0.0) -> None:
        """Fail if from now on, for `seconds`, the listener hears any phone of this test (itself too).

        `after` so many seconds, where his jitter buffer may still hold what was said before.
        """
        path = self._record(listener)
        with contextlib.ExitStack() as recording:
            recording.callback(listener.stop_recording)
            seconds += after
            until(lambda: audio.read(path).seconds >= seconds, seconds + TALK_DEADLINE, "the recording stands still")
        self._hears_nobody(path, listener, after=after)

    def _hears_nobody(self, path: Path, listener: Phone, but: Phone | None = None, after: float = 0.0) -> None:
        recording = audio.read(path)
        for phone, tone in self._tones.items():
            if but is None or tone != self._tones[but]:
                assert not audio.heard_in(recording, tone, start=after).total, f"{listener} hears {phone}"

    def _hears(self, path: Path, listener: Phone, speaker: Phone) -> None:
        tone = self._tones[speaker]
        what = f"{listener} does not hear {speaker} ({tone} Hz)"
        until(lambda: audio.heard(path, tone).lasted(TALK_SECONDS), TALK_SECONDS + TALK_DEADLINE, what)

    def _record(self, phone: Phone) -> Path:
        path = self.folder / f"{phone.config.user}-{next(self._recordings)}.wav"
        phone.record(path)
        return path


def until(condition: Callable[[], bool], deadline: float, what: str) -> None:
    """Wait for a condition; fail with `what` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"{what} (waited {deadline:g} s)"
        time.sleep(POLL_SECONDS)


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[Phones]:
    """Phones at the local edge node."""
    with Phones(f"{settings.LOOPBACK}:{settings.load().sip_port}", tmp_path) as opened:
        yield opened
