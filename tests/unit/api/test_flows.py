"""Call flows: drafts, what keeps one from being published, versions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tandem.api.front import make_front
from tests.support.flows import document
from tests.support.sounds import wav
from tests.unit.api.flows import greeting, leaving, problems, publish, published
from tests.unit.api.support import Api, Fields, World, mentioning

EMPTY = {"start": "entry", "nodes": [], "edges": []}


def playing(**data: Any) -> Fields:
    return document({"play": {"kind": "play", **data}, "bye": {"kind": "hangup"}}, {"play": "bye"})


def calling(flow_id: str) -> Fields:
    return document({"sub": {"kind": "subflow", "flowId": flow_id}, "bye": {"kind": "hangup"}}, {"sub done": "bye"})


async def live(api: Api) -> dict[str, tuple[str, int, Any]]:
    """The flows as the account's object has them."""
    account_id = (await api.get("/v1/accounts"))["items"][0]["id"]
    await api.ask("POST", "/v1/explain", {"from": "1", "to": "2"})
    rows = api.brain.presence.contexts[account_id].connection.execute(
        "SELECT id, status, version, published_graph FROM flow"
    )
    return {id_: (status, version, graph and json.loads(graph)) for id_, status, version, graph in rows}


async def test_a_flow_begins_as_a_draft(acme: Api) -> None:
    flow = await acme.make("flows", name="main")
    assert (flow["graph"], flow["status"], flow["version"]) == (EMPTY, "draft", 0)
    assert (flow["published_at"], flow["unpublished"]) == (None, True)
    listed = (await acme.get("/v1/flows?status=draft&name=main"))["items"]
    assert [sorted(one) for one in listed] == [sorted(set(flow) - {"graph"})]
    assert (await live(acme))[flow["id"]] == ("draft", 0, None)
    assert (await acme.refused((409, "conflict"), "POST", "/v1/flows", {"name": "main"}))["field"] == "name"


async def test_a_draft_may_be_as_wrong_and_as_large_as_it_likes_within_bounds(acme: Api) -> None:
    graph = {"nodes": 7, "note": "é" * 60_000 + "x" * 140_000, "deep": {"a": [None, True, 1.5, {"b": []}]}}
    flow = await acme.make("flows", name="main", graph=graph)
    assert (await acme.get(f"/v1/flows/{flow['id']}"))["item"]["graph"] == graph
    assert len(await problems(acme, flow)) > 1
    changed = await acme.patch("flows", flow, graph={"nodes": True})
    assert changed["graph"] == {"nodes": True}
    # Python holds true and 1 for the same; JSON does not.
    assert (await acme.patch("flows", changed, graph={"nodes": 1}))["revision"] == 3


async def test_a_flow_is_published_in_versions(acme: Api) -> None:
    flow = await acme.make("flows", name="main", graph=greeting("one"))
    first = await publish(acme, flow)
    assert (first["status"], first["version"], first["unpublished"]) == ("published", 1, False)
    assert (first["published_at"], first["revision"]) == (acme.brain.now, 2)
    assert (await acme.get(f"/v1/flows/{flow['id']}"))["item"] == first
    assert (await live(acme))[flow["id"]] == ("published", 1, greeting("one"))

    changed = await acme.patch("flows", first, graph=greeting("two"))
    assert (changed["unpublished"], changed["version"], changed["status"]) == (True, 1, "published")
    assert (await live(acme))[flow["id"]] == ("published", 1, greeting("one"))
    back = await acme.patch("flows", changed, graph=greeting("one"))
    assert back["unpublished"] is False
    renamed = await acme.patch("flows", back, name="renamed")
    assert renamed["unpublished"] is False
    await acme.patch("flows", renamed, graph=greeting("two"))
    await acme.brain.advance(5)
    second = await publish(acme, flow)
    assert (second["version"], second["published_at"]) == (2, acme.brain.now)
    assert (await live(acme))[flow["id"]] == ("published", 2, greeting("two"))

    found = (await acme.get(f"/v1/flows/{flow['id']}/versions"))["items"]
    assert [one["version"] for one in found] == [2, 1]
    assert {one["published_by"][:4] for one in found} == {"key_"}
    one = (await acme.get(f"/v1/flows/{flow['id']}/versions/1"))["item"]
    assert (one["graph"], one["published_at"]) == (greeting("one"), first["published_at"])
    await acme.refused((404, "not_found"), "GET", f"/v1/flows/{flow['id']}/versions/3")
    actions = [one["action"] for one in (await acme.get(f"/v1/audit?object_id={flow['id']}"))["items"]]
    assert sorted(actions) == sorted(["create", "publish", *["update"] * 4, "publish"])


async def test_publishing_again_changes_nothing(acme: Api) -> None:
    flow = await published(acme, "main", greeting())
    assert await publish(acme, flow) == flow
    assert len((await acme.get(f"/v1/flows/{flow['id']}/versions"))["items"]) == 1
    await acme.patch("flows", flow, graph=greeting("two"))
    once = {"idempotency-key": "once"}
    target = f"/v1/flows/{flow['id']}/publish"
    first = await acme.ask("POST", target, headers=once)
    await acme.patch("flows", flow, graph=greeting("three"))
    assert await acme.ask("POST", target, headers=once) == first
    assert first[1]["item"]["version"] == 2
    assert (await acme.get(f"/v1/flows/{flow['id']}"))["item"]["version"] == 2


async def test_publishing_heeds_if_match(acme: Api) -> None:
    flow = await acme.make("flows", name="main", graph=greeting())
    await acme.patch("flows", flow, graph=greeting("two"))
    target = f"/v1/flows/{flow['id']}/publish"
    await acme.refused((412, "precondition_failed"), "POST", target, headers={"if-match": '"1"'})
    reply = await acme.raw("POST", target, headers={"if-match": '"2"'})
    assert (reply.status, reply.headers["etag"]) == (200, '"3"')


async def test_versions_come_in_pages(acme: Api) -> None:
    flow = await acme.make("flows", name="main")
    for number in range(5):
        await acme.patch("flows", flow, graph=greeting(str(number)))
        await publish(acme, flow)
    target, seen = f"/v1/flows/{flow['id']}/versions?limit=2", []
    cursor = ""
    while True:
        page = await acme.get(target + cursor)
        seen += [one["version"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [5, 4, 3, 2, 1]
    await acme.refused((400, "invalid_request"), "GET", f"{target}&cursor=x")


async def test_all_problems_are_told_at_once(acme: Api) -> None:
    nodes: Fields = {
        "menu": {"kind": "menu", "prompt": {"audioId": f"media_{'0' * 26}"}},
        "dial": {"kind": "dial", "targets": [{"kind": "user", "id": f"us_{'0' * 26}"}]},
        "odd": {"kind": "sing"},
        "lost": {"kind": "hangup"},
    }
    flow = await acme.make(
        "flows", name="main", graph=document(nodes, {"menu digit:1": "dial", "dial answered": "nowhere"})
    )
    found = await problems(acme, flow)
    codes = {(one["code"], one.get("node_id")) for one in found}
    assert {("unknown_reference", "menu"), ("unknown_reference", "dial"), ("unreachable", "lost")} <= codes
    assert {one["node_id"] for one in found if "node_id" in one} == {"menu", "dial", "odd", "lost"}
    assert any(one["code"] == "unknown_target" and one["edge_id"] == "e1" for one in found)
    error = await acme.refused((422, "invalid_flow"), "POST", f"/v1/flows/{flow['id']}/publish")
    assert error["problems"] == found
    assert f"{len(found)} problems" in error["message"]
    assert (await acme.get(f"/v1/flows/{flow['id']}"))["item"] == flow
    assert (await live(acme))[flow["id"]] == ("draft", 0, None)


async def test_everything_that_a_flow_names_has_to_be_there(acme: Api) -> None:
    user = await acme.make("users", username="anna")
    extension = await acme.make("extensions", digits="1", dest_kind="user", dest_id=user["id"])
    forward = await acme.make("forwards", name="mobile", e164="+491701234567")
    group = await acme.make("ring-groups", name="sales")
    schedule = await acme.make("schedules", name="office")
    media = await acme.make("media", name="hello")
    await acme.upload(media, wav())
    playlist = await acme.make("playlists", name="music", media_ids=[media["id"]])
    other = await published(acme, "other", leaving("hi"))
    targets = [("user", user), ("extension", extension), ("ring_group", group), ("forward", forward)]
    nodes: Fields = {
        "open": {"kind": "timeCondition", "scheduleId": schedule["id"]},
        "play": {"kind": "play", "playlistId": playlist["id"]},
        "sub": {"kind": "subflow", "flowId": other["id"]},
        "dial": {"kind": "dial", "targets": [{"kind": kind, "id": one["id"]} for kind, one in targets],
                 "music": playlist["id"], "whisper": {"audioId": media["id"]}},
        "ring": {"kind": "ringGroup", "ringGroupId": group["id"]},
        "bye": {"kind": "hangup"},
    }  # fmt: skip
    edges = {"open in_hours": "play", "open out_of_hours": "bye", "open holiday": "bye", "play": "sub"}
    edges["sub done"] = "dial"
    edges |= {f"dial {outcome}": "ring" for outcome in ("no_answer", "busy", "failed")}
    edges |= {"ring exit": "bye"}
    flow = await acme.make("flows", name="main", graph=document(nodes, edges))
    assert await problems(acme, flow) == []
    await publish(acme, flow)
    for name, one in (
        ("users", user), ("extensions", extension), ("forwards", forward), ("ring-groups", group),
        ("schedules", schedule), ("media", media), ("playlists", playlist), ("flows", other),
    ):  # fmt: skip
        error = await acme.refused((409, "in_use"), "DELETE", f"/v1/{name}/{one['id']}")
        assert {"object": "flows", "id": flow["id"], "field": "graph"} in error["referrers"], name
    await acme.refused((409, "in_use"), "POST", f"/v1/flows/{other['id']}/archive")


async def test_what_calls_take_holds_as_the_draft_does(acme: Api) -> None:
    group = await acme.make("ring-groups", name="sales")
    graph = document(
        {"ring": {"kind": "ringGroup", "ringGroupId": group["id"]}, "bye": {"kind": "hangup"}}, {"ring exit": "bye"}
    )
    flow = await published(acme, "main", graph)
    target = f"/v1/ring-groups/{group['id']}"
    await acme.patch("flows", flow, graph=greeting())
    await acme.refused((409, "in_use"), "DELETE", target)
    await publish(acme, flow)
    await acme.patch("flows", flow, graph=mentioning(group["id"]))
    await acme.refused((409, "in_use"), "DELETE", target)
    assert (await acme.ask("POST", f"/v1/flows/{flow['id']}/archive"))[0] == 200
    assert (await acme.ask("DELETE", target))[0] == 200


async def test_a_flow_names_nothing_of_another_account(world: World) -> None:
    theirs = await published(world.globex, "theirs", greeting())
    flow = await world.acme.make("flows", name="main", graph=calling(theirs["id"]))
    assert [one["code"] for one in await problems(world.acme, flow)] == ["unknown_reference"]


async def test_media_without_content_is_a_problem(acme: Api) -> None:
    media, full = await acme.make("media", name="hello"), await acme.make("media", name="full")
    await acme.upload(full, wav())
    playlist = await acme.make("playlists", name="music", media_ids=[full["id"], media["id"]])
    for name, graph in (("one", playing(audioId=media["id"])), ("list", playing(playlistId=playlist["id"]))):
        flow = await acme.make("flows", name=name, graph=graph)
        (found,) = await problems(acme, flow)
        assert (found["code"], found["node_id"]) == ("silent_media", "play")
        assert "hello" in found["message"]
    await acme.upload(media, wav())
    assert await problems(acme, flow) == []


async def test_what_may_be_requested_is_what_this_installation_lets(acme: Api) -> None:
    nodes = {"ask": {"kind": "httpRequest", "url": "http://127.0.0.1:9001/crm"}, "bye": {"kind": "hangup"}}
    graph = document(nodes, {f"ask {outcome}": "bye" for outcome in ("success", "error", "timeout")})
    flow = await acme.make("flows", name="main", graph=graph)
    (found,) = await problems(acme, flow)
    assert (found["code"], found["node_id"], found["field"]) == ("bad_url", "ask", "url")
    env = replace(acme.brain.env, http_allow=frozenset({"127.0.0.1:9001"}))
    assert await problems(Api(acme.brain, acme.key, make_front(env)), flow) == []


async def test_subflows_are_published_ones_and_lead_not_back(acme: Api) -> None:
    inner = await acme.make("flows", name="inner", graph=leaving("hi"))
    outer = await acme.make("flows", name="outer", graph=calling(inner["id"]))
    assert [one["code"] for one in await problems(acme, outer)] == ["unknown_reference"]
    await publish(acme, inner)
    assert await problems(acme, outer) == []
    await publish(acme, outer)
    await acme.patch("flows", inner, graph=calling(outer["id"]))
    assert "recursion" in [one["code"] for one in await problems(acme, inner)]
    await acme.patch("flows", inner, graph=calling(inner["id"]))
    assert "recursion" in [one["code"] for one in await problems(acme, inner)]


async def test_a_new_exit_needs_an_edge_in_every_flow_that_calls(world: World) -> None:
    acme = world.acme
    inner = await published(acme, "inner", leaving("hi"))
    for name in ("first", "second"):
        graph = calling(inner["id"])
        graph["nodes"][0]["id"] = graph["edges"][0]["source"] = graph["start"] = f"sub-{name}"
        await published(acme, name, graph)
    await acme.make("flows", name="a draft", graph=calling(inner["id"]))
    two = document(
        {"look": {"kind": "switch", "variable": "x", "cases": ["1"]}}, {"look 1": "exit:done", "look else": "exit:late"}
    )
    await acme.patch("flows", inner, graph=two)
    error = await acme.refused((422, "invalid_flow"), "POST", f"/v1/flows/{inner['id']}/publish")
    assert error["problems"] == await problems(acme, inner)
    assert [(one["code"], one["edge_id"], one["message"]) for one in error["problems"]] == [
        (
            "unhandled_exit",
            "e1",
            f"The flow {name} calls this one at its node sub-{name}, and nothing follows the exit late there; add an"
            " edge for it and publish that flow first.",
        )
        for name in ("first", "second")
    ]
    for flow in (await acme.get("/v1/flows"))["items"]:
        if flow["name"] in ("first", "second"):
            graph = (await acme.get(f"/v1/flows/{flow['id']}"))["item"]["graph"]
            graph["edges"].append({"id": "late", "source": graph["start"], "target": "bye", "sourceHandle": "late"})
            await publish(acme, await acme.patch("flows", flow, graph=graph))
    assert (await publish(acme, inner))["version"] == 2


async def test_an_exit_that_goes_is_missed_by_nobody(acme: Api) -> None:
    inner = await published(acme, "inner", leaving("hi"))
    await published(acme, "outer", calling(inner["id"]))
    await acme.patch("flows", inner, graph=greeting())
    assert (await publish(acme, inner))["version"] == 2


async def test_what_all_flows_may_weigh_is_bounded(acme: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.api.flows.MOST_PUBLISHED_BYTES", 5_000)
    first = await published(acme, "first", greeting("x" * 1_900))
    assert (await publish(acme, await acme.patch("flows", first, graph=greeting("y" * 1_900))))["version"] == 2
    second = await acme.make("flows", name="second", graph=greeting("ä" * 1_900))
    error = await acme.refused((413, "too_large"), "POST", f"/v1/flows/{second['id']}/publish")
    assert (error["field"], "5000" in error["message"]) == ("graph", True)
    await acme.ask("POST", f"/v1/flows/{first['id']}/archive")
    await publish(acme, second)


async def test_an_archived_flow_is_out_of_use_and_can_come_back(acme: Api) -> None:
    flow = await published(acme, "main", greeting())
    number = await acme.make("numbers", e164="+442071838750", dest_kind="flow", dest_id=flow["id"])
    target = f"/v1/flows/{flow['id']}/archive"
    error = await acme.refused((409, "in_use"), "POST", target)
    assert error["referrers"] == [{"object": "numbers", "id": number["id"], "field": "dest_id"}]
    await acme.patch("numbers", number, dest_kind=None, dest_id=None)
    status, reply = await acme.ask("POST", target)
    assert (status, reply["item"]["status"], reply["item"]["unpublished"]) == (200, "archived", True)
    assert await acme.ask("POST", target) == (200, reply)
    assert (await live(acme))[flow["id"]] == ("archived", 1, None)
    body = {"digits": "1", "dest_kind": "flow", "dest_id": flow["id"]}
    await acme.refused((422, "unknown_reference"), "POST", "/v1/extensions", body)
    caller = await acme.make("flows", name="caller", graph=calling(flow["id"]))
    await acme.refused((422, "invalid_flow"), "POST", f"/v1/flows/{caller['id']}/publish")
    assert (await publish(acme, flow))["version"] == 2
    await acme.make("extensions", **body)


async def test_a_deleted_flow_takes_its_versions_along(acme: Api) -> None:
    flow = await published(acme, "main", greeting())
    await acme.patch("flows", flow, graph=greeting("two"))
    await publish(acme, flow)
    assert (await acme.ask("DELETE", f"/v1/flows/{flow['id']}"))[0] == 200
    assert flow["id"] not in await live(acme)
    count = acme.brain.control.connection.execute("SELECT COUNT(*) FROM flow_version").fetchone()
    assert tuple(count) == (0,)
    await acme.refused((404, "not_found"), "GET", f"/v1/flows/{flow['id']}/versions/1")


async def test_two_who_publish_at_once_make_one_version(acme: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = await acme.make("flows", name="main", graph=greeting())
    check, others = acme.brain.control.batch, [acme]

    async def batch(statements: Any) -> Any:
        if others and any("SET status = 'published'" in statement for statement, _ in statements):
            await publish(others.pop(), flow)
        return await check(statements)

    monkeypatch.setattr(acme.brain.control, "batch", batch)
    assert (await publish(acme, flow))["version"] == 1
    assert len((await acme.get(f"/v1/flows/{flow['id']}/versions"))["items"]) == 1


async def test_the_difference_between_versions_is_told(acme: Api) -> None:
    flow = await published(acme, "main", greeting("one"))
    changed = greeting("two", voice="male")
    changed["nodes"].append({"id": "more", "data": {"kind": "hangup"}})
    await acme.patch("flows", flow, graph=changed)
    target = f"/v1/flows/{flow['id']}/diff"
    found = await acme.get(target)
    assert (found["from"], found["to"], found["nodes"]["added"], found["nodes"]["removed"]) == (
        "1",
        "draft",
        ["more"],
        [],
    )
    assert found["nodes"]["changed"] == [
        {
            "id": "hello",
            "fields": [
                {"path": "data.text", "before": "one", "after": "two"},
                {"path": "data.voice", "before": None, "after": "male"},
            ],
        }
    ]
    assert (found["edges"], found["fields"]) == ({"added": [], "removed": [], "changed": []}, [])
    back = await acme.get(f"{target}?from=draft&to=1")
    assert (back["nodes"]["added"], back["nodes"]["removed"]) == ([], ["more"])
    same = await acme.get(f"{target}?from=1&to=1")
    assert (same["nodes"], same["fields"]) == (found["edges"], [])
    await acme.refused((404, "not_found"), "GET", f"{target}?from=2")
    await acme.refused((404, "not_found"), "GET", f"{target}?to=9999999999")
    assert (await acme.refused((400, "invalid_request"), "GET", f"{target}?from=now"))["field"] == "from"


async def test_what_was_never_published_is_compared_with_nothing(acme: Api) -> None:
    flow = await acme.make("flows", name="main", graph=greeting())
    await acme.refused((404, "not_found"), "GET", f"/v1/flows/{flow['id']}/diff")


async def test_scopes_are_heeded(acme: Api, world: World) -> None:
    flow = await acme.make("flows", name="main", graph=greeting())
    some = await world.scoped(acme, "numbers", "cdr")
    for method, path in (
        ("GET", ""), ("POST", "/publish"), ("POST", "/validate"), ("POST", "/archive"), ("GET", "/versions"),
        ("GET", "/versions/1"), ("GET", "/diff"), ("POST", "/simulate"),
    ):  # fmt: skip
        fields: Fields | None = {} if method == "POST" else None
        error = await some.refused((403, "missing_scope"), method, f"/v1/flows/{flow['id']}{path}", fields)
        assert "flows" in error["message"]
