"""What PRESENCE objects say to each other about ceilings: an account's to each of its limited ancestors', and back.

`version` orders what is said of one call: what is older than the newest message about it changes nothing. Dimensions
are those of `tandem.domain.cac`.
"""

from __future__ import annotations

from tandem.contracts.base import BrainMessage


class AdmitChild(BrainMessage):
    """One unit of each dimension for a call of `child_id`, all or nothing; repeating it changes nothing."""

    child_id: str
    call_id: str
    version: int
    dimensions: list[str]


class ChildVerdict(BrainMessage):
    """`dimension`, `used` and `limit` say what was in the way; they are absent when the question came too late."""

    granted: bool
    dimension: str | None = None
    used: int | None = None
    limit: int | None = None


class ChildChange(BrainMessage):
    """`take`: the call came back and counts, whatever the limit says. Otherwise it is over and gives back its unit."""

    call_id: str
    dimension: str
    version: int
    take: bool


class ChildChanges(BrainMessage):
    child_id: str
    changes: list[ChildChange]


class ChildCallName(BrainMessage):
    call_id: str
    dimension: str


class ChildrenQuery(BrainMessage):
    """The ancestor asks: which of these calls, whose leases ran out, still count?"""

    ancestor_id: str
    calls: list[ChildCallName]


class ChildrenHeld(BrainMessage):
    held: list[ChildCallName]
