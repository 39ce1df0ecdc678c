"""Vendors the Worker's packages: `requirements/worker.lock` -> `python_modules/`, the folder that wrangler deploys.

The Worker runs CPython 3.14 on WebAssembly, so the wheels are those of that platform and the host never imports them.
`python -m edge_node.local.vendor` installs what the lock says; with `--lock` it resolves `requirements/worker.in` anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from edge_node.local.settings import REPOSITORY

# uv does not know this platform yet, pip does.
PLATFORM = (
    "--platform=pyemscripten_2026_0_wasm32",
    "--python-version=3.14",
    "--implementation=cp",
    "--abi=cp314",
    "--abi=none",
    "--only-binary=:all:",
)
MODULES = "python_modules"
# Inside the folder, so that both appear together; wrangler.toml keeps it out of the upload.
STAMP = ".vendored"
# Nothing that a running Worker reads.
SURPLUS = (
    "bin",
    "**/__pycache__",
    "**/tests",
    "**/*.pyi",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
)


class VendorError(Exception):
    """pip could not provide the packages; the message carries the end of what it said."""


def vendor(root: Path = REPOSITORY) -> bool:
    """Installs the locked packages below `root` unless they are there; True when something was done.

    Raises `VendorError` when a package cannot be had or its hash is not the locked one.
    """
    lock, target = root / "requirements" / "worker.lock", root / MODULES
    digest = hashlib.sha256(lock.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    stamp = target / STAMP
    if stamp.is_file() and stamp.read_text() == digest:
        return False

    # Beside the target (a rename must not cross file systems) and git-ignored.
    part = root / ".wrangler" / MODULES
    shutil.rmtree(part, ignore_errors=True)
    _pip(f"--target={part}", "--no-deps", "--no-compile", "--require-hashes", f"--requirement={lock}")
    for pattern in SURPLUS:
        for path in list(part.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (part / STAMP).write_text(digest)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return True


def relock(root: Path = REPOSITORY) -> None:
    """Resolves `requirements/worker.in` to the newest versions and writes the lock. Raises `VendorError`."""
    folder = root / "requirements"
    target = root / ".wrangler" / "resolve"
    out = _pip("--dry-run", "--report=-", f"--target={target}", f"--requirement={folder / 'worker.in'}")
    (folder / "worker.lock").write_text(lock_text(json.loads(out)))


def lock_text(report: dict[str, Any]) -> str:
    """pip's installation report as a requirements file: each package pinned to the hash of the one wheel used."""
    lines = ["# Written by `python -m edge_node.local.vendor --lock` from worker.in.\n"]
    for entry in sorted(report["install"], key=lambda item: str(item["metadata"]["name"]).lower()):
        name = str(entry["metadata"]["name"]).lower().replace("_", "-")
        sha256 = entry["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={entry['metadata']['version']} \\\n    --hash=sha256:{sha256}\n")
    return "".join(lines)


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", *PLATFORM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise VendorError(f"pip failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="Vendor the Worker's packages.")
    parser.add_argument("--lock", action="store_true", help="resolve worker.in anew and write worker.lock first")
    if parser.parse_args().lock:
        relock()
    print("vendored the Worker's packages" if vendor() else "the Worker's packages are up to date")


if __name__ == "__main__":
    main()
