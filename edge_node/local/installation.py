"""Which processes make up a local installation, and how each is started."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_node.local import nodejs, render
from edge_node.local.settings import REPOSITORY, Settings
from edge_node.local.supervise import Program


def programs(settings: Settings, control_port: int | None = None, source: Path = REPOSITORY) -> list[Program]:
    """The node's programs in starting order; node 1's has the brain.

    For tests: `control_port` (brain.mjs), and another folder with the brain's `source`.
    """
    edge = [
        Program("rtpengine", render.rtpengine_command(settings)),
        Program("kamailio", render.kamailio_command(settings)),
        Program("agent", agent_command(settings), environment=(("PYTHONPATH", f"{REPOSITORY}/worker:{REPOSITORY}"),)),
    ]
    if settings.media_engine == "freeswitch":
        edge.insert(2, Program("freeswitch", render.freeswitch_command(settings)))
    return [Program("brain", brain_command(settings, control_port, source)), *edge] if settings.node == 1 else edge


def brain_command(settings: Settings, control_port: int | None = None, source: Path = REPOSITORY) -> list[str]:
    control = [] if control_port is None else [f"--control={control_port}"]
    return [*_brain(settings, settings.brain_state, settings.brain_port, source), *control]


def prepare_command(settings: Settings, source: Path = REPOSITORY) -> list[str]:
    """Starts the brain that is in `source` once, beside the one that runs and without its data, and ends."""
    return [*_brain(settings, settings.state / "brain-next", 0, source), "--prepare"]


def _brain(settings: Settings, state: Path, port: int, source: Path) -> list[str]:
    return [
        str(nodejs.binary()),
        str(REPOSITORY / "edge_node/local/brain.mjs"),
        f"--root={source}",
        f"--state={state}",
        f"--port={port}",
        f"--bundle={settings.state / 'bundle'}",
        f"--vars={settings.secrets / 'brain.json'}",
        "--snapshots",
    ]


def agent_command(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "edge_node.agent", "--config", str(settings.node_state / "etc/agent.json")]
