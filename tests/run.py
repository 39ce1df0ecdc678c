"""`make test`: everything that the tests need, then the layers, fast ones first."""

from __future__ import annotations

import subprocess
import sys
import time

from edge_node.local import bundle, packages, vendor
from edge_node.local.settings import REPOSITORY

DOMAIN = "tests/unit/domain"
FAST = ("tests/unit", "tests/contract", "tests/property", "tests/simulation")
WORKER = "tests/worker"
# Two at once where nothing waits for a clock; phones and the edge have the machine to themselves.
PARALLEL = ("--numprocesses=2", "--dist=worksteal")
# Each file has brains of its own.
BY_FILE = ("--numprocesses=2", "--dist=loadfile")
REAL = ("tests/edge", "tests/e2e")


def main() -> int:
    packages.install()
    vendor.vendor()
    bundle.pack(REPOSITORY / "node_modules", REPOSITORY / ".wrangler/bundle")
    steps = (
        ["-m", "coverage", "run", "-m", "pytest", DOMAIN],
        ["-m", "coverage", "report"],
        ["-m", "pytest", *PARALLEL, *FAST, f"--ignore={DOMAIN}"],
        ["-m", "pytest", *BY_FILE, WORKER],
        ["-m", "pytest", *REAL],
    )
    for step in steps:
        began = time.monotonic()
        print(f"--- {' '.join(step[1:])}", flush=True)
        done = subprocess.run([sys.executable, *step], cwd=REPOSITORY, check=False)
        print(f"--- {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
