"""HTTP nodes of a call's flow: what is asked of the world, and what of its answers."""

from __future__ import annotations

import asyncio

import pytest

from tandem.runtime import HttpReply
from tandem.runtime.cpython import outside
from tests.support import scene
from tests.support.flow_calls import Runner, graph, request, say
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME
from tests.unit.brain.sessions import ASKS, MAIN, URL, Fields, arrive, prepared, serve, texts


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    return await prepared(brain)


async def to_hi(runner: Runner) -> None:
    await runner.start()
    assert texts(await runner.step(1, "answered")) == ["Hi"]


async def to_request(runner: Runner) -> Fields:
    """What follows when the request has been made."""
    await to_hi(runner)
    return await runner.step(2, "done")


async def test_an_http_node_saves_what_it_is_told(phones: LocalBrain) -> None:
    asked = serve()
    runner = await arrive(phones, ASKS)
    assert texts(await to_request(runner)) == ["Hello Ann"]
    ((method, url, headers, body),) = asked
    assert (method, url, body) == ("GET", URL, None)
    assert headers["user-agent"] == "Tandem"
    assert headers["idempotency-key"]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"no json", "Error"),
        (200, b"\xff\xfe{}", "Error"),
        (200, b"{" * 200, "Error"),
        (200, b'{"name": "' + b"x" * 70_000 + b'"}', "Error"),
        (200, b"", "Error"),
        (200, b"[]", "Hello"),
        (404, b'{"name": "Ann"}', "Error"),
        (302, b"", "Error"),
        (500, b"", "Error"),
    ],
)
async def test_replies_of_every_kind(phones: LocalBrain, status: int, body: bytes, said: str) -> None:
    serve(status, body)
    runner = await arrive(phones, ASKS)
    assert texts(await to_request(runner)) == [said]


async def test_a_server_that_is_away_or_slow(phones: LocalBrain) -> None:
    runner = await arrive(phones, ASKS)
    assert texts(await to_request(runner)) == ["Error"]
    slow = ASKS.replace('"kind": "httpRequest"', '"kind": "httpRequest", "timeoutMs": 100')
    await scene.reconfigure(phones, ACME, "UPDATE flow SET published_graph = ?, version = 2 WHERE id = ?", slow, MAIN)

    async def never(method: str, url: str, headers: dict[str, str], sent: str | None) -> HttpReply:
        await asyncio.Event().wait()
        raise AssertionError

    outside.fetch = never
    runner = Runner(phones, ACME, await phones.invite(ACME, "1002", "600"))
    assert texts(await to_request(runner)) == ["Late"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://metadata.google.internal/", "http://[::1]:8080/", "http://0x7f.1/"]
)
async def test_an_http_node_does_not_ask_inside(phones: LocalBrain, url: str) -> None:
    asked = serve()
    runner = await arrive(phones, ASKS.replace(URL, url))
    assert texts(await to_request(runner)) == ["Error"]
    assert asked == []
    await runner.step(3, "hangup")
    await phones.advance(1_000)
    errors = [one["data"].get("error") for one in runner.trace() if one["kind"] == "httpRequest"]
    assert len(errors) == 1
    assert "public address" in errors[0] or "local name" in errors[0]


async def test_a_repeat_while_a_request_is_under_way_waits_for_it(phones: LocalBrain) -> None:
    go, begun = asyncio.Event(), asyncio.Event()
    asked = []

    async def answer(method: str, url: str, headers: dict[str, str], sent: str | None) -> HttpReply:
        asked.append(headers["idempotency-key"])
        begun.set()
        await go.wait()
        return HttpReply(200, b'{"name": "Ann"}')

    outside.fetch = answer
    runner = await arrive(phones, ASKS)
    await to_hi(runner)
    both = [asyncio.create_task(runner.step(2, "done")) for _ in range(2)]
    await begun.wait()
    go.set()
    first, second = await asyncio.gather(*both)
    assert first == second
    assert texts(first) == ["Hello Ann"]
    assert len(asked) == 1


async def test_a_request_that_the_object_died_over_is_made_again(phones: LocalBrain) -> None:
    asked: list[str] = []

    async def dies(method: str, url: str, headers: dict[str, str], sent: str | None) -> HttpReply:
        asked.append(headers["idempotency-key"])
        raise asyncio.CancelledError

    outside.fetch = dies
    runner = await arrive(phones, ASKS)
    await to_hi(runner)
    with pytest.raises(asyncio.CancelledError):
        await runner.step(2, "done")
    runner.evict()
    again = serve()
    assert texts(await runner.step(2, "done")) == ["Hello Ann"]
    assert [headers["idempotency-key"] for _, _, headers, _ in again] == asked


async def test_one_step_s_requests_take_no_longer_together_than_it_may(phones: LocalBrain) -> None:
    names = [f"n{number}" for number in range(9)]
    edges = [f"{one}:timeout>{other}" for one, other in zip(names, [*names[1:], "end"], strict=True)]
    nodes = {name: request(URL, timeoutMs=10_000) for name in names}
    asked = []

    async def slow(method: str, url: str, headers: dict[str, str], sent: str | None) -> HttpReply:
        asked.append(url)
        await phones.advance(10_000)
        raise TimeoutError

    outside.fetch = slow
    runner = await arrive(phones, graph("entry>n0", *edges, **nodes, end=say("end")))
    began = phones.now
    assert (await runner.start())["cmd"] == "answer"
    assert len(asked) == 2
    assert phones.now - began == 20_000
