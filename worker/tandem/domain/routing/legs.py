"""A leg that the media engine places for a call (spec 20, "Execution"): whom it rings, and what follows.

All targets ring at once, as one fork; each has a plan of its own for what it tries next. What would need the media
engine itself counts as not reachable: the caller is in the engine already, and the flow says what comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tandem.domain.calls import Disposition
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import UNAVAILABLE, Branch, Decision, Reject, Ring
from tandem.domain.routing.dialled import reach
from tandem.domain.routing.outcomes import final, instead, is_over
from tandem.domain.routing.plan import Plan
from tandem.domain.routing.targets import resolve
from tandem.domain.target import Target

LONGEST_RING_SEC: Final = 600


@dataclass(frozen=True, slots=True)
class Fork:
    """`ring` is all that rings now; `plans` are of the targets for which it does."""

    plans: tuple[Plan, ...]
    ring: Ring


def ring_targets(context: Context, plan: Plan, targets: Sequence[Target], timeout_sec: int | None) -> Fork | Reject:
    """The first decision of a leg; `timeout_sec` ends every branch, None: each target rings for its own time. A target
    of kind `number` is what is dialled."""
    context.engine_answers = False
    decisions = [_first(context, plan, target) for target in targets]
    if timeout_sec is None:
        return _fork(decisions, LONGEST_RING_SEC)
    return _fork([_throughout(context, one, timeout_sec) for one in decisions], timeout_sec)


def after_fork(context: Context, plans: Sequence[Plan], outcome: str, timeout_sec: int) -> Fork | Reject:
    """The next decision of a leg whose last fork came to nothing, with `timeout_sec` left for it. When nothing more
    rings, the refusal tells what became of those who did."""
    context.engine_answers = False
    context.note("outcome", outcome=outcome)
    if is_over(outcome) or timeout_sec <= 0:
        return final(outcome)
    context.stop_ringing()
    if len(plans) > 1 and outcome.startswith("redirected:"):
        outcome = "busy"  # nobody can say whose phone it was
    found = _fork([instead(context, plan, outcome) for plan in plans], timeout_sec)
    return found if isinstance(found, Fork) else final(outcome)


def _first(context: Context, plan: Plan, target: Target) -> Decision:
    if target.dest_kind == "number":
        return reach(context, plan, target.dest_id)
    return resolve(context, plan, target)


def _throughout(context: Context, decision: Decision, timeout_sec: int) -> Decision:
    """Who is rung at once rings for as long as the leg, not for his own time, unless his forward waits for its turn."""
    if not isinstance(decision, Ring) or decision.serial:
        return decision
    frame = decision.plan.frame
    user = context.directory.user(frame.dest_id) if frame is not None and frame.kind == "user" else None
    if user is None or user.fwd_noanswer is not None:
        return decision
    return replace(decision, branches=tuple(replace(one, timeout_sec=timeout_sec) for one in decision.branches))


def _fork(decisions: Sequence[Decision], timeout_sec: int) -> Fork | Reject:
    rings = [one for one in decisions if isinstance(one, Ring)]
    branches: dict[tuple[str, str], Branch] = {}
    for branch in (branch for one in rings for branch in one.branches if branch.delay_sec < timeout_sec):
        shorter = replace(branch, timeout_sec=min(branch.timeout_sec, timeout_sec - branch.delay_sec))
        branches.setdefault((branch.device.device_id, branch.device.node_id), shorter)
    if not branches:
        return _best([one for one in decisions if isinstance(one, Reject)])
    users = tuple(dict.fromkeys(user for one in rings for user in one.users))
    plans = tuple(one.plan for one in rings)
    return Fork(plans, Ring(plans[0], tuple(branches.values()), users, len(rings) == 1 and rings[0].serial))


def _best(refusals: Sequence[Reject]) -> Reject:
    """Of several, that somebody is busy; else the first."""
    busy = next((one for one in refusals if one.disposition is Disposition.BUSY), None)
    return busy or next(iter(refusals), UNAVAILABLE)
