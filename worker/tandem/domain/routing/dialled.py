"""A call from inside the account: by a user's phone, or through the account's own PBX."""

from __future__ import annotations

from tandem.domain.callerid import Caller
from tandem.domain.calls import Direction
from tandem.domain.numbers import Dialled, emergency, normalise, parse_uri
from tandem.domain.routing.admission import take_call, take_emergency
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import FORBIDDEN, NO_TRUNK, NOT_FOUND, Decision, Onward, Reject
from tandem.domain.routing.model import Trunk, User
from tandem.domain.routing.plan import Plan
from tandem.domain.routing.targets import dial_own, follow_extension, resolve
from tandem.domain.target import Target

_DEVICE = "dev_"


def dial(context: Context, caller: Caller, user: User | None, ruri: str, trunk: Trunk | None = None) -> Decision:
    """The first decision of a call that somebody of the account makes. May take rows of `holdings` and then reject:
    whoever ends the call releases them."""
    context.trunk_id = None if trunk is None else trunk.trunk_id
    address, account = parse_uri(ruri), context.account
    # Before anything that could refuse it, and whatever host the phone wrote (docs/decisions/0022-emergency-calls.md).
    if emergency(address.user, account.country, account.emergency_numbers):
        context.note("emergency", number=address.user)
        context.direction = Direction.OUTBOUND
        take_emergency(context, user)
        return NO_TRUNK
    if user is not None and not user.active:
        context.note("caller", user=user.username, result="disabled")
        return FORBIDDEN
    if address.domain and trunk is None and context.directory.canonical_domain(address.domain) is None:
        context.note("domain", domain=address.domain, result="not of this account")
        return NOT_FOUND
    plan = Plan(caller)
    found, number = _destination(context, plan, address)
    if isinstance(found, Reject):
        return found
    refusal = take_call(context, number, user, None, trunk)
    if refusal is not None:
        return refusal
    return resolve(context, found.plan, found.target)


def reach(context: Context, plan: Plan, number: str) -> Decision:
    """Where a leg of the call goes that a flow dials: as a phone of the account would, but the call is admitted."""
    address = parse_uri(number)
    if address.domain and context.directory.canonical_domain(address.domain) is None:
        context.note("domain", domain=address.domain, result="not of this account")
        return NOT_FOUND
    found, _ = _destination(context, plan, address)
    return found if isinstance(found, Reject) else resolve(context, found.plan, found.target)


def _destination(context: Context, plan: Plan, address: Dialled) -> tuple[Onward | Reject, str]:
    """An extension, one device by its id, or a number, in this order; and the number, where it is one."""
    extension = context.directory.extension(address.user) if address.user else None
    if extension is not None:
        return follow_extension(context, plan, extension), ""
    if address.user.startswith(_DEVICE) and context.directory.device_owner(address.user) is not None:
        context.note("device", id=address.user)
        return Onward(plan, Target("device", address.user)), ""
    number = normalise(address.user, context.account.country)
    if number is not None:
        own = context.directory.did(number)
        if own is not None:
            return dial_own(context, plan, own), number
        context.direction = Direction.OUTBOUND
        return Onward(plan, Target("number", number)), number
    context.note("dialled", to=address.user, result="no extension, device or number")
    return NOT_FOUND, ""
