"""Signed nonces, and what a second use of one is."""

from __future__ import annotations

import pytest

from tandem.domain.nonces import LIFETIME_MS, REPEAT_MS, NonceUse, Reuse, is_current, judge_reuse, make_nonce

KEY = b"k" * 32
NOW = 1_800_000_000_000
NONCE = make_nonce(KEY, NOW, "acme.example", "node_1", "5a17")


@pytest.mark.parametrize(
    ("age", "current"),
    [(0, True), (LIFETIME_MS - 1, True), (LIFETIME_MS, False), (-1, False)],
)
def test_a_nonce_lives_for_300_seconds(age: int, current: bool) -> None:
    assert is_current(KEY, NONCE, NOW + age, "acme.example", "node_1") is current


@pytest.mark.parametrize(
    ("key", "realm", "node"),
    [
        (b"x" * 32, "acme.example", "node_1"),
        (KEY, "globex.example", "node_1"),
        (KEY, "Acme.example", "node_1"),
        (KEY, "acme.example", "node_2"),
    ],
)
def test_a_nonce_counts_only_where_it_was_made(key: bytes, realm: str, node: str) -> None:
    assert not is_current(key, NONCE, NOW, realm, node)


@pytest.mark.parametrize(
    "nonce",
    [
        "",
        ".",
        "-.",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        NONCE + "0",
        NONCE[:-1],
        "1" + NONCE,
        NONCE.replace("5a17", "5a18"),
        NONCE.partition(".")[0],
        "zz-5a17." + NONCE.partition(".")[2],
        "ä." + NONCE.partition(".")[2],
        NONCE[:-1] + "ä",
    ],
)
def test_a_forged_or_mangled_nonce_is_not_current(nonce: str) -> None:
    assert not is_current(KEY, nonce, NOW, "acme.example", "node_1")


def test_nonces_of_one_millisecond_differ_by_their_salt() -> None:
    assert make_nonce(KEY, NOW, "acme.example", "node_1", "1") != make_nonce(KEY, NOW, "acme.example", "node_1", "2")


LAST = NonceUse(nc=3, response="r", source="192.0.2.7", cseq="10", at=NOW)


@pytest.mark.parametrize(
    ("last", "use", "reuse"),
    [
        (None, LAST, Reuse.FRESH),
        (LAST, LAST, Reuse.REPEAT),
        (LAST, NonceUse(3, "r", "192.0.2.7", "10", NOW + REPEAT_MS), Reuse.REPEAT),
        (LAST, NonceUse(3, "r", "192.0.2.7", "10", NOW + REPEAT_MS + 1), Reuse.STALE),
        (LAST, NonceUse(3, "r", "192.0.2.8", "10", NOW), Reuse.STALE),
        (LAST, NonceUse(3, "r", "192.0.2.7", "11", NOW), Reuse.STALE),
        (LAST, NonceUse(3, "s", "192.0.2.7", "10", NOW), Reuse.STALE),
        (LAST, NonceUse(4, "s", "192.0.2.8", "11", NOW), Reuse.FRESH),
        (LAST, NonceUse(2, "s", "192.0.2.7", "11", NOW), Reuse.STALE),
        (NonceUse(0, "r", "a", "1", NOW), NonceUse(0, "s", "a", "2", NOW), Reuse.STALE),
        (NonceUse(0, "r", "a", "1", NOW), NonceUse(0, "r", "a", "1", NOW + 1), Reuse.REPEAT),
    ],
)
def test_reuse(last: NonceUse | None, use: NonceUse, reuse: Reuse) -> None:
    assert judge_reuse(last, use) is reuse
