"""Asks each part whether it is up, in its own protocol; the answer is its version."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Callable

from edge_node.local.settings import LOOPBACK, Settings

TIMEOUT_SEC = 2.0


def checks(settings: Settings) -> dict[str, Callable[[], str | None]]:
    """By part, in the order in which they depend on each other: version, or None when it is not up."""
    found: dict[str, Callable[[], str | None]] = {
        "brain": lambda: brain_version(settings),
        "rtpengine": lambda: rtpengine_version(settings),
        "kamailio": lambda: kamailio_version(settings),
        "agent": lambda: agent_version(settings),
        "engine": lambda: engine_version(settings),
    }
    if settings.media_engine == "none":
        del found["engine"]
    if settings.media_engine == "freeswitch":
        found["freeswitch"] = lambda: freeswitch_version(settings)
    if settings.node != 1:
        del found["brain"]
    return found


def brain_version(settings: Settings) -> str | None:
    answer = _get(f"{settings.brain_url}/healthz")
    return None if answer is None else str(answer.get("version", ""))


def agent_version(settings: Settings) -> str | None:
    """The agent is up when it has said hello to the brain and Kamailio listens to it."""
    answer = _get(f"http://{LOOPBACK}:{settings.agent_port}/healthz")
    return None if answer is None or not answer.get("ok") else str(answer.get("version", ""))


def engine_version(settings: Settings) -> str | None:
    """What answers calls, as the agent that drives it knows it."""
    answer = _get(f"http://{LOOPBACK}:{settings.agent_port}/healthz")
    engine = None if answer is None else answer.get("media_engine")
    return f"{engine['engine']} {engine['version']}" if isinstance(engine, dict) and engine.get("up") else None


def kamailio_version(settings: Settings) -> str | None:
    return _sip_version(settings.sip_port, "Server")


def freeswitch_version(settings: Settings) -> str | None:
    return _sip_version(settings.media_sip_port, "User-Agent")


def _sip_version(sip_port: int, header: str) -> str | None:
    """By a SIP OPTIONS, as a phone would ask."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT_SEC)
        client.bind((LOOPBACK, 0))
        port = client.getsockname()[1]
        to = f"sip:{LOOPBACK}:{sip_port}"
        request = (
            f"OPTIONS {to} SIP/2.0\r\nVia: SIP/2.0/UDP {LOOPBACK}:{port};branch=z9hG4bK-probe-{port};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:probe@{LOOPBACK}>;tag=probe{port}\r\nTo: <{to}>\r\n"
            f"Call-ID: probe-{port}@{LOOPBACK}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        answer = _ask(client, request.encode(), sip_port)
    if answer is None or not answer.startswith("SIP/2.0 200"):
        return None
    told = re.search(rf"^{header}: *(.+?)\r?$", answer, re.MULTILINE | re.IGNORECASE)
    return told.group(1) if told else "unknown"


def rtpengine_version(settings: Settings) -> str | None:
    """By the ng protocol's ping (bencoded, with a cookie in front)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT_SEC)
        answer = _ask(client, b"probe d7:command4:pinge", settings.ng_port)
    return "ng" if answer is not None and "4:pong" in answer else None


def _ask(client: socket.socket, question: bytes, port: int) -> str | None:
    try:
        client.connect((LOOPBACK, port))
        client.send(question)
        return client.recv(65_536).decode(errors="replace")
    except OSError:
        return None


def _get(url: str) -> dict[str, object] | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SEC) as reply:  # noqa: S310 - always http to loopback
            found: dict[str, object] = json.loads(reply.read())
            return found
    except (OSError, ValueError):
        return None
