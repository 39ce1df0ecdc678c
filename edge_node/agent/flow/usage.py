"""How long a call's audio has passed the media engine: what the account pays for, and what a release ends."""

from __future__ import annotations


class Usage:
    """Times in ms, of one clock that never goes back."""

    def __init__(self) -> None:
        self._passed = 0
        self._since: int | None = None
        # It has been in the path at least once.
        self.began = False

    def enter(self, now: int) -> bool:
        """False when it was in the path already."""
        if self._since is not None:
            return False
        self._since, self.began = now, True
        return True

    def leave(self, now: int) -> int | None:
        """How long it was in the path this time; None when it was not."""
        if self._since is None:
            return None
        lasted = max(0, now - self._since)
        self._passed += lasted
        self._since = None
        return lasted

    def total(self, now: int) -> int:
        return self._passed + (0 if self._since is None else max(0, now - self._since))
