"""The messages of the seam, one file each under `golden/`: what both sides parse, and emit again to the letter.

A change of a golden file is a change of the contract: old nodes and new brains meet during a roll-out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tandem.contracts.auth import AuthReply, AuthRequest, ChallengeReply
from tandem.contracts.base import BrainMessage, NodeMessage
from tandem.contracts.cac import CacResetReply, CacResetRequest, CacView
from tandem.contracts.children import AdmitChild, ChildChanges, ChildrenHeld, ChildrenQuery, ChildVerdict
from tandem.contracts.commands import Command, CommandReply, ReconcileResult
from tandem.contracts.errors import STATUS, ErrorReply, TandemError, error_reply, parse
from tandem.contracts.events import EventAck, EventBatch
from tandem.contracts.explain import ExplainRequest
from tandem.contracts.fleet import HeartbeatReply, HeartbeatRequest, HelloReply, HelloRequest
from tandem.contracts.flow import FlowReply, FlowRequest
from tandem.contracts.objects import NodeChanged, NodeState, NodeStateQuery, Origin, envelope, open_envelope
from tandem.contracts.route import RouteReply, RouteRequest
from tandem.contracts.session import CallAlive, CallQuery, LegPlaced, PlaceLeg, SessionFacts, SessionQuery
from tests.support import engine, flow_calls, node, rows, scene, seeds
from tests.support.local_brain import LocalBrain

GOLDEN = Path(__file__).parent / "golden"
MESSAGES: dict[str, type[NodeMessage | BrainMessage]] = {
    "auth_request_first": AuthRequest,
    "auth_request": AuthRequest,
    "auth_reply": AuthReply,
    "challenge_reply": ChallengeReply,
    "route_request": RouteRequest,
    "route_outcome": RouteRequest,
    "route_reply_proxy": RouteReply,
    "route_reply_reject": RouteReply,
    "route_request_leg": RouteRequest,
    "route_reply_flow": RouteReply,
    "flow_request_start": FlowRequest,
    "flow_request_step": FlowRequest,
    "flow_reply_gather": FlowReply,
    "flow_reply_dial": FlowReply,
    "session_query": SessionQuery,
    "session_facts": SessionFacts,
    "place_leg": PlaceLeg,
    "leg_placed": LegPlaced,
    "call_query": CallQuery,
    "call_alive": CallAlive,
    "event_batch": EventBatch,
    "event_ack": EventAck,
    "hello_request": HelloRequest,
    "hello_reply": HelloReply,
    "heartbeat_request": HeartbeatRequest,
    "heartbeat_reply": HeartbeatReply,
    "command": Command,
    "command_reply": CommandReply,
    "reconcile_result": ReconcileResult,
    "cac_view": CacView,
    "cac_reset_request": CacResetRequest,
    "explain_request": ExplainRequest,
    "cac_reset_reply": CacResetReply,
    "admit_child": AdmitChild,
    "child_verdict": ChildVerdict,
    "child_changes": ChildChanges,
    "children_query": ChildrenQuery,
    "children_held": ChildrenHeld,
    "node_changed": NodeChanged,
    "node_state_query": NodeStateQuery,
    "node_state": NodeState,
    "error_reply": ErrorReply,
}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_parsed_and_emitted_as_it_was(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text()
    message = parse(MESSAGES[name], text)
    assert json.loads(message.wire()) == json.loads(text)
    assert parse(MESSAGES[name], message.wire()) == message


@pytest.mark.parametrize("name", MESSAGES)
def test_unknown_fields_are_ignored(name: str) -> None:
    message = parse(MESSAGES[name], json.dumps(golden(name) | {"x_new_field": {"a": [1]}}))
    assert json.loads(message.wire()) == golden(name)


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict):
        return [path] + [found for key, one in value.items() for found in _paths(one, (*path, key))]
    if isinstance(value, list):
        return [path] + [found for index, one in enumerate(value) for found in _paths(one, (*path, str(index)))]
    return [path]


# Dictionaries whose keys, and sometimes values, are free.
FREE = {"args", "result", "headers", "vars", "cdr", "nodes", "refused", "digests", "schedules", "media", "playlists"}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_wrong_type_is_refused_wherever_it_stands(name: str) -> None:
    """Every value in turn becomes one of a type that no field has: an object where a scalar was, and vice versa."""
    for path in _paths(golden(name))[1:]:
        if FREE & set(path[:-1]):
            continue
        document = golden(name)
        place = document
        for step in path[:-1]:
            place = place[int(step) if isinstance(place, list) else step]
        key: Any = int(path[-1]) if isinstance(place, list) else path[-1]
        place[key] = 0.5 if isinstance(place[key], dict | list) else {"no": "type"}
        with pytest.raises(TandemError) as refused:
            parse(MESSAGES[name], json.dumps(document))
        assert refused.value.code == "invalid_request", path


def test_every_golden_file_has_its_message() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(MESSAGES)


def test_every_message_class_of_the_seam_has_a_golden_file() -> None:
    """Those that are a whole message; parts are covered inside them. The public API's are in its OpenAPI document."""
    seam = {cls for cls in _subclasses(BaseModel) if cls.__module__.startswith("tandem.contracts.")}
    whole = {cls for cls in seam if _whole(cls) and not cls.__module__.startswith("tandem.contracts.v1.")}
    assert whole - set(MESSAGES.values()) == set()


def _subclasses(cls: type[BaseModel]) -> set[type[BaseModel]]:
    return {cls}.union(*(_subclasses(one) for one in cls.__subclasses__()))


_WHOLE = ("Request", "Reply", "Ack", "Batch", "View", "Result", "Query", "Facts", "Placed", "Alive", "PlaceLeg")


def _whole(cls: type[BaseModel]) -> bool:
    return cls.__name__.endswith(_WHOLE)


def _keys(value: Any) -> Any:
    """The shape of a document: its keys, and the type of every leaf."""
    if isinstance(value, dict):
        return {key: _keys(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_keys(one) for one in value[:1]]
    return type(value).__name__


async def test_the_brain_s_replies_have_the_shape_of_the_golden_ones() -> None:
    acme = seeds.tenant(1, "acme.tandem.test")
    brain = LocalBrain()
    brain.write(seeds.rows_of(acme))
    limit = "INSERT INTO call_limit (id, account_id, scope_kind, period_sec, max_count) VALUES (?, ?, 'account', 60, 9)"
    brain.write([("UPDATE sip_user SET max_simultaneous = 1", ()), (limit, ("lim_1", acme.account_id))])
    _, challenge = await brain.post("/auth", node.register_body(acme, "1001"))
    assert _keys(challenge) == _keys(golden("challenge_reply"))
    _, registered = await brain.register(acme, "1001")
    assert _keys(registered) == _keys(golden("auth_reply"))
    await brain.register(acme, "1002")
    for name in ("route_reply_proxy", "route_reply_reject"):
        routed = await brain.invite(acme, "1001", "1002")
        routed.pop("asked")
        assert _keys(routed) == _keys(golden(name)["rtjson"]), name
    reply = await scene.send(brain, scene.snapshot(brain, acme, [], asOf=0))
    assert _keys(reply) == _keys(golden("event_ack") | {"refused": {}})
    digests = {acme.account_id: scene.NOTHING}
    account = golden("hello_reply")["send"][0]
    hello = await scene.hello(brain, digests=digests)
    assert set(hello) == set(golden("hello_reply"))
    assert account.startswith(hello["send"][0][:4])
    _, beat = await scene.heartbeat(brain, digests=digests)
    assert set(beat) == set(golden("heartbeat_reply"))
    _, view = await brain.get(f"/cac?accountId={acme.account_id}")
    assert _keys(view) == _keys(golden("cac_view"))
    status, error = await brain.post("/auth", node.register_body(acme, "1001", sourcePort="5060"))
    assert (status, _keys(error)) == (400, _keys(golden("error_reply")))
    assert error["error"]["message"] == golden("error_reply")["error"]["message"]


async def test_the_brain_s_replies_about_flows_have_the_shape_of_the_golden_ones() -> None:
    acme = seeds.tenant(1, "acme.tandem.test")
    brain = LocalBrain()
    to_bob = flow_calls.dial(f"user:{acme.people['1002'].user_id}")
    document = flow_calls.graph("entry>bob", "bob:no_answer>entry", bob=to_bob)
    brain.write([*seeds.rows_of(acme), *engine.with_engine(acme), rows.flow(acme, 1, document)])
    for digits in ("1001", "1002"):
        await brain.register(acme, digits)
    routed = await brain.invite(acme, "1001", "600")
    routed.pop("asked")
    assert _keys(routed) == _keys(golden("route_reply_flow")["rtjson"] | {"vars": {}})
    runner = flow_calls.Runner(brain, acme, routed)
    await runner.start()
    assert _keys(await runner.step(1, "answered")) == _keys(golden("flow_reply_dial"))


def test_an_envelope_carries_status_and_text() -> None:
    assert open_envelope(envelope(421, '{"a": 1}')) == (421, '{"a": 1}')
    assert open_envelope(envelope(200, "")) == (200, "")
    origin = Origin("node_1", "weur", "0" * 26)
    assert Origin.decode(origin.encode()) == origin


@pytest.mark.parametrize("code", STATUS)
def test_every_error_has_a_status_and_the_one_shape(code: str) -> None:
    error = TandemError(code, "Say what to do.")
    assert 400 <= error.status < 600
    assert json.loads(error_reply(error, None)) == {"ok": False, "error": {"code": code, "message": "Say what to do."}}
