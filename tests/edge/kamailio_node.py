"""A real Kamailio and rtpengine on private ports, rendered by the local profile, with shortened timers."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_node.local.render import kamailio_command, render, rtpengine_command
from edge_node.local.settings import MEDIA_SIP_PORTS, Settings, load
from tests.support import ports

READY_SEC = 15.0


class Node:
    def __init__(self, state: Path, overrides: Mapping[str, Any]) -> None:
        sip, evapi, rpc, ng, agent = ports.free(5)
        place = ports.place()
        rtp, media, media_rtp = 57_000 + place * 200, 12_000 + place * MEDIA_SIP_PORTS, 13_500 + place * 400
        self.settings: Settings = load(
            {
                "TANDEM_STATE": str(state),
                "TANDEM_SIP_PORT": str(sip),
                "TANDEM_EVAPI_PORT": str(evapi),
                "TANDEM_RPC_PORT": str(rpc),
                "TANDEM_NG_PORT": str(ng),
                "TANDEM_AGENT_PORT": str(agent),
                "TANDEM_RTP_MIN": str(rtp),
                "TANDEM_RTP_MAX": str(rtp + 199),
                "TANDEM_MEDIA_SIP_PORT": str(media),
                "TANDEM_MEDIA_RTP_MIN": str(media_rtp),
                "TANDEM_MEDIA_RTP_MAX": str(media_rtp + 399),
            }
        )
        self.settings.secrets.mkdir(parents=True)
        identity = {"node_id": "node_test", "region": "test", "credential": "none"}
        (self.settings.secrets / "node1.json").write_text(json.dumps(identity))
        render(self.settings, overrides)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def sip(self) -> int:
        return self.settings.sip_port

    def log(self, name: str) -> str:
        return (self.settings.state / f"{name}.log").read_text(errors="replace")

    def start(self) -> None:
        self._start("rtpengine", rtpengine_command(self.settings))
        self.start_kamailio()

    def start_kamailio(self) -> None:
        self._start("kamailio", kamailio_command(self.settings))
        deadline = time.monotonic() + READY_SEC
        while True:
            try:
                self.rpc("core.uptime")
                return
            except OSError:
                if time.monotonic() > deadline or self._running["kamailio"].poll() is not None:
                    raise AssertionError(self.log("kamailio")[-3000:]) from None
                time.sleep(0.05)

    def kill_kamailio(self) -> None:
        self._end("kamailio", signal.SIGKILL)

    def stop_kamailio(self) -> None:
        self._end("kamailio", signal.SIGTERM)

    def stop(self) -> None:
        for name in list(self._running):
            self._end(name, signal.SIGTERM)

    def rpc(self, method: str, *params: str | int) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        url = f"http://127.0.0.1:{self.settings.rpc_port}/rpc"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=5) as reply:
            answer = json.load(reply)
        assert "result" in answer, answer
        return answer["result"]

    def media_sessions(self) -> list[str]:
        """The calls that rtpengine holds, by Call-ID (ng protocol, `list`)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(3)
            client.connect(("127.0.0.1", self.settings.ng_port))
            # a cookie that came before is answered with the reply of then
            client.send(secrets.token_hex(4).encode() + b" d7:command4:list5:limiti1000ee")
            reply = client.recv(65_536).partition(b" ")[2]
        listed = reply.partition(b"5:calls")[2]
        return _strings(listed)

    def _start(self, name: str, command: list[str]) -> None:
        with (self.settings.state / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _end(self, name: str, number: signal.Signals) -> None:
        process = self._running.pop(name)
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def _strings(bencoded: bytes) -> list[str]:
    """The strings of a bencoded list `l<n>:<text>…e`."""
    found: list[str] = []
    rest = bencoded[1:]
    while rest and rest[:1] != b"e":
        size, _, rest = rest.partition(b":")
        found.append(rest[: int(size)].decode())
        rest = rest[int(size) :]
    return found
