"""The test phones' own digest against the vectors of the RFCs."""

from __future__ import annotations

import pytest

from tests.edge.sip_digest import Challenge, answer, parse_challenge


def response(value: str) -> str:
    return value.partition('response="')[2].partition('"')[0]


def test_rfc_2617_section_3_5() -> None:
    challenge = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", qop="auth,auth-int")
    got = answer(challenge, "Mufasa", "Circle Of Life", "GET", "/dir/index.html", cnonce="0a4f113b")
    assert response(got) == "6629fae49393a05397450978507c4ef1"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_section_3_9_1(algorithm: str, expected: str) -> None:
    challenge = Challenge(
        "http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", algorithm, "auth, auth-int"
    )
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    got = answer(challenge, "Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce=cnonce)
    assert response(got) == expected


def test_a_challenge_is_read() -> None:
    value = 'Digest realm="a b", nonce="n,1", algorithm=SHA-256, qop="auth", opaque="o", stale=true'
    assert parse_challenge(value) == Challenge("a b", "n,1", "SHA-256", "auth", "o", stale=True)
    with pytest.raises(ValueError, match="not a Digest challenge"):
        parse_challenge('Basic realm="x"')
