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
# Two at once where nothing waits for a clock.
PARALLEL = ("--numprocesses=2", "--dist=worksteal")
# Each file has brains, or nodes, of its own.
BY_FILE = ("--numprocesses=2", "--dist=loadfile")
# Phones wait most of the time: two installations, nodes or engines at once, each on ports of its own.
REAL = ("tests/e2e", "tests/edge", "tests/engine")
# They measure times, so they have the machine to themselves.
ALONE = (
    "tests/e2e/test_load.py",
    "tests/e2e/test_flow_load.py",
    "tests/e2e/test_redeploy.py",
    "tests/e2e/test_failures.py",
    "tests/edge/test_kamailio_absence.py",
    "tests/engine/test_load.py",
)
STEPS = (
    ("coverage", "run", "-m", "pytest", DOMAIN),
    ("coverage", "report"),
    ("pytest", *PARALLEL, *FAST, f"--ignore={DOMAIN}"),
    ("pytest", *BY_FILE, WORKER),
    ("pytest", *BY_FILE, *REAL, *(f"--ignore={file}" for file in ALONE)),
    ("pytest", *ALONE),
)


def main() -> int:
    packages.install()
    vendor.vendor()
    bundle.pack(REPOSITORY / "node_modules", REPOSITORY / ".wrangler/bundle")
    for step in STEPS:
        began = time.monotonic()
        print(f"--- {' '.join(step)}", flush=True)
        done = subprocess.run([sys.executable, "-m", *step], cwd=REPOSITORY, check=False)
        print(f"--- {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
