"""Where a call goes (spec 10, "POST /route"): who calls whom, is there room, what rings, and what follows."""

from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import Branch, Decision, Media, Reject, Ring, needs_media
from tandem.domain.routing.dialled import dial
from tandem.domain.routing.groups import media_exit
from tandem.domain.routing.inbound import Arrival, Peer, arrive, recognise
from tandem.domain.routing.legs import Fork, after_fork, ring_targets
from tandem.domain.routing.model import (
    Attached,
    Device,
    Did,
    Extension,
    Forward,
    Limit,
    Member,
    RingGroup,
    Trunk,
    User,
)
from tandem.domain.routing.outcomes import after, final
from tandem.domain.routing.plan import Frame, Plan
from tandem.domain.target import Target

__all__ = [
    "Arrival",
    "Attached",
    "Branch",
    "Context",
    "Decision",
    "Device",
    "Did",
    "Extension",
    "Fork",
    "Forward",
    "Frame",
    "Limit",
    "Media",
    "Member",
    "Peer",
    "Plan",
    "Reject",
    "Ring",
    "RingGroup",
    "Target",
    "Trunk",
    "User",
    "after",
    "after_fork",
    "arrive",
    "dial",
    "final",
    "media_exit",
    "needs_media",
    "recognise",
    "ring_targets",
]
