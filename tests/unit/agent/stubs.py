"""A brain and a Kamailio to talk to: real sockets, programmable answers."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from edge_node.agent.netstring import Decoder
from tandem.contracts.errors import TandemError
from tandem.contracts.signature import verify

NODE = "node_01hzzzzzzzzzzzzzzzzzzzzzzz"
CREDENTIAL = "c0ffee" * 10
ACCOUNT = "acc_01hzzzzzzzzzzzzzzzzzzzzacme"
DEVICE = "dev_01hzzzzzzzzzzzzzzzzzzzzzz1"
USER = "us_01hzzzzzzzzzzzzzzzzzzzzzz1"
CALL = "call_01hzzzzzzzzzzzzzzzzzzzzzz1"
Json = dict[str, Any]


async def eventually(condition: Callable[[], object], deadline: float = 5.0, what: str = "") -> None:
    """Returns as soon as `condition()` holds; fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline} s: {what or condition}"
        await asyncio.sleep(0.005)


class DropConnectionError(Exception):
    """The stub closes the connection instead of answering."""


@dataclass(frozen=True)
class Heard:
    path: str
    body: Json
    headers: dict[str, str]


Handler = Callable[[Json], Json | tuple[int, Json] | Awaitable[Json | tuple[int, Json]]]


def challenge(stale: bool = False) -> Json:
    return {
        "ok": False,
        "challenge": {
            "realm": "acme.tandem.test",
            "nonce": "bm9uY2U",
            "algorithms": ["SHA-256", "MD5"],
            "qop": "auth",
            "stale": stale,
        },
    }


def verdict(account: str = ACCOUNT, device: str = DEVICE) -> Json:
    context = {"aor": f"sip:{device}@acme.tandem.test", "domain": "acme.tandem.test", "expires": 600}
    return {"ok": True, "account_id": account, "user_id": USER, "device_id": device, "context": context}


def directive(call: str = CALL, account: str = ACCOUNT, **more: Any) -> Json:
    route = {"uri": f"sip:{DEVICE}@acme.tandem.test", "fr_timer": 5000, "fr_inv_timer": 25000, "x_new": 1}
    media = {"profile": "RTP/AVP", "ice": "remove"}
    return {
        "rtjson": {
            "success": True,
            "version": "1.0",
            "routing": "parallel",
            "routes": [{**route, "rtpengine": {"profile": "UDP/TLS/RTP/SAVPF", "ice": "force"}}],
            "action": "proxy",
            "account_id": account,
            "call_id": call,
            "max_duration_sec": 7200,
            "rtpengine": media,
            **more,
        }
    }


def refusal(status: int, code: str) -> tuple[int, Json]:
    return status, {"ok": False, "error": {"code": code, "message": "No."}}


class StubBrain:
    """Checks every signature. `answer[path]` is called with the body; `heard` keeps what came."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answer: dict[str, Handler] = {
            "/auth": lambda _: verdict(),
            "/route": lambda _: directive(),
            "/presence/event": lambda body: {"ok": True, "acked": [event["eventId"] for event in body["events"]]},
            "/fleet/hello": lambda _: {"ok": True, "now": self.now(), "status": "active", "desired": {}, "send": []},
            "/fleet/heartbeat": lambda _: {"ok": True, "now": self.now(), "status": "active", "send": []},
        }
        # What lies below `/media`, with its ETag, or what answers for it; `put` keeps what nodes have brought there.
        self.files: dict[str, tuple[bytes, str]] = {}
        self.serve: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.gets: list[str] = []
        self.put: dict[str, bytes] = {}
        self.clock_ahead_ms = 0
        self.request_ids: set[str] = set()
        self._runner: web.AppRunner | None = None
        self.port = 0

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.clock_ahead_ms

    def bodies(self, path: str) -> list[Json]:
        return [heard.body for heard in self.heard if heard.path == path]

    def events(self, kind: str | None = None) -> list[Json]:
        """Every event that came, repeats included, in order."""
        batches = self.bodies("/presence/event")
        return [event for batch in batches for event in batch["events"] if kind in (None, event["type"])]

    async def start(self) -> None:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._handle)
        app.router.add_get("/{path:.*}", self._file)
        app.router.add_put("/{path:.*}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        # The same port again after a stop: an outage, not a move.
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _file(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            verify(CREDENTIAL, request.method, request.raw_path, body, request.headers, self.now())
        except TandemError as error:
            return web.json_response({"ok": False, "error": {"code": error.code, "message": "No."}}, status=401)
        if request.method == "PUT":
            self.put[request.path] = body
            return web.json_response({"ok": True})
        self.gets.append(request.path)
        if (server := self.serve.get(request.path)) is not None:
            return await server(request)
        if request.path not in self.files:
            return web.json_response({"ok": False, "error": {"code": "not_found", "message": "No."}}, status=404)
        content, etag = self.files[request.path]
        return web.Response(body=content, headers={"etag": etag})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            request_id = verify(CREDENTIAL, "POST", request.raw_path, body, request.headers, self.now())
        except TandemError as error:
            return web.json_response({"ok": False, "error": {"code": error.code, "message": "No."}}, status=401)
        assert request_id not in self.request_ids, "a request id was used twice"
        self.request_ids.add(request_id)
        message = json.loads(body)
        self.heard.append(Heard(request.path, message, {key.lower(): value for key, value in request.headers.items()}))
        try:
            answer = self.answer[request.path](message)
            reply = await answer if isinstance(answer, Awaitable) else answer
        except DropConnectionError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, content = reply if isinstance(reply, tuple) else (200, reply)
        return web.json_response(content, status=status)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def question(tm: str, ask: str = "auth", **changes: str | int) -> Json:
    """As Kamailio's configuration writes one; `changes` are plain, their names without the 64."""
    coded = {
        "ruri": "sip:acme.tandem.test",
        "fromu": "sip:1001@acme.tandem.test",
        "tou": "sip:1001@acme.tandem.test",
        "callid": f"call-{tm}@phone",
        "ftag": "ft1",
        "ua": "Phone/1.0",
        "auth": "",
        "contact": "<sip:1001@127.0.0.1:5555>",
        "path": "",
        "pai": "",
        "privacy": "",
        "called": "",
        "diversion": "",
        "deliver": "",
    }
    plain: Json = {"ask": ask, "tm": tm, "method": "REGISTER" if ask == "auth" else "INVITE", "cseq": "1"}
    plain |= {"src": "127.0.0.1", "sport": 5555, "proto": "udp", "expires": "3600"}
    if ask == "route":
        plain |= {"callid_ours": "", "outcome": ""}
        coded |= {"tou": "sip:1002@acme.tandem.test", "ruri": "sip:1002@acme.tandem.test"}
    for name, value in changes.items():
        if name in coded:
            coded[name] = str(value)
        else:
            plain[name] = value
    return plain | {f"{name}64": b64(value) for name, value in coded.items()}


@dataclass
class FakeKamailio:
    """An evapi server and a JSON-RPC server; keeps events until they are acknowledged, as the real one does."""

    boot: str = "boot-1"
    dialogs: list[Json] = field(default_factory=list)
    contacts: list[tuple[str, str, int]] = field(default_factory=list)
    acked: list[str] = field(default_factory=list)
    orders: list[tuple[str, str, str]] = field(default_factory=list)
    hangups: list[Json] = field(default_factory=list)
    answers: dict[str, list[Json]] = field(default_factory=dict)
    unacknowledged: dict[str, Json] = field(default_factory=dict)
    rpc_calls: list[tuple[str, list[Any]]] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    rpc_port: int = 0
    rpc_up: bool = True
    _writer: asyncio.StreamWriter | None = None
    _server: asyncio.Server | None = None
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]
        if self._runner is None:
            app = web.Application()
            app.router.add_post("/RPC", self._rpc)
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self.rpc_port, reuse_address=True).start()
            self.rpc_port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.disconnect()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def connected(self) -> bool:
        return self._writer is not None

    def disconnect(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    def write(self, data: bytes) -> None:
        assert self._writer is not None, "no agent is connected"
        self._writer.write(data)

    def send(self, message: Json) -> None:
        payload = json.dumps(message).encode()
        self.write(b"%d:%b," % (len(payload), payload))

    async def ask(self, tm: str, ask: str = "auth", **changes: str | int) -> Json:
        """The agent's answer to one question."""
        self.send(question(tm, ask, **changes))
        await eventually(lambda: tm in self.answers, 6.0, f"answer to {tm}")
        return self.answers[tm][0]

    def report(self, event_id: str, kind: str, **values: str | int) -> None:
        """`values` are plain; those that a stranger chose get their base64 here."""
        strangers = {"callid", "ftag", "fromu", "contact", "ua", "path", "target"}
        message: Json = {"ev": event_id, "kind": kind}
        for name, value in values.items():
            message |= {f"{name}64": b64(str(value))} if name in strangers else {name: value}
        self.unacknowledged[event_id] = message
        if self._writer is not None:
            self.send(message)

    def dialog(self, event_id: str, state: str, seq: int, call: str = CALL, **values: str | int) -> None:
        fields: Json = {"call": call, "account": ACCOUNT, "callid": f"sip-{call}", "ftag": "ft1", "cause": "", "by": ""}
        self.report(event_id, "dialog", **{**fields, **values}, state=state, seq=seq)

    def register(self, event_id: str, state: str = "added", device: str = DEVICE, **values: str | int) -> None:
        fields: Json = {"account": ACCOUNT, "contact": "sip:1001@127.0.0.1:5555", "proto": "udp", "ua": "Phone/1.0"}
        fields |= {"expires": int(time.time()) + 600, "src": "127.0.0.1", "sport": 5555, "path": ""}
        self.report(event_id, "register", **{**fields, **values}, state=state, device=device)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writer = writer
        self.send({"ev": f"{self.boot}.boot", "kind": "boot", "boot": self.boot})
        for message in self.unacknowledged.values():
            self.send(message)
        decoder = Decoder()
        try:
            while data := await reader.read(65_536):
                for payload in decoder.feed(data):
                    self._take(json.loads(payload))
        except ConnectionError:
            pass
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None

    def _take(self, message: Json) -> None:
        if message.get("ack") in (f"{self.boot}.boot", "held"):
            return
        if message.get("do") in ("add", "over"):
            self.orders.append((message["do"], message["tm"], message["route"]))
        elif message.get("do") == "hangup":
            self.hangups.append(message)
        elif "ack" in message:
            self.acked.append(message["ack"])
            self.unacknowledged.pop(message["ack"], None)
        else:
            self.answers.setdefault(message["tm"], []).append(message)

    async def _rpc(self, request: web.Request) -> web.Response:
        if not self.rpc_up:
            return web.Response(status=500)
        call = await request.json()
        self.rpc_calls.append((call["method"], call["params"]))
        result: Any = "ok"
        if call["method"] == "dlg.list":
            result = self.dialogs
        elif call["method"] == "ul.dump":
            result = location(self.contacts)
        return web.json_response({"jsonrpc": "2.0", "id": call["id"], "result": result})


def live_dialog(call: str, account: str = ACCOUNT, state: int = 4) -> Json:
    return {
        "h_entry": 11,
        "h_id": 22,
        "call-id": f"sip-{call}",
        "state": state,
        "caller": {"tag": "ft1", "contact": "sip:1001@127.0.0.1:5555", "cseq": "1"},
        "callee": {"tag": "tt1"},
        "variables": [{"call": call}, {"account": account}, {"cseq": "7"}],
    }


def location(contacts: list[tuple[str, str, int]]) -> Json:
    """`ul.dump` with (device, contact URI, seconds left)."""
    aors = [
        {
            "Info": {
                "AoR": f"{device}@acme.tandem.test",
                "Contacts": [
                    {
                        "Contact": {
                            "Address": uri,
                            "Expires": left,
                            "User-Agent": "Phone/1.0",
                            "Path": "[not set]",
                            "Socket": "udp:127.0.0.1:5060",
                        }
                    }
                ],
            }
        }
        for device, uri, left in contacts
    ]
    return {"Domains": [{"Domain": {"Domain": "location", "Size": 512, "AoRs": aors, "Stats": {}}}]}
