"""Which processes make up a local installation, and how each is started."""

from __future__ import annotations

import sys

from edge_node.local import nodejs, render
from edge_node.local.settings import REPOSITORY, Settings
from edge_node.local.supervise import Program


def programs(settings: Settings, control_port: int | None = None) -> list[Program]:
    """The node's programs in starting order; node 1's has the brain. `control_port` is for tests (brain.mjs)."""
    edge = [
        Program("rtpengine", render.rtpengine_command(settings)),
        Program("kamailio", render.kamailio_command(settings)),
        Program("agent", agent_command(settings), environment=(("PYTHONPATH", f"{REPOSITORY}/worker:{REPOSITORY}"),)),
    ]
    return [Program("brain", brain_command(settings, control_port)), *edge] if settings.node == 1 else edge


def brain_command(settings: Settings, control_port: int | None = None) -> list[str]:
    control = [] if control_port is None else [f"--control={control_port}"]
    return [
        str(nodejs.binary()),
        str(REPOSITORY / "edge_node/local/brain.mjs"),
        f"--state={settings.brain_state}",
        f"--port={settings.brain_port}",
        f"--bundle={settings.state / 'bundle'}",
        f"--vars={settings.secrets / 'brain.json'}",
        "--snapshots",
        *control,
    ]


def agent_command(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "edge_node.agent", "--config", str(settings.node_state / "etc/agent.json")]
