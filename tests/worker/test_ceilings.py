"""Accounts below a ceiling, on workerd: their objects ask the one above, and all are killed between any two steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from edge_node.local.waiting import wait_until
from tests.support import inbound, seeds
from tests.worker.brain import Brain
from tests.worker.caller import OPERATOR, VARIABLES, Caller, Fields
from tests.worker.killing import MOMENTS_MS, about, ask_and_kill, within

MANY_NUMBERS = 20_000  # so many rows of configuration make an object's first wake last a second or so
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Brain(tmp_path_factory.mktemp("ceilings"), VARIABLES) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


class Family:
    """A reseller with room for `max_in` calls, and an account below with a phone and an open number."""

    def __init__(self, caller: Caller, max_in: int | None) -> None:
        number = next(_numbers)
        self.caller = caller
        self.reseller = f"acc_reseller_{number}"
        self.tenant = seeds.tenant(900 + number, f"below{number}.tandem.test", ("1001",))
        self.e164 = f"1555020{number:04d}"
        reseller = "INSERT INTO account (id, name, created_at, max_in) VALUES (?, 'r', 0, ?)"
        did = (
            "INSERT INTO did (id, account_id, e164, accept_any_source, dest_kind, dest_id)"
            " VALUES (?, ?, ?, 1, 'user', ?)"
        )
        account, user = self.tenant.account_id, self.tenant.people["1001"].user_id
        caller.brain.d1_batch(
            (reseller, (self.reseller, max_in)),
            *inbound.below(self.reseller, self.tenant),
            (did, (f"did_{number}", account, self.e164, user)),
        )
        status, reply = caller.register(self.tenant, "1001")
        assert (status, reply.get("ok")) == (200, True), reply

    def question(self) -> Fields:
        """A call from anywhere to the open number."""
        return inbound.to_number(self.e164)

    def above(self) -> int:
        found = self.caller.get(f"/cac?accountId={self.reseller}")
        return sum(one["used"] for one in found["dimensions"] if one["dimension"] == "account_in")

    def below(self) -> int:
        return self.caller.live_calls(self.tenant)

    def ended(self, routed: Fields) -> None:
        self.caller.send(self.caller.dialog(self.tenant, routed, "end", 5, hungUpBy="caller"))
        wait_until(lambda: (self.above(), self.below()) == (0, 0), 10, "the call's places, here and above")
        self.caller.recorded_end(self.tenant, routed["call_id"])


def test_a_full_ceiling_refuses_and_an_ended_call_makes_room(caller: Caller) -> None:
    family = Family(caller, 1)
    question = family.question()
    routed = caller.route(question)
    assert (routed["action"], family.above(), family.below()) == ("proxy", 1, 1)
    assert caller.route(question)["call_id"] == routed["call_id"]
    refused = caller.route(family.question())
    assert (refused["action"], refused["code"], refused["retry_after_sec"]) == ("reject", 503, 10)
    assert refused["headers"] == ['Reason: Q.850;cause=42;text="account_in"']
    assert (family.above(), family.below()) == (1, 1)
    record = caller.recorded_end(family.tenant, refused["call_id"])
    assert (record["direction"], record["cac_refused_by"]) == ("inbound", "account_in")
    family.ended(routed)
    again = caller.route(family.question())
    assert again["action"] == "proxy"
    family.ended(again)


def test_what_was_granted_outlives_kill_9(caller: Caller) -> None:
    family = Family(caller, 5)
    routed = caller.route(family.question())
    caller.brain.kill9()
    caller.brain.start()
    assert (family.above(), family.below()) == (1, 1)
    family.ended(routed)


def test_killed_while_the_reseller_is_asked(caller: Caller) -> None:
    """The account below has written the call and waits: after the restart nobody does, and all of it is undone.

    The first call makes everything quick but the reseller's object, which nobody had to ask.
    """
    family = Family(caller, None)
    first = caller.route(family.question())
    caller.send(caller.dialog(family.tenant, first, "end", 5, hungUpBy="caller"))
    caller.brain.d1(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO verified_number (id, account_id, e164) SELECT ? || i, ?, 1556 * 10000000 + i FROM n",
        MANY_NUMBERS,
        f"vn_{family.reseller}_",
        family.reseller,
    )
    caller.brain.d1("UPDATE account SET max_in = 5 WHERE id = ?", family.reseller)
    caller.post("/config/poke", {"accountId": family.tenant.account_id}, OPERATOR)
    question = family.question()
    answered = ask_and_kill(caller.brain, question, within(0.25))
    assert answered == b"", "the reseller's object must have been slow to wake"
    caller.brain.start()
    wait_until(lambda: family.below() == 0, 10, "the call that nobody asks about any more")
    refused = caller.route(question)
    assert (refused["action"], refused["code"]) == ("reject", 503), "the same question gets what became of it"
    wait_until(lambda: family.above() == 0, 10, "the reseller's place")
    record = caller.recorded_end(family.tenant, refused["call_id"])
    assert (record["disposition"], record["hangup_cause"]) == ("failed", "503")
    assert len(caller.records(family.tenant)) == 2
    routed = caller.route(family.question())
    assert (routed["action"], family.above(), family.below()) == ("proxy", 1, 1)
    family.ended(routed)


@pytest.mark.parametrize("moment_ms", MOMENTS_MS)
def test_killed_at_any_moment_of_a_question(caller: Caller, moment_ms: float) -> None:
    family = Family(caller, 5)
    family.ended(caller.route(family.question()))
    question = family.question()
    ask_and_kill(caller.brain, question, about(moment_ms))
    caller.brain.start()
    again = caller.route(question)
    wait_until(lambda: family.above() == family.below(), 10, "as many calls above as below")
    assert family.below() == (again["action"] == "proxy")
    if again["action"] == "proxy":
        family.ended(again)
    wait_until(lambda: (family.above(), family.below()) == (0, 0), 10, "nothing to be held")
    assert len(caller.records(family.tenant)) == 2
