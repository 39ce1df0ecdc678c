"""What goes wrong: reports late, twice or never, nodes silent or without memory, objects that die, D1 away."""

from __future__ import annotations

from tests.simulation.reports import deliver, forget, list_of, send, snapshot
from tests.simulation.state import State


async def deliver_some(state: State) -> None:
    """Nothing wrong yet, but in any order."""
    awake = [one for one in state.awake() if one.outbox]
    if not awake:
        return
    one = state.random.choice(awake)
    for _ in range(1 if len(one.outbox) < 20 else 8):
        await deliver(state, one, state.random.randrange(len(one.outbox)))


async def repeat(state: State) -> None:
    """A report arrives again, as it was or under a new id."""
    one = state.random.choice(state.awake() or list(state.nodes.values()))
    if one.delivered and one.silent_until <= state.lane.now:
        tenant, event = state.random.choice(one.delivered)
        if event["type"] == "dialog" and state.random.random() < 0.5:
            event = event | {"eventId": state.new_id("ev")}
        await send(state, one, tenant, event)


async def lose_report(state: State) -> None:
    one = state.random.choice(list(state.nodes.values()))
    dialogs = [index for index, (_, event) in enumerate(one.outbox) if event["type"] == "dialog"]
    if dialogs:
        _, event = one.outbox.pop(state.random.choice(dialogs))
        if "callId" in event:
            state.calls[event["callId"]].told = False


async def list_calls(state: State) -> None:
    one, tenant = state.random.choice(list(state.nodes.values())), state.random.choice(state.tenants)
    one.outbox.append((tenant, snapshot(state, one, tenant)))


async def late_message(state: State) -> None:
    """A message between objects that its sender gave up arrives after all."""
    await state.lane.late()


async def crash(state: State) -> None:
    state.lane.crash(state.random.choice(state.tenants))


async def crash_reseller(state: State) -> None:
    state.lane.crash_reseller()


async def crash_fleet(state: State) -> None:
    """Rarely: a FLEET that wakes gives every node fresh time, and would never find one lost."""
    state.lane.crash_fleet()


async def fall_silent(state: State) -> None:
    """For 1 to 40 s; in a third of the cases the node comes back without memory: its calls and reports are gone."""
    one = state.random.choice(state.awake() or list(state.nodes.values()))
    one.silent_until = state.lane.now + state.random.choice((1_000, 7_000, 9_000, 15_000, 40_000))
    if state.random.random() < 0.33:
        for call in [call for calls in one.live.values() for call in calls.values()]:
            call.told = False
            forget(state, call)
        for _, event in one.outbox:
            if "callId" in event:
                state.calls[event["callId"]].told = False
        one.outbox.clear()
        one.listed.clear()


async def reset(state: State) -> None:
    tenant = state.random.choice(state.tenants)
    state.may_readmit = True
    await state.lane.reset(tenant, {one.node_id: list_of(state, one, tenant) for one in state.awake()})


async def d1_away(state: State) -> None:
    state.lane.control.available = False
    state.d1_back_at = state.lane.now + state.random.choice((1_000, 10_000, 20_000))
