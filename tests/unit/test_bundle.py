"""The packer of the Python runtime: what it makes of the installed Pyodide, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import capnp
import pytest

from edge_node.local import bundle
from edge_node.local.settings import REPOSITORY

PYODIDE = REPOSITORY / "node_modules" / "pyodide"


@pytest.fixture(scope="module")
def glue() -> str:
    return (PYODIDE / bundle.GLUE).read_text()


def test_the_installed_glue_takes_every_substitution(glue: str) -> None:
    patched = bundle.patch(glue)
    assert "export {_createPyodideModule}" in patched
    for gone in ("new WebAssembly.Module(", "Date.now", "crypto.getRandomValues", "reportUndefinedSymbols();"):
        assert gone not in patched


@pytest.mark.parametrize("item", bundle.SUBSTITUTIONS, ids=lambda item: item.name)
def test_a_moved_substitution_is_named(item: bundle.Substitution, glue: str) -> None:
    changed = re.sub(item.pattern, "moved", glue, count=1)
    with pytest.raises(
        bundle.BundleError, match=f"'{item.name}'.* found {item.count - 1} times, expected {item.count}"
    ):
        bundle.patch(changed)


def test_the_message_holds_three_internal_modules() -> None:
    schema = capnp.load(str(bundle.SCHEMA))
    with schema.Bundle.from_bytes(bundle.encode(b"glue", b"wasm", b"zip")) as message:
        read = [(one.name, str(one.type), one.which(), getattr(one, str(one.which()))) for one in message.modules]
    assert [(name, kind, str(which), body) for name, kind, which, body in read] == [
        ("pyodideRuntime-internal:pyodide.asm", "internal", "src", b"glue"),
        ("pyodideRuntime-internal:pyodide.asm.wasm", "internal", "wasm", b"wasm"),
        ("pyodideRuntime-internal:python_stdlib.zip", "internal", "data", b"zip"),
    ]


def test_packing_twice_writes_once(tmp_path: Path) -> None:
    modules = _pyodide(tmp_path)
    made = bundle.pack(modules, tmp_path / "cache")
    first = made.stat().st_mtime_ns
    assert bundle.pack(modules, tmp_path / "cache").stat().st_mtime_ns == first
    (modules / "pyodide" / bundle.STDLIB).write_bytes(b"another standard library")
    bundle.pack(modules, tmp_path / "cache")
    assert made.stat().st_mtime_ns > first
    assert sorted(path.name for path in made.parent.iterdir()) == [bundle.BUNDLE, f"{bundle.BUNDLE}.inputs"]


def test_another_version_is_refused(tmp_path: Path) -> None:
    modules = _pyodide(tmp_path, version="315.0.0")
    with pytest.raises(bundle.BundleError, match=r"Pyodide 315\.0\.0"):
        bundle.pack(modules, tmp_path / "cache")


def test_missing_files_are_named(tmp_path: Path) -> None:
    modules = _pyodide(tmp_path)
    (modules / "pyodide" / bundle.WASM).unlink()
    with pytest.raises(bundle.BundleError, match=r"has no pyodide\.asm\.wasm"):
        bundle.pack(modules, tmp_path / "cache")


def _pyodide(folder: Path, version: str = bundle.PYODIDE) -> Path:
    """A node_modules with a small Pyodide: the real glue, stand-ins for the rest."""
    package = folder / "node_modules" / "pyodide"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": version}))
    (package / bundle.GLUE).write_bytes((PYODIDE / bundle.GLUE).read_bytes())
    (package / bundle.WASM).write_bytes(b"wasm")
    (package / bundle.STDLIB).write_bytes(b"zip")
    return package.parent
