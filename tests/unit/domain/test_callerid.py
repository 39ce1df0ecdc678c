"""Who is shown as the caller."""

from __future__ import annotations

import pytest

from tandem.domain.callerid import (
    Caller,
    Diversion,
    Identity,
    clean,
    diversion_lines,
    identity,
    is_anonymous,
    peer_user,
    wants_privacy,
)


@pytest.mark.parametrize(
    ("privacy", "wanted"),
    [
        (None, False),
        ("", False),
        ("none", False),
        ("session", False),
        ("id", True),
        ("ID", True),
        ("header", True),
        ("user", True),
        ("critical; id", True),
        ("identity", False),
    ],
)
def test_privacy(privacy: str | None, wanted: bool) -> None:
    assert wants_privacy(privacy) is wanted


@pytest.mark.parametrize(
    ("uri", "privacy", "hidden"),
    [
        ("sip:+12025550100@peer.example", None, False),
        ("sip:+12025550100@peer.example", "id", True),
        ("sip:anonymous@anonymous.invalid", None, True),
        ("sip:Anonymous@peer.example", None, True),
        ("sip:1@anonymous.invalid", None, True),
    ],
)
def test_anonymous(uri: str, privacy: str | None, hidden: bool) -> None:
    assert is_anonymous(uri, privacy) is hidden


@pytest.mark.parametrize(
    ("asserted", "found"),
    [
        (None, Identity("from", "")),
        ("", Identity("from", "")),
        ("<sip:+12025550100@peer.example>", Identity("+12025550100", "")),
        ('"Ann \\"A\\" Lee" <sip:+12025550100@peer.example>', Identity("+12025550100", "Ann A Lee")),
        ("Ann Lee <sip:+12025550100@peer.example>;x=1", Identity("+12025550100", "Ann Lee")),
        ("sip:+12025550100@peer.example", Identity("+12025550100", "")),
        ("tel:+12025550100, <sip:other@peer.example>", Identity("+12025550100", "")),
        ("<sip:peer.example>", Identity("from", "")),
    ],
)
def test_asserted_identity_before_from(asserted: str | None, found: Identity) -> None:
    assert identity("sip:from@peer.example", asserted) == found


def test_a_name_cannot_break_out_of_its_quotes() -> None:
    assert clean('A"\r\nVia: x\\<sip:y>\x00') == "AVia: xsip:y"
    assert len(clean("x" * 1000)) == 64


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("+442071838750", "+442071838750"),
        ("2025550100", "+12025550100"),
        ("201", "201"),
        ("anna", "anna"),
        ("", "unknown"),
        ('"', "unknown"),
    ],
)
def test_how_a_peer_s_caller_is_shown(user: str, shown: str) -> None:
    assert peer_user(user, "US") == shown


def test_a_caller_is_shown_or_hidden() -> None:
    shown = Caller("a b?c", "Ann", "acme.example")
    assert (shown.shown_name, shown.shown_uri) == ("Ann", "sip:a%20b%3Fc@acme.example")
    hidden = Caller("1001", "Ann", "acme.example", anonymous=True)
    assert (hidden.shown_name, hidden.shown_uri) == ("Anonymous", "sip:anonymous@anonymous.invalid")


def test_the_latest_diversion_comes_first() -> None:
    assert diversion_lines((), "acme.example") == ""
    lines = diversion_lines((Diversion("1001", "unconditional"), Diversion("1002", "user-busy")), "acme.example")
    assert lines == (
        "Diversion: <sip:1002@acme.example>;reason=user-busy\r\n"
        "Diversion: <sip:1001@acme.example>;reason=unconditional\r\n"
    )
