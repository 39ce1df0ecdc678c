"""How busy the node is: its processors, and rtpengine's sessions by the ng protocol."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Final

from edge_node.agent.ng import Ng, NgError

_POLL_SEC: Final = 2.0
_SESSIONS: Final = re.compile(rb"13:sessionstotali(\d+)e")
_UPTIME: Final = re.compile(rb"6:uptime(\d{1,2}):(\d+)")
# rtpengine tells its age in whole seconds: a start computed from it may move by that much.
_UPTIME_SLACK_SEC: Final = 3.0


class Processors:
    """Busy time of all processors between two looks, in per cent (proc(5), /proc/stat)."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._last = self._read()

    def busy_percent(self) -> float:
        idle, total = self._read()
        was_idle, was_total = self._last
        self._last = idle, total
        passed = total - was_total
        return 0.0 if passed <= 0 else round(100.0 * (1 - (idle - was_idle) / passed), 1)

    def _read(self) -> tuple[int, int]:
        try:
            fields = [int(text) for text in self._stat.read_text().partition("\n")[0].split()[1:9]]
        except (OSError, ValueError):
            return 0, 0
        return sum(fields[3:5]), sum(fields)


class RtpEngine:
    """`sessions` is 0 and `boot_id` the last known one while rtpengine does not answer (`up` is False)."""

    def __init__(self, ng: Ng | None) -> None:
        self._ng = ng
        self._started = 0.0
        self.sessions = 0
        self.up = False
        self.boot_id = ""
        # Set after the first question, answered or not: then `boot_id` is worth telling.
        self.asked = asyncio.Event()
        # Set at each start after the first that was seen: the calls of before are lost to it.
        self.restarted = asyncio.Event()

    async def run(self) -> None:
        """Asks every two seconds until cancelled."""
        while self._ng is not None:
            try:
                self.read(await self._ng.exchange("statistics"), time.time())
            except NgError:
                self.up = False
                self.sessions = 0
            self.asked.set()
            await asyncio.sleep(_POLL_SEC)
        self.asked.set()

    def read(self, body: bytes, now: float) -> None:
        """The two figures out of the bencoded reply to `statistics` (rtpengine 10.5)."""
        sessions, uptime = _SESSIONS.search(body), _UPTIME.search(body)
        self.up = sessions is not None
        self.sessions = int(sessions[1]) if sessions else 0
        if uptime is None:
            return
        started = now - int(uptime[2][: int(uptime[1])])
        if not self.boot_id or abs(started - self._started) > _UPTIME_SLACK_SEC:
            if self.boot_id:
                self.restarted.set()
            self._started = started
            self.boot_id = str(int(started))
