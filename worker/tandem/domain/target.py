"""A route target (spec 00): the kind of thing that a call goes to next, which one, and the variables set on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# What the media engine answers as.
MEDIA_KINDS: Final = frozenset({"flow", "queue", "voicemail", "conference"})
Vars = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """`dest_kind` is `flow user extension ring_group queue voicemail conference forward hangup`, or a kind that only
    routing itself makes: `device` (one device, by id) and `number` (E.164 digits)."""

    dest_kind: str
    dest_id: str = ""
    xform: Vars = ()
