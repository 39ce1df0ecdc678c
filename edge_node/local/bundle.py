"""Packs the npm package `pyodide` into the runtime bundle that a local workerd reads from its disk cache.

In production workerd brings its own Python. A local one would fetch the bundle at start; with the development flags it
takes `pyodide_dev.capnp.bin` from `--pyodide-bundle-disk-cache-dir` instead, and all that is inside comes from npm.
workerd forbids run-time code generation, so Emscripten's glue must call the wrappers that the runtime exports.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import capnp

BUNDLE = "pyodide_dev.capnp.bin"
# The development bundle of the pinned workerd; it refuses to boot with any other.
PYODIDE = "314.0.6"
SCHEMA = Path(__file__).with_name("pyodide_bundle.capnp")

GLUE = "pyodide.asm.mjs"
WASM = "pyodide.asm.wasm"
STDLIB = "python_stdlib.zip"
INPUTS = (GLUE, WASM, STDLIB)

WRAPPERS = (
    "addEventListener",
    "getRandomValues",
    "location",
    "monotonicDateNow",
    "newWasmModule",
    "patchedLoadLibData",
    "wasmInstantiate",
)
PRELUDE = f"""import {{{", ".join(WRAPPERS)}}} from "pyodide-internal:builtin_wrappers";
function noEval() {{ throw new Error("workerd generates no code at run time"); }}
"""


class BundleError(Exception):
    """The installed Pyodide is not the one that this packer knows; the message says where they differ."""


@dataclass(frozen=True)
class Substitution:
    """`pattern` (regular expression) occurs exactly `count` times in the glue; each becomes `replacement`."""

    name: str
    pattern: str
    replacement: str
    count: int


SUBSTITUTIONS = (
    Substitution("compile a module", r"\bnew WebAssembly\.Module\(", "newWasmModule(", 4),
    Substitution("instantiate a module", r"\bWebAssembly\.instantiate\(", "wasmInstantiate(", 2),
    # Directory times must advance, or the import system believes a stale listing.
    Substitution("read the clock", r"\bDate\.now\b", "monotonicDateNow", 22),
    Substitution("get entropy", r"\bcrypto\.getRandomValues\(", "getRandomValues(Module,", 1),
    Substitution(
        "load a library, asynchronously",
        r"\bloadLibData\(\)\.then\(",
        "Promise.resolve(patchedLoadLibData(Module,libName,flags.rpath)).then(",
        1,
    ),
    Substitution(
        "load a library",
        r"\bloadWebAssemblyModule\(loadLibData\(\),",
        "loadWebAssemblyModule(patchedLoadLibData(Module,libName,flags.rpath),",
        1,
    ),
    # A memory snapshot needs libraries at the same place again.
    Substitution(
        "place a library", r"\balignMemory\(getMemory\(", "alignMemory(Module.getMemoryPatched(Module,libName,", 1
    ),
    Substitution("report undefined symbols", r"\breportUndefinedSymbols\(\)", "Module.reportUndefinedSymbolsNoOp()", 3),
    Substitution("evaluate text", r"(?<![\w.])eval\(", "noEval(", 6),
    Substitution(
        "export the factory",
        r"\bexport default _createPyodideModule;",
        "export {_createPyodideModule};export default _createPyodideModule;",
        1,
    ),
)


def patch(glue: str) -> str:
    """The glue as workerd runs it. Raises `BundleError` naming the substitution whose count is not the expected one."""
    for item in SUBSTITUTIONS:
        glue, found = re.subn(item.pattern, lambda _, to=item.replacement: to, glue)  # type: ignore[misc]  # mypy cannot infer a lambda's default
        if found != item.count:
            raise BundleError(
                f"{GLUE}: substitution {item.name!r} (/{item.pattern}/) found {found} times, expected {item.count}; "
                f"the glue is not that of Pyodide {PYODIDE}: see what moved and correct it in {Path(__file__).name}"
            )
    return PRELUDE + glue


def pack(node_modules: Path, target: Path) -> Path:
    """Writes the bundle into the folder `target` (made when missing) unless it is there and up to date.

    Returns the path of the bundle. Raises `BundleError` when Pyodide is missing, or is another version than `PYODIDE`.
    """
    source = node_modules / "pyodide"
    missing = [name for name in ("package.json", *INPUTS) if not (source / name).is_file()]
    if missing:
        raise BundleError(f"{source} has no {', '.join(missing)}: run `npm ci` first")
    version = json.loads((source / "package.json").read_text())["version"]
    if version != PYODIDE:
        raise BundleError(f"{source} is Pyodide {version}, but the pinned workerd boots only {PYODIDE}")

    bundle, stamp = target / BUNDLE, target / f"{BUNDLE}.inputs"
    inputs = {name: (source / name).read_bytes() for name in INPUTS}
    digest = _digest([*inputs.values(), Path(__file__).read_bytes(), SCHEMA.read_bytes()])
    if bundle.is_file() and stamp.is_file() and stamp.read_text() == digest:
        return bundle

    message = encode(patch(inputs[GLUE].decode()).encode(), inputs[WASM], inputs[STDLIB])
    target.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    part = target / f"{BUNDLE}.{os.getpid()}"
    part.write_bytes(message)
    part.replace(bundle)
    stamp.write_text(digest)
    return bundle


def encode(glue: bytes, wasm: bytes, stdlib: bytes) -> bytes:
    """The three modules as one Cap'n Proto `Bundle` message, unpacked stream framing."""
    schema = capnp.load(str(SCHEMA))
    contents = (("pyodide.asm", "src", glue), ("pyodide.asm.wasm", "wasm", wasm), ("python_stdlib.zip", "data", stdlib))
    message = schema.Bundle.new_message()
    modules = message.init("modules", len(contents))
    for module, (name, kind, body) in zip(modules, contents, strict=True):
        module.name = f"pyodideRuntime-internal:{name}"
        module.type = "internal"
        setattr(module, kind, body)
    encoded: bytes = message.to_bytes()
    return encoded


def _digest(parts: list[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()
