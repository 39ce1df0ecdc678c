"""Calls that people make: between extensions, and from outside to several of them at once."""

from __future__ import annotations

from typing import Final

from tandem.domain.digest import md5
from tests.simulation.lanes import Fields, UnavailableError
from tests.simulation.peers import DiedError
from tests.simulation.reports import finish, forget, legs_of, report
from tests.simulation.state import EXTENSIONS, SimNode, State, TrueCall
from tests.simulation.tenancy import NUMBERS, address_of, trunk_of
from tests.support import inbound, seeds

OUTCOMES: Final = {"no_answer": "no_answer", "busy": "busy", "declined": "busy", "cancelled": "abandoned"}


async def call_extension(state: State) -> None:
    awake = state.awake()
    if not awake:
        return
    one, tenant = state.random.choice(awake), state.random.choice(state.tenants)
    caller, callee = state.random.choice(EXTENSIONS), state.random.choice(EXTENSIONS)
    body = await question(state, one, tenant, caller, callee)
    reply = await state.lane.route(one.node_id, tenant, body)
    fate = state.random.random()
    if fate < 0.03:
        state.lane.crash(tenant)
        again = await state.lane.route(one.node_id, tenant, body)
        assert again == reply, "the same question got another answer"
    found = reply["rtjson"]
    people = tuple(("user_simultaneous", tenant.people[one].user_id) for one in (caller, callee))
    state.touched = (tenant, people)
    call = routed(state, one, tenant, body, found)
    if call is not None:
        fate_of(state, one, call, fate)


async def call_number(state: State) -> None:
    """From outside, by the account's trunk or from anywhere, to a number that rings one to four extensions."""
    awake = state.awake()
    if not awake:
        return
    one, tenant = state.random.choice(awake), state.random.choice(state.tenants)
    ring = state.random.choice(list(NUMBERS))
    by_trunk = state.random.random() < 0.6
    source = address_of(tenant) if by_trunk else inbound.STRANGER
    body = inbound.question(tenant, ring, source, one.node_id) | {"sipCallId": state.new_id("in")}
    found = await _ask(state, one, tenant, body)
    if found is None:
        return
    users = [("user_simultaneous", tenant.people[digits].user_id) for digits in ring.split()]
    own = [("account_in", tenant.account_id), ("did_channels", inbound.did_of(tenant, ring))]
    state.touched = (tenant, (*users, *own, *([("trunk_channels", trunk_of(tenant))] if by_trunk else [])))
    call = routed(state, one, tenant, body, found)
    if call is not None:
        owners = {f"sip:{person.device_id}@{tenant.domain}": person.user_id for person in tenant.people.values()}
        call.rings = {branch["uri"]: owners[branch["uri"]] for branch in found["routes"]}
        fate_of(state, one, call, state.random.random())


async def _ask(state: State, one: SimNode, tenant: seeds.Tenant, body: Fields) -> Fields | None:
    """The answer; None when the object died over the question and the node did not ask again, or could not."""
    died = False
    while True:
        try:
            found: Fields = (await state.lane.inbound(one.node_id, tenant, body))["rtjson"]
            return found
        except DiedError:
            died = True
            if state.random.random() < 0.6:
                await state.lane.advance(state.random.choice((20, 200, 3_500)))
                continue
        except UnavailableError:
            if not died:
                raise
        rows = state.lane.connection(tenant.account_id).execute(
            "SELECT call_id FROM call WHERE sip_call_id = ?", (body["sipCallId"],)
        )
        for (call_id,) in rows:
            call = TrueCall(tenant, one.node_id, call_id, body, told=False)
            state.calls[call_id] = call
            forget(state, call)
        return None


def routed(state: State, one: SimNode, tenant: seeds.Tenant, body: Fields, found: Fields) -> TrueCall | None:
    """The call that the brain let through; None when it refused it."""
    assert found["account_id"] == tenant.account_id
    if found["action"] == "reject":
        state.rejected[found["call_id"]] = (tenant, found["code"])
        return None
    own = {f"sip:{person.device_id}@{tenant.domain}" for person in tenant.people.values()}
    if found["action"] == "flow":
        own = {f"sip:{found['call_id']}@{tenant.domain}"}
    assert {branch["uri"] for branch in found["routes"]} <= own, "a call crossed to another tenant"
    call = TrueCall(tenant, one.node_id, found["call_id"], body)
    state.calls[call.call_id] = call
    return call


def fate_of(state: State, one: SimNode, call: TrueCall, fate: float) -> None:
    """The reply arrives; or never does, and the node forgets that it asked or says that it gave up."""
    if fate > 0.985:
        if fate > 0.992:
            named = {"sipCallId": call.asked["sipCallId"], "fromTag": call.asked["fromTag"], "cseq": "1"}
            event = state.event(call.tenant, "dialog", seq=0, state="failed", cause="503", **named)
            one.outbox.append((call.tenant, event))
        forget(state, call)
        call.told = False
        return
    one.live[call.tenant.account_id][call.call_id] = call
    if state.random.random() < 0.8:
        report(state, call, "early")


async def answer(state: State) -> None:
    call = state.pick("early")
    if call is None:
        return
    call.state, call.answered = "answered", True
    if not call.rings:
        report(state, call, "answer")
        return
    device = state.random.choice(list(call.rings))
    call.taken_by = call.rings[device]
    if call.parent is not None:
        state.calls[call.parent].connected.add(call.taken_by)
    report(state, call, "answer", target=device)


async def hang_up(state: State) -> None:
    call = state.pick("early", "answered")
    if call is not None:
        finish(state, call)


async def outcome(state: State) -> None:
    """What was rung did not take the call, and nothing else is left to try."""
    call = state.pick("early")
    if call is None or state.nodes[call.node_id].silent_until > state.lane.now:
        return
    word = state.random.choice(list(OUTCOMES))
    body = call.asked | {"callId": call.call_id, "accountId": call.tenant.account_id, "outcome": word}
    ask = state.lane.inbound if call.rings else state.lane.route
    first = await ask(call.node_id, call.tenant, body)
    assert first["rtjson"]["action"] == "reject"
    call.outcome = word
    forget(state, call)
    for leg in legs_of(state, call):
        finish(state, leg)
    if state.random.random() < 0.2:
        state.lane.crash(call.tenant)
        assert await ask(call.node_id, call.tenant, body) == first


async def question(state: State, one: SimNode, tenant: seeds.Tenant, caller: str, callee: str) -> Fields:
    """The body of an authenticated call between extensions."""
    key = (one.node_id, tenant.account_id)
    made_at, asked = state.nonces.get(key, (0, {}))
    if state.lane.now - made_at > 200_000:
        asked = await state.lane.challenge(one.node_id, tenant)
        state.nonces[key] = (state.lane.now, asked)
    state.nc += 1
    person, uri, nc = tenant.people[caller], f"sip:{callee}@{tenant.domain}", f"{state.nc:08x}"
    ha1 = md5(f"{caller}:{tenant.domain}:{person.password}")
    response = md5(f"{ha1}:{asked['nonce']}:{nc}:c:auth:{md5(f'INVITE:{uri}')}")
    credentials = {"username": caller, "realm": tenant.domain, "nonce": asked["nonce"], "uri": uri, "qop": "auth"}
    return {
        "sipCallId": state.new_id("sip"),
        "fromTag": "t",
        "cseq": "1",
        "from": f"sip:{caller}@{tenant.domain}",
        "fromDomain": tenant.domain,
        "to": uri,
        "ruri": uri,
        "sourceIp": "192.0.2.7",
        "sourcePort": 5060,
        "transport": "udp",
        "node": one.node_id,
        "credentials": credentials | {"response": response, "algorithm": "MD5", "nc": nc, "cnonce": "c"},
    }
