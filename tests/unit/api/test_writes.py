"""Writes that meet: revisions, idempotency keys, imports that fail half way, a database that goes away."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tandem.api.front import make_front
from tests.unit.api.support import Api, Fields, World, populate


async def test_if_match_guards_a_change(acme: Api) -> None:
    user = await acme.make("users", username="u")
    single = f"/v1/users/{user['id']}"
    reply = await acme.raw("GET", single)
    assert reply.headers["etag"] == '"1"'
    first = await acme.raw("PATCH", single, '{"dnd":true}', {"if-match": reply.headers["etag"]})
    assert (first.status, first.headers["etag"]) == (200, '"2"')
    late = {"if-match": '"1"'}
    await acme.refused((412, "precondition_failed"), "PATCH", single, {"dnd": False}, headers=late)
    await acme.refused((412, "precondition_failed"), "DELETE", single, headers=late)
    await acme.refused((412, "precondition_failed"), "PATCH", single, {"dnd": True}, headers={"if-match": "nonsense"})
    assert (await acme.get(single))["item"]["dnd"]
    for etag in ("*", '"7", "2"', 'W/"2"'):
        assert (await acme.ask("PATCH", single, {"dnd": True}, {"if-match": etag}))[0] == 200
    assert (await acme.ask("DELETE", single, None, {"if-match": '"2"'}))[0] == 200


class Interruption:
    """Lets another change through between the read and the write of the next `times` changes."""

    def __init__(self, api: Api, statement: str, params: tuple[Any, ...], times: int = 1) -> None:
        self.database = api.brain.control
        self.batch = self.database.batch
        self.statement, self.params, self.left = statement, params, times
        vars(self.database)["batch"] = self

    async def __call__(self, statements: Any) -> Any:
        if self.left and any(sql.startswith("UPDATE") or sql.startswith("DELETE FROM sip") for sql, _ in statements):
            self.left -= 1
            self.database.connection.execute(self.statement, self.params)
        return await self.batch(statements)


async def test_a_change_meanwhile_is_not_overwritten(acme: Api) -> None:
    user = await acme.make("users", username="u")
    single = f"/v1/users/{user['id']}"
    change = "UPDATE sip_user SET dnd = 1, revision = revision + 1 WHERE id = ?"
    Interruption(acme, change, (user["id"],))
    changed = await acme.patch("users", user, display_name="U")
    assert (changed["dnd"], changed["display_name"], changed["revision"]) == (True, "U", 3)
    Interruption(acme, change, (user["id"],))
    current = {"if-match": '"3"'}
    await acme.refused((412, "precondition_failed"), "PATCH", single, {"display_name": "V"}, headers=current)
    Interruption(acme, change, (user["id"],), times=3)
    await acme.refused((412, "precondition_failed"), "PATCH", single, {"display_name": "W"})
    assert (await acme.get(single))["item"]["display_name"] == "U"
    entries = (await acme.get("/v1/audit?action=update"))["items"]
    assert len(entries) == 1


async def test_what_vanishes_between_check_and_write_is_noticed(acme: Api) -> None:
    """A user goes while a device is moved to him; a device comes while its user goes."""
    users = [await acme.make("users", username=f"u{number}") for number in range(2)]
    device = await acme.make("devices", user_id=users[0]["id"])
    Interruption(acme, "DELETE FROM sip_user WHERE id = ?", (users[1]["id"],))
    change = {"user_id": users[1]["id"]}
    await acme.refused((422, "unknown_reference"), "PATCH", f"/v1/devices/{device['id']}", change)
    other = await acme.make("users", username="u3")
    Interruption(acme, "UPDATE sip_device SET user_id = ?", (other["id"],))
    await acme.refused((409, "in_use"), "DELETE", f"/v1/users/{other['id']}")


async def test_concurrent_changes_all_count(acme: Api) -> None:
    user = await acme.make("users", username="u")
    fields: list[Fields] = [{"dnd": True}, {"display_name": "U"}, {"is_agent": True}]
    done = await asyncio.gather(*(acme.ask("PATCH", f"/v1/users/{user['id']}", change) for change in fields))
    assert [status for status, _ in done] == [200, 200, 200]
    item = (await acme.get(f"/v1/users/{user['id']}"))["item"]
    assert (item["dnd"], item["display_name"], item["is_agent"], item["revision"]) == (True, "U", True, 4)


async def test_the_same_post_twice_is_done_once(acme: Api) -> None:
    again = {"idempotency-key": "k1"}
    first = await acme.ask("POST", "/v1/users", {"username": "u"}, again)
    second = await acme.ask("POST", "/v1/users", {"username": "u"}, again)
    assert first == second
    assert first[0] == 201
    assert len((await acme.get("/v1/users"))["items"]) == 1
    await acme.refused((409, "idempotency_conflict"), "POST", "/v1/users", {"username": "v"}, headers=again)
    await acme.refused((409, "idempotency_conflict"), "POST", "/v1/schedules", {"name": "u"}, headers=again)
    await acme.brain.advance(24 * 3_600_000 + 1)
    assert (await acme.ask("POST", "/v1/users", {"username": "v"}, again))[0] == 201
    await acme.refused(
        (400, "invalid_request"), "POST", "/v1/users", {"username": "w"}, headers={"idempotency-key": "x" * 201}
    )


async def test_idempotency_keys_are_each_credential_s_own(world: World) -> None:
    again = {"idempotency-key": "k1"}
    for api in (world.acme, world.globex):
        assert (await api.ask("POST", "/v1/users", {"username": "u"}, again))[0] == 201


async def test_a_failed_post_is_not_remembered(acme: Api) -> None:
    again = {"idempotency-key": "k1"}
    user = await acme.make("users", username="u")
    await acme.refused((409, "conflict"), "POST", "/v1/users", {"username": "u"}, headers=again)
    await acme.ask("DELETE", f"/v1/users/{user['id']}")
    assert (await acme.ask("POST", "/v1/users", {"username": "u"}, again))[0] == 201


async def test_two_at_once_with_the_same_key(acme: Api) -> None:
    again = {"idempotency-key": "k1"}
    done = await asyncio.gather(*(acme.ask("POST", "/v1/users", {"username": "u"}, again) for _ in range(5)))
    assert {status for status, _ in done} <= {201, 409}
    assert len((await acme.get("/v1/users"))["items"]) == 1


async def test_a_repeated_post_does_not_show_the_secret_again(acme: Api) -> None:
    user = await acme.make("users", username="u")
    again = {"idempotency-key": "k1"}
    _, first = await acme.ask("POST", "/v1/devices", {"user_id": user["id"]}, again)
    _, second = await acme.ask("POST", "/v1/devices", {"user_id": user["id"]}, again)
    assert first["item"] == second["item"]
    assert ("password" in first, "password" in second) == (True, False)
    kept = acme.brain.control.connection.execute("SELECT reply FROM idempotency_key").fetchall()
    assert first["password"] not in str([tuple(row) for row in kept])


async def _import(
    api: Api, name: str, body: str, kind: str = "application/x-ndjson", **headers: str
) -> tuple[int, Fields]:
    reply = await api.raw("POST", f"/v1/{name}/import", body, {"content-type": kind, **headers})
    return reply.status, json.loads(reply.text)


def _lines(*rows: Fields) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


async def test_an_import_makes_everything(acme: Api) -> None:
    rows = [{"username": f"u{number}", "dnd": number % 2 == 0} for number in range(1200)]
    assert await _import(acme, "users", _lines(*rows)) == (201, {"ok": True, "imported": 1200})
    connection = acme.brain.control.connection
    assert connection.execute("SELECT COUNT(*), SUM(dnd) FROM sip_user").fetchone()[:] == (1200, 600)
    assert connection.execute("SELECT COUNT(*) FROM audit WHERE object = 'users'").fetchone()[0] == 1200


async def test_an_import_of_csv(acme: Api) -> None:
    body = 'digits,dest_kind,dest_id,dest_xform\r\n*97,hangup,486,"{""a"": 1}"\r\n"*98",hangup,,\r\n'
    status, reply = await _import(acme, "extensions", body, "text/csv; charset=utf-8")
    assert status == 422
    assert reply["error"]["lines"][0]["field"] == "dest_id"
    body = body.replace('*98",hangup,,', '*98",hangup,603,')
    assert (await _import(acme, "extensions", body, "text/csv"))[1] == {"ok": True, "imported": 2}
    items = (await acme.get("/v1/extensions?digits=*97"))["items"]
    assert items[0]["dest_xform"] == {"a": 1}
    trunks = 'name,inbound_auth,inbound_ips\nx,ip,"[""192.0.2.1"",""192.0.2.2:5060""]"\n'
    assert (await _import(acme, "trunks", trunks, "text/csv"))[0] == 201
    assert acme.brain.control.connection.execute("SELECT COUNT(*) FROM trunk_address").fetchone()[0] == 2


async def test_a_half_wrong_import_changes_nothing_and_names_the_lines(acme: Api) -> None:
    user = (await populate(acme))["users"]["id"]
    before = await _counts(acme)
    missing = f"us_{'0' * 26}"
    target, password = {"dest_kind": "user"}, {"password": "correct horse battery"}
    bad = [
        (
            _lines({"username": "a"}, {"username": ""}, {"username": "b", "nick": 1}),
            "users",
            [(2, "username"), (3, "nick")],
        ),
        (_lines({"username": "a"}, {"username": "anna"}), "users", [(2, "username")]),
        (_lines({"username": "a"}, {"username": "a"}), "users", [(2, "username")]),
        ('{"username":"a"}\n\n{"username":', "users", [(3, None)]),
        ('{"username":"a"}\n[1]\n', "users", [(2, None)]),
        (
            _lines({"digits": "7", **target, "dest_id": user}, {"digits": "8", **target, "dest_id": missing}),
            "extensions",
            [(2, "dest_id")],
        ),
        (
            _lines({"user_id": user, "auth_username": "n1", **password}, {"user_id": missing, **password}),
            "devices",
            [(2, "user_id")],
        ),
        (_lines({"user_id": user}), "devices", [(1, "password")]),
        (_lines({"e164": "+442071838799"}, {"e164": "12"}), "numbers", [(2, "e164")]),
    ]
    for body, name, expected in bad:
        status, reply = await _import(acme, name, body)
        assert (status, reply["error"]["code"]) == (422, "import_failed"), reply
        assert [(line["line"], line.get("field")) for line in reply["error"]["lines"]] == expected
        assert await _counts(acme) == before


async def _counts(api: Api) -> list[int]:
    tables = ("sip_user", "sip_device", "extension", "did", "audit", "config_change")
    return [api.brain.control.connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in tables]


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ("", "application/x-ndjson", "invalid_request"),
        ("\n\n", "application/x-ndjson", "invalid_request"),
        ("username\n", "text/csv", "invalid_request"),
        ("username,username\na,b\n", "text/csv", "invalid_request"),
        ("username\na,b\n", "text/csv", "import_failed"),
        ('username\n"a', "text/csv", "invalid_request"),
        ("{}", "text/plain", "unsupported_media_type"),
        ("{}", "", "unsupported_media_type"),
        ('{"username":"a"}\n' * 10_001, "application/x-ndjson", "too_large"),
        (" " * (8 * 1024 * 1024 + 1), "application/x-ndjson", "too_large"),
    ],
)
async def test_a_body_that_is_no_import_is_refused(acme: Api, body: str, kind: str, code: str) -> None:
    status, reply = await _import(acme, "users", body, kind)
    assert reply["error"]["code"] == code, reply
    assert status < 500


async def test_an_import_is_done_once(acme: Api) -> None:
    headers = {"idempotency-key": "k"}
    assert (await _import(acme, "users", _lines({"username": "u"}), **headers))[0] == 201
    assert (await _import(acme, "users", _lines({"username": "u"}), **headers)) == (201, {"ok": True, "imported": 1})


async def test_a_database_that_is_away(acme: Api) -> None:
    user = await acme.make("users", username="u")
    acme.brain.control.available = False
    for method, target, fields in (
        ("GET", "/v1/users", None),
        ("POST", "/v1/users", {"username": "v"}),
        ("PATCH", f"/v1/users/{user['id']}", {"dnd": True}),
    ):
        error = await acme.refused((503, "unavailable"), method, target, fields)
        assert "retry" in error["message"]


async def test_a_change_reaches_the_account_s_object(acme: Api, world: World) -> None:
    """Within the same request: its replica has the row when the reply is out."""
    user = await acme.make("users", username="u")
    presence = acme.brain.presence.contexts[world.ids["acme"]].connection
    assert presence.execute("SELECT dnd FROM sip_user WHERE id = ?", (user["id"],)).fetchone()[0] == 0
    await acme.patch("users", user, dnd=True)
    assert presence.execute("SELECT dnd FROM sip_user WHERE id = ?", (user["id"],)).fetchone()[0] == 1


async def test_a_change_above_reaches_the_accounts_below(world: World) -> None:
    await world.client.make("users", username="u")
    reseller = (await world.operator.get(f"/v1/accounts/{world.ids['reseller']}"))["item"]
    await world.operator.patch("accounts", reseller, status="suspended")
    presence = world.operator.brain.presence.contexts[world.ids["client"]].connection
    statement = "SELECT status FROM account WHERE id = ?"
    assert presence.execute(statement, (world.ids["reseller"],)).fetchone()[0] == "suspended"


async def test_a_new_trunk_is_known_at_once(acme: Api) -> None:
    """Whose address is whose is remembered by the Worker; a change makes it ask again."""
    forgotten: list[bool] = []
    front = make_front(acme.brain.env, lambda: forgotten.append(True))
    await Api(acme.brain, acme.key, front).make("trunks", name="t")
    assert forgotten == [True]


async def test_a_write_stands_though_nobody_can_be_told(acme: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*arguments: object) -> str:
        raise ConnectionError("the object cannot be reached")

    monkeypatch.setattr(acme.brain.env.presence, "call", away)
    user = await acme.make("users", username="u")
    assert acme.brain.queue.texts == [user["account_id"]]
    monkeypatch.setattr(acme.brain.queue, "put_all", away)
    await acme.make("users", username="v")
