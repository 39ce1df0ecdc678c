"""Addresses as phones write them."""

from __future__ import annotations

import pytest

from tandem.domain.numbers import Dialled, parse_uri


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
