"""What a registration report makes of a contact."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.domain.reachability import Contact, ContactChange, apply

NOW = 1_000_000
KNOWN = Contact("dev_1", "node_1", "sip:1001@192.0.2.7", NOW + 60_000, NOW - 1_000)
LATER = replace(KNOWN, updated_at=NOW, expires_at=NOW + 90_000)
EARLIER = replace(KNOWN, updated_at=NOW - 2_000)
GONE = replace(LATER, expires_at=0)


@pytest.mark.parametrize(
    ("known", "change", "reported", "result"),
    [
        (None, ContactChange.ADDED, LATER, LATER),
        (KNOWN, ContactChange.REFRESHED, LATER, LATER),
        (KNOWN, ContactChange.EXPIRED, LATER, GONE),
        (KNOWN, ContactChange.REMOVED, LATER, GONE),
        (None, ContactChange.REMOVED, LATER, GONE),
        (KNOWN, ContactChange.REMOVED, EARLIER, KNOWN),
        (KNOWN, ContactChange.REFRESHED, EARLIER, KNOWN),
        (GONE, ContactChange.ADDED, EARLIER, GONE),
        (replace(GONE, updated_at=KNOWN.updated_at - 1), ContactChange.ADDED, KNOWN, KNOWN),
        (KNOWN, ContactChange.REFRESHED, KNOWN, KNOWN),
        (KNOWN, ContactChange.ADDED, replace(LATER, expires_at=NOW), GONE),
        (None, ContactChange.ADDED, replace(LATER, expires_at=NOW - 1), GONE),
    ],
)
def test_apply(known: Contact | None, change: ContactChange, reported: Contact, result: Contact) -> None:
    assert apply(known, change, reported, NOW) == result
