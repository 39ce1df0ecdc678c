"""The folder of prompts that are ready to be played: named by their content, whole or not there, bounded in size."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_UNFINISHED: Final = ".part"


def name_of(*parts: str) -> str:
    """A file's name for what these parts name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(slots=True)
class _Kept:
    size: int
    used_ns: int


class Cache:
    """Not for the event loop: every method touches the disk, and may be called by any thread. One process at a time
    uses the folder."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` in bytes. What an earlier run left is taken over. Raises `OSError`."""
        self._folder = folder
        self._limit = limit
        folder.mkdir(parents=True, exist_ok=True)
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()
        for path in folder.iterdir():
            if path.suffix == _UNFINISHED:
                path.unlink(missing_ok=True)
            elif path.suffix == ".wav":
                stat = path.stat()
                self._kept[path.stem] = _Kept(stat.st_size, stat.st_mtime_ns)

    @property
    def size(self) -> int:
        return sum(kept.size for kept in self._kept.values())

    def find(self, name: str) -> Path | None:
        """A file that is found counts as used now."""
        path = self._path(name)
        with self._lock:
            try:
                os.utime(path)
            except OSError:
                self._kept.pop(name, None)
                return None
            self._note(name, path)
        return path

    def unfinished(self) -> Path:
        """A name for a file in the making; `keep` it, or `drop` it."""
        return self._folder / f"{secrets.token_hex(16)}{_UNFINISHED}"

    def drop(self, unfinished: Path) -> None:
        unfinished.unlink(missing_ok=True)

    def keep(self, name: str, unfinished: Path) -> Path:
        """The file appears under its name at once and whole; those that were not used for longest make room for it."""
        path = self._path(name)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        with self._lock:
            unfinished.replace(path)
            self._note(name, path)
            self._make_room(name)
        return path

    def _note(self, name: str, path: Path) -> None:
        stat = path.stat()
        self._kept[name] = _Kept(stat.st_size, stat.st_mtime_ns)

    def _make_room(self, newest: str) -> None:
        excess = self.size - self._limit
        for name in sorted(self._kept, key=lambda one: self._kept[one].used_ns):
            if excess <= 0:
                return
            if name == newest:
                continue
            with contextlib.suppress(OSError):
                self._path(name).unlink(missing_ok=True)
            excess -= self._kept.pop(name).size

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.wav"
