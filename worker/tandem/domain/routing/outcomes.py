"""What follows when what was rung did not take the call (spec 10: the edge has no fallback logic)."""

from __future__ import annotations

from typing import Final

from tandem.domain.numbers import normalise, parse_uri
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import (
    BUSY,
    CANCELLED,
    CARRIER_FAILED,
    DECLINED,
    NO_ENGINE,
    UNAVAILABLE,
    Decision,
    Onward,
    Reject,
)
from tandem.domain.routing.groups import found_group, leave, next_member
from tandem.domain.routing.model import User
from tandem.domain.routing.plan import Plan
from tandem.domain.routing.targets import resolve
from tandem.domain.routing.users import (
    DEFLECTION,
    NO_ANSWER,
    UNREACHABLE,
    USER_BUSY,
    when_busy,
    when_unanswered,
)
from tandem.domain.target import GROUP_KINDS, MEDIA_KINDS, Target

# What the caller gets when nothing else is left. Words that are not known count as a failure.
FINAL: Final = {
    "no_answer": UNAVAILABLE,
    "unreachable": UNAVAILABLE,
    "busy": BUSY,
    "declined": DECLINED,
    "redirected": BUSY,
    "carrier_failed": CARRIER_FAILED,
    "cancelled": CANCELLED,
}


def final(outcome: str) -> Reject:
    return FINAL.get(outcome.partition(":")[0], CARRIER_FAILED)


def after(context: Context, plan: Plan, outcome: str) -> Decision:
    """The next decision of a call whose last directive came to nothing. What rang is released."""
    context.note("outcome", outcome=outcome)
    if is_over(outcome):
        return final(outcome)
    context.stop_ringing()
    return instead(context, plan, outcome)


def is_over(outcome: str) -> bool:
    """Whether nothing follows this outcome, whatever was rung."""
    word = outcome.partition(":")[0]
    return word not in FINAL or word in ("cancelled", "carrier_failed")


def instead(context: Context, plan: Plan, outcome: str) -> Decision:
    """What the plan tries next."""
    word, _, detail = outcome.partition(":")
    step = _next(context, plan, word, detail, final(outcome))
    if not isinstance(step, Onward):
        return step
    return resolve(context, step.plan, step.target)


def _next(context: Context, plan: Plan, word: str, detail: str, last: Reject) -> Decision | Onward:
    frame = plan.frame
    if frame is None:
        return last
    if frame.kind in GROUP_KINDS:
        group = found_group(context, frame.kind, frame.dest_id)
        if group is None:
            return last
        return next_member(context, plan, frame, group) if frame.rest else leave(context, plan, group, last)
    if frame.kind in MEDIA_KINDS:
        return NO_ENGINE if word == "unreachable" else last
    user = context.directory.user(frame.dest_id) if frame.kind == "user" else None
    if user is None:
        return last
    match word:
        case "redirected":
            return _redirected(context, plan, user, detail)
        case "busy" | "declined":
            return when_busy(context, plan, user, USER_BUSY, last)
        case _:
            return when_unanswered(context, plan, user, NO_ANSWER if word == "no_answer" else UNREACHABLE)


def _redirected(context: Context, plan: Plan, user: User, uri: str) -> Onward | Reject:
    """A 3xx: a forward that the callee pays for, if it names something of the account, or a number and he may."""
    target = _deflected(context, user, uri)
    if target is None:
        context.note("redirect", to=uri, result="not allowed")
        return when_busy(context, plan, user, USER_BUSY)
    context.note("redirect", to=target)
    return Onward(plan.diverted(user, DEFLECTION), target)


def _deflected(context: Context, user: User, uri: str) -> Target | None:
    address = parse_uri(uri)
    if address.domain and context.directory.canonical_domain(address.domain) is None:
        return None
    extension = context.directory.extension(address.user) if address.user else None
    if extension is not None:
        return Target("extension", extension.extension_id)
    number = normalise(address.user, context.account.country)
    if number is None or not (user.allows_outside or context.directory.did(number) is not None):
        return None
    return Target("number", number)
