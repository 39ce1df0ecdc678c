"""A call to a number of the outside world: what it takes, and whom it shows. No trunk takes it yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tandem.domain.callerid import UNKNOWN, Caller, shown_number
from tandem.domain.calls import Direction
from tandem.domain.routing.admission import take_onward
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import NO_TRUNK, Reject
from tandem.domain.routing.model import Forward

OWN: Final = "own"


def dial_outside(context: Context, caller: Caller, e164: str, forward: Forward | None = None) -> Reject:
    """A call that was dialled as outbound has taken its room; one that is sent on to the outside takes it here."""
    shown = shown_outside(context, caller, forward)
    context.note(
        "outbound",
        number=e164,
        caller_id=shown.user,
        hidden=shown.anonymous or None,
        timeout_sec=None if forward is None else forward.timeout_sec,
        result="no outbound trunk",
    )
    if context.direction is not Direction.OUTBOUND:
        refusal = take_onward(context, e164)
        if refusal is not None:
            return refusal
    if context.direction is Direction.INTERNAL:
        context.direction = Direction.OUTBOUND
    return NO_TRUNK


def shown_outside(context: Context, caller: Caller, forward: Forward | None, trunk_number: str | None = None) -> Caller:
    """Whom the called party sees (spec 10, "Caller-ID"): the caller's own number, the account's default, the trunk's;
    whichever first the account owns or has verified, or nobody's.

    A call that a trunk brought, and that is sent on, keeps the number it came with. Where the forward says `own`, the
    caller's number is left out in both cases. Who hides stays hidden.
    """
    came_by_trunk = context.direction is Direction.INBOUND and context.trunk_id is not None
    own = forward is not None and forward.cid_mode == OWN
    if came_by_trunk and not own:
        return caller
    number, name = (None, None) if own or context.direction is Direction.INBOUND else _caller_s(context, caller)
    owned = shown_number((number, context.account.default_cid_number, trunk_number), context.directory.owns_number)
    display = name if owned is not None and owned == number else None
    return replace(caller, user=UNKNOWN if owned is None else f"+{owned}", display=display or "")


def _caller_s(context: Context, caller: Caller) -> tuple[str | None, str | None]:
    """The caller's own number and name: a user's, or what his PBX says of him."""
    user = None if caller.user_id is None else context.directory.user(caller.user_id)
    return (caller.user.removeprefix("+"), None) if user is None else (user.out_cid_number, user.out_cid_name)
