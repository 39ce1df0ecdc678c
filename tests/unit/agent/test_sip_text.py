"""Digest headers of the RFCs and of strangers; URIs; expiry."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.agent.sip_text import (
    Binding,
    SipTextError,
    Uri,
    parse_contacts,
    parse_digest,
    parse_uri,
    quote,
    registration_expires,
)

RFC2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
    'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
RFC7616 = (
    'Digest username="Mufasa",\r\n    realm="http-auth@example.org",\r\n    uri="/dir/index.html",\r\n'
    "    algorithm=SHA-256,\r\n"
    '    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",\r\n    nc=00000001,\r\n'
    '    cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",\r\n    qop=auth,\r\n'
    '    response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",\r\n'
    '    opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
# RFC 3261 section 22.4 and RFC 3665 section 2.1: what SIP examples look like.
RFC3665 = (
    'Digest username="bob", realm="atlanta.example.com" nonce="ea9c8e88df84f1cec4341ae6cbe5a359", opaque="",\r\n'
    '  uri="sips:ss2.biloxi.example.com", response="dfe56131d1958046689d83306477ecc"'
)
MINIMAL = 'Digest username="u", realm="r", nonce="n", uri="sip:h", response="x"'


def test_rfc_2617_section_3_5() -> None:
    found = parse_digest(RFC2617)
    assert found is not None
    assert found["username"] == "Mufasa"
    assert found["qop"] == "auth"
    assert found["nc"] == "00000001"
    assert found["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"
    assert "algorithm" not in found


def test_rfc_7616_section_3_9_1_folded() -> None:
    found = parse_digest(RFC7616)
    assert found is not None
    assert found["algorithm"] == "SHA-256"
    assert found["nonce"] == "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"


def test_a_missing_comma_as_printed_in_rfc_3665_is_malformed() -> None:
    with pytest.raises(SipTextError):
        parse_digest(RFC3665)
    found = parse_digest(RFC3665.replace('com" nonce', 'com", nonce'))
    assert found is not None
    assert found["opaque"] == ""


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (MINIMAL.replace('"u"', '"a\\"b\\\\"'), "username", 'a\\"b\\\\'),
        (MINIMAL.replace('"u"', '"a, realm=\\"evil"'), "username", 'a, realm=\\"evil'),
        (MINIMAL.replace('"u"', '"1001@acme.test"'), "username", "1001@acme.test"),
        (MINIMAL.replace('"u"', '"Jürgen"'), "username", "Jürgen"),
        (MINIMAL.replace("Digest", "dIGEST  "), "realm", "r"),
        (MINIMAL.replace("username", "UserName"), "username", "u"),
        (MINIMAL.replace("=", " = "), "uri", "sip:h"),
        (MINIMAL + ', qop="auth", nc="00000002"', "nc", "00000002"),
        (MINIMAL + ", algorithm=MD5-sess,", "algorithm", "MD5-sess"),
        (MINIMAL + ', x-vendor="1", auts=",,"', "nonce", "n"),
        (MINIMAL.replace('"n"', '"a=b=="'), "nonce", "a=b=="),
    ],
)
def test_what_phones_send(value: str, name: str, expected: str) -> None:
    found = parse_digest(value)
    assert found is not None
    assert found[name] == expected


@pytest.mark.parametrize(
    "value", ["", " ", "Basic QWxhZGRpbg==", "Bearer x", "Digestive username=1", "=,=", '"Digest"']
)
def test_other_schemes_are_nothing(value: str) -> None:
    assert parse_digest(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "Digest",
        "Digest username",
        MINIMAL + ', realm="other"',
        MINIMAL[:-1],
        MINIMAL.replace(', response="x"', ""),
        MINIMAL + ', qop="a" b',
        MINIMAL + "\\",
        MINIMAL.replace('"u"', '"u\\"'),
        MINIMAL + ", ü=1",
    ],
)
def test_malformed(value: str) -> None:
    with pytest.raises(SipTextError):
        parse_digest(value)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["username", "realm", "nonce", "uri", "response", "opaque"]), st.text(max_size=30))
)
def test_what_was_quoted_is_found_as_on_the_wire(values: dict[str, str]) -> None:
    clean = {"username": "", "realm": "", "nonce": "", "uri": "", "response": ""}
    clean |= {name: text.replace("\r", "").replace("\n", "") for name, text in values.items()}
    header = "Digest " + ", ".join(f"{name}={quote(text)}" for name, text in clean.items())
    assert parse_digest(header) == {name: quote(text)[1:-1] for name, text in clean.items()}


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_text_does_harm(text: str) -> None:
    for value in (text, "Digest " + text):
        with contextlib.suppress(SipTextError):
            parse_digest(value)
    with contextlib.suppress(SipTextError):
        parse_uri(text)
    registration_expires(parse_contacts(text), text)


@pytest.mark.parametrize(
    "hostile", ["Digest " + 'a="' + "\\" * 8000, "Digest " + "a=1," * 2000, "Digest " + "," * 8000]
)
def test_hostile_lengths_take_no_time(hostile: str) -> None:
    started = time.perf_counter()
    with pytest.raises(SipTextError):
        parse_digest(hostile)
    parse_uri("sip:" + "a" * 4000 + "@h")
    for separator in ("; ", ", ", '"', "<", "\\", 'a"<'):
        parse_contacts(separator * 4000)
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:1001@acme.test", Uri("sip", "1001", "acme.test")),
        ("SIPS:1001@Acme.Test:5061;transport=tls", Uri("sips", "1001", "Acme.Test")),
        ('"Bob <x>" <sip:bob:secret@[2001:db8::1]:5060>;tag=1', Uri("sip", "bob", "[2001:db8::1]")),
        ("sip:acme.test", Uri("sip", "", "acme.test")),
        ("sip:%2A43@acme.test", Uri("sip", "%2A43", "acme.test")),
        ("sip:1002;phone-context=x@acme.test", Uri("sip", "1002;phone-context=x", "acme.test")),
        ("tel:+12025550100", Uri("tel", "+12025550100", "")),
        ("sip:anonymous@anonymous.invalid", Uri("sip", "anonymous", "anonymous.invalid")),
    ],
)
def test_uris(text: str, expected: Uri) -> None:
    assert parse_uri(text) == expected


@pytest.mark.parametrize(
    "text", ["", "1001", "http://x", "sip:", "sip:@", "<>", "sip:[::1", "sip: x@y", "sip:a@b@c", "sip:a@b c"]
)
def test_no_uris(text: str) -> None:
    with pytest.raises(SipTextError):
        parse_uri(text)


@pytest.mark.parametrize(
    ("contact", "header", "expected"),
    [
        ("<sip:a@h>;expires=60", "3600", 60),
        ("<sip:a@h>", "3600", 3600),
        ("<sip:a@h>", "", None),
        ("<sip:a@h>", "soon", None),
        ("*", "0", 0),
        ("<sip:a@h>;Expires = 5, <sip:b@h>;expires=9", "1", 9),
        ("<sip:a@h>;expires=9999999999", "", 2**32 - 1),
    ],
)
def test_expires(contact: str, header: str, expected: int | None) -> None:
    assert registration_expires(parse_contacts(contact), header) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<sip:a@h;expires=5>", [Binding("sip:a@h;expires=5", None)]),
        ('"a\\", <sip:x@y>;expires=1" < sip:a@h > ; q=0.5; expires="7"', [Binding("sip:a@h", 7)]),
        ("sip:a@h:5062;transport=tcp;expires=9", [Binding("sip:a@h:5062", 9)]),
        ("Bob <sip:a,b@h>,\r\n sip:c@h", [Binding("sip:a,b@h", None), Binding("sip:c@h", None)]),
        ("*", [Binding("*", None)]),
        ("", []),
        (" , ", []),
        ("<sip:a@h", [Binding("sip:a@h", None)]),
        ("<>", [Binding("", None)]),
    ],
)
def test_contacts(value: str, expected: list[Binding]) -> None:
    assert parse_contacts(value) == expected


def test_nothing_breaks_out_of_a_quoted_string() -> None:
    assert quote('a"b\\c') == '"a\\"b\\\\c"'
    with pytest.raises(SipTextError):
        quote("a\r\nX-Evil: 1")
