"""Are the ports of the installation free? Said before anything is started, in one sentence."""

from __future__ import annotations

import socket
from pathlib import Path

from edge_node.local.settings import LOOPBACK, MEDIA_SIP_PORTS, Settings


class PortError(Exception):
    """A port is taken; the message says which, by whom if that can be seen, and how to move it."""


def check(settings: Settings) -> None:
    """Raises `PortError` for the first port of this node that another program holds."""
    wanted = [
        ("TANDEM_SIP_PORT", settings.sip_port, socket.SOCK_DGRAM),
        ("TANDEM_SIP_PORT", settings.sip_port, socket.SOCK_STREAM),
        ("TANDEM_AGENT_PORT", settings.agent_port, socket.SOCK_STREAM),
        ("TANDEM_NG_PORT", settings.ng_port, socket.SOCK_DGRAM),
        ("TANDEM_EVAPI_PORT", settings.evapi_port, socket.SOCK_STREAM),
        ("TANDEM_RPC_PORT", settings.rpc_port, socket.SOCK_STREAM),
    ]
    if settings.media_engine == "embedded":
        ports = range(settings.media_sip_port, settings.media_sip_port + MEDIA_SIP_PORTS)
        wanted += [("TANDEM_MEDIA_SIP_PORT", port, socket.SOCK_DGRAM) for port in ports]
    if settings.media_engine == "freeswitch":
        wanted += [
            ("TANDEM_MEDIA_SIP_PORT", settings.media_sip_port, socket.SOCK_DGRAM),
            ("TANDEM_ESL_PORT", settings.esl_port, socket.SOCK_STREAM),
            ("TANDEM_SOCKET_PORT", settings.socket_port, socket.SOCK_STREAM),
        ]
    if settings.node == 1:
        wanted.append(("TANDEM_BRAIN_PORT", settings.brain_port, socket.SOCK_STREAM))
    for variable, port, kind in wanted:
        if not _is_free(port, kind):
            protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
            raise PortError(
                f"{protocol} port {port} of {LOOPBACK} is in use by another program"
                f"{_holder(port, kind)}; stop it, or set {variable} to a free port."
            )


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError:
            return False
    return True


def _holder(port: int, kind: socket.SocketKind) -> str:
    """` (kamailio)` when /proc tells who holds the port; only its owner or root may see."""
    table = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    inodes = set()
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1].rsplit(":", 1)[1], 16) == port and (table == "udp" or columns[3] == "0A"):
            inodes.add(f"socket:[{columns[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f" ({(process / 'comm').read_text().strip()}, pid {process.name})"
        except OSError:
            continue
    return ""
