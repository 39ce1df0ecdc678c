"""Call flows for tests with phones: a tenant whose prompts are tones, and flows in few words.

Every prompt is a tone of its own, so that a recording tells what was played: `house.tone("busy")`.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from edge_node.local import audio
from edge_node.local.phone import Phone
from edge_node.local.settings import LOOPBACK
from edge_node.local.waiting import wait_until
from tests.e2e.installation import Installation

Fields = dict[str, Any]
# None is a harmonic of another or near the phones' own tones.
PROMPTS = {"menu": 710, "again": 910, "wrong": 1290, "bye": 1610, "first": 1870, "second": 2330, "sorry": 2570}
HEARD_SEC = 0.4
LIVE_SEC = 5
HANG_UP: Fields = {"kind": "hangup"}
_ENDS = ("first", "second", "sorry", "bye")
# The edges of `House.ends`.
ENDS = tuple(f"{name}>end" for name in _ENDS)
_digits = itertools.count(6101)
_numbers = itertools.count(1)


class RefusedError(Exception):
    """The API's reply, other than success."""

    def __init__(self, status: int, body: Fields) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class House:
    """The first demo account, with the embedded engine and a media file for each of `PROMPTS`."""

    def __init__(self, tandem: Installation, folder: Path) -> None:
        self.tandem = tandem
        self.folder = folder
        self.account_id: str = tandem.account()["id"]
        self.media: dict[str, str] = {}
        self.users: dict[str, str] = {user["extension"]: user["id"] for user in tandem.account()["users"]}

    def prepare(self) -> None:
        self.api("PATCH", f"/accounts/{self.account_id}", {"media_engine": "embedded"}, operator=True)
        for name, hz in PROMPTS.items():
            self.media[name] = self.upload(name, hz, 2.0 if name != "menu" else 8.0)

    def upload(self, name: str, hz: int, seconds: float) -> str:
        path = self.folder / f"{name}.wav"
        audio.write_tone(path, hz, seconds=seconds)
        media_id: str = self.api("POST", "/media", {"name": f"{name} {next(_numbers)}", "kind": "prompt"})["item"]["id"]
        self.api("PUT", f"/media/{media_id}/content", path.read_bytes(), kind="audio/wav")
        return media_id

    def api(
        self, method: str, path: str, body: Fields | bytes | None = None, *, kind: str = "", operator: bool = False
    ) -> Fields:
        """Raises `RefusedError`."""
        key = self.tandem.demo["api_key"] if operator else self.tandem.account()["api_key"]
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"x-api-key": key, "content-type": kind or "application/json"}
        url = f"http://{LOOPBACK}:{self.tandem.settings.brain_port}/v1{path}"
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                found: Fields = json.loads(reply.read())
                return found
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, json.loads(error.read())) from None

    def flow(self, *edges: str, **nodes: Fields) -> str:
        """Publishes a flow behind an extension that is free; the extension. Edges as in `graph`."""
        digits = str(next(_digits))
        self.extension(digits, self.publish(None, *edges, **nodes))
        return digits

    def publish(self, flow_id: str | None, *edges: str, **nodes: Fields) -> str:
        """A new flow, or a new version of one; its id."""
        document = graph(*edges, **nodes)
        if flow_id is None:
            fields = {"name": f"Flow {next(_numbers)}", "graph": document}
            flow_id = str(self.api("POST", "/flows", fields)["item"]["id"])
        else:
            self.api("PATCH", f"/flows/{flow_id}", {"graph": document})
        self.api("POST", f"/flows/{flow_id}/publish", {})
        return flow_id

    def extension(self, digits: str, flow_id: str) -> None:
        self.api("POST", "/extensions", {"digits": digits, "dest_kind": "flow", "dest_id": flow_id})

    def schedule(self, *, is_open: bool) -> str:
        schedule_id: str = self.api("POST", "/schedules", {"name": f"Hours {next(_numbers)}"})["item"]["id"]
        for day in range(7):
            rule = {"schedule_id": schedule_id, "kind": "weekly", "dow": day, "is_closed": not is_open}
            self.api("POST", "/schedule-rules", rule)
        return schedule_id

    def ring_group(self, delays: dict[str, int]) -> str:
        """All of these extensions ring, each so many seconds after the first."""
        group_id = str(self.api("POST", "/ring-groups", {"name": f"Group {next(_numbers)}"})["item"]["id"])
        for extension, delay in delays.items():
            member = {"ring_group_id": group_id, "user_id": self.users[extension], "delay_sec": delay}
            self.api("POST", "/ring-group-members", member)
        return group_id

    # --- nodes

    def ends(self, **more: Fields) -> dict[str, Fields]:
        """What the outcomes of a flow lead to, each a tone of its own, besides nodes of its own."""
        return {name: self.play(name) for name in _ENDS} | {"end": HANG_UP} | more

    def prompt(self, name: str) -> Fields:
        return {"audioId": self.media[name]}

    def play(self, name: str) -> Fields:
        return {"kind": "play", "audioId": self.media[name]}

    def menu(self, **changes: Any) -> Fields:
        prompts = {
            "prompt": self.prompt("menu"),
            "reprompt": self.prompt("again"),
            "invalidPrompt": self.prompt("wrong"),
        }
        return {"kind": "menu", "timeoutSec": 2, "interDigitTimeoutSec": 2} | prompts | changes

    def collect(self, **changes: Any) -> Fields:
        prompts = {
            "prompt": self.prompt("menu"),
            "reprompt": self.prompt("again"),
            "invalidPrompt": self.prompt("wrong"),
        }
        return {"kind": "collect", "variable": "typed", "timeoutSec": 2, "interDigitTimeoutSec": 2} | prompts | changes

    def dial(self, extension: str, **changes: Any) -> Fields:
        return {"kind": "dial", "targets": [{"kind": "user", "id": self.users[extension]}], "timeoutSec": 10} | changes

    # --- what happened

    def trace(self, call_id: str) -> list[Fields]:
        items: list[Fields] = self.api("GET", f"/calls/{call_id}/trace?limit=200")["items"]
        return items


def graph(*edges: str, **nodes: Fields) -> Fields:
    """A document that begins at `entry`, which is made. Edges as `source>target` or `source:outcome>target`; what
    nothing leads to is left out."""
    ways = [_way(edge) for edge in edges]
    whole, reached = {"entry": {"kind": "entry"}} | nodes, {"entry"}
    while more := {target for source, _, target in ways if source in reached} - reached:
        reached |= more
    drawn = [
        {"id": f"e{number}", "source": source, "target": target, "sourceHandle": handle or "default"}
        for number, (source, handle, target) in enumerate(ways)
        if source in reached
    ]
    kept = [{"id": name, "data": data} for name, data in whole.items() if name in reached]
    return {"start": "entry", "nodes": kept, "edges": drawn}


def _way(edge: str) -> tuple[str, str, str]:
    """Source, outcome, target."""
    left, _, target = edge.partition(">")
    source, _, handle = left.partition(":")
    return source, handle, target


class Ear:
    """What a phone hears, from one moment on."""

    def __init__(self, phone: Phone, folder: Path) -> None:
        self.phone = phone
        self.path = folder / f"ear-{next(_numbers)}.wav"
        phone.record(self.path)
        self.began = time.monotonic()

    def hears(self, name: str, seconds: float = HEARD_SEC, deadline: float = 15.0) -> None:
        what = f"the prompt {name} ({PROMPTS[name]} Hz) in {self.path.name}"
        wait_until(lambda: self.heard(name) >= seconds, deadline, what)

    def hears_only(self, end: str, deadline: float = 15.0) -> None:
        """Of `House.ends` this one alone; then the call is over."""
        self.phone.wait_for("ended", deadline)
        assert {name for name in _ENDS if self.heard(name)} == {end}

    def heard(self, name: str) -> float:
        """How long the prompt was heard."""
        return audio.heard(self.path, PROMPTS[name]).total


class Web:
    """Somebody's HTTP server at the port that flows may ask; `answer[path]` is status, body, and seconds of delay."""

    def __init__(self, port: int) -> None:
        self.answer: dict[str, tuple[int, bytes, float]] = {}
        self.asked: list[str] = []
        self._stop = threading.Event()
        self._server = ThreadingHTTPServer((LOOPBACK, port), self._handler())
        self.url = f"http://{LOOPBACK}:{port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                status, body, delay = web.answer[self.path]
                web._stop.wait(delay)
                with suppress(OSError):  # who asked may be gone
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_request(self, code: object = "-", size: object = "-") -> None:
                """Nobody reads it."""

        return Handler
