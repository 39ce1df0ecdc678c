"""Following route targets until something rings, answers or refuses (spec 10, "POST /route")."""

from __future__ import annotations

from dataclasses import replace

from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import (
    LOOP,
    NOT_FOUND,
    UNAVAILABLE,
    Decision,
    Media,
    Onward,
    Reject,
    hangup,
    needs_media,
    sent_on,
)
from tandem.domain.routing.groups import ring_group
from tandem.domain.routing.model import Attached, Did, Extension, Forward
from tandem.domain.routing.opening import opened
from tandem.domain.routing.outbound import dial_outside
from tandem.domain.routing.plan import Frame, Plan
from tandem.domain.routing.users import ALWAYS, TIME_OF_DAY, ring_device, ring_user
from tandem.domain.target import Target


def resolve(context: Context, plan: Plan, target: Target) -> Decision:
    """Follows `target`, and what it leads to, to a decision. Each time that a call is sent on is a hop; after 8 of
    them it is in a loop, so this ends."""
    while not plan.in_loop:
        plan = plan.towards(target)
        step = _step(context, plan, target)
        if not isinstance(step, Onward):
            return step
        plan, target = step.plan, step.target
    context.note("loop", hops=plan.hops)
    return LOOP


def _step(context: Context, plan: Plan, target: Target) -> Decision | Onward:
    match target.dest_kind:
        case "user":
            return ring_user(context, plan, target.dest_id)
        case "device":
            return ring_device(context, plan, target.dest_id)
        case "extension":
            found = context.directory.extension_by_id(target.dest_id)
            if found is None:
                context.note("extension", id=target.dest_id, result="gone")
                return UNAVAILABLE
            return follow_extension(context, plan, found)
        case "ring_group" | "members":
            return ring_group(context, plan, target)
        case "forward":
            return _forward(context, plan, target.dest_id)
        case "number":
            return dial_number(context, plan, target.dest_id)
        case "hangup":
            context.note("hangup", code=target.dest_id or None)
            return hangup(target.dest_id)
        case kind:
            if not context.engine_answers:
                context.note("media", kind=kind, result="not for a leg of the media engine")
                return UNAVAILABLE
            if context.account.media_engine == "none":
                context.note("media", kind=kind, result="no media engine")
                return needs_media(kind)
            context.note("media", kind=kind, id=target.dest_id)
            return Media(plan.ringing(Frame(kind, target.dest_id)), target)


def follow_extension(context: Context, plan: Plan, extension: Extension) -> Onward | Reject:
    """Where an extension leads at this hour."""
    context.note("extension", digits=extension.digits, to=extension.attached.target)
    onward = follow(context, plan, extension.attached, extension.digits)
    if isinstance(onward, Onward) and onward.target.dest_kind == "extension":
        return Onward(onward.plan.hopped(), onward.target)
    return onward


def follow(context: Context, plan: Plan, attached: Attached, by: str) -> Onward | Reject:
    """Where something with opening hours leads now; nowhere is 404. `by` is what callers dial to get there."""
    where = opened(context, attached)
    if where is None:
        return NOT_FOUND
    if isinstance(where, Reject):
        return where
    return sent_on(plan, where, by, ALWAYS if where is attached.target else TIME_OF_DAY)


def dial_number(context: Context, plan: Plan, e164: str, forward: Forward | None = None) -> Onward | Reject:
    """A number that a call goes on to: one of the account's own is a call within, any other needs a trunk."""
    own = context.directory.did(e164)
    return dial_outside(context, plan.caller, e164, forward) if own is None else dial_own(context, plan, own)


def dial_own(context: Context, plan: Plan, own: Did) -> Onward | Reject:
    context.note("own_number", number=own.e164, status=own.status)
    if own.status != "active":
        return NOT_FOUND
    if own.attached.target is None and context.account.did_default is not None:
        own = replace(own, attached=replace(own.attached, target=context.account.did_default))
    return follow(context, plan.hopped(), own.attached, f"+{own.e164}")


def _forward(context: Context, plan: Plan, forward_id: str) -> Onward | Reject:
    found = context.directory.forward(forward_id)
    if found is None:
        context.note("forward", id=forward_id, result="gone")
        return UNAVAILABLE
    context.note("forward", number=found.e164)
    return dial_number(context, plan, found.e164, found)
