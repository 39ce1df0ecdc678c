"""Flows, media and traces on workerd: D1's triggers and batches, R2, sounds that never come into Python's memory."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_node.local.settings import LOOPBACK
from tandem.runtime import Reply
from tests.support import node, seeds
from tests.support.flows import document
from tests.support.sounds import MP3, wav
from tests.unit.api.flows import greeting, leaving, published, simulate
from tests.unit.api.support import Api, Fields, World
from tests.worker.brain import Brain
from tests.worker.caller import Caller, now_ms
from tests.worker.test_api import HttpApi

MEGABYTE = 1024 * 1024
WEIGHT = "SUM(length(CAST(published_graph AS BLOB)))"
SPEECH = f"/media/tts/{secrets.token_hex(32)}"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brain]:
    state: Path = tmp_path_factory.mktemp("flows")
    with Brain(state, {"MASTER_KEY": seeds.MASTER_KEY}) as started:
        started.d1_batch(*seeds.platform_rows())
        started.d1("UPDATE api_key SET scopes = '*'")
        yield started


@pytest.fixture(scope="module")
def world(worker: Brain) -> World:
    return asyncio.run(World.make(HttpApi(worker, seeds.OPERATOR_KEY)))


def long_wav(megabytes: int) -> bytes:
    """Noise, so that nothing on the way can make it smaller."""
    head = wav(0)
    length = megabytes * MEGABYTE - len(head)
    return (
        head[:4]
        + (length + 36).to_bytes(4, "little")
        + head[8:40]
        + length.to_bytes(4, "little")
        + secrets.token_bytes(length)
    )


async def content(api: Api, media: Fields, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.raw("GET", f"/v1/media/{media['id']}/content", headers=named)


def ask_as_node(
    worker: Brain, method: str, path: str, body: bytes = b"", **more: str
) -> tuple[int, dict[str, str], bytes]:
    headers = node.signed_bytes(method, path, body, now_ms())
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    connection = http.client.HTTPConnection(LOOPBACK, worker.port, timeout=30)
    try:
        connection.request(method, path, body or None, headers)
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


async def test_a_flow_lives_on_d1(world: World, worker: Brain) -> None:
    flow = await published(world.acme, "main", greeting("one"))
    await world.acme.patch("flows", flow, graph=greeting("zwei 二"))
    found = await world.acme.get(f"/v1/flows/{flow['id']}/diff")
    assert found["nodes"]["changed"][0]["fields"] == [{"path": "data.text", "before": "one", "after": "zwei 二"}]
    reply = await simulate(world.acme, flow)
    assert (reply["reason"], "zwei 二" in json.dumps(reply["commands"], ensure_ascii=False)) == ("completed", True)
    status, again = await world.acme.ask("POST", f"/v1/flows/{flow['id']}/publish")
    assert (status, again["item"]["version"], again["item"]["unpublished"]) == (200, 2, False)
    assert [one["version"] for one in (await world.acme.get(f"/v1/flows/{flow['id']}/versions"))["items"]] == [2, 1]
    with pytest.raises(ValueError, match="never changes"):
        worker.d1("UPDATE flow_version SET graph = '{}' WHERE flow_id = ?", flow["id"])
    number = await world.acme.make("numbers", e164="+442071838799", dest_kind="flow", dest_id=flow["id"])
    await world.acme.refused((409, "in_use"), "POST", f"/v1/flows/{flow['id']}/archive")
    await world.acme.patch("numbers", number, dest_kind=None, dest_id=None)
    assert (await world.acme.ask("DELETE", f"/v1/flows/{flow['id']}"))[0] == 200
    assert worker.d1("SELECT * FROM flow_version WHERE flow_id = ?", flow["id"]) == []


async def test_problems_and_references_on_d1(world: World) -> None:
    user = await world.globex.make("users", username="anna")
    sub = await published(world.globex, "sub", leaving("hi"))
    nodes: Fields = {
        "dial": {"kind": "dial", "targets": [{"kind": "user", "id": user["id"]}]},
        "sub": {"kind": "subflow", "flowId": sub["id"]},
        "bye": {"kind": "hangup"},
    }
    edges = {f"dial {outcome}": "sub" for outcome in ("no_answer", "busy", "failed")} | {"sub done": "bye"}
    flow = await world.globex.make("flows", name="main", graph=document(nodes, {**edges, "bye": "dial"}))
    error = await world.globex.refused((422, "invalid_flow"), "POST", f"/v1/flows/{flow['id']}/publish")
    assert [one["code"] for one in error["problems"]] == ["unknown_outcome"]
    await world.globex.patch("flows", flow, graph=document(nodes, edges))
    assert (await world.globex.ask("POST", f"/v1/flows/{flow['id']}/publish"))[0] == 200
    error = await world.globex.refused((409, "in_use"), "DELETE", f"/v1/users/{user['id']}")
    assert error["referrers"] == [{"object": "flows", "id": flow["id"], "field": "graph"}]


async def test_graphs_larger_together_than_a_value_may_be_reach_the_object(world: World, worker: Brain) -> None:
    """All at once: the account's object is asked for the first time when they are all there."""
    nodes: Fields = {f"n{number}": {"kind": "say", "text": 'ä"\\' * 660} for number in range(60)}
    edges = {f"n{number}": f"n{number + 1}" for number in range(59)} | {"n59": "exit:done"}
    account = world.ids["client"]
    for number in range(10):
        flow = await world.client.make("flows", name=f"flow{number}", graph=document(nodes, edges))
        worker.d1("UPDATE flow SET status = 'published', version = 1, published_graph = graph WHERE id = ?", flow["id"])
    (truth,) = worker.d1(f"SELECT COUNT(*) AS n, {WEIGHT} AS bytes FROM flow WHERE account_id = ?", account)
    assert truth["bytes"] > 2 * MEGABYTE
    worker.restart()
    # Nobody is called so; to say that, the object has read all of its configuration.
    await world.client.refused((404, "not_found"), "POST", "/v1/explain", {"from": "1", "to": "2"})
    assert (truth["n"], truth["bytes"]) in replicas(worker)


def replicas(worker: Brain) -> list[tuple[int, int]]:
    """How many flows each account's object has, and how much they weigh."""
    found = []
    for path in worker.settings.brain_state.glob("v3/do/*Presence*/*.sqlite"):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'flow'").fetchone():
                found.append(connection.execute(f"SELECT COUNT(*), {WEIGHT} FROM flow").fetchone())
    return found


async def test_a_sound_is_uploaded_and_given_to_people_and_nodes(world: World, worker: Brain) -> None:
    media = await world.acme.make("media", name="welcome")
    for sound in (wav(250), wav(500)):
        status, reply = await world.acme.upload(media, sound)
        assert (status, reply["item"]["size"]) == (200, len(sound)), reply
    etag = f'"{reply["item"]["etag"]}"'
    found = await content(world.acme, media)
    assert found.content is not None
    assert (found.status, found.headers["etag"], await found.content.read()) == (200, etag, wav(500))
    assert (await content(world.acme, media, if_none_match=etag)).status == 304
    (row,) = worker.d1("SELECT object_key, previous_key, etag FROM media_file WHERE id = ?", media["id"])
    status, headers, body = ask_as_node(worker, "GET", f"/media/{row['object_key']}")
    assert (status, headers["etag"], headers["content-type"], body) == (200, etag, "audio/wav", wav(500))
    assert ask_as_node(worker, "GET", f"/media/{row['object_key']}", if_none_match=etag)[0] == 304
    assert ask_as_node(worker, "GET", f"/media/{row['previous_key']}")[2] == wav(250)
    assert (await world.acme.ask("DELETE", f"/v1/media/{media['id']}"))[0] == 200
    assert ask_as_node(worker, "GET", f"/media/{row['object_key']}")[0] == 404


async def test_what_is_no_sound_is_refused_and_said(world: World, worker: Brain) -> None:
    media = await world.acme.make("media", name="refused")
    for sound, media_type, code in (
        (MP3, "audio/wav", "unreadable_media"),
        (wav()[:-10], "audio/wav", "unreadable_media"),
        (secrets.token_bytes(4 * MEGABYTE), "audio/wav", "unreadable_media"),
        (long_wav(4), "text/plain", "unsupported_media_type"),
        (long_wav(21), "audio/wav", "too_large"),
    ):
        _, reply = await world.acme.upload(media, sound, media_type)
        assert reply["error"]["code"] == code
    _, reply = await world.acme.as_("sk_nobody").upload(media, long_wav(4))
    assert reply["error"]["code"] == "unauthenticated"
    connection = http.client.HTTPConnection(LOOPBACK, worker.port, timeout=30)
    headers = {**world.acme.credential(), "content-type": "audio/wav"}
    connection.request("PUT", f"/v1/media/{media['id']}/content", iter([wav()]), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (411, "length_required")
    connection.close()
    assert (await world.acme.get(f"/v1/media/{media['id']}"))["item"] == media


async def test_a_large_sound_never_comes_into_python_s_memory(world: World, worker: Brain) -> None:
    media = await world.acme.make("media", name="long")
    caller = Caller(worker)
    await world.acme.upload(media, wav())
    before = caller.heap()
    for _ in range(3):
        sound = long_wav(20)
        status, reply = await world.acme.upload(media, sound)
        assert (status, reply["item"]["duration_ms"]) == (200, (20 * MEGABYTE - 44) * 1000 // 16_000), reply
        found = await content(world.acme, media)
        assert found.content is not None
        assert await found.content.read() == sound
    assert caller.heap() - before < 4 * MEGABYTE


async def test_an_upload_that_breaks_off_changes_nothing(world: World, worker: Brain) -> None:
    media = await world.acme.make("media", name="broken")
    await world.acme.upload(media, wav())
    kept = (await world.acme.get(f"/v1/media/{media['id']}"))["item"]
    connection = http.client.HTTPConnection(LOOPBACK, worker.port, timeout=30)
    connection.putrequest("PUT", f"/v1/media/{media['id']}/content")
    sound = long_wav(4)
    headers = {**world.acme.credential(), "content-type": "audio/wav", "content-length": str(len(sound))}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(sound[: 2 * MEGABYTE])
    with contextlib.suppress(OSError):
        connection.close()
    assert (await world.acme.upload(media, wav(200)))[0] == 200
    assert (await world.acme.get(f"/v1/media/{media['id']}"))["item"]["revision"] == kept["revision"] + 1


async def test_what_is_spoken_once_is_there_for_all_nodes(worker: Brain) -> None:
    assert ask_as_node(worker, "GET", SPEECH)[0] == 404
    status, headers, body = ask_as_node(worker, "PUT", SPEECH, wav(level=1))
    assert (status, json.loads(body)) == (201, {"ok": True, "stored": True})
    status, _, body = ask_as_node(worker, "PUT", SPEECH, wav(level=2))
    assert (status, json.loads(body)) == (200, {"ok": True, "stored": False})
    assert ask_as_node(worker, "GET", SPEECH)[2] == wav(level=1)
    assert ask_as_node(worker, "GET", SPEECH, if_none_match=headers["etag"])[0] == 304
    status, _, body = ask_as_node(worker, "PUT", f"{SPEECH[:-1]}", b"RIFF")
    assert (status, json.loads(body)["error"]["code"]) == (422, "unreadable_media")
    status, _, body = ask_as_node(worker, "PUT", f"{SPEECH[:-2]}", bytes(3 * MEGABYTE))
    assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")
    status, body_text = worker.get(SPEECH)
    assert (status, json.loads(body_text)["error"]["code"]) == (401, "unsigned_request")


async def test_a_trace_is_read_from_d1(world: World, worker: Brain) -> None:
    call = f"call_{'0' * 26}"
    account = world.ids["acme"]
    worker.d1(
        "INSERT INTO call_cdr (call_id, account_id, row_version, direction, from_num, to_num, start_ts)"
        " VALUES (?, ?, 1, 'inbound', '1', '2', 5)",
        call,
        account,
    )
    for seq in (2, 1, 3, 1):
        worker.d1(
            "INSERT INTO call_trace VALUES (?, ?, 'flow', ?, 7, 'menu', 'n', '{}') ON CONFLICT DO NOTHING",
            account,
            call,
            seq,
        )
    seen: list[int] = []
    cursor = ""
    while True:
        page = await world.acme.get(f"/v1/calls/{call}/trace?limit=2{cursor}")
        seen += [one["seq"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [1, 2, 3]


def test_the_log_has_no_traceback(worker: Brain) -> None:
    """Runs last: the log of all that this module did."""
    said = worker.log.read_text(errors="replace")
    assert [word for word in ("Traceback", "Uncaught", seeds.MASTER_KEY) if word in said] == [], said[-4000:]
