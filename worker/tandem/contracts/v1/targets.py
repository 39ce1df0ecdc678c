"""Route targets: where a call can go next, and the fields of objects that open and close."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tandem.contracts.ids import is_ulid
from tandem.contracts.v1.base import Fields
from tandem.contracts.v1.fields import DestId, DestKind, ScheduleRef, Xform

# The prefix of the ids of each kind of target.
PREFIXES: Final = {
    "flow": "flow",
    "user": "us",
    "extension": "ext",
    "ring_group": "rg",
    "queue": "q",
    "voicemail": "vm",
    "conference": "conf",
    "forward": "fwd",
}
LOWEST_CODE: Final = 400
HIGHEST_CODE: Final = 699


class Hours(Fields):
    """A target with opening hours: outside of them the call goes to closed_dest or holiday_dest."""

    dest_xform: Xform | None = None
    schedule_id: ScheduleRef | None = Field(None, description="Opening hours; null: always open.")
    closed_dest_kind: DestKind | None = Field(None, description="What the call is sent to when closed.")
    closed_dest_id: DestId | None = None
    closed_dest_xform: Xform | None = None
    holiday_dest_kind: DestKind | None = Field(
        None, description="What the call is sent to on the schedule's special dates; default: as when closed."
    )
    holiday_dest_id: DestId | None = None
    holiday_dest_xform: Xform | None = None


def whole_targets(fields: Fields, *names: str) -> None:
    """Checks that each target has kind and id, or neither, and that the id is one of that kind. Raises `ValueError`
    whose message starts with the wrong field and a colon."""
    for name in names:
        kind, dest = getattr(fields, f"{name}_kind"), getattr(fields, f"{name}_id")
        if kind is None:
            if dest is not None:
                raise ValueError(f"{name}_kind: is missing, since {name}_id is given")
        elif kind == "hangup":
            if dest not in (None, "") and not _is_code(dest):
                raise ValueError(f"{name}_id: must be a SIP code from 400 to 699, or empty, for hangup")
        elif dest is None:
            raise ValueError(f"{name}_id: is missing, since {name}_kind is given")
        elif not (dest.startswith(f"{PREFIXES[kind]}_") and is_ulid(dest.removeprefix(f"{PREFIXES[kind]}_"))):
            raise ValueError(f"{name}_id: must be the id of a {kind} ({PREFIXES[kind]}_…)")


def _is_code(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) == 3 and LOWEST_CODE <= int(text) <= HIGHEST_CODE
