"""A route target (spec 00): the kind of thing that a call goes to next, which one, and the variables set on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# What the media engine answers as.
MEDIA_KINDS: Final = frozenset({"flow", "queue", "voicemail", "conference"})
# A ring group with its exit, and without.
GROUP_KINDS: Final = frozenset({"ring_group", "members"})
Vars = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """`dest_kind` is `flow user extension ring_group queue voicemail conference forward hangup`, or a kind that only
    routing itself makes: `device` (one device, by id), `number` (E.164 digits) and `members` (a ring group by id, for a
    flow that says itself what follows when none of them takes the call)."""

    dest_kind: str
    dest_id: str = ""
    xform: Vars = ()
