"""Pages, cursors and filters."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.support import Api, World, populate


async def _walk(api: Api, target: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    mark = "&" if "?" in target else "?"
    cursor = ""
    while True:
        page = await api.get(f"{target}{mark}limit=7{cursor}")
        assert len(page["items"]) <= 7
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        assert len(page["items"]) == 7
        cursor = f"&cursor={page['next_cursor']}"


async def test_pages_have_everything_once(acme: Api) -> None:
    made = [await acme.make("users", username=f"u{number}") for number in range(30)]
    found = await _walk(acme, "/v1/users")
    assert found == sorted(made, key=lambda item: str(item["id"]))
    newest = await _walk(acme, "/v1/audit?object=users")
    assert [one["id"] for one in newest] == sorted((one["id"] for one in newest), reverse=True)
    assert len(newest) == 30


async def test_pages_are_stable_while_others_write(acme: Api) -> None:
    """What was there all the time is seen exactly once, whatever comes and goes meanwhile."""
    made = []
    for number in range(20):
        made.append(await acme.make("users", username=f"u{number}"))
        await acme.brain.advance(1)
    seen: list[str] = []
    cursor = ""
    turn = 0
    while True:
        page = await acme.get(f"/v1/users?limit=3{cursor}")
        seen += [item["username"] for item in page["items"]]
        turn += 1
        await acme.brain.advance(1)
        await acme.make("users", username=f"later{turn}")
        gone = made.pop(0) if turn < 4 else None
        if gone is not None:
            await acme.ask("DELETE", f"/v1/users/{gone['id']}")
        if page["next_cursor"] is None or turn > 20:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    assert {item["username"] for item in made} <= set(seen)


async def test_filters(acme: Api) -> None:
    made = await populate(acme)
    user, group = made["users"]["id"], made["ring-groups"]["id"]
    for target, count in {
        "/v1/users?username=anna": 1,
        "/v1/users?username=nobody": 0,
        "/v1/users?dnd=false": 1,
        "/v1/users?dnd=true": 0,
        f"/v1/devices?user_id={user}": 1,
        f"/v1/extensions?dest_kind=user&dest_id={user}": 1,
        f"/v1/ring-group-members?ring_group_id={group}": 1,
        "/v1/forwards?e164=%2B491701234567": 1,
        "/v1/verified-numbers?e164=4930901820": 1,
        "/v1/verified-numbers?e164=030901820": 1,
        "/v1/verified-numbers?e164=030%20901-820": 1,
        "/v1/verified-numbers?e164=004930901820": 1,
        "/v1/verified-numbers?e164=+4930901820": 1,
        "/v1/verified-numbers?e164=tel:%2B4930901820": 1,
        "/v1/verified-numbers?e164=anna": 0,
        "/v1/domains?domain=ACME.example": 1,
        "/v1/domains?is_primary=true": 1,
        "/v1/limits?scope_kind=did": 1,
        "/v1/audit?object=users&action=update": 1,
        "/v1/schedule-rules?kind=date": 0,
        "/v1/users?username=%27%20OR%201%3D1": 0,
    }.items():
        assert len((await acme.get(target))["items"]) == count, target


@pytest.mark.parametrize("cursor", ["x", "!!", "dXNlcnMg", "ZG9tYWlucyB4", "a" * 200, "%ff%fe"])
async def test_a_cursor_of_somewhere_else_is_refused(acme: Api, cursor: str) -> None:
    for path in ("/v1/users", "/v1/calls"):
        error = await acme.refused((400, "invalid_request"), "GET", f"{path}?cursor={cursor}")
        assert error["field"] == "cursor"


def _call(api: Api, account_id: str, number: int, start_ts: int, **fields: Any) -> None:
    row = {
        "call_id": f"call_{number:026d}",
        "account_id": account_id,
        "row_version": 1,
        "direction": "internal",
        "from_num": "1001",
        "to_num": "1002",
        "start_ts": start_ts,
        **fields,
    }
    marks = ", ".join("?" * len(row))
    statement = f"INSERT INTO call_cdr ({', '.join(row)}) VALUES ({marks})"
    api.brain.control.connection.execute(statement, tuple(row.values()))


async def test_calls_are_listed_newest_first(world: World) -> None:
    for number in range(20):
        _call(world.acme, world.ids["acme"], number, 1_000 + number // 2, answered=number % 2, limit_warnings="a b")
    _call(world.acme, world.ids["globex"], 99, 1_005, disposition="busy")
    found = await _walk(world.acme, "/v1/calls")
    assert [one["id"][-2:] for one in found] == [f"{number:02d}" for number in reversed(range(20))]
    assert (found[0]["answered"], found[1]["answered"]) == (True, False)
    assert found[0]["limit_warnings"] == ["a", "b"]
    assert len(await _walk(world.acme, "/v1/calls?from_ts=1002&to_ts=1004")) == 4
    assert await _walk(world.acme, "/v1/calls?disposition=busy") == []
    assert len(await _walk(world.operator, "/v1/calls")) == 21
    shown = (await world.acme.get(f"/v1/calls/{found[0]['id']}"))["item"]
    assert shown == found[0]
    await world.globex.refused((404, "not_found"), "GET", f"/v1/calls/{found[0]['id']}")
    await world.acme.refused((405, "method_not_allowed"), "DELETE", f"/v1/calls/{found[0]['id']}")
