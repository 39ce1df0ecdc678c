"""Who sees and changes whose objects: two tenants, a reseller with its subtree, an operator."""

from __future__ import annotations

import pytest

from tandem.contracts.v1.objects import OBJECTS
from tests.unit.api.support import Api, World, listed, populate
from tests.unit.api.test_objects import CHANGES

WRITABLE = [one for one in OBJECTS if one.name in CHANGES]


async def test_another_tenant_s_objects_are_not_there(world: World) -> None:
    """Reading, changing, deleting and naming them ends as for objects that never were."""
    theirs = await populate(world.globex)
    for one in WRITABLE:
        single = f"{one.path}/{theirs[one.name]['id']}"
        for api in (world.acme, world.reseller, world.client):
            await api.refused((404, "not_found"), "GET", single)
            await api.refused((404, "not_found"), "PATCH", single, CHANGES[one.name])
            await api.refused((404, "not_found"), "DELETE", single)
        assert (await world.globex.get(single))["item"] == theirs[one.name]
    for path in (
        f"/v1/devices/{theirs['devices']['id']}/password",
        f"/v1/console-users/{theirs['console-users']['id']}/password",
        f"/v1/keys/{theirs['keys']['id']}/revoke",
        f"/v1/flows/{theirs['flows']['id']}/validate",
        f"/v1/flows/{theirs['flows']['id']}/publish",
        f"/v1/flows/{theirs['flows']['id']}/archive",
        f"/v1/flows/{theirs['flows']['id']}/simulate",
    ):
        body = {"password": "a password of mine"} if "password" in path else {}
        await world.acme.refused((404, "not_found"), "POST", path, body)
    for path in ("versions", "versions/1", "diff"):
        await world.acme.refused((404, "not_found"), "GET", f"/v1/flows/{theirs['flows']['id']}/{path}")
    await world.acme.refused((404, "not_found"), "GET", f"/v1/media/{theirs['media']['id']}/content")


async def test_lists_show_one_s_own(world: World) -> None:
    mine, theirs = await populate(world.acme), await populate(world.globex)
    for one in WRITABLE:
        items = (await world.acme.get(one.path))["items"]
        assert listed(one.name, mine[one.name]) in items
        assert theirs[one.name]["id"] not in {item["id"] for item in items}
        assert {item["account_id"] for item in items} == {world.ids["acme"]}
    entries = (await world.acme.get("/v1/audit?limit=200"))["items"]
    assert {entry["account_id"] for entry in entries} == {world.ids["acme"]}


async def test_naming_another_account_is_refused(world: World) -> None:
    globex = world.ids["globex"]
    for api in (world.acme, world.reseller):
        error = await api.refused((404, "unknown_account"), "GET", f"/v1/users?account_id={globex}")
        assert error["field"] == "account_id"
        body = {"username": "spy", "account_id": globex}
        await api.refused((404, "unknown_account"), "POST", "/v1/users", body)
        await api.refused((404, "unknown_account"), "GET", f"/v1/calls?account_id={globex}")
        await api.refused(
            (404, "unknown_account"), "POST", "/v1/explain", {"from": "a", "to": "b", "account_id": globex}
        )
    reply = await world.acme.raw(
        "POST", f"/v1/users/import?account_id={globex}", '{"username":"spy"}', {"content-type": "application/x-ndjson"}
    )
    assert reply.status == 404
    assert (await world.globex.get("/v1/users"))["items"] == []


async def test_references_stay_in_the_account(world: World) -> None:
    theirs = {name: item["id"] for name, item in (await populate(world.globex)).items()}
    mine = {name: item["id"] for name, item in (await populate(world.acme)).items()}
    wrong = [
        ("devices", {"user_id": theirs["users"]}, "user_id"),
        ("devices", {"user_id": mine["users"], "auth_username": "x", "realm": "globex.example"}, "realm"),
        ("extensions", {"digits": "7", "dest_kind": "user", "dest_id": theirs["users"]}, "dest_id"),
        ("extensions", {"digits": "7", "dest_kind": "ring_group", "dest_id": theirs["ring-groups"]}, "dest_id"),
        ("extensions", {"digits": "7", "dest_kind": "extension", "dest_id": theirs["extensions"]}, "dest_id"),
        ("extensions", {"digits": "7", "dest_kind": "forward", "dest_id": theirs["forwards"]}, "dest_id"),
        ("extensions", {"digits": "7", "dest_kind": "flow", "dest_id": theirs["flows"]}, "dest_id"),
        ("playlists", {"name": "x", "media_ids": [mine["media"], theirs["media"]]}, "media_ids"),
        ("ring-groups", {"name": "x", "moh_media_id": theirs["media"]}, "moh_media_id"),
        (
            "extensions",
            {"digits": "7", "dest_kind": "hangup", "dest_id": "", "schedule_id": theirs["schedules"]},
            "schedule_id",
        ),
        ("ring-group-members", {"ring_group_id": theirs["ring-groups"], "user_id": mine["users"]}, "ring_group_id"),
        ("ring-group-members", {"ring_group_id": mine["ring-groups"], "user_id": theirs["users"]}, "user_id"),
        ("schedule-rules", {"schedule_id": theirs["schedules"], "kind": "weekly", "dow": 1}, "schedule_id"),
        ("outbound-routes", {"prefix": "", "trunk_id": theirs["trunks"]}, "trunk_id"),
        ("limits", {"scope_kind": "user", "scope_id": theirs["users"], "period_sec": 1, "max_count": 1}, "scope_id"),
        ("limits", {"scope_kind": "did", "scope_id": theirs["numbers"], "period_sec": 1, "max_count": 1}, "scope_id"),
        (
            "console-users",
            {
                "email": "x@acme.example",
                "password": "correct horse battery",
                "scopes": ["*"],
                "user_id": theirs["users"],
            },
            "user_id",
        ),
    ]
    for name, body, field in wrong:
        error = await world.acme.refused((422, "unknown_reference"), "POST", f"/v1/{name}", body)
        assert error["field"] == field
    change = {"fwd_always_kind": "user", "fwd_always_id": theirs["users"]}
    await world.acme.refused((422, "unknown_reference"), "PATCH", f"/v1/users/{mine['users']}", change)
    change = {"did_default_dest_kind": "user", "did_default_dest_id": theirs["users"]}
    await world.acme.refused((422, "unknown_reference"), "PATCH", f"/v1/accounts/{world.ids['acme']}", change)


async def test_what_comes_later_may_be_named_already(acme: Api) -> None:
    for kind, prefix in (("queue", "q"), ("voicemail", "vm"), ("conference", "conf")):
        await acme.make("extensions", digits=f"*{len(kind)}", dest_kind=kind, dest_id=f"{prefix}_{'0' * 26}")


async def test_a_reseller_manages_what_is_below(world: World) -> None:
    client = world.ids["client"]
    user = await world.reseller.make("users", username="anna", account_id=client)
    assert user["account_id"] == client
    assert (await world.client.get(f"/v1/users/{user['id']}"))["item"] == user
    assert (await world.reseller.get(f"/v1/users/{user['id']}"))["item"] == user
    assert (await world.reseller.patch("users", user, dnd=True))["dnd"]
    assert (await world.reseller.get(f"/v1/users?account_id={client}"))["items"][0]["id"] == user["id"]
    assert (await world.reseller.get("/v1/users"))["items"] == []
    assert {one["id"] for one in (await world.reseller.get("/v1/accounts"))["items"]} == {
        client,
        world.ids["reseller"],
    }
    assert (await world.reseller.ask("DELETE", f"/v1/users/{user['id']}"))[0] == 200


async def test_a_reseller_makes_accounts_below_itself(world: World) -> None:
    made = await world.reseller.make("accounts", name="new", max_in=5, is_reseller=True)
    assert made["parent_id"] == world.ids["reseller"]
    below = await world.reseller.make("accounts", name="deeper", parent_id=made["id"])
    assert (await world.reseller.patch("accounts", below, status="suspended", max_out=2))["status"] == "suspended"
    refusals = [
        (world.reseller, {"name": "x", "parent_id": world.ids["globex"]}, (422, "unknown_reference")),
        (world.reseller, {"name": "x", "parent_id": world.ids["client"]}, (403, "forbidden")),
        (world.acme, {"name": "x"}, (403, "forbidden")),
        (world.operator, {"name": "x", "parent_id": world.ids["acme"]}, (403, "forbidden")),
    ]
    for api, body, code in refusals:
        assert (await api.refused(code, "POST", "/v1/accounts", body))["code"] == code[1]
    assert (await world.operator.make("accounts", name="top"))["parent_id"] is None


@pytest.mark.parametrize("who", ["acme", "reseller", "client"])
async def test_nobody_raises_his_own_ceilings(world: World, who: str) -> None:
    api: Api = getattr(world, who)
    account = (await api.get(f"/v1/accounts/{world.ids[who]}"))["item"]
    own = {
        "max_in": 1000,
        "max_out": 1,
        "max_dialer": 1,
        "status": "closed",
        "is_reseller": not account["is_reseller"],
        "media_engine": "embedded",
        "emergency_numbers": ["0900"],
        "billing_mode": "postpaid",
        "credit_limit_micros": 10**9,
        "currency": "EUR",
    }
    for field, value in own.items():
        error = await api.refused((403, "forbidden"), "PATCH", f"/v1/accounts/{account['id']}", {field: value})
        assert error["field"] == field
    assert (await api.patch("accounts", account, name="renamed", timezone="Europe/Berlin"))["name"] == "renamed"
    await api.refused((403, "forbidden"), "DELETE", f"/v1/accounts/{account['id']}")
    error = await api.refused((400, "invalid_request"), "PATCH", f"/v1/accounts/{account['id']}", {"parent_id": None})
    assert error["field"] == "parent_id"


async def test_an_operator_names_the_account(world: World) -> None:
    error = await world.operator.refused((400, "invalid_request"), "POST", "/v1/users", {"username": "x"})
    assert error["field"] == "account_id"
    for name in ("acme", "globex"):
        await world.operator.make("users", username="same", account_id=world.ids[name])
    assert len((await world.operator.get("/v1/users?username=same"))["items"]) == 2
    assert len((await world.operator.get(f"/v1/users?username=same&account_id={world.ids['acme']}"))["items"]) == 1


async def test_an_account_in_use_cannot_be_deleted(world: World) -> None:
    error = await world.operator.refused((409, "in_use"), "DELETE", f"/v1/accounts/{world.ids['reseller']}")
    referrers = {(one["object"], one["field"]) for one in error["referrers"]}
    assert {("domains", "account_id"), ("keys", "account_id"), ("accounts", "parent_id")} <= referrers
    empty = await world.reseller.make("accounts", name="empty")
    assert (await world.reseller.ask("DELETE", f"/v1/accounts/{empty['id']}"))[0] == 200


async def test_a_suspended_account_s_credentials_are_refused(world: World) -> None:
    reseller = (await world.operator.get(f"/v1/accounts/{world.ids['reseller']}"))["item"]
    await world.operator.patch("accounts", reseller, status="suspended")
    for api in (world.reseller, world.client):
        await api.refused((403, "account_suspended"), "GET", "/v1/users")
    await world.acme.get("/v1/users")


async def test_a_number_belongs_to_one_account(world: World) -> None:
    await world.globex.make("numbers", e164="+442071838750")
    error = await world.acme.refused((409, "conflict"), "POST", "/v1/numbers", {"e164": "+44 20 7183 8750"})
    assert error["field"] == "e164"


async def test_explain_says_where_a_call_would_go(world: World) -> None:
    user = await world.acme.make("users", username="anna")
    await world.acme.make("extensions", digits="1001", dest_kind="user", dest_id=user["id"])
    await world.acme.make("users", username="bob", dnd=True)
    status, reply = await world.acme.ask("POST", "/v1/explain", {"from": "bob", "to": "1001"})
    assert (status, reply["ok"]) == (200, True), reply
    assert reply["directive"]["action"] == "reject"
    assert any(step["step"] == "extension" for step in reply["steps"]), reply["steps"]
    asked = {"from": "bob", "to": "1001", "account_id": world.ids["acme"], "at": 0}
    assert (await world.operator.ask("POST", "/v1/explain", asked))[0] == 200
    error = await world.acme.refused((400, "invalid_request"), "POST", "/v1/explain", {"from": "bob"})
    assert error["field"] == "to"
    await world.acme.refused((404, "not_found"), "POST", "/v1/explain", {"from": "nobody", "to": "9"})
