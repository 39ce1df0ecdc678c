"""What nodes tell the brain: reports, lists, digests; and how these arrive."""

from __future__ import annotations

import hashlib
from typing import Any

from tandem.contracts.events import NOTHING
from tests.simulation.lanes import Fields, UnavailableError
from tests.simulation.state import SimNode, State, TrueCall
from tests.support import seeds

BEAT_MS = 2_000


def report(state: State, call: TrueCall, word: str, **fields: Any) -> None:
    named = {"callId": call.call_id, "sipCallId": call.asked["sipCallId"], "fromTag": call.asked["fromTag"]}
    event = state.event(call.tenant, "dialog", seq=call.seq, state=word, **(named | fields))
    call.seq += 1
    state.nodes[call.node_id].outbox.append((call.tenant, event))


def legs_of(state: State, call: TrueCall) -> list[TrueCall]:
    """Those that are up."""
    live = state.nodes[call.node_id].live[call.tenant.account_id]
    return [one for one in live.values() if one.parent == call.call_id]


def finish(state: State, call: TrueCall) -> None:
    """The engine ends the legs of a call that is over."""
    for leg in legs_of(state, call) if call.engine else ():
        finish(state, leg)
    cause = "200" if call.answered else "487"
    report(state, call, "end" if call.answered else "failed", cause=cause, hungUpBy="caller")
    forget(state, call)


def forget(state: State, call: TrueCall) -> None:
    """The node has it no more."""
    state.nodes[call.node_id].live[call.tenant.account_id].pop(call.call_id, None)
    call.gone_at = state.lane.now
    call.asked = {name: call.asked[name] for name in ("sipCallId", "fromTag")}  # a million events take memory
    call.rings = {}


def digests(one: SimNode, account: str) -> Fields:
    text = "\n".join(sorted(one.live[account]))
    return {"dialogs": hashlib.sha256(text.encode()).hexdigest()[:16], "contacts": NOTHING.contacts}


def list_of(state: State, one: SimNode, tenant: seeds.Tenant) -> Fields:
    contacts = [
        {"deviceId": person.device_id, "contact": f"sip:{digits}@192.0.2.9", "expiresAt": state.lane.now + 10**9}
        for digits, person in tenant.people.items()
    ]
    dialogs = [
        {
            "callId": call.call_id,
            "sipCallId": call.asked["sipCallId"],
            "fromTag": call.asked["fromTag"],
            "state": call.state,
        }
        for call in one.live[tenant.account_id].values()
    ]
    found = digests(one, tenant.account_id)
    return {"asOf": state.lane.now, "digests": found, "dialogs": dialogs, "contacts": contacts}


def snapshot(state: State, one: SimNode, tenant: seeds.Tenant) -> Fields:
    return state.event(tenant, "snapshot", **list_of(state, one, tenant))


async def send(state: State, one: SimNode, tenant: seeds.Tenant, event: Fields) -> None:
    """One event reaches the brain."""
    state.may_readmit |= event["type"] == "snapshot"
    await state.lane.events(one.node_id, tenant, [event])
    if event.get("state") == "answer" and event.get("target"):
        state.calls[event["callId"]].narrowed = True


async def deliver(state: State, one: SimNode, index: int) -> None:
    tenant, event = one.outbox[index]
    await send(state, one, tenant, event)
    one.outbox.pop(index)
    one.delivered.append((tenant, event))
    del one.delivered[:-50]


async def flush(state: State) -> None:
    """Everything that waits, in any order."""
    for one in state.awake():
        state.random.shuffle(one.outbox)
        while one.outbox:
            await deliver(state, one, len(one.outbox) - 1)


async def beats(state: State) -> None:
    """The heartbeats that are due, and the lists that they call for."""
    for one in state.nodes.values():
        if state.lane.now < max(one.beat_at, one.silent_until):
            continue
        found = {account: digests(one, account) for account in one.live}
        try:
            wanted = await state.lane.heartbeat(one.node_id, found)
        except UnavailableError:
            continue
        one.beat_at = state.lane.now + BEAT_MS
        for tenant in state.tenants:
            dialogs = found[tenant.account_id]["dialogs"]
            if tenant.account_id in wanted or one.listed.get(tenant.account_id) != dialogs:
                one.listed[tenant.account_id] = dialogs
                one.outbox.append((tenant, snapshot(state, one, tenant)))
