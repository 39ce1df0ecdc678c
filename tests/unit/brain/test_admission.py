"""Ceilings of ancestors: asked before a call goes on, given back after it, whatever dies or is lost in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tandem.contracts.children import AdmitChild, ChildCallName, ChildChange, ChildChanges, ChildrenHeld, ChildrenQuery
from tandem.contracts.objects import open_envelope
from tests.support import inbound, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME

TOP = "acc_reseller_top"
MIDDLE = "acc_reseller_middle"
ONE = seeds.tenant(3, "one.tandem.test", ("1001", "1002", "1003"))
TWO = seeds.tenant(4, "two.tandem.test", ("1001", "1002"))
PEERS = {"admit_child", "children_changed", "children_held"}
Fault = Callable[[str, str, Callable[[], Awaitable[str]]], Awaitable[str]]


class DiedError(BaseException):
    """The object that was at work is gone."""


@pytest.fixture
async def tree(brain: LocalBrain) -> LocalBrain:
    """TOP (3 in) > MIDDLE > ONE, TWO; and the accounts that have no ancestor."""
    insert = "INSERT INTO account (id, parent_id, name, created_at, max_in) VALUES (?, ?, 'r', 0, ?)"
    brain.write([(insert, (TOP, None, 3)), (insert, (MIDDLE, TOP, None))])
    brain.write(inbound.below(MIDDLE, ONE))
    brain.write(inbound.below(MIDDLE, TWO))
    for tenant in (ONE, TWO, ACME):
        brain.write(inbound.numbers(tenant, "1001", "1002"))
        for digits in ("1001", "1002"):
            await brain.register(tenant, digits)
    return brain


def intercept(brain: LocalBrain, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> list[str]:
    """What the objects ask each other goes through `fault(name, method, deliver)`; the methods asked so far."""
    asked: list[str] = []
    real = brain.presence.call

    async def call(name: str, method: str, *texts: str) -> str:
        if method not in PEERS:
            return await real(name, method, *texts)
        asked.append(method)
        return await fault(name, method, lambda: real(name, method, *texts))

    monkeypatch.setattr(brain.presence, "call", call)
    return asked


async def used(brain: LocalBrain, account_id: str) -> int:
    """Of the account's own ceiling `max_in`."""
    _, text = open_envelope(await brain.presence.call(account_id, "cac", account_id))
    found = {one["subject"]: one["used"] for one in json.loads(text)["dimensions"] if one["dimension"] == "account_in"}
    return int(found.get(account_id, 0))


def asked_rows(brain: LocalBrain, tenant: seeds.Tenant) -> list[Any]:
    return scene.rows(brain, tenant, "asked")


async def end(brain: LocalBrain, tenant: seeds.Tenant, routed: dict[str, Any]) -> None:
    await scene.send(brain, scene.dialog(brain, tenant, routed, "end", 9, cause="200", hungUpBy="caller"))


async def test_accounts_share_the_ceiling_above_them(tree: LocalBrain) -> None:
    up = [await inbound.ask(tree, tenant, inbound.question(tenant, "1001")) for tenant in (ONE, TWO, ONE)]
    assert [one["action"] for one in up] == ["proxy"] * 3
    refused = await inbound.ask(tree, TWO, inbound.question(TWO, "1002"))
    assert (refused["action"], refused["code"], refused["retry_after_sec"]) == ("reject", 503, 10)
    assert refused["headers"] == ['Reason: Q.850;cause=42;text="account_in"']
    assert [await used(tree, one) for one in (TOP, MIDDLE, ONE.account_id, TWO.account_id)] == [3, 0, 2, 1]
    await end(tree, ONE, up[0])
    await tree.advance(200)
    assert await used(tree, TOP) == 2
    assert (await inbound.ask(tree, TWO, inbound.question(TWO, "1002")))["action"] == "proxy"
    await tree.advance(5_000)
    record = scene.record(tree, refused["call_id"])
    assert (record["disposition"], record["hangup_cause"], record["cac_refused_by"]) == (
        "rejected",
        "503",
        "account_in",
    )
    assert (record["direction"], record["account_id"]) == ("inbound", TWO.account_id)


async def test_an_account_without_a_limited_ancestor_asks_nobody(
    tree: LocalBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fault(name: str, method: str, deliver: Callable[[], Awaitable[str]]) -> str:
        raise AssertionError(method)

    intercept(tree, monkeypatch, fault)
    assert (await inbound.ask(tree, ACME, inbound.question(ACME, "1001")))["action"] == "proxy"
    assert (await tree.invite(ONE, "1001", "1002"))["action"] == "proxy"


async def test_a_repeat_of_the_question_takes_nothing_more(tree: LocalBrain) -> None:
    body = inbound.question(ONE, "1001")
    first = await inbound.ask(tree, ONE, body)
    assert await inbound.ask(tree, ONE, body) == first
    assert await used(tree, TOP) == 1


@pytest.mark.parametrize("granted", [False, True])
async def test_an_ancestor_that_does_not_answer_refuses(
    tree: LocalBrain, monkeypatch: pytest.MonkeyPatch, granted: bool
) -> None:
    """Whether the question was lost or only its answer."""
    monkeypatch.setattr("tandem.sip.admission.ASK_TIMEOUT_SEC", 0.05)
    away = True

    async def fault(name: str, method: str, deliver: Callable[[], Awaitable[str]]) -> str:
        if not away:
            return await deliver()
        if granted and method == "admit_child":
            await deliver()
            await asyncio.Event().wait()
        raise ConnectionError(name)

    intercept(tree, monkeypatch, fault)
    body = inbound.question(ONE, "1001")
    refused = await inbound.ask(tree, ONE, body)
    assert (refused["code"], refused["headers"]) == (503, ['Reason: Q.850;cause=42;text="account_in"'])
    assert await inbound.ask(tree, ONE, body) == refused
    assert [await used(tree, one) for one in (TOP, ONE.account_id)] == [int(granted), 0]
    await tree.advance(20_000)
    assert len(asked_rows(tree, ONE)) == 1, "what the ancestor may have granted is owed until it knows"
    away = False
    await tree.advance(31_000)
    assert await used(tree, TOP) == 0
    assert asked_rows(tree, ONE) == []


@pytest.mark.parametrize("delivered", [False, True])
async def test_an_object_that_dies_while_it_asks(
    tree: LocalBrain, monkeypatch: pytest.MonkeyPatch, delivered: bool
) -> None:
    dying = True

    async def fault(name: str, method: str, deliver: Callable[[], Awaitable[str]]) -> str:
        if not dying or method != "admit_child":
            return await deliver()
        if delivered:
            await deliver()
        tree.presence.evict(ONE.account_id)
        raise DiedError

    intercept(tree, monkeypatch, fault)
    body, lost = inbound.question(ONE, "1001"), inbound.question(ONE, "1001")
    for one in (body, lost):
        with pytest.raises(DiedError):
            await inbound.ask(tree, ONE, one)
    assert [await used(tree, one) for one in (TOP, ONE.account_id)] == [2 * delivered, 2]
    dying = False
    resumed = await inbound.ask(tree, ONE, body)
    assert resumed["action"] == "proxy", "the node asks again, and gets its answer"
    await tree.advance(4_000)
    assert [await used(tree, one) for one in (TOP, ONE.account_id)] == [1, 1], "the other was undone"
    assert (await inbound.ask(tree, ONE, lost))["code"] == 503
    await tree.advance(5_000)
    found = tree.control.connection.execute("SELECT disposition FROM call_cdr WHERE end_ts IS NOT NULL").fetchall()
    assert [row[0] for row in found] == ["failed"]


async def test_a_call_that_ends_while_the_ancestor_is_asked(tree: LocalBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    body = inbound.question(ONE, "1001")
    named = {"sipCallId": body["sipCallId"], "fromTag": "t", "cseq": "1"}

    async def fault(name: str, method: str, deliver: Callable[[], Awaitable[str]]) -> str:
        reply = await deliver()
        if method == "admit_child":
            await scene.send(tree, scene.event(tree, ONE, "dialog", state="failed", seq=0, cause="487", **named))
        return reply

    intercept(tree, monkeypatch, fault)
    assert (await inbound.ask(tree, ONE, body))["code"] == 503
    await tree.advance(1_000)
    assert [await used(tree, one) for one in (TOP, ONE.account_id)] == [0, 0]


async def test_a_lease_that_runs_out_asks_the_account_below(tree: LocalBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = await inbound.ask(tree, ONE, inbound.question(ONE, "1001"))
    gone = await inbound.ask(tree, ONE, inbound.question(ONE, "1001"))
    await scene.send(tree, scene.dialog(tree, ONE, kept, "answer", 1), scene.dialog(tree, ONE, gone, "answer", 1))
    # As if the object below had lost its memory of the call and of what it owes.
    connection = tree.presence.contexts[ONE.account_id].connection
    connection.execute("DELETE FROM asked WHERE call_id = ?", (gone["call_id"],))
    reachable = False

    async def fault(name: str, method: str, deliver: Callable[[], Awaitable[str]]) -> str:
        if not reachable:
            raise ConnectionError(name)
        return await deliver()

    asked = intercept(tree, monkeypatch, fault)
    await scene.hello(tree)
    await scene.heartbeats(tree, 130, digests={ONE.account_id: {"dialogs": "other", "contacts": "other"}})
    assert await used(tree, TOP) == 2, "nobody could say"
    reachable = True
    await scene.heartbeats(tree, 20, digests={ONE.account_id: {"dialogs": "other", "contacts": "other"}})
    assert asked[-1] == "children_held"
    assert await used(tree, TOP) == 1


async def test_a_call_that_came_back_counts_above_again(tree: LocalBrain) -> None:
    up = [await inbound.ask(tree, ONE, inbound.question(ONE, "1001")) for _ in range(3)]
    await tree.advance(10_000)
    listed = [scene.listing(one) for one in up]
    await scene.send(tree, scene.snapshot(tree, ONE, []))
    await tree.advance(500)
    assert [await used(tree, one) for one in (TOP, ONE.account_id)] == [0, 0]
    assert (await inbound.ask(tree, TWO, inbound.question(TWO, "1001")))["action"] == "proxy"
    await scene.send(tree, scene.snapshot(tree, ONE, listed))
    await tree.advance(500)
    assert [await used(tree, one) for one in (TOP, ONE.account_id)] == [4, 3], "the truth counts, above the ceiling too"
    assert (await inbound.ask(tree, TWO, inbound.question(TWO, "1002")))["code"] == 503
    for one in up:
        await end(tree, ONE, one)
    await tree.advance(500)
    assert [await used(tree, one) for one in (TOP, ONE.account_id)] == [1, 0]


async def test_a_reset_above_keeps_what_was_granted_and_asks_below(tree: LocalBrain) -> None:
    await inbound.ask(tree, ONE, inbound.question(ONE, "1001"))
    connection = tree.presence.contexts[TOP].connection
    connection.execute("DELETE FROM holding")
    connection.execute("INSERT INTO holding VALUES ('call_ghost', 'child', 'account_in', ?)", (TOP,))
    connection.execute("INSERT INTO child_call VALUES ('call_ghost', 'account_in', ?, 1, 1, 9e15)", (TWO.account_id,))
    status, reply = await tree.post("/cac/reset", json.dumps({"accountId": TOP}), scene.operator())
    assert (status, reply["child_calls"]) == (200, 2)
    await tree.advance(1_000)
    assert await used(tree, TOP) == 1


async def tell(brain: LocalBrain, version: int, *, take: bool) -> None:
    change = ChildChange(call_id="call_x", dimension="account_in", version=version, take=take)
    message = ChildChanges(child_id=ONE.account_id, changes=[change])
    status, _ = open_envelope(await brain.presence.call(TOP, "children_changed", TOP, message.wire()))
    assert status == 200


async def question(brain: LocalBrain, version: int, call_id: str = "call_x") -> bool:
    message = AdmitChild(child_id=ONE.account_id, call_id=call_id, version=version, dimensions=["account_in"])
    _, text = open_envelope(await brain.presence.call(TOP, "admit_child", TOP, message.wire()))
    granted: bool = json.loads(text)["granted"]
    return granted


async def test_messages_of_any_order_and_number(tree: LocalBrain) -> None:
    """The newest word on a call decides, however often and late the older ones arrive."""
    await tell(tree, 2, take=False)
    assert not await question(tree, 1), "the call was over before its question arrived"
    await tell(tree, 4, take=True)
    for _ in range(2):
        await tell(tree, 2, take=False)
        await tell(tree, 4, take=True)
        assert await used(tree, TOP) == 1
    assert await question(tree, 4)
    assert not await question(tree, 3)
    await tell(tree, 5, take=False)
    await tell(tree, 4, take=True)
    await tell(tree, 5, take=False)
    assert await used(tree, TOP) == 0
    await tree.advance(700_000)
    assert tree.presence.contexts[TOP].connection.execute("SELECT COUNT(*) FROM child_call").fetchone()[0] == 0


async def test_a_ceiling_that_is_gone_refuses_nobody(tree: LocalBrain) -> None:
    tree.write([("UPDATE account SET max_in = NULL WHERE id = ?", (TOP,))])
    for number in range(5):
        assert await question(tree, 1, f"call_{number}")


async def test_the_object_below_says_what_it_still_holds(tree: LocalBrain) -> None:
    routed = await inbound.ask(tree, ONE, inbound.question(ONE, "1001"))
    names = [ChildCallName(call_id=one, dimension="account_in") for one in (routed["call_id"], "call_other")]
    query = ChildrenQuery(ancestor_id=TOP, calls=names)
    _, text = open_envelope(await tree.presence.call(ONE.account_id, "children_held", ONE.account_id, query.wire()))
    assert ChildrenHeld.model_validate_json(text).held == names[:1]
