"""Where an attached schedule sends a call (spec 10, "Business hours")."""

from __future__ import annotations

from tandem.domain.hours import Hours, evaluate
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import CLOSED, Reject
from tandem.domain.routing.model import Attached
from tandem.domain.target import Target


def opened(context: Context, attached: Attached) -> Target | Reject | None:
    """The target of the hour: the open one (None when there is none), the closed one, the holiday's.

    A holiday without a target of its own is as closed; closed without a target is a refusal. A schedule that is gone
    closes nothing.
    """
    schedule = None if attached.schedule_id is None else context.directory.schedule(attached.schedule_id)
    if schedule is None:
        return attached.target
    state = evaluate(schedule, context.account.timezone, context.at)
    context.note("hours", schedule=schedule.schedule_id, result=str(state))
    if state is Hours.OPEN:
        return attached.target
    if state is Hours.HOLIDAY and attached.holiday is not None:
        return attached.holiday
    return attached.closed or CLOSED
