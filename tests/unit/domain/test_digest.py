"""Digest responses against published vectors, and which digests are accepted at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.digest import (
    HASHES,
    NOBODY,
    Credentials,
    Secrets,
    expected_response,
    make_secrets,
    matches,
    md5,
    same_host,
    sha256,
    split_username,
    unescape,
    well_formed,
)

RFC_7616 = Credentials(
    "Mufasa",
    "http-auth@example.org",
    "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "/dir/index.html",
    "",
    "MD5",
    "auth",
    "00000001",
    "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
)
RFC_2617 = Credentials(
    "Mufasa",
    "testrealm@host.com",
    "dcd98b7102dd2f0e8b11d0f600bfb0c093",
    "/dir/index.html",
    "",
    "MD5",
    "auth",
    "00000001",
    "0a4f113b",
)
SMITH = Credentials("bob", "biloxi.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "sip:bob@biloxi.com", "")

VECTORS = {
    "RFC 2617, 3.5": (RFC_2617, "GET", "Circle Of Life", "6629fae49393a05397450978507c4ef1"),
    "RFC 2069, 2.4 (erratum 749), no qop": (
        replace(RFC_2617, qop=None, nc=None, cnonce=None),
        "GET",
        "CircleOfLife",
        "1949323746fe6a43ef61f9606e7febea",
    ),
    "RFC 7616, 3.9.1, MD5": (RFC_7616, "GET", "Circle of Life", "8ca523f5e9506fed4657c9700eebdbec"),
    "RFC 7616, 3.9.1, SHA-256": (
        replace(RFC_7616, algorithm="SHA-256"),
        "GET",
        "Circle of Life",
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    ),
    "draft-smith-sipping-auth-examples, 3.1, no qop": (
        SMITH,
        "INVITE",
        "zanzibar",
        "bf57e4e0d0bffc0fbaedce64d59add5e",
    ),
    "draft-smith-sipping-auth-examples, 3.3, qop": (
        replace(SMITH, qop="auth", nc="00000001", cnonce="0a4f113b"),
        "INVITE",
        "zanzibar",
        "89eb0059246c02b2f6ee02c7961d5ea3",
    ),
}


@pytest.mark.parametrize(("wire", "method", "password", "response"), VECTORS.values(), ids=VECTORS.keys())
def test_published_vectors(wire: Credentials, method: str, password: str, response: str) -> None:
    secrets = make_secrets(wire.username, wire.realm, password)
    assert matches(replace(wire, response=response), method, secrets, qualified=False)
    assert matches(replace(wire, response=response.upper()), method, secrets, qualified=False)
    assert not matches(replace(wire, response=response[:-1] + "g"), method, secrets, qualified=False)
    assert not matches(replace(wire, response=response), "OPTIONS", secrets, qualified=False)
    assert not matches(replace(wire, response=response), method, NOBODY, qualified=False)
    wrong = make_secrets(wire.username, wire.realm, password + "!")
    assert not matches(replace(wire, response=response), method, wrong, qualified=False)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ["auth", None])
@pytest.mark.parametrize("qualified", [True, False])
def test_each_form_is_checked_against_its_own_secret(algorithm: str, qop: str | None, qualified: bool) -> None:
    hash_ = HASHES[algorithm]
    name = "alice@example.com" if qualified else "alice"
    credentials = Credentials(name, "example.com", "n", "sip:example.com", "", algorithm, qop, "00000001", "c")
    ha1 = hash_(f"{name}:example.com:pässword")
    credentials = replace(credentials, response=expected_response(ha1, credentials, "REGISTER", hash_))
    secrets = make_secrets("alice", "example.com", "pässword")
    assert matches(credentials, "REGISTER", secrets, qualified)
    assert not matches(credentials, "REGISTER", secrets, not qualified)


def test_a_response_that_is_not_ascii_is_only_wrong() -> None:
    assert not matches(replace(RFC_2617, response="ä" * 32), "GET", NOBODY, qualified=False)


def test_secrets_hold_four_digests_of_one_password() -> None:
    assert make_secrets("1001", "acme", "s") == Secrets(
        md5("1001:acme:s"), md5("1001@acme:acme:s"), sha256("1001:acme:s"), sha256("1001@acme:acme:s")
    )
    assert (len(NOBODY.ha1), len(NOBODY.ha1b), len(NOBODY.ha1_sha256), len(NOBODY.ha1b_sha256)) == (32, 32, 64, 64)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("1001", "1001"),
        (r"a\"b", 'a"b'),
        (r"a\\b", r"a\b"),
        (r"J Rosenberg \\\"", 'J Rosenberg \\"'),  # RFC 4475 section 3.1.1.1
        (r"\1\0\0\1", "1001"),  # any character may be quoted (RFC 3261 section 25.1)
        ("end\\", "end\\"),
        ("", ""),
    ],
)
def test_quoted_pairs(wire: str, text: str) -> None:
    assert unescape(wire) == text


@pytest.mark.parametrize(
    ("wire", "name", "qualified"),
    [
        ("1001", "1001", False),
        ("1001@acme.example", "1001", True),
        ("a@b@acme.example", "a@b", True),
        (r"o\"neil@acme.example", 'o"neil', True),
        (r"1001\@acme.example", "1001", True),
        ("@acme.example", "@acme.example", False),
        ("1001@", "1001@", False),
        ("", "", False),
    ],
)
def test_usernames(wire: str, name: str, qualified: bool) -> None:
    assert split_username(wire) == (name, qualified)


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True),
        ({"algorithm": "md5"}, True),
        ({"algorithm": "sha-256"}, True),
        ({"algorithm": "MD5-sess"}, False),
        ({"algorithm": "SHA-512-256"}, False),
        ({"algorithm": ""}, False),
        ({"qop": "auth-int"}, False),
        ({"qop": "AUTH"}, False),
        ({"qop": ""}, False),
        ({"qop": None, "nc": None, "cnonce": None}, True),
        ({"qop": None, "nc": "junk"}, True),
        ({"nc": None}, False),
        ({"nc": "1"}, False),
        ({"nc": "0000000g"}, False),
        ({"nc": "-0000001"}, False),
        ({"nc": "000000001"}, False),
        ({"nc": "0000ABCD"}, True),
        ({"cnonce": None}, False),
        ({"cnonce": ""}, False),
    ],
)
def test_which_digests_are_well_formed(changes: dict[str, Any], accepted: bool) -> None:
    assert well_formed(replace(RFC_2617, **changes)) is accepted


@pytest.mark.parametrize(
    ("uri", "request_uri", "same"),
    [
        ("sip:acme.test", "sip:acme.test", True),
        ("sip:ACME.test:5060;transport=tcp", "sips:acme.test", True),
        ("acme.test", "sip:acme.test;lr", True),
        ("sip:1001@acme.test", "sip:acme.test", True),
        ("sip:[2001:db8::1]:5060", "sip:[2001:DB8::1]", True),
        ("sip:[2001:db8::1]", "sip:[2001:db8::2]", False),
        ("sip:globex.test", "sip:acme.test", False),
        ("sip:acme.test.evil", "sip:acme.test", False),
        ("", "sip:acme.test", False),
        ("", "", False),
    ],
)
def test_whether_a_digest_is_for_the_host_of_the_request(uri: str, request_uri: str, same: bool) -> None:
    assert same_host(uri, request_uri) is same
