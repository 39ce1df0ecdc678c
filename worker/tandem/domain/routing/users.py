"""Ringing a user (spec 10): forwards, do-not-disturb, the ring strategies, and what follows when that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tandem.domain.cac import Dimension, Leg, Want
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import BUSY, UNAVAILABLE, Branch, Onward, Reject, Ring
from tandem.domain.routing.model import Device, User
from tandem.domain.routing.plan import Frame, Plan
from tandem.domain.target import Target

Step = Ring | Reject | Onward

# Why a call is sent on, in RFC 5806's words.
ALWAYS: Final = "unconditional"
DND: Final = "do-not-disturb"
USER_BUSY: Final = "user-busy"
NO_ANSWER: Final = "no-answer"
UNREACHABLE: Final = "unavailable"
DEFLECTION: Final = "deflection"
TIME_OF_DAY: Final = "time-of-day"


def ring_user(context: Context, plan: Plan, user_id: str) -> Step:
    user = context.directory.user(user_id)
    if user is None or not user.active:
        context.note("user", id=user_id, result="disabled" if user else "gone")
        return UNAVAILABLE
    if user.fwd_always is not None:
        context.note("forward_always", user=user.username, to=user.fwd_always)
        return Onward(plan.diverted(user, ALWAYS), user.fwd_always)
    if user.dnd:
        return when_busy(context, plan, user, DND)
    devices = wanted(user, context.at_hand(context.directory.reachable_devices(user_id, context.now)))
    if not devices:
        return when_unanswered(context, plan, user, UNREACHABLE)
    if context.take([seat(user)]) is not None:
        context.note("limit", dimension=Dimension.USER_SIMULTANEOUS, user=user.username, max=user.max_simultaneous)
        return when_busy(context, plan, user, USER_BUSY)
    serial = user.ring_strategy == "sequential" and len(devices) > 1
    context.note(
        "ring_user", user=user.username, strategy=user.ring_strategy, devices=[one.device_id for one in devices]
    )
    branches = tuple(Branch(device, user.ring_timeout_sec) for device in devices)
    return Ring(plan.ringing(Frame("user", user_id)), branches, (user_id,), serial)


def ring_device(context: Context, plan: Plan, device_id: str) -> Step:
    """One device, dialled by its id: its user's state counts, his forwards do not apply."""
    user = context.directory.device_owner(device_id)
    if user is None or not user.active:
        context.note("device", id=device_id, result="gone")
        return UNAVAILABLE
    if user.dnd:
        context.note("do_not_disturb", user=user.username)
        return BUSY
    devices = context.at_hand(context.directory.reachable_device(device_id, context.now))
    if not devices:
        context.note("device", id=device_id, result="not reachable")
        return UNAVAILABLE
    if context.take([seat(user)]) is not None:
        context.note("limit", dimension=Dimension.USER_SIMULTANEOUS, user=user.username, max=user.max_simultaneous)
        return BUSY
    context.note("ring_device", id=device_id)
    branches = tuple(Branch(device, user.ring_timeout_sec) for device in devices)
    return Ring(plan.ringing(Frame("device", device_id)), branches, (user.user_id,))


def when_busy(context: Context, plan: Plan, user: User, reason: str, last: Reject = BUSY) -> Onward | Reject:
    """Busy, declined or do-not-disturb: fwd_busy, else voicemail, else `last`."""
    return _instead(context, plan, user, user.fwd_busy, "forward_busy", reason, last)


def when_unanswered(context: Context, plan: Plan, user: User, reason: str) -> Onward | Reject:
    """No answer, or nobody reachable: fwd_noanswer, else voicemail, else 480."""
    return _instead(context, plan, user, user.fwd_noanswer, "forward_noanswer", reason, UNAVAILABLE)


def _instead(
    context: Context, plan: Plan, user: User, forward: Target | None, rule: str, reason: str, last: Reject
) -> Onward | Reject:
    if forward is not None:
        context.note(rule, user=user.username, because=reason, to=forward)
        return Onward(plan.diverted(user, reason), forward)
    if user.voicemail_id is not None and context.engine_answers:
        context.note("voicemail", user=user.username, because=reason)
        return Onward(plan.diverted(user, reason), Target("voicemail", user.voicemail_id))
    context.note("no_fallback", user=user.username, because=reason)
    return last


def wanted(user: User, devices: Sequence[Device]) -> list[Device]:
    """Those of a user's reachable devices that his strategy rings."""
    if user.ring_strategy == "specific":
        return [device for device in devices if device.ring_specific]
    return list(devices)


def seat(user: User) -> Want:
    """What a user who rings takes."""
    return Want(Leg.CALLEE, Dimension.USER_SIMULTANEOUS, user.user_id, user.max_simultaneous)
