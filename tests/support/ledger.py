"""`Holdings` of the domain over plain sets."""

from __future__ import annotations

from collections import Counter

from tandem.domain.cac import Dimension, Entries, Leg, Want, Window

Row = tuple[str, Leg, Dimension, str]


class Ledger:
    """Rows (call, leg, dimension, subject), with the usage of each subject counted beside them."""

    def __init__(self) -> None:
        self.rows: dict[str, set[Row]] = {}
        self.counts: Counter[tuple[Dimension, str]] = Counter()
        self.windows: dict[tuple[str, str], dict[str, int]] = {}

    def used_beside(self, call_id: str, want: Want) -> int:
        own = (call_id, want.leg, want.dimension, want.subject) in self.rows.get(call_id, set())
        return self.counts[want.dimension, want.subject] - own

    def take(self, call_id: str, want: Want) -> None:
        row = (call_id, want.leg, want.dimension, want.subject)
        held = self.rows.setdefault(call_id, set())
        if row not in held:
            held.add(row)
            self.counts[want.dimension, want.subject] += 1

    def release(self, call_id: str, leg: Leg | None = None, keep: str | None = None) -> None:
        held = self.rows.get(call_id, set())
        for row in [row for row in held if leg is None or (row[1] is leg and row[3] != keep)]:
            held.remove(row)
            self.counts[row[2], row[3]] -= 1
        if not held:
            self.rows.pop(call_id, None)

    def entries(self, call_id: str, window: Window) -> Entries:
        found = self.windows.get((window.limit_id, window.subject), {})
        newest = list(reversed(found.values()))
        blocking = newest[window.max_count - 1] if 0 < window.max_count <= len(newest) else None
        return Entries(call_id in found, blocking)

    def enter(self, call_id: str, window: Window, now: int) -> None:
        self.windows.setdefault((window.limit_id, window.subject), {}).setdefault(call_id, now)

    def used(self, subject: str, dimension: Dimension = Dimension.USER_SIMULTANEOUS) -> int:
        return self.counts[dimension, subject]
