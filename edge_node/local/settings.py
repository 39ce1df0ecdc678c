"""Ports and paths of a local installation: the one typed place for them (contract: "Ports", "Commands").

Each port can be moved by an environment variable of the same name; `TANDEM_STATE` moves the state folder,
`TANDEM_NODE=2` names the second edge node (all ports + 10000 except the brain's), and `TANDEM_BRAIN_URL` gives the node
another way to the brain.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
MOST_NODES = 2

PORTS = {
    "TANDEM_BRAIN_PORT": 8787,
    "TANDEM_SIP_PORT": 5060,
    "TANDEM_AGENT_PORT": 8085,
    "TANDEM_NG_PORT": 2223,
    "TANDEM_EVAPI_PORT": 8086,
    "TANDEM_RPC_PORT": 8087,
    "TANDEM_RTP_MIN": 30000,
    "TANDEM_RTP_MAX": 30999,
    "TANDEM_MEDIA_SIP_PORT": 5080,
    "TANDEM_MEDIA_RTP_MIN": 32000,
    "TANDEM_MEDIA_RTP_MAX": 32999,
    "TANDEM_ESL_PORT": 8021,
    "TANDEM_SOCKET_PORT": 8084,
}
# From TANDEM_MEDIA_SIP_PORT on: one for each process of the media engine.
MEDIA_SIP_PORTS = 32
MEDIA_ENGINES = ("embedded", "freeswitch", "none")


@dataclass(frozen=True)
class Settings:
    """Where one local installation lives; every path is absolute."""

    state: Path
    node: int
    brain_port: int
    sip_port: int
    agent_port: int
    ng_port: int
    evapi_port: int
    rpc_port: int
    rtp_min: int
    rtp_max: int
    media_sip_port: int
    media_rtp_min: int
    media_rtp_max: int
    esl_port: int
    socket_port: int
    brain_url: str
    media_engine: str
    freeswitch: str

    @property
    def brain_state(self) -> Path:
        return self.state / "brain"

    @property
    def node_state(self) -> Path:
        return self.state / f"node{self.node}"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises `ValueError` that names the variable when one is not a port."""
    env = os.environ if environ is None else environ
    node = _number(env, "TANDEM_NODE", 1, lowest=1, highest=MOST_NODES)
    shift = 10_000 * (node - 1)

    def port(name: str) -> int:
        default = PORTS[name] + (0 if name == "TANDEM_BRAIN_PORT" else shift)
        return _number(env, name, default, lowest=1, highest=65_535)

    brain_port = port("TANDEM_BRAIN_PORT")
    return Settings(
        state=Path(env.get("TANDEM_STATE") or REPOSITORY / ".local").absolute(),
        node=node,
        brain_port=brain_port,
        sip_port=port("TANDEM_SIP_PORT"),
        agent_port=port("TANDEM_AGENT_PORT"),
        ng_port=port("TANDEM_NG_PORT"),
        evapi_port=port("TANDEM_EVAPI_PORT"),
        rpc_port=port("TANDEM_RPC_PORT"),
        rtp_min=port("TANDEM_RTP_MIN"),
        rtp_max=port("TANDEM_RTP_MAX"),
        media_sip_port=port("TANDEM_MEDIA_SIP_PORT"),
        media_rtp_min=port("TANDEM_MEDIA_RTP_MIN"),
        media_rtp_max=port("TANDEM_MEDIA_RTP_MAX"),
        esl_port=port("TANDEM_ESL_PORT"),
        socket_port=port("TANDEM_SOCKET_PORT"),
        brain_url=env.get("TANDEM_BRAIN_URL") or f"http://{LOOPBACK}:{brain_port}",
        media_engine=_choice(env, "TANDEM_MEDIA_ENGINE", MEDIA_ENGINES),
        freeswitch=env.get("TANDEM_FREESWITCH") or shutil.which("freeswitch") or "/usr/bin/freeswitch",
    )


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """The first is the default."""
    text = env.get(name) or choices[0]
    if text not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {text!r}")
    return text


def _number(env: Mapping[str, str], name: str, default: int, *, lowest: int, highest: int) -> int:
    text = env.get(name) or str(default)
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise ValueError(f"{name} must be a number from {lowest} to {highest}, not {text!r}")
    return int(text)
