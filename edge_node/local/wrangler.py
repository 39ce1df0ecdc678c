"""wrangler on the local installation's state: offline, without questions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edge_node.local.settings import REPOSITORY, Settings


class WranglerError(Exception):
    """wrangler refused; the message carries the end of what it said."""


def environment() -> dict[str, str]:
    """The environment for node programs: the venv's node first, no telemetry, no questions."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "CI": "1", "WRANGLER_SEND_METRICS": "false", "NO_COLOR": "1"}


def wrangler(settings: Settings, *arguments: str) -> str:
    """Runs `wrangler … --local --persist-to <state>/brain`; its output. Raises `WranglerError`."""
    command = [
        "node",
        str(REPOSITORY / "node_modules/wrangler/bin/wrangler.js"),
        *arguments,
        "--local",
        f"--persist-to={settings.brain_state}",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WranglerError(f"wrangler {arguments[0]} {arguments[1]} failed: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout
