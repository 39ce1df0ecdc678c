"""What happened in a call, step by step."""

from __future__ import annotations

from tests.unit.api.support import Api, World

CALL = f"call_{'0' * 26}"


def write(api: Api, account_id: str, call_id: str = CALL) -> None:
    """A call with a trace of two sources; the steps of one come at the same time."""
    execute = api.brain.control.connection.execute
    execute(
        "INSERT INTO call_cdr (call_id, account_id, row_version, direction, from_num, to_num, start_ts)"
        " VALUES (?, ?, 1, 'inbound', '1', '2', 5)",
        (call_id, account_id),
    )
    for source, seq, at in (("flow", 1, 10), ("flow", 2, 20), ("flow", 3, 20), ("acd", 1, 15), ("flow", 10, 20)):
        execute(
            "INSERT INTO call_trace (account_id, call_id, source, seq, at, kind, node_id, data)"
            " VALUES (?, ?, ?, ?, ?, 'menu', ?, '{\"outcome\":\"digit:1\"}')",
            (account_id, call_id, source, seq, at, f"n{seq}" if source == "flow" else None),
        )


ORDER = [("flow", 1), ("acd", 1), ("flow", 2), ("flow", 3), ("flow", 10)]


async def test_steps_come_in_the_order_in_which_they_happened(world: World) -> None:
    write(world.acme, world.ids["acme"])
    found = await world.acme.get(f"/v1/calls/{CALL}/trace")
    assert [(one["source"], one["seq"]) for one in found["items"]] == ORDER
    assert found["next_cursor"] is None
    assert found["items"][0] == {
        "at": 10, "source": "flow", "seq": 1, "kind": "menu", "node_id": "n1", "data": {"outcome": "digit:1"},
    }  # fmt: skip
    assert found["items"][1]["node_id"] is None


async def test_steps_come_in_pages(world: World) -> None:
    write(world.acme, world.ids["acme"])
    seen: list[tuple[str, int]] = []
    cursor = ""
    for _ in range(3):
        page = await world.acme.get(f"/v1/calls/{CALL}/trace?limit=2{cursor}")
        seen += [(one["source"], one["seq"]) for one in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert (seen, page["next_cursor"]) == (ORDER, None)
    calls = (await world.acme.get("/v1/calls?limit=1"))["items"]
    assert [one["id"] for one in calls] == [CALL]
    for wrong in ("x", "dHJhY2UgMSBmbG93", "Y2FsbHMgMSBmbG93IDE", "dHJhY2UgeCBmbG93IDE"):
        target = f"/v1/calls/{CALL}/trace?cursor={wrong}"
        assert (await world.acme.refused((400, "invalid_request"), "GET", target))["field"] == "cursor"


async def test_a_trace_is_its_account_s(world: World) -> None:
    write(world.client, world.ids["client"])
    target = f"/v1/calls/{CALL}/trace"
    assert len((await world.reseller.get(target))["items"]) == 5
    await world.acme.refused((404, "not_found"), "GET", target)
    # Another account's steps of a call of the same name are nobody's here.
    world.acme.brain.control.connection.execute("UPDATE call_cdr SET account_id = ?", (world.ids["acme"],))
    assert (await world.acme.get(target))["items"] == []
    some = await world.scoped(world.acme, "flows")
    await some.refused((403, "missing_scope"), "GET", target)


async def test_a_call_without_a_trace_has_an_empty_one(world: World) -> None:
    write(world.acme, world.ids["acme"])
    world.acme.brain.control.connection.execute("DELETE FROM call_trace")
    assert await world.acme.get(f"/v1/calls/{CALL}/trace") == {"ok": True, "items": [], "next_cursor": None}
    await world.acme.refused((404, "not_found"), "GET", "/v1/calls/call_x/trace")
