"""The public API over the whole brain on CPython, and a world of accounts to ask it about."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from tandem.api.front import Front, make_front
from tandem.contracts.v1.objects import BY_NAME
from tandem.runtime import Reply, Request
from tandem.runtime.cpython import MemoryContent
from tests.support.local_brain import LocalBrain

Fields = dict[str, Any]


class Api:
    """`ask` as whoever `key` says: an API key, or a login's token."""

    def __init__(self, brain: LocalBrain, key: str = "", front: Front | None = None) -> None:
        self.brain = brain
        self.key = key
        self.front = front or make_front(brain.env)

    def as_(self, key: str) -> Api:
        return Api(self.brain, key, self.front)

    def credential(self) -> dict[str, str]:
        if not self.key:
            return {}
        return {"x-api-key": self.key} if self.key.startswith("sk_") else {"authorization": f"Bearer {self.key}"}

    async def raw(
        self, method: str, target: str, body: str | bytes = "", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """A body of bytes is one that is no text."""
        path, _, query = target.partition("?")
        given = {**self.credential(), **(headers or {})}
        text, content = (body, None) if isinstance(body, str) else ("", MemoryContent(body))
        request = Request(method, path, dict(parse_qsl(query)), target, lambda name: given.get(name, ""), text, content)
        reply = await self.front.handle(request)
        if reply.afterwards is not None:
            await reply.afterwards()
        return reply

    async def ask(
        self, method: str, target: str, fields: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Fields]:
        reply = await self.raw(method, target, "" if fields is None else json.dumps(fields), headers)
        return reply.status, json.loads(reply.text)

    async def upload(
        self, media: Fields, content: bytes, media_type: str = "audio/wav", **headers: str
    ) -> tuple[int, Fields]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        target = f"/v1/media/{media['id']}/content"
        reply = await self.raw("PUT", target, content, {"content-type": media_type, **named})
        return reply.status, json.loads(reply.text)

    async def get(self, target: str) -> Fields:
        status, reply = await self.ask("GET", target)
        assert status == 200, reply
        return reply

    async def make(self, name: str, /, **fields: Any) -> Fields:
        """The item of a new object."""
        status, reply = await self.ask("POST", f"/v1/{name}", fields)
        assert status == 201, reply
        item: Fields = reply["item"]
        return item

    async def patch(self, name: str, item: Fields, /, **fields: Any) -> Fields:
        status, reply = await self.ask("PATCH", f"/v1/{name}/{item['id']}", fields)
        assert status == 200, reply
        changed: Fields = reply["item"]
        return changed

    async def refused(
        self, expected: tuple[int, str], method: str, target: str, fields: Any = None, **how: Any
    ) -> Fields:
        """The error of a request that must be refused so."""
        status, reply = await self.ask(method, target, fields, **how)
        assert (status, reply["ok"], reply["error"]["code"]) == (expected[0], False, expected[1]), reply
        assert reply["error"]["request_id"].startswith("req_")
        error: Fields = reply["error"]
        return error


@dataclass(frozen=True)
class World:
    """Keys with every scope, each of its account; `client` is below `reseller`, the others stand alone."""

    operator: Api
    acme: Api
    globex: Api
    reseller: Api
    client: Api
    ids: dict[str, str]

    @staticmethod
    async def make(operator: Api) -> World:
        ids: dict[str, str] = {}
        keys: dict[str, Api] = {}
        for name in ("acme", "globex", "reseller", "client"):
            parent = {"parent_id": ids["reseller"]} if name == "client" else {}
            account = await operator.make("accounts", name=name, is_reseller=name == "reseller", country="DE", **parent)
            ids[name] = account["id"]
            status, reply = await operator.ask(
                "POST", "/v1/keys", {"account_id": account["id"], "name": "all", "scopes": ["*"]}
            )
            assert status == 201, reply
            keys[name] = operator.as_(reply["key"])
            await keys[name].make("domains", domain=f"{name}.example")
        return World(operator, keys["acme"], keys["globex"], keys["reseller"], keys["client"], ids)

    async def scoped(self, api: Api, *scopes: str) -> Api:
        """A key of the same account with these scopes only."""
        status, reply = await api.ask("POST", "/v1/keys", {"name": "some", "scopes": list(scopes)})
        assert status == 201, reply
        return api.as_(reply["key"])


async def populate(api: Api) -> dict[str, Fields]:
    """One object of each kind of an account, by name; each is named by another wherever that is possible."""
    made: dict[str, Fields] = {"domains": (await api.get("/v1/domains"))["items"][0]}

    async def make(name: str, /, **fields: Any) -> str:
        made[name] = await api.make(name, **fields)
        return str(made[name]["id"])

    schedule = await make("schedules", name="office")
    user = await make("users", username="anna")
    device = await make("devices", user_id=user)
    forward = await make("forwards", name="mobile", e164="+49 170 1234567")
    media = await make("media", name="welcome")
    playlist = await make("playlists", name="music", media_ids=[media, media])
    target = {"exit_dest_kind": "forward", "exit_dest_id": forward}
    group = await make("ring-groups", name="sales", schedule_id=schedule, moh_media_id=media, **target)
    await make("schedule-rules", schedule_id=schedule, kind="weekly", dow=1, start_time="09:00", end_time="17:00")
    await make("ring-group-members", ring_group_id=group, device_id=device)
    extension = await make("extensions", digits="1001", dest_kind="user", dest_id=user)
    made["users"] = await api.patch("users", made["users"], fwd_busy_kind="extension", fwd_busy_id=extension)
    flow = await make("flows", name="main", graph=mentioning(schedule, user, group, forward, media, playlist))
    hours = {"schedule_id": schedule, "holiday_dest_kind": "flow", "holiday_dest_id": flow}
    number = await make("numbers", e164=_next_number(), dest_kind="ring_group", dest_id=group, **hours)
    await make("limits", scope_kind="did", scope_id=number, period_sec=3600, max_count=10)
    trunk = await make("trunks", name="pbx", role="pbx", inbound_auth="ip", inbound_ips=[_next_network()])
    await make("outbound-routes", prefix="49", trunk_id=trunk, schedule_id=schedule)
    await make("verified-numbers", e164="+49 30 901820")
    await make("keys", name="spare", scopes=["users"])
    email = f"{secrets.token_hex(4)}@acme.example"
    await make("console-users", email=email, password="correct horse battery", user_id=user, scopes=["*"])
    return made


def mentioning(*ids: str) -> Fields:
    """A draft, wrong in many ways, that names objects."""
    return {"start": "a", "nodes": [{"id": "a", "data": {"kind": "all", "of": list(ids)}}]}


def listed(name: str, item: Fields) -> Fields:
    """What a list, and the audit log, have of an item."""
    model = BY_NAME[name].listed
    return item if model is None else {field: item[field] for field in model.model_fields}


_numbers = itertools.count(20_7183_0000)
_networks = itertools.count()


def _next_number() -> str:
    return f"+44{next(_numbers)}"


def _next_network() -> str:
    number = next(_networks)
    return f"10.{number >> 8 & 255}.{number & 255}.0/28"
