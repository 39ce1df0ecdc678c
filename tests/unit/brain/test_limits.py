"""Several dimensions, several users who ring, sliding windows: seen through the brain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import inbound, rows, scene
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME

ALICE, BOB, CAROL = (ACME.people[digits] for digits in ("1001", "1002", "1003"))
BOTH, ALL = "1001 1002", "1001 1002 1003"
DID, ROOMY = inbound.did_of(ACME, BOTH), inbound.did_of(ACME, ALL)
TRUNK, CARRIER = f"tr_{suffix(1)}", f"tr_{suffix(2)}"
OWN, PLATFORM = "203.0.113.1", "203.0.113.2"


@pytest.fixture
async def lines(brain: LocalBrain) -> LocalBrain:
    """A number with 2 channels and one without a limit; a trunk of the account with 3, a carrier of the platform's with
    1."""
    brain.write(
        [
            *inbound.numbers(ACME, BOTH, max_channels=2),
            *inbound.numbers(ACME, ALL),
            *rows.trunk(ACME, 1, OWN, max_channels=3),
            *rows.trunk(None, 2, PLATFORM, max_channels=1),
            rows.update("account", ACME.account_id, max_in=4, max_out=7),
            rows.update("sip_user", BOB.user_id, max_simultaneous=2),
        ]
    )
    for digits in ACME.people:
        await brain.register(ACME, digits)
    return brain


async def call(brain: LocalBrain, ring: str = ALL, source: str = inbound.STRANGER) -> dict[str, Any]:
    return await inbound.ask(brain, ACME, inbound.question(ACME, ring, source))


async def used(brain: LocalBrain) -> dict[str, tuple[int, int | None]]:
    """(used, max) by subject; the account's own ceilings by their dimension."""
    status, reply = await brain.get(f"/cac?accountId={ACME.account_id}", scene.operator())
    assert status == 200, reply
    return {
        one["dimension"] if one["subject"] == ACME.account_id else one["subject"]: (one["used"], one.get("max"))
        for one in reply["dimensions"]
    }


async def limit(brain: LocalBrain, limit_id: str, period_sec: int, max_count: int, hard: int = 1) -> None:
    statement = (
        "INSERT INTO call_limit (id, account_id, scope_kind, direction, period_sec, max_count, hard)"
        " VALUES (?, ?, 'account', 'any', ?, ?, ?)"
    )
    await scene.reconfigure(brain, ACME, statement, limit_id, ACME.account_id, period_sec, max_count, hard)


async def test_an_inbound_call_takes_account_number_and_trunk(lines: LocalBrain) -> None:
    routed = await call(lines, BOTH, OWN)
    held = {
        "account_out": (0, 7),
        "account_in": (1, 4),
        DID: (1, 2),
        TRUNK: (1, 3),
        ALICE.user_id: (1, None),
        BOB.user_id: (1, 2),
    }
    assert await used(lines) == held
    status, _ = await lines.post("/cac/reset", json.dumps({"accountId": ACME.account_id}), scene.operator())
    assert (status, await used(lines)) == (200, held)
    await scene.send(lines, scene.dialog(lines, ACME, routed, "end", 1, cause="487"))
    assert await used(lines) == {"account_in": (0, 4), "account_out": (0, 7)}
    await lines.advance(3_000)
    record = scene.record(lines, routed["call_id"])
    assert [record[name] for name in ("direction", "did_id", "trunk_id")] == ["inbound", DID, TRUNK]


async def test_the_platform_s_carriers_are_not_counted_when_a_call_comes_back(lines: LocalBrain) -> None:
    routed = await call(lines, BOTH, PLATFORM)
    assert CARRIER not in await used(lines)
    await lines.advance(10_000)
    await scene.send(lines, scene.snapshot(lines, ACME, []))
    assert DID not in await used(lines)
    await scene.send(lines, scene.snapshot(lines, ACME, [scene.listing(routed)]))
    assert {DID, ALICE.user_id} < (await used(lines)).keys()
    assert CARRIER not in await used(lines)


@pytest.mark.parametrize(
    ("ring", "source", "room", "dimension"),
    [
        (BOTH, inbound.STRANGER, 2, "did_channels"),
        (ALL, OWN, 3, "trunk_channels"),
        (ALL, PLATFORM, 4, "account_in"),
        (ALL, inbound.STRANGER, 4, "account_in"),
    ],
)
async def test_each_dimension_refuses_by_its_name(
    lines: LocalBrain, ring: str, source: str, room: int, dimension: str
) -> None:
    for _ in range(room):
        assert (await call(lines, ring, source))["action"] == "proxy"
    refused = await call(lines, ring, source)
    assert (refused["code"], refused["retry_after_sec"]) == (503, 10)
    assert refused["headers"] == [f'Reason: Q.850;cause=42;text="{dimension}"']
    await lines.advance(3_000)
    assert scene.record(lines, refused["call_id"])["cac_refused_by"] == dimension


async def answered(brain: LocalBrain, routed: dict[str, Any], target: str | None) -> None:
    await scene.send(brain, scene.dialog(brain, ACME, routed, "answer", 2, target=target))


async def test_who_did_not_answer_is_free_at_the_answer(lines: LocalBrain) -> None:
    routed = await call(lines)
    await answered(lines, routed, f"sip:{BOB.device_id}@{ACME.domain}")
    assert await used(lines) == {"account_in": (1, 4), "account_out": (0, 7), ROOMY: (1, None), BOB.user_id: (1, 2)}
    await lines.advance(3_000)
    assert scene.record(lines, routed["call_id"])["callee_user_id"] == BOB.user_id


async def test_an_answer_that_arrives_after_the_list_still_frees_the_others(lines: LocalBrain) -> None:
    routed = await call(lines, BOTH)
    await scene.send(lines, scene.snapshot(lines, ACME, [scene.listing(routed)]))
    assert {ALICE.user_id, BOB.user_id} < (await used(lines)).keys()
    await answered(lines, routed, f"sip:{ALICE.device_id}@{ACME.domain}")
    assert BOB.user_id not in await used(lines)


@pytest.mark.parametrize("target", [None, "sip:dev_of_nobody@acme.tandem.test"])
async def test_without_a_name_nobody_is_let_go(lines: LocalBrain, target: str | None) -> None:
    routed = await call(lines, BOTH)
    await answered(lines, routed, target)
    assert {ALICE.user_id, BOB.user_id} < (await used(lines)).keys()


async def test_an_answer_that_the_end_overtook_names_who_took_it_and_takes_nothing(lines: LocalBrain) -> None:
    routed = await call(lines, BOTH)
    await scene.send(lines, scene.dialog(lines, ACME, routed, "end", 3, cause="200"))
    await answered(lines, routed, f"sip:{ALICE.device_id}@{ACME.domain}")
    assert ALICE.user_id not in await used(lines)
    await lines.advance(3_000)
    record = scene.record(lines, routed["call_id"])
    assert (record["disposition"], record["callee_user_id"]) == ("answered", ALICE.user_id)


async def test_a_full_window_refuses_until_its_oldest_leaves(lines: LocalBrain) -> None:
    await limit(lines, "lim_1", 60, 2)
    for _ in range(2):
        body = inbound.question(ACME, ALL)
        routed = await inbound.ask(lines, ACME, body)
        assert await inbound.ask(lines, ACME, body) == routed
        await scene.send(lines, scene.dialog(lines, ACME, routed, "end", 1, cause="200"))
        await lines.advance(20_000)
    refused = await call(lines)
    assert (refused["code"], refused["retry_after_sec"]) == (503, 20)
    assert refused["headers"] == ['Reason: Q.850;cause=42;text="call_limit"']
    _, reply = await lines.get(f"/cac?accountId={ACME.account_id}", scene.operator())
    window = {"limit_id": "lim_1", "subject": "account", "used": 2, "max": 2, "period_sec": 60, "hard": True}
    assert reply["windows"] == [window]
    await lines.advance(20_000)
    assert (await call(lines))["action"] == "proxy"


async def test_a_soft_window_warns_in_record_and_log(lines: LocalBrain, capsys: pytest.CaptureFixture[str]) -> None:
    await limit(lines, "lim_1", 60, 1, hard=0)
    _, over = [await call(lines) for _ in range(2)]
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    named = {"account_id": ACME.account_id, "call_id": over["call_id"], "limits": "lim_1"}
    assert [one for one in said if one["event"] == "limit.warning"] == [
        {"level": "warning", "event": "limit.warning", **named}
    ]
    await lines.advance(3_000)
    assert scene.record(lines, over["call_id"])["limit_warnings"] == "lim_1"


async def test_windows_are_pruned(lines: LocalBrain) -> None:
    await limit(lines, "lim_1", 10, 5)
    for _ in range(3):
        await call(lines)
    assert len(scene.rows(lines, ACME, "window_entry")) == 3
    await lines.advance(61_000)
    assert scene.rows(lines, ACME, "window_entry") == []
