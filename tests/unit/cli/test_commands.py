"""What an operator does at the terminal, through the real API of a brain on CPython."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.api.front import make_front
from tandem.runtime.cpython import clock
from tests.support import seeds
from tests.support.local_brain import LocalBrain
from tests.unit.cli.brain import BrainTransport, Terminal


@pytest.fixture
def operator() -> Iterator[Terminal]:
    brain = LocalBrain()
    brain.control.connection.execute("UPDATE api_key SET scopes = '*'")
    yield Terminal(BrainTransport(make_front(brain.env)), seeds.OPERATOR_KEY)
    clock.fixed = None


@pytest.fixture
def tenant(operator: Terminal) -> Terminal:
    """A tenant's own key; the tenant has a domain and the user 1001."""
    account = operator("accounts", "create", "--name", "Example")["id"]
    key = operator("--account", account, "keys", "create", "--name", "own", "--scopes", "*")["key"]
    own = Terminal(operator.transport, key)
    own("domains", "create", "--domain", "example.test", "--is-primary")
    own("users", "create", "--username", "1001", "--display-name", "Ann")
    return own


def test_an_object_is_made_shown_changed_listed_and_deleted(tenant: Terminal) -> None:
    made = tenant("users", "create", "--username", "1002", "--display-name", "Ben", "--max-simultaneous", "2")
    assert tenant("users", "get", "1002") == tenant("users", "get", made["id"]) == made
    changed = tenant("users", "update", "1002", "--ring-strategy", "sequential", "--clear", "max_simultaneous")
    assert (changed["ring_strategy"], changed["max_simultaneous"], changed["display_name"]) == (
        "sequential",
        None,
        "Ben",
    )
    assert {one["username"] for one in tenant("users", "list")} == {"1001", "1002"}
    assert [one["username"] for one in tenant("users", "list", "--username", "1002")] == ["1002"]
    assert tenant("users", "delete", "1002") == {"ok": True, "id": made["id"]}
    assert "There is no user with username 1002." in tenant.run("users", "get", "1002").stderr


def test_tables_and_cards_are_for_people(tenant: Terminal) -> None:
    listed = tenant.run("users", "list").stdout.splitlines()
    assert listed[0].split() == ["id", "username", "display_name", "ring_strategy", "dnd", "status"]
    assert listed[1].split()[1:] == ["1001", "Ann", "simultaneous", "no", "active"]
    card = tenant.run("users", "get", "1001").stdout
    assert "display_name" in card
    assert "{" not in card
    assert tenant.run("trunks", "list").stdout == "None.\n"


def test_a_list_goes_on_over_pages(tenant: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.client.PAGE", 2)
    for number in range(1002, 1006):
        tenant("users", "create", "--username", str(number))
    assert len(tenant("users", "list")) == 5
    assert len(tenant("users", "list", "--limit", "3")) == 3


def test_a_password_is_shown_once(tenant: Terminal) -> None:
    made = tenant("devices", "create", "--user-id", tenant("users", "get", "1001")["id"])
    assert len(made["password"]) >= 12
    assert "password" not in tenant("devices", "get", "1001")
    other = tenant("devices", "password", "1001")["password"]
    assert other != made["password"]


def test_a_key_is_revoked(tenant: Terminal) -> None:
    made = tenant("keys", "create", "--name", "spare", "--scopes", "users", "--scopes", "devices")
    spare = Terminal(tenant.transport, made["key"])
    assert len(spare("users", "list")) == 1
    assert "numbers" in spare.run("extensions", "list").stderr
    tenant("keys", "revoke", made["id"])
    assert spare.run("users", "list").exit_code == 1


def test_an_update_of_what_somebody_else_changed_is_refused(tenant: Terminal) -> None:
    before = tenant("users", "get", "1001")["revision"]
    tenant("users", "update", "1001", "--dnd")
    refused = tenant.run("users", "update", "1001", "--no-dnd", "--revision", str(before))
    assert refused.exit_code == 1
    assert tenant("users", "get", "1001")["dnd"] is True


def test_what_is_referred_to_is_not_deleted(tenant: Terminal) -> None:
    user = tenant("users", "get", "1001")["id"]
    extension = tenant("extensions", "create", "--digits", "1001", "--dest-kind", "user", "--dest-id", user)["id"]
    refused = tenant.run("users", "delete", "1001")
    assert refused.exit_code == 1
    assert f"extensions {extension} (dest_id)" in refused.stderr


def test_an_import_is_all_or_nothing(tenant: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("username,display_name\n1002,Ben\n1003,Cem\n")
    assert tenant("users", "import", str(path))["imported"] == 2
    lines = tmp_path / "users.jsonl"
    lines.write_text("".join(json.dumps({"username": name}) + "\n" for name in ("1004", "1002", "not valid")))
    refused = tenant.run("users", "import", str(lines))
    assert refused.exit_code == 1
    assert "line 3" in refused.stderr
    assert len(tenant("users", "list")) == 3
    (tmp_path / "users.txt").write_text("")
    assert ".csv" in tenant.run("users", "import", str(tmp_path / "users.txt")).stderr


def test_an_operator_acts_for_an_account(operator: Terminal, tenant: Terminal) -> None:
    account = operator("accounts", "get", "Example")["id"]
    acting = Terminal(operator.transport, seeds.OPERATOR_KEY, "--account", account)
    assert [one["username"] for one in acting("users", "list")] == ["1001"]
    acting("users", "create", "--username", "1009")
    assert len(tenant("users", "list")) == 2
    by_name = Terminal(operator.transport, seeds.OPERATOR_KEY, "--account", "Example")
    assert by_name("users", "list") == acting("users", "list")
    assert by_name("explain", "--from", "1001", "--to", "4711")["directive"]["code"] == 404
    told = by_name.run("explain", "--from", "1001", "--to", "4711", "--at", "2026-03-29T01:30:00+01:00")
    assert told.stdout.splitlines()[-1] == "  => reject 404 Not Found"
    assert (
        "no account with name Nobody"
        in Terminal(operator.transport, seeds.OPERATOR_KEY, "--account", "Nobody").run("users", "list").stderr
    )


def test_a_login_is_remembered(operator: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    made = operator.run(
        "console-users",
        "create",
        "--email",
        "op@example.test",
        "--role",
        "owner",
        "--scopes",
        "*",
        "--password",
        "correct horse",
    )
    assert made.exit_code == 0, made.output
    done = operator.run("login", "--email", "op@example.test", typed="correct horse\n")
    assert done.exit_code == 0, done.output
    kept = json.loads((tmp_path / "tandem" / "config.json").read_text())
    assert kept["url"] == "http://brain.test"
    assert Terminal(operator.transport, kept["key"])("console-users", "list")[0]["email"] == "op@example.test"
    wrong = operator.run("login", "--email", "op@example.test", typed="wrong horse\n")
    assert wrong.exit_code == 1


def test_a_broken_connection_is_tried_again_and_then_said(tenant: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.client.time.sleep", lambda seconds: None)
    tenant.transport.away = 2
    tenant("users", "create", "--username", "1005")
    keys = {one.headers["idempotency-key"] for one in tenant.transport.sent[-3:]}
    assert len(keys) == 1
    tenant.transport.away = 100
    gone = tenant.run("users", "list")
    assert gone.exit_code == 3
    assert "No answer from http://brain.test" in gone.stderr


def test_a_password_on_the_command_line_is_not_needed(operator: Terminal) -> None:
    operator.run(
        "console-users",
        "create",
        "--email",
        "a@example.test",
        "--role",
        "admin",
        "--scopes",
        "*",
        "--password",
        "first password",
    )
    done = operator.run("console-users", "password", "a@example.test", typed="second password\n")
    assert done.exit_code == 0, done.output
    assert "second password" not in done.output
