"""Which devices can be reached, and where: derived from registrations (spec 10, "POST /presence/event")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class ContactChange(StrEnum):
    ADDED = "added"
    REFRESHED = "refreshed"
    EXPIRED = "expired"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of a device as one node holds it. `updated_at` orders reports; both times in epoch ms.

    A contact that is gone has `expires_at` 0 and the time of its removal: it is remembered for a while, so that an
    older report that arrives later does not bring it back.
    """

    device_id: str
    node_id: str
    contact: str
    expires_at: int
    updated_at: int
    transport: str = "udp"
    user_agent: str | None = None


def apply(known: Contact | None, change: ContactChange, reported: Contact, now: int) -> Contact:
    """The contact after a report. A report older than what is known changes nothing."""
    if known is not None and reported.updated_at < known.updated_at:
        return known
    if change in (ContactChange.EXPIRED, ContactChange.REMOVED) or reported.expires_at <= now:
        return replace(reported, expires_at=0)
    return reported
