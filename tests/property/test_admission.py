"""Admission under any sequence of calls, over several dimensions and windows, against a naive count."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.domain.cac import Dimension, Leg, Refusal, Want, Window, admit, readmit
from tests.support.ledger import Ledger

T0 = 1_000_000
USERS = ("us_1", "us_2", "us_3")
ACCOUNT = (Dimension.ACCOUNT_IN, "acc_1")
Place = tuple[Leg, Dimension, str]
LIMIT = st.sampled_from([0, 1, 2, 3, None])
WINDOW = st.builds(
    Window, st.just("lim"), st.just("acc_1"), st.sampled_from([1, 10, 60]), st.integers(0, 4), st.booleans()
)
ACTS = st.tuples(
    st.sampled_from(["admit", "admit", "admit", "admit", "readmit", "release", "losers", "wait"]),
    st.integers(0, 7),
    st.lists(st.sampled_from(USERS), max_size=3, unique=True),
    st.booleans(),
)


@dataclass
class Naive:
    """Everything counted from the beginning, each time."""

    limits: dict[str, int | None]
    window: Window
    now: int = T0
    held: dict[str, set[Place]] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)

    def count(self, dimension: Dimension, subject: str) -> int:
        return sum((kind, one) == (dimension, subject) for rows in self.held.values() for _, kind, one in rows)

    def recent(self) -> int:
        return sum(at > self.now - self.window.period_sec * 1000 for at in self.entered.values())


@settings(max_examples=1_500, deadline=None)
@given(st.lists(ACTS, max_size=40), st.lists(LIMIT, min_size=4, max_size=4), WINDOW)
def test_admission(acts: list[tuple[str, int, list[str], bool]], limits: list[int | None], window: Window) -> None:
    """All or nothing, never negative, never above a limit at admission, all gone when all calls are."""
    naive, ledger = Naive(dict(zip((*USERS, "acc_1"), limits, strict=True)), window), Ledger()
    for act, number, users, inbound in acts:
        call = f"call_{number}"
        wants = [Want(Leg.CALLEE, Dimension.USER_SIMULTANEOUS, user, naive.limits[user]) for user in users]
        if inbound:
            wants.append(Want(Leg.CALLER, *ACCOUNT, naive.limits["acc_1"]))
        rows: set[Place] = {(want.leg, want.dimension, want.subject) for want in wants}
        if act == "admit":
            _admit(naive, ledger, call, wants, rows)
        elif act == "readmit":
            readmit(ledger, call, wants)
            naive.held[call] = naive.held.get(call, set()) | rows
        elif act == "release":
            ledger.release(call)
            naive.held.pop(call, None)
        elif act == "losers":
            winner = users[0] if users else None
            ledger.release(call, Leg.CALLEE, keep=winner)
            naive.held[call] = {
                row for row in naive.held.get(call, set()) if row[0] is not Leg.CALLEE or row[2] == winner
            }
        else:
            naive.now += 700 * number
        for user in USERS:
            assert ledger.used(user) == naive.count(Dimension.USER_SIMULTANEOUS, user) >= 0
        assert ledger.used("acc_1", Dimension.ACCOUNT_IN) == naive.count(*ACCOUNT) >= 0
    for number in range(8):
        ledger.release(f"call_{number}")
    assert not ledger.rows
    assert sum(ledger.counts.values()) == 0


def _admit(naive: Naive, ledger: Ledger, call: str, wants: list[Want], rows: set[Place]) -> None:
    before = naive.recent()
    new = call not in naive.entered
    found = admit(ledger, call, wants, [naive.window], now=naive.now)
    if isinstance(found, Refusal):
        assert found.used >= found.limit
        assert found.retry_after_sec > 0
        if found.dimension is Dimension.CALL_LIMIT:
            assert naive.window.hard
            assert new
            assert before >= naive.window.max_count
            _has_room_then(naive, found.retry_after_sec)
        return
    assert not (new and naive.window.hard and before >= naive.window.max_count)
    assert bool(found.warnings) == (new and before >= naive.window.max_count)
    naive.held[call] = naive.held.get(call, set()) | rows
    naive.entered.setdefault(call, naive.now)
    for want in wants:
        assert want.limit is None or naive.count(want.dimension, want.subject) <= want.limit


def _has_room_then(naive: Naive, seconds: int) -> None:
    """After Retry-After the window has room, and a second before it had none."""
    window = naive.window
    if window.max_count == 0:
        return
    later = Naive(naive.limits, window, naive.now + seconds * 1000, entered=naive.entered)
    assert later.recent() < window.max_count
    later.now -= 1_000
    assert later.recent() >= window.max_count
