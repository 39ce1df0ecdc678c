"""A call to a number of the outside world: what it takes. No trunk takes it yet."""

from __future__ import annotations

from tandem.domain.calls import Direction
from tandem.domain.routing.admission import take_onward
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import NO_TRUNK, Reject


def dial_outside(context: Context, e164: str) -> Reject:
    """A call that was dialled as outbound has taken its room; one that is sent on to the outside takes it here."""
    context.note("outbound", number=e164, result="no outbound trunk")
    if context.direction is not Direction.OUTBOUND:
        refusal = take_onward(context, e164)
        if refusal is not None:
            return refusal
    if context.direction is Direction.INTERNAL:
        context.direction = Direction.OUTBOUND
    return NO_TRUNK
