"""Publishes the brain with wrangler; with `--dry-run` builds the same upload offline and tells its size."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

from edge_node.local import nodejs, vendor
from edge_node.local.settings import REPOSITORY
from edge_node.local.wrangler import environment

WRANGLER = "node_modules/wrangler/bin/wrangler.js"


def main(arguments: Sequence[str]) -> int:
    """The exit code of wrangler. Raises `VendorError` when the Worker's packages cannot be had."""
    vendor.vendor()
    return dry_run() if "--dry-run" in arguments else publish()


def dry_run() -> int:
    """Builds the upload; prints its size, or what wrangler said when it refuses."""
    done = subprocess.run(
        _command("deploy", "--dry-run"), check=False, cwd=REPOSITORY, env=environment(), capture_output=True, text=True
    )
    size = re.search(r"Total Upload: .*", done.stdout)
    if done.returncode != 0 or size is None:
        print((done.stdout + done.stderr)[-3000:], file=sys.stderr)
        return done.returncode or 1
    print(f"The brain can be deployed. {size.group()}")
    return 0


def publish() -> int:
    """Deploys, which creates what is missing on the first time, then migrates the control database."""
    for words in (("deploy",), ("d1", "migrations", "apply", "CONTROL", "--remote")):
        code = subprocess.run(_command(*words), check=False, cwd=REPOSITORY, env=environment()).returncode
        if code != 0:
            return code
    return 0


def _command(*words: str) -> list[str]:
    return [str(nodejs.binary()), str(REPOSITORY / WRANGLER), *words]
