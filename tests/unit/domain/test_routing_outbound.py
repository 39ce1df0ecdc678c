"""Whom a called party of the outside world sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.callerid import Caller
from tandem.domain.calls import Direction
from tandem.domain.routing import Attached, Did, Forward, Target, dial
from tandem.domain.routing.outbound import shown_outside
from tests.support.exchange import DOMAIN, Exchange
from tests.support.office import ALICE, CALLER, code, exchange

USER_S, DEFAULT, TRUNK_S, FOREIGN = "12025550111", "12025550122", "12025550133", "442071838751"
FORWARD, OWN = Forward("fwd_1", "442071838750"), Forward("fwd_2", "442071838750", cid_mode="own")


def office(user_number: str | None = USER_S, default: str | None = DEFAULT, owned: set[str] | None = None) -> Exchange:
    at = exchange()
    at.users["us_a"] = replace(ALICE, out_cid_number=user_number, out_cid_name="Acme Sales")
    at.own = replace(at.own, default_cid_number=default)
    at.verified = {USER_S, DEFAULT, TRUNK_S} if owned is None else owned
    return at


@pytest.mark.parametrize(
    ("at", "trunk_number", "shown", "name"),
    [
        (office(), TRUNK_S, USER_S, "Acme Sales"),
        (office(None), TRUNK_S, DEFAULT, ""),
        (office(FOREIGN), TRUNK_S, DEFAULT, ""),
        (office(None, None), TRUNK_S, TRUNK_S, ""),
        (office(None, FOREIGN), TRUNK_S, TRUNK_S, ""),
        (office(owned={TRUNK_S}), TRUNK_S, TRUNK_S, ""),
        (office(owned={DEFAULT}), None, DEFAULT, ""),
        (office(owned=set()), TRUNK_S, None, ""),
        (office(FOREIGN, FOREIGN), FOREIGN, None, ""),
        (office(None, None), None, None, ""),
    ],
)
def test_the_user_s_then_the_account_s_then_the_trunk_s_number(
    at: Exchange, trunk_number: str | None, shown: str | None, name: str
) -> None:
    context = at.context()
    context.direction = Direction.OUTBOUND
    seen = shown_outside(context, CALLER, None, trunk_number)
    assert (seen.user, seen.display) == ("unknown" if shown is None else f"+{shown}", name)
    assert (seen.domain, seen.user_id) == (CALLER.domain, CALLER.user_id)


def test_a_number_of_the_account_is_as_good_as_a_verified_one() -> None:
    at = office(owned=set())
    at.dids[USER_S] = Did("did_9", USER_S, Attached(None), status="virtual")
    assert shown_outside(at.context(), CALLER, None).user == f"+{USER_S}"


def test_who_hides_stays_hidden_and_the_trunk_still_learns_his_number() -> None:
    seen = shown_outside(office().context(), replace(CALLER, anonymous=True), None)
    assert (seen.shown_uri, seen.shown_name) == ("sip:anonymous@anonymous.invalid", "Anonymous")
    assert seen.user == f"+{USER_S}"


@pytest.mark.parametrize(("number", "shown"), [(f"+{USER_S}", USER_S), (f"+{FOREIGN}", DEFAULT), ("unknown", DEFAULT)])
def test_a_pbx_shows_what_it_was_allowed_to(number: str, shown: str) -> None:
    seen = shown_outside(office().context(), Caller(number, "Branch", DOMAIN), None)
    assert (seen.user, seen.display) == (f"+{shown}", "")


@pytest.mark.parametrize(
    ("direction", "trunk_id", "forward", "shown"),
    [
        (Direction.INBOUND, "tr_1", None, FOREIGN),
        (Direction.INBOUND, "tr_1", FORWARD, FOREIGN),
        (Direction.INBOUND, "tr_1", OWN, DEFAULT),
        # From is all that is known of who calls an open number: anybody can write it.
        (Direction.INBOUND, None, FORWARD, DEFAULT),
        (Direction.INTERNAL, None, FORWARD, USER_S),
        (Direction.INTERNAL, None, OWN, DEFAULT),
    ],
)
def test_a_call_that_is_sent_on(
    direction: Direction, trunk_id: str | None, forward: Forward | None, shown: str
) -> None:
    context = office().context()
    context.direction, context.trunk_id = direction, trunk_id
    outside = Caller(f"+{FOREIGN}", "Ann", DOMAIN)
    seen = shown_outside(context, outside if direction is Direction.INBOUND else CALLER, forward)
    assert seen.user == f"+{shown}"
    assert seen.display == {FOREIGN: "Ann", USER_S: "Acme Sales", DEFAULT: ""}[shown]


@pytest.mark.parametrize(
    ("dialled", "anonymous", "told"),
    [
        ("+442071838750", False, {"caller_id": f"+{USER_S}"}),
        ("+442071838750", True, {"caller_id": f"+{USER_S}", "hidden": True}),
        ("1002", False, {"caller_id": f"+{DEFAULT}", "timeout_sec": 20}),
    ],
)
def test_an_explanation_tells_who_would_be_shown(dialled: str, anonymous: bool, told: dict[str, Any]) -> None:
    at = office()
    at.trace = []
    at.forwards["fwd_2"] = replace(OWN, timeout_sec=20)
    at.users["us_b"] = replace(at.users["us_b"], fwd_always=Target("forward", "fwd_2"))
    caller = replace(CALLER, anonymous=anonymous)
    assert code(dial(at.context(), caller, at.users["us_a"], f"sip:{dialled}@{DOMAIN}")) == 503
    step = {"step": "outbound", "number": "442071838750", "result": "no outbound trunk"}
    assert at.trace[-1] == step | told
