"""Call flows that are tried out on paper."""

from __future__ import annotations

import json

import pytest

from tests.support.flows import document
from tests.support.sounds import wav
from tests.unit.api.flows import greeting, leaving, problems, published, simulate
from tests.unit.api.support import Api, Fields

MENU = document(
    {
        "hours": {"kind": "timeCondition", "scheduleId": "@schedule"},
        "menu": {"kind": "menu", "prompt": {"audioId": "@media"}},
        "dial": {"kind": "dial", "targets": [{"kind": "user", "id": "@user"}]},
        "sub": {"kind": "subflow", "flowId": "@sub"},
        "bye": {"kind": "hangup"},
    },
    {
        "hours in_hours": "menu",
        "hours out_of_hours": "sub",
        "hours holiday": "sub",
        "menu digit:1": "dial",
        "menu timeout": "bye",
        "menu invalid": "bye",
        "dial no_answer": "sub",
        "dial busy": "sub",
        "dial failed": "sub",
        "sub done": "bye",
    },
)
MONDAY_NOON = 1_783_332_000_000  # 2026-07-06 10:00 UTC: noon in Berlin
MONDAY_NIGHT = MONDAY_NOON + 12 * 3_600_000


@pytest.fixture
async def menu(acme: Api) -> Fields:
    """A published flow with everything that facts are made of; the account is in Berlin and speaks German."""
    account = (await acme.get("/v1/accounts"))["items"][0]
    await acme.patch("accounts", account, timezone="Europe/Berlin", language="de-DE", voice_gender="male")
    schedule = await acme.make("schedules", name="office")
    rule = {"kind": "weekly", "dow": 1, "start_time": "11:30", "end_time": "12:30"}
    await acme.make("schedule-rules", schedule_id=schedule["id"], **rule)
    media = await acme.make("media", name="hello")
    await acme.upload(media, wav())
    user = await acme.make("users", username="anna")
    sub = await published(acme, "sub", leaving("Auf Wiedersehen {{who}}"))
    text = json.dumps(MENU)
    for name, one in (("schedule", schedule), ("media", media), ("user", user), ("sub", sub)):
        text = text.replace(f"@{name}", one["id"])
    return await published(acme, "main", json.loads(text))


def ways(reply: Fields) -> list[tuple[str, str]]:
    return [(step["node_id"], step["outcome"]) for step in reply["trace"]]


async def test_a_call_is_tried_out_with_what_the_account_has(acme: Api, menu: Fields) -> None:
    outcomes = [{"outcome": "digits", "digits": "1", "after_ms": 700}, {"outcome": "busy"}, {"outcome": "done"}]
    reply = await simulate(acme, menu, at=MONDAY_NOON, outcomes=outcomes, **{"from": "+4930901820", "to": "600"})
    assert ways(reply)[:3] == [("hours", "in_hours"), ("menu", "digit:1"), ("dial", "busy")]
    assert reply["reason"] == "completed"
    commands = [one["cmd"] for one in reply["commands"]]
    assert [one for one in commands if one in ("gather", "dial", "hangup")] == ["gather", "dial", "hangup"]
    gather = next(one for one in reply["commands"] if one["cmd"] == "gather")
    item = (await acme.get("/v1/media?name=hello"))["items"][0]
    assert gather["args"]["sounds"][0]["etag"] == item["etag"]
    said = [sound for one in reply["commands"] if one["cmd"] == "play" for sound in one["args"]["sounds"]]
    assert [(one["language"], one["voice"]) for one in said] == [("de-DE", "male")]
    menu_step = reply["trace"][1]
    assert (menu_step["at"] - menu_step["entered_at"], menu_step["digits"]) == (700, "1")


async def test_a_call_at_night_takes_the_other_way(acme: Api, menu: Fields) -> None:
    reply = await simulate(acme, menu, at=MONDAY_NIGHT, vars={"who": "Anna"})
    assert ways(reply)[0] == ("hours", "out_of_hours")
    assert "Anna" not in json.dumps(reply["commands"])  # the route's variables are the flow's, not its subflow's


async def test_a_script_that_ends_leaves_the_flow_waiting(acme: Api, menu: Fields) -> None:
    reply = await simulate(acme, menu, at=MONDAY_NOON)
    assert (reply["reason"], reply["commands"][-1]["cmd"]) == (None, "gather")


async def test_a_version_is_tried_out_as_well_as_the_draft(acme: Api) -> None:
    flow = await published(acme, "main", greeting("one"))
    await acme.patch("flows", flow, graph=greeting("two"))
    for version, text in ((None, "two"), (1, "one")):
        reply = await simulate(acme, flow, version=version)
        assert (text in json.dumps(reply["commands"]), reply["reason"]) == (True, "completed")
    await acme.refused((404, "not_found"), "POST", f"/v1/flows/{flow['id']}/simulate", {"version": 2})


async def test_http_replies_are_scripted(acme: Api) -> None:
    request = {"kind": "httpRequest", "url": "https://crm.example/x", "save": [{"variable": "who", "path": "name"}]}
    nodes: Fields = {"ask": request, "say": {"kind": "say", "text": "Hello {{who}}"}, "bye": {"kind": "hangup"}}
    edges = {"ask success": "say", "ask error": "bye", "ask timeout": "bye", "say": "bye"}
    flow = await acme.make("flows", name="main", graph=document(nodes, edges))
    for replies, outcome in (
        ([{"status": 200, "body": '{"name":"Anna"}'}], "success"),
        ([{"status": 500}], "error"),
        ([{"timed_out": True, "status": 0}], "timeout"),
        ([], "error"),
    ):
        reply = await simulate(acme, flow, replies=replies)
        assert ways(reply)[0] == ("ask", outcome)
        assert ("Hello Anna" in json.dumps(reply["commands"])) == (outcome == "success")


@pytest.mark.parametrize("edge", [True, False])
async def test_a_ring_group_is_tried_out_with_the_flow_of_its_exit(acme: Api, edge: bool) -> None:
    after = await published(acme, "after", leaving("After {{hours}}"))
    fields = {"exit_dest_kind": "flow", "exit_dest_id": after["id"], "exit_dest_xform": {"hours": "six"}}
    group = await acme.make("ring-groups", name="sales", **fields)
    plain = await acme.make("ring-groups", name="plain")
    nodes: Fields = {
        "ring": {"kind": "ringGroup", "ringGroupId": group["id"]},
        "more": {"kind": "ringGroup", "ringGroupId": plain["id"]},
    }
    edges = {"ring exit": "more"} if edge else {"ring answered": "more"}
    flow = await acme.make("flows", name="main", graph=document(nodes, edges))
    reply = await simulate(acme, flow, outcomes=[{"outcome": "no_answer"}, {"outcome": "no_answer"}])
    assert ways(reply)[:2] == [("ring", "exit"), ("more", "exit") if edge else ("hello", "default")]
    assert ("After six" in json.dumps(reply["commands"])) is not edge


async def test_a_draft_with_problems_is_tried_out_and_one_that_is_none_is_not(acme: Api) -> None:
    graph = greeting()
    graph["edges"].pop()
    flow = await acme.make("flows", name="main", graph=graph)
    assert await problems(acme, flow) != []
    assert (await simulate(acme, flow))["reason"] is not None
    await acme.patch("flows", flow, graph={"nodes": 7})
    error = await acme.refused((422, "invalid_flow"), "POST", f"/v1/flows/{flow['id']}/simulate", {})
    assert error["problems"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"version": 0}, "version"),
        ({"at": -1}, "at"),
        ({"outcomes": [{}]}, "outcomes.0.outcome"),
        ({"outcomes": [{"outcome": "digits", "digits": "x"}]}, "outcomes.0.digits"),
        ({"outcomes": [{"outcome": "x"}] * 501}, "outcomes"),
        ({"vars": {"a b": "x"}}, "vars"),
        ({"replies": [{"status": 1000}]}, "replies.0.status"),
        ({"from_": "x"}, "from_"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_a_wrong_script_is_refused(acme: Api, asked: Fields, field: str) -> None:
    flow = await acme.make("flows", name="main", graph=greeting())
    error = await acme.refused((400, "invalid_request"), "POST", f"/v1/flows/{flow['id']}/simulate", asked)
    assert error["field"].startswith(field)
