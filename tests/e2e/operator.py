"""An operator at a terminal: the `tandem` command against the running installation."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from edge_node.local.settings import REPOSITORY
from tests.e2e.installation import Installation

SECONDS = 30


class Operator:
    """`Operator(tandem, key)("users", "list")` is the command's JSON. Fails the test when the command does."""

    def __init__(self, tandem: Installation, key: str | None = None) -> None:
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tandem.settings.state),
            "TANDEM_URL": f"http://127.0.0.1:{tandem.settings.brain_port}",
            "TANDEM_API_KEY": key or tandem.demo["api_key"],
        }

    def __call__(self, *words: str) -> Any:
        done = self.run("--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command as it is, whatever it says."""
        command: list[str | Path] = [REPOSITORY / "bin/tandem", *words]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
