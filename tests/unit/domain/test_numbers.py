"""Addresses as phones write them."""

from __future__ import annotations

import pytest

from tandem.domain.numbers import Dialled, candidates, emergency, normalise, parse_uri


@pytest.mark.parametrize(
    ("uri", "user", "domain"),
    [
        ("sip:1001@acme.example", "1001", "acme.example"),
        ("sips:1001@ACME.Example:5061;transport=tls", "1001", "acme.example"),
        ("SIP:1001@acme.example", "1001", "acme.example"),
        ("<sip:1001@acme.example>", "1001", "acme.example"),
        (" sip:1001@acme.example ", "1001", "acme.example"),
        ("sip:1001;phone-context=example.com@acme.example;user=phone", "1001", "acme.example"),
        ("sip:1001:secret@acme.example", "1001", "acme.example"),
        ("sip:%31001@acme.example?Subject=hi", "1001", "acme.example"),
        ("sip:1-001@acme.example", "1001", "acme.example"),
        ("sip:%2A43@acme.example", "*43", "acme.example"),
        ("sip:*43@acme.example", "*43", "acme.example"),
        ("sip:anna-maria@acme.example", "anna-maria", "acme.example"),
        ("sip:--@acme.example", "--", "acme.example"),
        ("sip:1001@[2001:db8::1]:5060", "1001", "[2001:db8::1]:5060"),
        ("sip:a@b@acme.example", "a@b", "acme.example"),
        ("sip:acme.example", "", "acme.example"),
        ("tel:+1-202-555-0100", "+12025550100", ""),
        ("tel:1001;phone-context=acme.example", "1001", ""),
        ("1001", "1001", ""),
        ("1001@acme.example", "1001", "acme.example"),
        ("h323:1001", "h323", ""),
        ("", "", ""),
    ],
)
def test_parse_uri(uri: str, user: str, domain: str) -> None:
    assert parse_uri(uri) == Dialled(user, domain)


@pytest.mark.parametrize(
    ("raw", "country", "digits"),
    [
        ("+12025550100", "US", "12025550100"),
        ("+1 (202) 555-0100", "DE", "12025550100"),
        ("tel:+1-202-555-0100", "DE", "12025550100"),
        ("sip:+442071838750@peer.example;user=phone", "US", "442071838750"),
        ("2025550100", "US", "12025550100"),
        ("12025550100", "US", "12025550100"),
        ("0012025550100", "US", "12025550100"),
        ("01144 2071838750", "US", "442071838750"),
        ("5555550100", "US", "15555550100"),  # of full length, though nobody has it
        ("02071838750", "GB", "442071838750"),
        ("00442071838750", "GB", "442071838750"),
        ("0061288888888", "AU", "61288888888"),
        ("030 1234567", "DE", "49301234567"),
        ("5550100", "US", None),  # local only
        ("1001", "US", None),
        ("4711", "DE", None),
        ("00", "US", None),
        ("+49", "US", None),
        ("+0301234567", "DE", None),
        ("+1234567890123456", "US", None),
        ("+12a", "US", None),
        ("*43", "US", None),
        ("anna", "US", None),
        ("", "US", None),
        ("2025550100", "XX", None),
    ],
)
def test_normalise(raw: str, country: str, digits: str | None) -> None:
    assert normalise(raw, country) == digits


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("12025550100", ("12025550100",)),
        ("4930123456", ("14930123456", "4930123456")),
        ("442071838750", ("442071838750",)),
        ("1001", ()),
        ("anonymous", ()),
    ],
)
def test_a_peer_may_send_e164_without_a_plus(raw: str, found: tuple[str, ...]) -> None:
    assert candidates(raw, "US") == found


@pytest.mark.parametrize(
    ("dialled", "country", "listed", "is_one"),
    [
        ("911", "US", None, True),
        ("112", "DE", None, True),
        ("110", "DE", None, True),
        ("110", "US", None, False),
        ("9110", "US", None, False),
        ("1001", "US", None, False),
        ("*911", "US", None, False),
        ("911", "US", frozenset({"112"}), False),
        ("7", "US", frozenset({"7"}), True),
    ],
)
def test_emergency(dialled: str, country: str, listed: frozenset[str] | None, is_one: bool) -> None:
    assert emergency(dialled, country, listed) is is_one
