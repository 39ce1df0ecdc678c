"""One channel of the double: its variables, what runs on it, and how it ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

TICK_SEC: Final = 0.005
KNOWN: Final = frozenset({"answer", "pre_answer", "ring_ready", "respond", "playback", "park", "socket", "set"})
_CAUSES: Final = {486: "USER_BUSY", 603: "CALL_REJECTED", 480: "NO_USER_RESPONSE", 503: "NORMAL_TEMPORARY_FAILURE"}


class App:
    """One that runs, or waits for its turn."""

    def __init__(self, name: str, argument: str, number: str) -> None:
        self.name = name
        self.argument = argument
        self.number = number or str(uuid.uuid4())
        self.response = "_none_"


class Channel:
    """`fire(name, channel, headers)` tells an event. `said`: what the caller got by SIP, in order."""

    def __init__(self, direction: str, fire: Callable[..., None], files: dict[str, float]) -> None:
        self.id = str(uuid.uuid4())
        self.direction = direction
        self.variables: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        self.state = "CS_EXECUTE"
        self.answer_state = "ringing"
        self.cause = ""
        self.said: list[str] = []
        self.heard: list[str] = []
        self.partner: Channel | None = None
        self.first = False
        self.released = False
        # What it waits in for what to do.
        self._outer: App | None = App("socket", "", "")
        self.breaking = False
        # What a re-INVITE is answered with; 200 once it is empty, no answer for 0.
        self.reinvites: list[int] = []
        self.asked = 0
        self.cseq = 1
        self._fire = fire
        self._files = files
        self._stack: list[App] = []
        self._last = "_none_"
        self._queue: asyncio.Queue[App] = asyncio.Queue()
        self._tasks = {asyncio.create_task(self._work())}

    @property
    def in_socket(self) -> bool:
        return self._outer is not None and self._outer.name == "socket"

    def enter_socket(self) -> None:
        self._outer = App("socket", "", "")

    def wait_elsewhere(self) -> None:
        """Not made by a dial plan: it is not with a controller yet."""
        self._outer = None

    @property
    def over(self) -> bool:
        return bool(self.cause)

    @property
    def idle(self) -> bool:
        return not self._stack and self._queue.empty()

    @property
    def other(self) -> str:
        """The channel that it is connected with."""
        return "" if self.partner is None else self.partner.id

    def run(self, name: str, argument: str, number: str, locked: bool) -> None:
        """With the lock one after the other; without it at once, inside what runs."""
        app = App(name, argument, number)
        if locked:
            self._queue.put_nowait(app)
        else:
            task = asyncio.create_task(self._perform(app))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def headers(self) -> dict[str, str]:
        told = {
            "Unique-ID": self.id,
            "Call-Direction": self.direction,
            "Channel-State": self.state,
            "Answer-State": self.answer_state,
            **self.facts,
        }
        if self.cause:
            told["Hangup-Cause"] = self.cause
        if self.partner is not None:
            told["Other-Leg-Unique-ID"] = self.partner.id
        return told | {f"variable_{name}": value for name, value in self.variables.items()}

    def answer(self) -> None:
        if self.answer_state != "answered" and not self.over:
            self.answer_state = "answered"
            self.said.append("200")
            self._fire("CHANNEL_ANSWER", self)

    def hold(self, holds: bool = True) -> None:
        """Its party puts the other one on hold, or takes him back, by a re-INVITE of its own.

        While the audio is away the switch hands it on, and says less.
        """
        self._describe("sendonly" if holds else "sendrecv")
        if self.partner is not None and self.released:
            self.partner._describe("recvonly" if holds else "sendrecv")
        state = {"Channel-Call-State": "HELD" if holds else "UNHELD"}
        self._fire("CHANNEL_CALLSTATE", self, state)
        if not self.released:
            self._fire("CHANNEL_HOLD" if holds else "CHANNEL_UNHOLD", self, state)

    def forget_hold(self) -> None:
        """The audio has come back: the switch takes the hold for over, and tells of re-INVITEs only."""
        for state in ("ACTIVE", "UNHELD", "ACTIVE"):
            self._fire("CHANNEL_CALLSTATE", self, {"Channel-Call-State": state})

    def reinvite(self, direction: str) -> None:
        """Its party says something anew, and has its answer."""
        self._describe(direction)
        self._fire("CUSTOM", self, {"Event-Subclass": "sofia::reinvite"})

    def _describe(self, direction: str) -> None:
        self.variables["switch_r_sdp"] = f"v=0\r\nm=audio 9 RTP/AVP 0\r\na={direction}\r\n"

    def digit(self, digit: str, source: str = "RTP") -> None:
        self._fire("DTMF", self, {"DTMF-Digit": digit, "DTMF-Duration": "1600", "DTMF-Source": source})

    def park(self) -> None:
        """After a bridge."""
        self.state = "CS_PARK"
        self._fire("CHANNEL_PARK", self)

    def transfer(self) -> None:
        """To the application `park`, which runs until it is sent elsewhere."""
        self.state = "CS_EXECUTE"
        self._outer = App("park", "", "")
        self._fire("CHANNEL_EXECUTE", self, _told(self._outer))
        self._fire("CHANNEL_PARK", self)

    def leave_socket(self) -> None:
        """It goes where a bridge or a transfer sends it; its connection stays."""
        self._break_off()
        self._leave_outer()

    def hang_up(self, cause: str, *, code: int = 0) -> None:
        """In the order that was seen: the hang-up, what ran, the socket, the record."""
        if self.over:
            return
        self.cause = cause
        if code:
            self.variables["proto_specific_hangup_cause"] = f"sip:{code}"
        self.answer_state = "hangup"
        self._fire("CHANNEL_HANGUP", self)
        self._break_off()
        self._leave_outer()
        self.state = "CS_REPORTING"
        self.leave_bridge()
        self._fire("CHANNEL_HANGUP_COMPLETE", self)
        self.close()

    def leave_bridge(self) -> None:
        other, self.partner = self.partner, None
        if other is None:
            return
        other.partner = None
        one = self if self.first else other
        self._fire("CHANNEL_UNBRIDGE", one)
        self.released = False
        if other.over:
            return
        if other.variables.get("park_after_bridge") == "true":
            other.park()
        else:
            other.hang_up(self.cause or "NORMAL_CLEARING")

    def close(self) -> None:
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _break_off(self) -> None:
        while self._stack:
            app = self._stack.pop()
            if app.name == "playback":
                app.response = "PLAYBACK ERROR"
            self._complete(app)
        while not self._queue.empty():
            self._queue.get_nowait()

    def _leave_outer(self) -> None:
        app, self._outer = self._outer, None
        if app is not None:
            app.response = self._last
            self._complete(app)

    async def _work(self) -> None:
        while True:
            app = await self._queue.get()
            while self._stack:  # noqa: ASYNC110 - as slow as the switch
                await asyncio.sleep(TICK_SEC)
            await self._perform(app)

    async def _perform(self, app: App) -> None:
        await asyncio.sleep(TICK_SEC)
        if self.over:
            return
        if app.name not in KNOWN:
            self.hang_up("DESTINATION_OUT_OF_ORDER")
            return
        # A break that came before it is lost.
        self.breaking = False
        self._stack.append(app)
        self._fire("CHANNEL_EXECUTE", self, _told(app))
        if app.name == "playback":
            await self._play(app)
        elif app.name == "answer":
            self.answer()
        elif app.name == "pre_answer":
            self.answer_state = "early"
            self.said.append("183")
        elif app.name == "ring_ready":
            self.said.append("180")
        elif app.name == "respond":
            code = int(app.argument.split(" ")[0])
            self.said.append(str(code))
            self.hang_up(_CAUSES.get(code, "NORMAL_UNSPECIFIED"))
            return
        if app in self._stack:
            self._stack.remove(app)
            self._complete(app)

    async def _play(self, app: App) -> None:
        seconds = self._files.get(app.argument)
        if app.argument.startswith("tone_stream:"):
            seconds = 3600.0
        if seconds is None:
            app.response = "FILE NOT FOUND"
            return
        self.heard.append(app.argument)
        app.response = "FILE PLAYED"
        loop = asyncio.get_running_loop()
        last = loop.time()
        while seconds > 0 and app in self._stack:
            await asyncio.sleep(TICK_SEC)
            now = loop.time()
            # What runs inside it holds it up.
            if self._stack and self._stack[-1] is app:
                seconds -= now - last
                if self.breaking:
                    self.breaking = False
                    return
            last = now

    def _complete(self, app: App) -> None:
        self._last = app.response
        self._fire("CHANNEL_EXECUTE_COMPLETE", self, {**_told(app), "Application-Response": app.response})


def _told(app: App) -> dict[str, str]:
    return {"Application": app.name, "Application-Data": app.argument, "Application-UUID": app.number}
