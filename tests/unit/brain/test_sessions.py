"""A call's flow, from `POST /flow` to the trace in D1: what a node hears, whatever dies in between."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from tandem.runtime import HttpReply, counters
from tests.support import engine, rows, scene, seeds
from tests.support.flow_calls import HANG_UP, Runner, dial, graph, put, say
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME, GLOBEX
from tests.unit.brain.sessions import (
    BOB,
    DEEP,
    FRONT,
    MAIN,
    OTHER_NODE,
    SUB,
    Fields,
    answered,
    arrive,
    away,
    prepared,
    texts,
    to_menu,
)


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    return await prepared(brain)


Serve = Callable[[str, str, dict[str, str], str | None], Awaitable[HttpReply]]


async def test_a_flow_from_its_greeting_to_the_bridge_and_the_end(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    dialled = await runner.step(3, "digits", digits="1")
    assert dialled["cmd"] == "dial"
    leg = await engine.route(phones, engine.question(ACME, dialled["args"]))
    assert leg["call_id"] == dialled["args"]["leg_id"]
    assert engine.devices(leg) == [BOB.device_id]
    await scene.send(phones, scene.dialog(phones, ACME, leg, "answer", 1))
    bridged = await runner.step(dialled["seq"], "answered")
    assert (bridged["cmd"], bridged["args"]) == ("bridge", {"leg_id": leg["call_id"], "release": True})
    ended = await runner.step(bridged["seq"], "ended")
    assert ended["cmd"] == "hangup"
    last = await runner.step(ended["seq"], "ended")
    assert last["cmd"] == "noop"
    await phones.advance(1_000)
    kinds = [(one["kind"], one["node_id"], one["data"].get("outcome")) for one in runner.trace()]
    assert kinds == [
        ("start", None, None),
        ("entry", "entry", "default"),
        ("say", "hello", "default"),
        ("menu", "menu", "digit:1"),
        ("dial", "bob", "answered"),
        ("dial", "bob", "answered"),
        ("end", None, None),
    ]
    assert runner.trace()[0]["data"]["versions"] == {MAIN: 1}
    assert runner.trace()[-1]["data"] == {"reason": "completed"}
    assert {one["account_id"] for one in runner.trace()} == {ACME.account_id}


@pytest.mark.parametrize("evict", [False, True])
async def test_every_request_may_be_repeated(phones: LocalBrain, evict: bool) -> None:
    runner = await arrive(phones, FRONT)
    steps: list[Fields] = [
        {},
        {"seq": 1, "outcome": "answered"},
        {"seq": 2, "outcome": "done"},
        {"seq": 3, "outcome": "digits", "data": {"digits": "1"}},
        {"seq": 4, "outcome": "no_answer"},
        {"seq": 5, "outcome": "done"},
        {"seq": 6, "outcome": "ended"},
    ]
    words = []
    for fields in steps:
        status, first = await runner.ask(**fields)
        assert status == 200, first
        words.append(first["cmd"])
        for _ in range(2):
            if evict:
                runner.evict()
            assert await runner.ask(**fields) == (200, first)
        if fields:
            assert await runner.start() == first
    assert words == ["answer", "play", "gather", "dial", "play", "hangup", "noop"]
    await phones.advance(1_000)
    assert [one["node_id"] for one in runner.trace()] == [None, "entry", "hello", "menu", "bob", "bye", "end", None]


async def test_an_outcome_out_of_its_time_changes_nothing(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    before = await to_menu(runner)
    for seq in (0, 1, 4, 99):
        status, reply = await runner.ask(seq=seq, outcome="digits", data={"digits": "1"})
        assert (status, reply["error"]["code"]) == (409, "stale_step")
    assert await runner.start() == before


async def test_a_caller_id_that_is_not_the_account_s_is_in_the_trace(phones: LocalBrain) -> None:
    calls_bob = dial(f"user:{BOB.user_id}", callerId="{{number}}")
    document = graph(
        "entry>set", "set>bob", "bob:busy>end", set=put(number="'+12025550999'"), bob=calls_bob, end=HANG_UP
    )
    runner = await arrive(phones, document)
    await runner.start()
    assert (await runner.step(1, "answered"))["cmd"] == "dial"
    assert (await runner.step(2, "busy"))["cmd"] == "hangup"
    await runner.step(3, "ended")
    await phones.advance(1_000)
    (placed, left) = [one["data"] for one in runner.trace() if one["node_id"] == "bob"]
    assert (placed["outcome"], placed["done"], left["outcome"]) == ("placed", False, "busy")
    assert placed["error"] == "the callerId is no number that the account owns, so the caller's own is shown"


RINGS = graph("entry>ring", ring={"kind": "ringGroup", "ringGroupId": f"rg_{suffix(1)}"})
EDGED = graph(
    "entry>ring", "ring:exit>own", ring={"kind": "ringGroup", "ringGroupId": f"rg_{suffix(1)}"}, own=say("Edge")
)


@pytest.mark.parametrize(
    ("document", "exit_to", "rung", "said"),
    [
        (EDGED, ("user", BOB.user_id), None, ["Edge"]),
        (EDGED, ("flow", SUB), None, ["Edge"]),
        (RINGS, ("user", BOB.user_id), BOB.device_id, ["Sorry, your call cannot be completed. Goodbye."]),
        (RINGS, ("flow", SUB), None, ["After hours"]),
        (RINGS, ("flow", DEEP), None, ["Sorry, your call cannot be completed. Goodbye."]),
        (RINGS, (None, None), None, ["Sorry, your call cannot be completed. Goodbye."]),
    ],
)
async def test_what_follows_a_ring_group_that_nobody_answers(
    phones: LocalBrain, document: str, exit_to: tuple[str | None, str | None], rung: str | None, said: list[str]
) -> None:
    """The edge of the flow; without one the group's own target, a flow too; else a goodbye."""
    kind, ident = exit_to
    group = rows.ring_group(ACME, 1, exit_dest_kind=kind, exit_dest_id=ident, exit_dest_xform='{"open": "hours"}')
    after = rows.flow(ACME, 2, graph("entry>a", a=say("After {{open}}")))
    runner = await arrive(phones, document, group, after)
    await runner.start()
    runner.evict()
    dialled = await runner.step(1, "answered")
    assert dialled["cmd"] == "dial"
    leg = await engine.route(phones, engine.question(ACME, dialled["args"]))
    if rung is not None:
        assert engine.devices(leg) == [rung]
        leg = await engine.then(phones, leg, "no_answer")
    assert (leg["action"], leg["code"]) == ("reject", 480)
    runner.evict()
    assert texts(await runner.step(2, "no_answer", cause="480")) == said


async def test_who_may_drive_a_flow(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    stranger = Runner(phones, ACME, {"call_id": runner.call_id}, OTHER_NODE)
    assert (await stranger.ask())[0] == 404
    await runner.start()
    for fields in ({}, {"seq": 1, "outcome": "answered"}):
        status, reply = await stranger.ask(**fields)
        assert (status, reply["error"]["code"]) == (403, "forbidden")
    tenant = Runner(phones, GLOBEX, {"call_id": runner.call_id})
    for fields in ({}, {"seq": 1, "outcome": "answered"}):
        status, reply = await tenant.ask(**fields)
        assert (status, reply["error"]["code"]) == (404, "not_found")
    assert (await runner.step(1, "answered"))["cmd"] == "play"


async def test_calls_that_have_no_flow(phones: LocalBrain) -> None:
    plain = await phones.invite(ACME, "1001", "1002")
    over = await arrive(phones, FRONT)
    call = {"call_id": over.call_id}
    listed = await answered(phones, over)
    await scene.send(phones, scene.event(phones, ACME, "dialog", seq=9, **(listed | {"state": "end"})))
    for one in (plain, call, {"call_id": f"call_{suffix(9)}"}):
        runner = Runner(phones, ACME, one)
        for fields in ({}, {"seq": 1, "outcome": "answered"}):
            status, reply = await runner.ask(**fields)
            assert (status, reply["error"]["code"]) == (404, "not_found"), one
        found = phones.sessions.contexts[runner.call_id].connection.execute("SELECT name FROM sqlite_master")
        assert found.fetchall() == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"callId": "call_1"}, "callId"),
        ({"callId": f"leg_{suffix(1)}"}, "callId"),
        ({"callId": None}, "callId"),
        ({"accountId": 7}, "accountId"),
        ({"outcome": "answered"}, "seq"),
        ({"outcome": "answered", "seq": -1}, "seq"),
        ({"outcome": "digits", "seq": 1, "data": {"digits": "1" * 65}}, "data.digits"),
    ],
)
async def test_questions_that_are_none(phones: LocalBrain, fields: Fields, field: str) -> None:
    runner = await arrive(phones, FRONT)
    await runner.start()
    status, reply = await runner.ask(**fields)
    assert (status, reply["error"]["code"], reply["error"]["field"]) == (400, "invalid_request", field)


async def test_only_nodes_ask(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    body = json.dumps({"callId": runner.call_id, "accountId": ACME.account_id})
    assert (await phones.post("/flow", body, {}))[0] == 401
    assert (await phones.post("/flow", json.dumps({"callId": runner.call_id, "accountId": "acc_nope"})))[0] == 404


async def test_the_caller_may_hang_up_at_any_time(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    assert (await runner.step(3, "hangup", cause="487"))["cmd"] == "noop"
    await phones.advance(1_000)
    assert runner.trace()[-1]["data"] == {"reason": "caller_hangup"}


async def test_a_flow_of_twenty_logic_nodes_costs_one_round_trip(phones: LocalBrain) -> None:
    names = [f"n{number}" for number in range(20)]
    edges = [f"{one}>{other}" for one, other in zip(["entry", *names], [*names, "end"], strict=True)]
    nodes = {name: put(x=f"{number} + 1") for number, name in enumerate(names)}
    runner = await arrive(phones, graph(*edges, **nodes, end=say("{{x}}")))
    await runner.start()
    before = counters.object_hops, counters.d1_queries
    spoken = await runner.step(1, "answered")
    assert texts(spoken) == ["20"]
    assert (counters.object_hops - before[0], counters.d1_queries - before[1]) == (1, 0)


async def test_a_step_costs_one_hop(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    before = counters.object_hops, counters.d1_queries
    await runner.start()
    assert (counters.object_hops - before[0], counters.d1_queries - before[1]) == (2, 0)
    for seq, outcome in ((1, "answered"), (2, "done")):
        before = counters.object_hops, counters.d1_queries
        await runner.step(seq, outcome)
        assert (counters.object_hops - before[0], counters.d1_queries - before[1]) == (1, 0)


async def test_a_call_keeps_the_version_that_it_began_with(phones: LocalBrain) -> None:
    old = await arrive(phones, graph("entry>a", "a>b", a=say("old"), b=say("old still")))
    await old.start()
    fresh = graph("entry>a", "a>b", a=say("new"), b=say("new still"))
    await scene.reconfigure(phones, ACME, "UPDATE flow SET published_graph = ?, version = 2 WHERE id = ?", fresh, MAIN)
    old.evict()
    assert texts(await old.step(1, "answered")) == ["old"]
    new = Runner(phones, ACME, await phones.invite(ACME, "1002", "600"))
    await new.start()
    assert texts(await new.step(1, "answered")) == ["new"]
    old.evict()
    assert texts(await old.step(2, "done")) == ["old still"]


async def test_facts_are_what_the_flow_names_and_the_account_has(phones: LocalBrain) -> None:
    playlist, song, gone = f"pl_{suffix(1)}", f"media_{suffix(2)}", f"media_{suffix(9)}"
    main = graph(
        "entry>play", "play>list", "list>hours", "hours:in_hours>sub", "hours:out_of_hours>sub", "sub:done>end",
        play={"kind": "play", "audioId": f"media_{suffix(1)}"}, list={"kind": "play", "playlistId": playlist},
        hours={"kind": "timeCondition", "scheduleId": f"sch_{suffix(1)}"}, sub={"kind": "subflow", "flowId": SUB},
        end=HANG_UP,
    )  # fmt: skip
    sub = graph("entry>deep", "deep:x>exit:done", deep={"kind": "subflow", "flowId": DEEP})
    deep = graph("entry>again", "again:done>exit:x", again={"kind": "subflow", "flowId": SUB})
    runner = await arrive(
        phones,
        main,
        rows.flow(ACME, 2, sub),
        rows.flow(ACME, 3, deep),
        rows.flow(ACME, 4, sub),
        rows.media_file(ACME, 1),
        rows.media_file(ACME, 2),
        rows.media_file(ACME, 3),
        rows.media_file(GLOBEX, 9),
        rows.media_playlist(ACME, 1, 2, 9),
        rows.schedule(ACME, 1, timezone="Europe/Berlin"),
        rows.schedule_rule(ACME, 1, 1, dow=1, start_time="09:00", end_time="17:00"),
        rows.schedule(ACME, 2),
        rows.update("account", ACME.account_id, language="de-DE", voice_gender="male", timezone="Asia/Tokyo"),
    )
    query = {"call_id": runner.call_id, "node_id": seeds.NODE_ID}
    status, facts = await engine.ask_presence(phones, ACME, "session_facts", query)
    assert status == 200
    assert {one["flow_id"] for one in facts["flows"]} == {MAIN, SUB, DEEP}
    assert facts["media"] == {
        f"media_{suffix(1)}": {"key": f"{ACME.account_id}/media/1", "etag": "etag1"},
        song: {"key": f"{ACME.account_id}/media/2", "etag": "etag2"},
    }
    assert facts["playlists"] == {playlist: [song, gone]}
    assert facts["schedules"] == {
        f"sch_{suffix(1)}": ["Europe/Berlin", [["weekly", 1, "09:00", "17:00", None, None, 0, ""]]]
    }
    assert (facts["language"], facts["voice"], facts["timezone"]) == ("de-DE", "male", "Asia/Tokyo")
    assert (facts["direction"], facts["from_num"], facts["to_num"]) == ("internal", "1001", "600")


@pytest.mark.parametrize(
    "row",
    [
        rows.flow(ACME, 1),
        rows.flow(ACME, 1, "{}"),
        rows.flow(GLOBEX, 1, FRONT),
        None,
    ],
)
async def test_a_flow_that_is_not_there_says_goodbye(phones: LocalBrain, row: rows.Row | None) -> None:
    runner = await arrive(phones, None, *([] if row is None else [row]))
    assert (await runner.start())["cmd"] == "answer"
    goodbye = await runner.step(1, "answered")
    assert goodbye["cmd"] == "play"
    assert (await runner.step(2, "done"))["cmd"] == "hangup"
    await phones.advance(1_000)
    assert "gone" in runner.trace()[1]["data"]["error"]


async def test_a_draft_of_a_subflow_is_not_run(phones: LocalBrain) -> None:
    main = graph("entry>sub", "sub:done>end", sub={"kind": "subflow", "flowId": SUB}, end=HANG_UP)
    runner = await arrive(phones, main, rows.flow(ACME, 2))
    await runner.start()
    await runner.step(1, "answered")
    await runner.step(2, "done")
    await phones.advance(1_000)
    assert [one["data"].get("error") for one in runner.trace() if one["node_id"] == "sub"] == [f"flow {SUB} is gone"]


async def test_a_large_flow_is_kept_in_parts(phones: LocalBrain) -> None:
    names = [f"n{number}" for number in range(400)]
    nodes = {name: say("ü" * 1_900) for name in names}
    edges = [f"{one}>{other}" for one, other in zip(["entry", *names], names, strict=False)]
    runner = await arrive(phones, graph(*edges, **nodes))
    await runner.start()
    runner.evict()
    assert texts(await runner.step(1, "answered")) == ["ü" * 1_900]


async def test_two_tenants_run_their_own_flows(phones: LocalBrain) -> None:
    theirs = f"flow_{suffix(77)}"
    phones.write([rows.flow(GLOBEX, 77, graph("entry>a", a=say("globex")))])
    phones.write(
        [("UPDATE extension SET dest_id = ? WHERE account_id = ? AND digits = '600'", (theirs, GLOBEX.account_id))]
    )
    acme = await arrive(phones, graph("entry>a", a=say("acme")))
    globex = await arrive(phones, None, tenant=GLOBEX)
    for runner, word in ((acme, "acme"), (globex, "globex")):
        await runner.start()
        assert texts(await runner.step(1, "answered")) == [word]
        await runner.step(2, "hangup")
    await phones.advance(1_000)
    assert {one["account_id"] for one in globex.trace()} == {GLOBEX.account_id}


# Legs


async def test_a_leg_that_cannot_be_placed_is_a_failed_one(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    away(phones.presence, "place_leg")
    assert texts(await runner.step(3, "digits", digits="1")) == ["Goodbye"]
    await runner.step(4, "hangup")
    await phones.advance(1_000)
    assert [one["data"]["error"] for one in runner.trace() if one["node_id"] == "bob"] == [
        "The leg cannot be placed now."
    ]


async def test_a_leg_for_a_call_that_is_gone(phones: LocalBrain) -> None:
    runner = await arrive(phones, FRONT)
    await to_menu(runner)
    listed = await answered(phones, runner)
    await scene.send(phones, scene.event(phones, ACME, "dialog", seq=9, **(listed | {"state": "end"})))
    assert texts(await runner.step(3, "digits", digits="1")) == ["Goodbye"]
