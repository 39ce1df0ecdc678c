"""The parent's end of a phone's process: starts it, sends commands, collects events, ends it.

The child ends with its parent: its input closes, and the kernel kills it when the thread that started it ends, if that
was the main thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from edge_node.local.phone_messages import Event, EventName, PhoneConfig
from edge_node.local.settings import REPOSITORY

START_SECONDS = 30.0
COMMAND_SECONDS = 10.0
STOP_SECONDS = 5.0

_NEEDS_A_LIVE_CALL = frozenset(
    {
        EventName.RINGING,
        EventName.ANSWERED,
        EventName.MEDIA_ACTIVE,
        EventName.MEDIA_HELD,
        EventName.MEDIA_REMOTE_HELD,
        EventName.TRANSACTION,
        EventName.DTMF,
    }
)


class PhoneError(Exception):
    """A phone could not do what it was told, or did not see in time what it was waiting for."""


class PhoneGoneError(PhoneError):
    """The phone's process has ended."""


class SipFailureError(PhoneError):
    """The other side said no; `event` has its code, reason and message."""

    def __init__(self, what: str, event: Event) -> None:
        super().__init__(f"{what}: {event.code} {event.reason}")
        self.event = event
        self.code = event.code
        self.reason = event.reason


class RegistrationError(SipFailureError):
    """A REGISTER got a final answer that is not 2xx (or none: 408, 503)."""


class CallEndedError(SipFailureError):
    """The call ended while something else was waited for."""


class PhoneLink:
    """One phone's process. Raises `PhoneError` when it does not start. Safe to use from any thread."""

    def __init__(self, config: PhoneConfig) -> None:
        self.config = config
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._taken: set[int] = set()
        self._replies: dict[int, Mapping[str, Any]] = {}
        self._numbers = itertools.count(1)
        self._latest = 0
        self._gone = False
        self._greeting = 0  # bytes that PJSIP always prints before its log can be configured
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_node.local.phone_process"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._reader = threading.Thread(target=self._read, name=str(self), daemon=True)
        self._reader.start()
        # The kernel's signal comes when the starting *thread* ends: only the main thread lives long enough.
        in_main_thread = threading.current_thread() is threading.main_thread()
        try:
            self._write({**dataclasses.asdict(config), "die_with_parent": in_main_thread})
            self.wait_for(EventName.READY, START_SECONDS)
            self._greeting = self._errors.seek(0, os.SEEK_END)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Phone({self.config.user}@{self.config.domain})"

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self) -> list[Event]:
        """All events so far, oldest first."""
        with self._changed:
            return list(self._events)

    def wait_for(
        self, name: str | tuple[str, ...], deadline: float, *, call: int | None = None, **fields: object
    ) -> Event:
        """The oldest such event that no earlier wait returned, coming within `deadline` seconds.

        `fields` narrow it down, e.g. `wait_for("transaction", 5, method="UPDATE")`. Raises `CallEndedError` when the
        call ends instead, `PhoneGoneError` when the phone's process does, `PhoneError` with what happened when time is
        up.
        """
        wanted = {EventName(one) for one in ((name,) if isinstance(name, str) else name)}

        def fits(event: Event) -> bool:
            return (
                event.name in wanted
                and (call is None or event.call == call)
                and all(getattr(event, field) == value for field, value in fields.items())
            )

        until = time.monotonic() + deadline
        with self._changed:
            while True:
                for index, event in enumerate(self._events):
                    if index not in self._taken and fits(event):
                        self._taken.add(index)
                        return event
                if wanted <= _NEEDS_A_LIVE_CALL and (end := self._end_of(call)):
                    raise CallEndedError(f"the call ended before {' or '.join(sorted(wanted))}", end)
                if self._gone:
                    raise PhoneGoneError(f"{self} has gone{self._last_words()}")
                if not self._changed.wait(max(until - time.monotonic(), 0.0)) and time.monotonic() >= until:
                    seen = ", ".join(f"{event.name} {event.code or ''}".strip() for event in self._events)
                    missed = f"{self} saw no {' or '.join(sorted(wanted))} in {deadline:g} s"
                    raise PhoneError(f"{missed}, but: {seen}{self._last_words()}")

    def die(self) -> None:
        """Kill the phone's process at once (SIGKILL): no BYE, no unregistration, no more RTP."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End calls and the process; does nothing the second time. A contact that is registered stays registered."""
        if self._process.poll() is None:
            with contextlib.suppress(PhoneError, OSError):
                self._write({"id": next(self._numbers), "do": "stop"})
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.die()
        self._reader.join(STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def command(self, verb: str, **arguments: object) -> Any:
        """Have the phone do something and return what it says. Raises `PhoneError` with its complaint."""
        number = next(self._numbers)
        self._write({"id": number, "do": verb, **arguments})
        with self._changed:
            self._changed.wait_for(lambda: number in self._replies or self._gone, COMMAND_SECONDS)
            reply = self._replies.pop(number, None)
            if reply is not None and verb == "call" and "ok" in reply:
                self._latest = max(self._latest, reply["ok"])
        if reply is None:
            raise PhoneGoneError(f"{self} gave no answer to {verb}{self._last_words()}")
        if "error" in reply:
            raise PhoneError(f"{self} cannot {verb}: {reply['error']}")
        return reply["ok"]

    def _write(self, message: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        try:
            with self._changed:
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise PhoneGoneError(f"{self} has gone{self._last_words()}") from error

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            with self._changed:
                if "event" in message:
                    fields = message["event"]
                    event = Event(**{**fields, "name": EventName(fields["name"])})
                    self._latest = max(self._latest, event.call)
                    self._events.append(event)
                else:
                    self._replies[message["re"]] = message
                self._changed.notify_all()
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def forget(self, *names: EventName) -> None:
        """Let later waits pass over such events that have come already."""
        with self._changed:
            self._taken.update(index for index, event in enumerate(self._events) if event.name in names)

    def _end_of(self, call: int | None) -> Event | None:
        """How the call in question ended; None while it lives, when there was none yet, or when that was seen."""
        for index, event in enumerate(self._events):
            if event.name is EventName.ENDED and event.call == (call or self._latest) and index not in self._taken:
                return event
        return None

    def _last_words(self) -> str:
        """The end of what the process wrote to its error output."""
        if self._errors.closed:
            return ""
        self._errors.seek(self._greeting)
        text = self._errors.read().decode(errors="replace").strip()
        return f": {text[-2000:]}" if text else ""
