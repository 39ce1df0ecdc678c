"""Ring groups (spec 10): all at once with delays, one after the other, or in turns.

A sequence rings one member per directive: the next question moves on, so only the member who rings holds a seat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import BUSY, UNAVAILABLE, Branch, Onward, Reject, Ring, sent_on
from tandem.domain.routing.model import Device, Member, RingGroup
from tandem.domain.routing.opening import opened
from tandem.domain.routing.plan import MAX_HOPS, Frame, Plan
from tandem.domain.routing.users import NO_ANSWER, TIME_OF_DAY, USER_BUSY, Step, seat, wanted
from tandem.domain.target import MEDIA_KINDS, Target


def found_group(context: Context, kind: str, group_id: str) -> RingGroup | None:
    """The group that a target or a frame names: as `members`, it leads nowhere when none takes the call."""
    group = context.directory.ring_group(group_id)
    return group if group is None or kind == "ring_group" else replace(group, exit=None)


def ring_group(context: Context, plan: Plan, target: Target) -> Step:
    group_id = target.dest_id
    group = found_group(context, target.dest_kind, group_id)
    if group is None:
        context.note("ring_group", id=group_id, result="gone")
        return UNAVAILABLE
    where = opened(context, group.attached)
    if where is not None:
        return sent_on(plan.hopped(), where, group.name, TIME_OF_DAY) if isinstance(where, Target) else where
    context.ring_group_id = group_id
    members = context.directory.members(group_id, context.now)
    frame = Frame(target.dest_kind, group_id)
    if group.strategy == "ring_all":
        return _all(context, plan, frame, group, members)
    if group.strategy == "round_robin" and members:
        start = context.turns.next_turn(group_id, len(members))
        members = [*members[start:], *members[:start]]
    return _in_turn(context, plan, frame, group, members)


def next_member(context: Context, plan: Plan, frame: Frame, group: RingGroup) -> Step:
    """After a member of a sequence did not take the call: those whose turn is still to come, else the exit."""
    by_id = {member.member_id: member for member in context.directory.members(group.group_id, context.now)}
    return _in_turn(context, plan, frame, group, [by_id[one] for one in frame.rest if one in by_id])


def leave(context: Context, plan: Plan, group: RingGroup, last: Reject) -> Onward | Reject:
    """Nobody of the group took the call: its exit target, else `last`."""
    if group.exit is None:
        context.note("no_exit", ring_group=group.name)
        return last
    context.note("exit", ring_group=group.name, to=group.exit)
    return sent_on(plan.hopped(), group.exit, group.name, USER_BUSY if last is BUSY else NO_ANSWER)


def media_exit(context: Context, group_id: str) -> Target | None:
    """The media application that a ring group leads to now when none takes the call, itself or by way of other groups
    and extensions; None: it leads to someone else, or nowhere."""
    target: Target | Reject | None = Target("ring_group", group_id)
    for _ in range(MAX_HOPS):
        match target:
            case Target("ring_group", ident):
                group = context.directory.ring_group(ident)
                target = None if group is None else opened(context, group.attached) or group.exit
            case Target("extension", ident):
                extension = context.directory.extension_by_id(ident)
                target = None if extension is None else opened(context, extension.attached)
            case _:
                break
    return target if isinstance(target, Target) and target.dest_kind in MEDIA_KINDS else None


def _all(context: Context, plan: Plan, frame: Frame, group: RingGroup, members: Sequence[Member]) -> Step:
    branches: list[Branch] = []
    users: dict[str, None] = {}
    for member in members:
        left = group.ring_timeout_sec - member.delay_sec
        devices = _rings(context, member) if left > 0 else []
        timeout = left if member.timeout_sec is None else min(left, member.timeout_sec)
        branches.extend(Branch(device, timeout, member.delay_sec) for device in devices)
        if devices:
            users[member.user.user_id] = None
    if not branches:
        return leave(context, plan, group, UNAVAILABLE)
    # Somebody must ring now, or there is no call to add the others to.
    first = min(branch.delay_sec for branch in branches)
    rung = tuple(Branch(one.device, one.timeout_sec, one.delay_sec - first) for one in _each_once(branches))
    context.note(
        "ring_group", ring_group=group.name, strategy=group.strategy, devices=[b.device.device_id for b in rung]
    )
    return Ring(plan.ringing(frame), rung, tuple(users))


def _in_turn(context: Context, plan: Plan, frame: Frame, group: RingGroup, members: Sequence[Member]) -> Step:
    for index, member in enumerate(members):
        devices = _rings(context, member)
        if devices:
            rest = tuple(one.member_id for one in members[index + 1 :])
            timeout = member.timeout_sec or group.ring_timeout_sec
            context.note("ring_member", ring_group=group.name, user=member.user.username, left=len(rest))
            branches = tuple(Branch(device, timeout) for device in devices)
            return Ring(plan.ringing(replace(frame, rest=rest)), branches, (member.user.user_id,))
    return leave(context, plan, group, UNAVAILABLE)


def _rings(context: Context, member: Member) -> list[Device]:
    """The member's devices that ring; none who is disabled, wants no calls, is away or at his ceiling. His seat is
    taken. His own forwards are not followed."""
    user = member.user
    devices = wanted(user, context.at_hand(member.devices))
    if not user.active or user.dnd or not devices or context.take([seat(user)]) is not None:
        context.note("skip_member", user=user.username)
        return []
    return devices


def _each_once(branches: Sequence[Branch]) -> list[Branch]:
    """A device that is in the group twice, through its user too, rings from its earliest begin."""
    found: dict[tuple[str, str], Branch] = {}
    for branch in sorted(branches, key=lambda one: one.delay_sec):
        found.setdefault((branch.device.device_id, branch.device.node_id), branch)
    return list(found.values())
