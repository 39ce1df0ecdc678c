"""What a call itself takes, by who calls and through what (spec 10, "What a call counts"), and its refusal."""

from __future__ import annotations

from tandem.domain.cac import Dimension, Leg, Refusal, Want, Window, reason_header, sip_code
from tandem.domain.calls import Direction, Disposition
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import Reject
from tandem.domain.routing.model import Did, Trunk, User

_LIMITED_AS = {Direction.INBOUND: "in", Direction.OUTBOUND: "out", Direction.INTERNAL: "any"}


def take_call(
    context: Context, number: str, user: User | None = None, did: Did | None = None, trunk: Trunk | None = None
) -> Reject | None:
    """Takes what the call counts, all or nothing; the refusal when there is no room. `number` is what was called, as
    E.164 digits, and empty for what is no number of the outside world."""
    windows = _windows(context, _LIMITED_AS[context.direction], number, user, did)
    return _taken(context, _wants(context, user, did, trunk), windows)


def take_onward(context: Context, number: str) -> Reject | None:
    """What a call takes besides when it is sent on to a number outside; it is given back with that attempt."""
    account = context.account
    want = Want(Leg.CALLEE, Dimension.ACCOUNT_OUT, account.account_id, account.max_out)
    return _taken(context, [want], _windows(context, _LIMITED_AS[Direction.OUTBOUND], number, None, None))


def _taken(context: Context, wants: list[Want], windows: list[Window]) -> Reject | None:
    refusal = context.take(wants, windows)
    if refusal is None:
        return None
    context.note("limit", dimension=refusal.dimension, subject=refusal.subject, used=refusal.used, max=refusal.limit)
    return refused(refusal)


def take_emergency(context: Context, user: User | None) -> None:
    """An emergency call counts too, but nothing stops it."""
    context.take_anyway(_wants(context, user, None, None))


def refused(refusal: Refusal) -> Reject:
    what = f"{str(refusal.dimension).replace('_', ' ').capitalize()} Limit Of {refusal.limit} Reached"
    return Reject(
        sip_code(refusal.dimension),
        what,
        Disposition.REJECTED,
        refusal.dimension,
        refusal.retry_after_sec,
        reason_header(refusal.dimension),
    )


def _wants(context: Context, user: User | None, did: Did | None, trunk: Trunk | None) -> list[Want]:
    account, wants = context.account, []
    if context.direction is Direction.INBOUND:
        wants.append(Want(Leg.CALLER, Dimension.ACCOUNT_IN, account.account_id, account.max_in))
    elif context.direction is Direction.OUTBOUND:
        wants.append(Want(Leg.CALLER, Dimension.ACCOUNT_OUT, account.account_id, account.max_out))
    if user is not None:
        wants.append(Want(Leg.CALLER, Dimension.USER_SIMULTANEOUS, user.user_id, user.max_simultaneous))
    if did is not None:
        wants.append(Want(Leg.CALLER, Dimension.DID_CHANNELS, did.did_id, did.max_channels))
    if trunk is not None and trunk.owned:
        wants.append(Want(Leg.CALLER, Dimension.TRUNK_CHANNELS, trunk.trunk_id, trunk.max_channels))
    return wants


def _windows(context: Context, limited_as: str, number: str, user: User | None, did: Did | None) -> list[Window]:
    if not context.directory.has_limits():
        return []
    found = context.directory.limits(
        limited_as,
        None if user is None else user.user_id,
        None if did is None else did.did_id,
        number,
    )
    return [Window(one.limit_id, one.subject, one.period_sec, one.max_count, one.hard) for one in found]
