"""Canonical path 3, from nothing: an operator sets up a tenant at the terminal, and its phones ring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from edge_node.local.phone import Phone, RegistrationError
from edge_node.local.waiting import wait_until
from tests.e2e.installation import Installation
from tests.e2e.operator import Operator
from tests.e2e.phones import Phones

ANSWER_SEC = 10
LIVE_SEC = 2  # a change of configuration is live within so long
CARRIER = "127.0.0.70"


@dataclass(frozen=True)
class Tenant:
    """What the operator made: an account with a domain, a key of its own, and users by extension."""

    account_id: str
    domain: str
    operator: Operator
    users: dict[str, str]
    passwords: dict[str, str]


@pytest.fixture(scope="module")
def tenant(installed: Installation) -> Iterator[Tenant]:
    """A new tenant with two users, each with a phone and an extension; closed again at the end."""
    platform = Operator(installed)
    domain = "tenant.example.test"
    account = platform("accounts", "create", "--name", "Tenant", "--country", "US")["id"]
    platform("--account", account, "domains", "create", "--domain", domain, "--is-primary")
    key = platform("--account", account, "keys", "create", "--name", "setup", "--scopes", "*")["key"]
    operator = Operator(installed, key)
    users, passwords = {}, {}
    for digits in ("1001", "1002"):
        users[digits] = operator("users", "create", "--username", digits, "--display-name", f"Desk {digits}")["id"]
        device = operator("devices", "create", "--user-id", users[digits], "--auth-username", digits, "--realm", domain)
        passwords[digits] = device["password"]
        operator("extensions", "create", "--digits", digits, "--dest-kind", "user", "--dest-id", users[digits])
    yield Tenant(account, domain, operator, users, passwords)
    platform("accounts", "update", account, "--status", "closed")


def _phone(phones: Phones, tenant: Tenant, digits: str) -> Phone:
    return phones.open(digits, tenant.passwords[digits], tenant.domain)


def test_a_new_tenants_phones_call_each_other(tenant: Tenant, phones: Phones) -> None:
    caller, callee = _phone(phones, tenant, "1001"), _phone(phones, tenant, "1002")
    phones.connect(caller, callee)
    phones.converse(caller, callee)
    caller.hang_up()
    callee.wait_for("ended", ANSWER_SEC)
    wait_until(
        lambda: any(one["disposition"] for one in tenant.operator("calls", "list")),
        15,
        "the call in `tandem calls list`",
    )
    listed = tenant.operator("calls", "list")[0]
    assert (listed["from_num"], listed["to_num"], listed["disposition"]) == ("1001", "1002", "answered")


def test_a_number_rings_a_user_when_the_carrier_calls(tenant: Tenant, tandem: Installation, phones: Phones) -> None:
    number = "12025551001"
    tenant.operator(
        "numbers", "create", "--e164", f"+{number}", "--dest-kind", "user", "--dest-id", tenant.users["1001"]
    )
    callee = _phone(phones, tenant, "1001")
    with Phone("15550001111", "", "carrier.example.test", tandem.demo["sip"], host=CARRIER) as carrier:
        call = carrier.call(f"sip:+{number}@{tandem.demo['sip']}")
        incoming = callee.wait_for("incoming", ANSWER_SEC)
        callee.answer(incoming.call)
        carrier.wait_for("answered", ANSWER_SEC, call=call)
        carrier.hang_up()
        callee.wait_for("ended", ANSWER_SEC)
    with Phone("15550001111", "", "stranger.example.test", tandem.demo["sip"]) as stranger:
        call = stranger.call(f"sip:+{number}@{tandem.demo['sip']}")
        assert stranger.wait_for("ended", ANSWER_SEC, call=call).code == 404


def test_a_forward_is_live_at_once_and_explained(tenant: Tenant, phones: Phones) -> None:
    caller, second = _phone(phones, tenant, "1001"), _phone(phones, tenant, "1002")
    third = tenant.operator("users", "create", "--username", "1003")["id"]
    tenant.operator("extensions", "create", "--digits", "1003", "--dest-kind", "user", "--dest-id", third)
    tenant.operator("users", "update", "1003", "--fwd-always-kind", "user", "--fwd-always-id", tenant.users["1002"])
    wait_until(
        lambda: tenant.operator("explain", "--from", "1001", "--to", "1003")["directive"]["action"] == "proxy",
        LIVE_SEC,
        "the forward",
    )
    call = caller.call("1003")
    second.wait_for("incoming", ANSWER_SEC)
    caller.hang_up()
    caller.wait_for("ended", ANSWER_SEC, call=call)
    told = tenant.operator.run("explain", "--from", "1001", "--to", "1003")
    assert "=> proxy" in told.stdout
    assert tenant.operator("users", "get", "1003")["fwd_always_id"] == tenant.users["1002"]


def test_what_is_wrong_is_said_in_a_sentence(tenant: Tenant) -> None:
    operator = tenant.operator
    taken = operator.run("extensions", "create", "--digits", "1001", "--dest-kind", "user", "--dest-id", "us_x")
    assert taken.returncode == 1
    assert "dest_id" in taken.stderr
    referred = operator.run("users", "delete", "1001")
    assert referred.returncode == 1
    assert "ext_" in referred.stderr
    assert "Traceback" not in taken.stderr + referred.stderr
    missing = operator.run("users", "get", "4711")
    assert "There is no user with username 4711." in missing.stderr


def test_a_suspended_account_registers_nobody(tenant: Tenant, tandem: Installation, phones: Phones) -> None:
    phone = _phone(phones, tenant, "1001")
    phone.unregister()
    platform = Operator(tandem)
    platform("accounts", "update", tenant.account_id, "--status", "suspended")
    with pytest.raises(RegistrationError) as refused:
        phone.register()
    assert refused.value.event.code == 403
    platform("accounts", "update", tenant.account_id, "--status", "active")
    phone.register()
