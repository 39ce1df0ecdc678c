"""`make test`: everything that the tests need, then the layers; `make test-worker` and the like: one of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from edge_node.local import bundle, packages, vendor
from edge_node.local.settings import REPOSITORY, load

DOMAIN: Final = "tests/unit/domain"
# They compute and look at no clock: they take the time that phones leave, and no more.
BESIDE: Final = (
    ("coverage", "run", "-m", "pytest", DOMAIN),
    ("coverage", "report"),
    ("pytest", "tests/property", "tests/simulation"),
)
# So many at once, on ports of their own; a file has brains, or nodes, of its own.
TWO: Final = ("--numprocesses=2", "--dist=loadfile")
# Phones wait most of the time.
THREE: Final = ("--numprocesses=3", "--dist=loadfile")
# They measure times, so they have the machine to themselves.
ALONE: Final = (
    "tests/e2e/test_load.py",
    "tests/e2e/test_flow_load.py",
    "tests/e2e/test_redeploy.py",
    "tests/e2e/test_failures.py",
    "tests/edge/test_kamailio_absence.py",
    "tests/engine/test_load.py",
)
REAL: Final = ("tests/e2e", "tests/edge", "tests/engine")
FIRST: Final = (("pytest", *TWO, "tests/unit", "tests/contract", f"--ignore={DOMAIN}"),)
THEN: Final = (
    ("pytest", *TWO, "tests/worker"),
    ("pytest", *THREE, *REAL, *(f"--ignore={file}" for file in ALONE)),
)
LAST: Final = (("pytest", *ALONE),)


def main(layers: Sequence[str]) -> int:
    """Of `layers` (folders below tests/), or of all."""
    packages.install()
    vendor.vendor()
    bundle.pack(REPOSITORY / "node_modules", load().state / "bundle")
    if layers:
        return _run([("pytest", *(f"tests/{layer}" for layer in layers))])
    if failed := _run(FIRST):
        return failed
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(_run, BESIDE, aside=True)
        failed = _run(THEN)
    return failed or beside.result() or _run(LAST)


def _run(steps: Iterable[Sequence[str]], *, aside: bool = False) -> int:
    """The first exit code that is not 0; steps after it are left out. What runs `aside` is printed when it is over."""
    for step in steps:
        began = time.monotonic()
        command = [sys.executable, "-m", *step]
        if not aside:
            print(f"--- {' '.join(step)}", flush=True)
            done = subprocess.run(command, cwd=REPOSITORY, check=False)
        else:
            command = ["nice", "--adjustment=19", *command]
            done = subprocess.run(
                command, cwd=REPOSITORY, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            sys.stdout.buffer.write(f"--- beside: {' '.join(step)}\n".encode() + done.stdout)
        print(f"--- {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
