"""Flows in an account, as the API makes them."""

from __future__ import annotations

from typing import Any

from tests.support.flows import document
from tests.unit.api.support import Api, Fields


def greeting(text: str = "Welcome", **data: Any) -> Fields:
    nodes = {"entry": {"kind": "entry"}, "hello": {"kind": "say", "text": text, **data}, "bye": {"kind": "hangup"}}
    return document(nodes, {"entry": "hello", "hello": "bye"})


def leaving(text: str) -> Fields:
    """A flow to be called: says something and returns by `done`."""
    return document({"hello": {"kind": "say", "text": text}}, {"hello": "exit:done"})


async def publish(api: Api, flow: Fields, **headers: str) -> Fields:
    status, reply = await api.ask("POST", f"/v1/flows/{flow['id']}/publish", headers=headers)
    assert status == 200, reply
    item: Fields = reply["item"]
    return item


async def published(api: Api, name: str, graph: Fields) -> Fields:
    return await publish(api, await api.make("flows", name=name, graph=graph))


async def problems(api: Api, flow: Fields) -> list[Fields]:
    status, reply = await api.ask("POST", f"/v1/flows/{flow['id']}/validate")
    assert (status, reply["valid"]) == (200, not reply["problems"])
    found: list[Fields] = reply["problems"]
    return found


async def simulate(api: Api, flow: Fields, **asked: Any) -> Fields:
    status, reply = await api.ask("POST", f"/v1/flows/{flow['id']}/simulate", asked)
    assert status == 200, reply
    return reply
