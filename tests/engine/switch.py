"""A real FreeSWITCH on ports of a test's own, with the configuration that a node gets."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edge_node.agent.config import Address
from edge_node.agent.media_engine.freeswitch import FreeSwitchSettings
from edge_node.agent.media_engine.freeswitch.codec import API_REPLY, Decoder, Message
from edge_node.local.render import freeswitch_command, render
from edge_node.local.settings import LOOPBACK, load
from tests.engine.ports import block

READY_SEC: Final = 30.0
ABSENT: Final = (
    "NO FREESWITCH: none is installed, nor named by TANDEM_FREESWITCH. Nothing that needs a real switch was tested; "
    "the driver was, against a double."
)


def program() -> str | None:
    """The switch's program, where there is one."""
    return os.environ.get("TANDEM_FREESWITCH") or shutil.which("freeswitch")


class RealSwitch:
    """`kamailio` is the port to which legs go, and from where calls come."""

    def __init__(self, folder: Path, kamailio: int) -> None:
        self.folder = folder
        self.node = load({"TANDEM_STATE": str(folder)})
        self._kamailio = kamailio
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def rtp(self) -> range:
        return range(self.node.media_rtp_min, self.node.media_rtp_max + 1)

    def settings(self, **changes: Any) -> FreeSwitchSettings:
        password = (self.node.node_state / "etc/event-socket").read_text().strip()
        known: dict[str, Any] = {
            "esl": Address(port=self.node.esl_port),
            "password": password,
            "socket": Address(port=self.node.socket_port),
            "sip": Address(port=self.node.media_sip_port),
            "kamailio": Address(port=self._kamailio),
        }
        return FreeSwitchSettings(**known | changes)

    @contextlib.contextmanager
    def running(self) -> Iterator[RealSwitch]:
        # Two for the sound of each of two hundred callers.
        with block(5) as ports:
            names = ("ESL_PORT", "SOCKET_PORT", "MEDIA_SIP_PORT")
            self.node = load(
                {
                    "TANDEM_STATE": str(self.folder),
                    "TANDEM_MEDIA_ENGINE": "freeswitch",
                    "TANDEM_FREESWITCH": program() or "",
                    **{f"TANDEM_{name}": str(port) for name, port in zip(names, ports[1:4], strict=True)},
                    "TANDEM_MEDIA_RTP_MIN": str(ports[20]),
                    "TANDEM_MEDIA_RTP_MAX": str(ports[-1]),
                }
            )
            self.node.secrets.mkdir(parents=True, exist_ok=True)
            identity = {"node_id": "node_test", "region": "test", "credential": "none"}
            (self.node.secrets / "node1.json").write_text(json.dumps(identity))
            render(self.node, role="freeswitch")
            try:
                self.start()
                yield self
            finally:
                self.stop()

    def start(self) -> None:
        with (self.folder / "freeswitch.log").open("ab") as log:
            self._process = subprocess.Popen(
                freeswitch_command(self.node), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + READY_SEC
        while not self._answers():
            assert self._process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < end, self.log()[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(READY_SEC)

    def kill(self) -> None:
        """As if it crashed."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(READY_SEC)

    def channels(self) -> list[str]:
        """Those that live, as the switch says by itself."""
        told = json.loads(self._api("show channels as json"))
        return [row["uuid"] for row in told.get("rows", [])]

    def ends_together(self) -> bool:
        """None of them is to stay when the one that it is connected with goes."""
        return all(self._api(f"uuid_getvar {one} park_after_bridge") == "false" for one in self.channels())

    def _api(self, command: str) -> str:
        """By a connection of its own."""
        settings = self.settings()
        with socket.create_connection((settings.esl.host, settings.esl.port), 5.0) as connection:
            connection.sendall(f"auth {settings.password}\n\napi {command}\n\n".encode())
            decoder, found = Decoder(), list[Message]()
            while not any(message.kind == API_REPLY for message in found):
                found += decoder.feed(connection.recv(65_536))
        return found[-1].text

    def log(self) -> str:
        return (self.folder / "freeswitch.log").read_text(errors="replace")

    def _answers(self) -> bool:
        """SIP, which comes last, and the event socket."""
        name = secrets.token_hex(8)
        request = (
            f"OPTIONS sip:{LOOPBACK} SIP/2.0\r\nVia: SIP/2.0/UDP {LOOPBACK};rport;branch=z9hG4bK{name}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:test@{LOOPBACK}>;tag=1\r\nTo: <sip:test@{LOOPBACK}>\r\n"
            f"Call-ID: {name}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.3)
            try:
                probe.connect((LOOPBACK, self.node.media_sip_port))
                probe.send(request.encode())
                probe.recv(4096)
                socket.create_connection((LOOPBACK, self.node.esl_port), 1.0).close()
            except OSError:
                return False
        return True
