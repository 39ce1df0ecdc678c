"""Calls that go to the media engine, and the legs that it places for them."""

from __future__ import annotations

from tests.simulation.reports import legs_of
from tests.simulation.state import EXTENSIONS, SimNode, State, TrueCall
from tests.simulation.tenancy import FLOW_EXTENSION
from tests.simulation.traffic import fate_of, question, routed
from tests.support import engine

MOST_LEGS = 2


async def call_engine(state: State) -> None:
    awake = state.awake()
    if not awake:
        return
    one, tenant = state.random.choice(awake), state.random.choice(state.tenants)
    caller = state.random.choice(EXTENSIONS)
    body = await question(state, one, tenant, caller, FLOW_EXTENSION)
    found = (await state.lane.route(one.node_id, tenant, body))["rtjson"]
    state.touched = (tenant, (("user_simultaneous", tenant.people[caller].user_id),))
    call = routed(state, one, tenant, body, found)
    if call is not None:
        assert found["action"] == "flow"
        call.engine = True
        fate_of(state, one, call, state.random.random())


async def place_leg(state: State) -> None:
    """The call's session orders a leg, and the engine places it; either may happen twice, the object die in between."""
    call = state.pick("early", "answered")
    if call is None or not call.engine or len(legs_of(state, call)) >= MOST_LEGS:
        return
    one = state.nodes[call.node_id]
    if one.silent_until > state.lane.now:
        return
    users = [
        call.tenant.people[digits].user_id for digits in state.random.sample(EXTENSIONS, state.random.randint(1, 3))
    ]
    order = {
        "call_id": call.call_id,
        "leg_id": engine.leg_id(state.lane.now),
        "node_id": call.node_id,
        "targets": [{"dest_kind": "user", "dest_id": user} for user in users],
        "timeout_sec": 30,
    }
    lost = "SELECT lost FROM call WHERE call_id = ?"
    connection = state.lane.connection(call.tenant.account_id)
    state.may_readmit |= (1,) in connection.execute(lost, (call.call_id,)).fetchall()
    placed = await state.lane.place_leg(call.tenant, order)
    if placed is None:
        return  # the brain takes the call for gone
    if state.random.random() < 0.1:
        state.lane.crash(call.tenant)
        assert await state.lane.place_leg(call.tenant, order) == placed
    await _let_in(state, one, call, users, engine.question(call.tenant, placed, node=call.node_id))


async def _let_in(state: State, one: SimNode, call: TrueCall, users: list[str], asked: dict[str, object]) -> None:
    asked |= {"sipCallId": state.new_id("leg")}
    reply = await state.lane.route(one.node_id, call.tenant, asked)
    state.touched = (call.tenant, tuple(("user_simultaneous", user) for user in users))
    found = reply["rtjson"]
    if found.get("code") == 403:
        return  # the brain takes the call for gone
    fate = state.random.random()
    if fate < 0.05:
        state.lane.crash(call.tenant)
        assert await state.lane.route(one.node_id, call.tenant, asked) == reply, "the same leg got another answer"
    if found["action"] == "reject":
        return
    owners = {f"sip:{person.device_id}@{call.tenant.domain}": person.user_id for person in call.tenant.people.values()}
    leg = TrueCall(call.tenant, call.node_id, found["call_id"], dict(asked), parent=call.call_id)
    leg.rings = {branch["uri"]: owners[branch["uri"]] for branch in found["routes"]}
    assert set(leg.rings.values()) <= set(users), "a leg rang somebody else"
    state.calls[leg.call_id] = leg
    fate_of(state, one, leg, state.random.random())
