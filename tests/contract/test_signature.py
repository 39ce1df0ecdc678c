"""The signature of the seam against a vector that openssl made, and the shape of ids."""

from __future__ import annotations

import pytest

from tandem.contracts.errors import TandemError
from tandem.contracts.ids import RANDOM_BYTES, is_id, is_ulid, new_id, ulid
from tandem.contracts.retry import FIRST_MS, LONGEST_MS, backoff_ms
from tandem.contracts.signature import NODE, REQUEST_ID, SIGNATURE, TIMESTAMP, node_credential, sign_headers, verify

NOW = 1_800_000_000_000
KEY = "af4eb0e6142509ba06dfe24b79d0422bfdade7f34a57b8bdfdb63183d3cc5043"
NODE_ID = "node_01hzzzzzzzzzzzzzzzzzzzzzz6"
ID = "01hzzzzzzzzzzzzzzzzzzzzzzb"
VECTOR = "737e6c5ae1acc8003d0c9bb897cec6b418c69e5cd9894fcc14daac08babd170b"


def test_the_vector() -> None:
    """printf 'POST\\n/auth\\n<sha256 of {}>\\n1800000000000\\n<id>\\n<node>' | openssl dgst -sha256 -hmac <key>"""
    assert node_credential("master", NODE_ID, 1) == KEY
    headers = sign_headers(KEY, "POST", "/auth", b"{}", NOW, ID, NODE_ID)
    assert headers == {NODE: NODE_ID, TIMESTAMP: str(NOW), REQUEST_ID: ID, SIGNATURE: VECTOR}
    assert verify(KEY, "POST", "/auth", b"{}", headers, NOW) == ID


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({SIGNATURE: ""}, "bad_signature"),
        ({SIGNATURE: VECTOR.upper()}, "bad_signature"),
        ({NODE: "node_other"}, "bad_signature"),
        ({TIMESTAMP: str(NOW + 1)}, "bad_signature"),
        ({TIMESTAMP: str(NOW + 30_001)}, "stale_request"),
        ({TIMESTAMP: ""}, "unsigned_request"),
        ({REQUEST_ID: ID.upper()}, "unsigned_request"),
    ],
)
def test_what_is_not_the_node_s_own_word(change: dict[str, str], code: str) -> None:
    headers = sign_headers(KEY, "POST", "/auth", b"{}", NOW, ID, NODE_ID) | change
    with pytest.raises(TandemError) as refused:
        verify(KEY, "POST", "/auth", b"{}", headers, NOW)
    assert refused.value.code == code


def test_credentials_differ_by_node_and_version() -> None:
    assert len({node_credential("master", one, version) for one in ("n1", "n2") for version in (1, 2)}) == 4


def test_ids_sort_by_time() -> None:
    low, high = bytes(RANDOM_BYTES), b"\xff" * RANDOM_BYTES
    assert ulid(1_469_918_176_385, low) == "01aryz6s410000000000000000"  # the time of the ULID specification's example
    assert ulid(NOW, high) < ulid(NOW + 1, low)
    assert is_ulid(ulid(NOW, high))
    assert is_id("call", new_id("call", NOW, low))
    assert not is_id("call", new_id("leg", NOW, low))
    with pytest.raises(ValueError, match="10 random bytes"):
        ulid(NOW, b"short")


@pytest.mark.parametrize("text", ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "u", "0" * 25 + "A"])
def test_what_is_no_ulid(text: str) -> None:
    assert not is_ulid(text)


def test_retries_wait_longer_and_longer_up_to_a_bound() -> None:
    assert [backoff_ms(attempt, 0.0) for attempt in (1, 2, 3)] == [FIRST_MS // 2, FIRST_MS, FIRST_MS * 2]
    assert LONGEST_MS // 2 <= backoff_ms(10_000, 0.999) < LONGEST_MS
