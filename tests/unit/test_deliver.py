"""The deliver token: the words of both sides, and what is no token."""

from __future__ import annotations

import pytest

from tandem.contracts.deliver import LIFE_SEC, make, verify

CREDENTIAL = "ab" * 32
AOR = "sip:dev_01@acme.tandem.test"
CALL = "call_01jdz0000000000000000000"
NOW_MS = 1_800_000_000_123
GOLDEN = f"{CALL}.1800000060.487a5d656a73b1a14cb7b79975462ea0"


def test_the_token_is_the_one_that_every_node_expects() -> None:
    assert make(CREDENTIAL, CALL, AOR, NOW_MS) == GOLDEN
    assert verify(CREDENTIAL, GOLDEN, AOR, NOW_MS) == CALL


@pytest.mark.parametrize("passed_ms", [-30_000, 0, 1, LIFE_SEC * 1000])
def test_a_token_is_good_for_its_life(passed_ms: int) -> None:
    assert verify(CREDENTIAL, make(CREDENTIAL, CALL, AOR, NOW_MS), AOR, NOW_MS + passed_ms) == CALL


@pytest.mark.parametrize("passed_ms", [-32_000, LIFE_SEC * 1000 + 1000, 86_400_000])
def test_no_token_is_good_outside_its_life(passed_ms: int) -> None:
    assert verify(CREDENTIAL, make(CREDENTIAL, CALL, AOR, NOW_MS), AOR, NOW_MS + passed_ms) is None


@pytest.mark.parametrize(
    ("credential", "aor"),
    [("cd" * 32, AOR), (CREDENTIAL, "sip:dev_02@acme.tandem.test"), (CREDENTIAL, "sip:dev_01@globex.tandem.test")],
)
def test_a_token_is_for_one_node_and_one_device(credential: str, aor: str) -> None:
    assert verify(credential, GOLDEN, aor, NOW_MS) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        CALL,
        GOLDEN.replace("call_", "call-"),
        GOLDEN.replace("1800000060", "1800000061"),
        GOLDEN.upper(),
        GOLDEN + "0",
        GOLDEN + "\n",
        f" {GOLDEN}",
        GOLDEN[:-1] + "é",
        f"{CALL}.99999999999999999999.{'0' * 32}",
        f"{CALL}.١٨٠٠٠٠٠٠٦٠.{'0' * 32}",
    ],
)
def test_what_is_no_token(token: str) -> None:
    assert verify(CREDENTIAL, token, AOR, NOW_MS) is None
