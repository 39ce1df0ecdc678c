"""What is named cannot be deleted, and the refusal says by whom."""

from __future__ import annotations

import pytest

from tests.unit.api.support import Api, populate

REFERRERS: dict[str, set[tuple[str, str]]] = {
    "users": {
        ("devices", "user_id"),
        ("extensions", "dest_id"),
        ("console-users", "user_id"),
        ("flows", "graph"),
    },
    "devices": {("ring-group-members", "device_id")},
    "extensions": {("users", "fwd_busy_id")},
    "forwards": {("ring-groups", "exit_dest_id"), ("flows", "graph")},
    "ring-groups": {("ring-group-members", "ring_group_id"), ("numbers", "dest_id"), ("flows", "graph")},
    "flows": {("numbers", "holiday_dest_id")},
    "media": {("playlists", "media_ids"), ("ring-groups", "moh_media_id"), ("flows", "graph")},
    "playlists": {("flows", "graph")},
    "schedules": {
        ("schedule-rules", "schedule_id"),
        ("ring-groups", "schedule_id"),
        ("numbers", "schedule_id"),
        ("outbound-routes", "schedule_id"),
        ("flows", "graph"),
    },
    "trunks": {("outbound-routes", "trunk_id")},
    "numbers": {("limits", "scope_id")},
    "domains": {("devices", "realm")},
}


@pytest.mark.parametrize("name", REFERRERS)
async def test_the_referrers_are_listed(acme: Api, name: str) -> None:
    made = await populate(acme)
    error = await acme.refused((409, "in_use"), "DELETE", f"/v1/{name}/{made[name]['id']}")
    assert {(one["object"], one["field"]) for one in error["referrers"]} == REFERRERS[name]
    assert {one["id"] for one in error["referrers"]} == {made[one]["id"] for one, _ in REFERRERS[name]}
    assert (await acme.get(f"/v1/{name}/{made[name]['id']}"))["item"]["id"] == made[name]["id"]


async def test_an_object_may_name_itself(acme: Api) -> None:
    user = await acme.make("users", username="bob")
    await acme.patch("users", user, fwd_noanswer_kind="user", fwd_noanswer_id=user["id"])
    assert (await acme.ask("DELETE", f"/v1/users/{user['id']}"))[0] == 200


async def test_all_targets_of_an_account_hold_their_object(acme: Api) -> None:
    account = (await acme.get("/v1/accounts"))["items"][0]
    forward = await acme.make("forwards", name="f", e164="+442071838750")
    target = {"kind": "forward", "id": forward["id"]}

    def named(*prefixes: str) -> dict[str, str]:
        return {f"{prefix}_{part}": value for prefix in prefixes for part, value in target.items()}

    hours = ("closed_dest", "holiday_dest")
    await acme.patch("accounts", account, **named("did_default_dest"))
    await acme.make("users", username="u", **named("fwd_always", "fwd_busy", "fwd_noanswer"))
    await acme.make("extensions", digits="1", dest_kind="hangup", dest_id="", **named(*hours))
    await acme.make("numbers", e164="+442071838751", **named("dest", *hours))
    await acme.make("ring-groups", name="g", **named("exit_dest", *hours))
    error = await acme.refused((409, "in_use"), "DELETE", f"/v1/forwards/{forward['id']}")
    assert sorted((one["object"], one["field"]) for one in error["referrers"]) == [
        ("accounts", "did_default_dest_id"),
        ("extensions", "closed_dest_id"),
        ("extensions", "holiday_dest_id"),
        ("numbers", "closed_dest_id"),
        ("numbers", "dest_id"),
        ("numbers", "holiday_dest_id"),
        ("ring-groups", "closed_dest_id"),
        ("ring-groups", "exit_dest_id"),
        ("ring-groups", "holiday_dest_id"),
        ("users", "fwd_always_id"),
        ("users", "fwd_busy_id"),
        ("users", "fwd_noanswer_id"),
    ]


async def test_many_referrers_are_cut_short(acme: Api) -> None:
    user = await acme.make("users", username="u")
    for digits in range(60):
        await acme.make("extensions", digits=str(digits), dest_kind="user", dest_id=user["id"])
    error = await acme.refused((409, "in_use"), "DELETE", f"/v1/users/{user['id']}")
    assert len(error["referrers"]) == 50
