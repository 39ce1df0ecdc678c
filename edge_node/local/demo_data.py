"""The demo tenants (contract: `.local/demo.json`): written once into the control database, with fresh passwords."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edge_node.local import demo_flow
from edge_node.local.demo_rows import Statement, fresh_id
from edge_node.local.settings import LOOPBACK, Settings
from edge_node.local.wrangler import wrangler
from tandem.api import passwords
from tandem.contracts.signature import node_credential
from tandem.domain.digest import make_secrets
from tandem.store.config_addresses import rows_of

NODES: Final = (1, 2)
ACME: Final = (("1001", False), ("1002", False), ("1003", False), ("2001", True), ("2002", True))
GLOBEX: Final = (("1001", False), ("1002", False))
# (number, extension of the user that it rings)
ACME_NUMBERS: Final = (("12025550100", "1001"),)
MAIN_FLOW: Final = "600"
MAIN_FLOW_NUMBER: Final = "12025550123"
_TENANTS: Final = (
    ("Acme", "acme.tandem.test", ACME, ACME_NUMBERS),
    ("Globex", "globex.tandem.test", GLOBEX, ()),
)
CARRIER: Final = {
    "source_ip": "127.0.0.70",
    "port": 5070,
    "note": "an INVITE from this address is the demo carrier; phones use 127.0.0.1",
}
OWNER: Final = "demo@tandem.test"


def prepare(settings: Settings) -> bool:
    """Makes keys, passwords, the demo rows and demo.json, unless they are there; True when something was done."""
    demo_path = settings.state / "demo.json"
    if demo_path.is_file():
        return False
    _write_private(settings.secrets / "brain.json", {"MASTER_KEY": secrets.token_hex(32), "TANDEM_VERSION": "local"})
    master_key = json.loads((settings.secrets / "brain.json").read_text())["MASTER_KEY"]
    now = time.time_ns() // 1_000_000
    statements: list[Statement] = []
    for number in NODES:
        node_id = fresh_id("node")
        statements.append(
            (
                "INSERT INTO node (id, region, name, status, command_url, created_at)"
                " VALUES (?, 'local', ?, 'active', ?, ?)",
                (node_id, f"node{number}", f"http://{LOOPBACK}:{settings.agent_port + 10_000 * (number - 1)}", now),
            )
        )
        credential = {"node_id": node_id, "region": "local", "credential": node_credential(master_key, node_id, 1)}
        _write_private(settings.secrets / f"node{number}.json", credential)
    api_key, statement = _key(None, "demo operator", now)
    statements.append(statement)
    password = secrets.token_urlsafe(12)
    statements.append(
        (
            "INSERT INTO console_user (id, account_id, email, password_hash, role, scopes, created_at)"
            " VALUES (?, NULL, ?, ?, 'owner', '*', ?)",
            (fresh_id("cu"), OWNER, passwords.hashed(password), now),
        )
    )
    statements.extend(_carrier())
    accounts = []
    for name, domain, people, numbers in _TENANTS:
        account, rows = _tenant(name, domain, people, numbers, now)
        accounts.append(account)
        statements.extend(rows)
    _execute(settings, statements)
    demo = {
        "brain": settings.brain_url,
        "sip": f"{LOOPBACK}:{settings.sip_port}",
        "api_key": api_key,
        "console": {"email": OWNER, "password": password},
        "accounts": accounts,
        "trunk": CARRIER,
    }
    _write_private(demo_path, demo)
    return True


def _key(account_id: str | None, name: str, now: int) -> tuple[str, Statement]:
    """An API key that may do everything, and the statement that keeps its hash."""
    key = f"sk_{secrets.token_urlsafe(24)}"
    row = (fresh_id("key"), account_id, name, hashlib.sha256(key.encode()).hexdigest(), now)
    return key, (
        "INSERT INTO api_key (id, account_id, name, hash, scopes, created_at) VALUES (?, ?, ?, ?, '*', ?)",
        row,
    )


def _carrier() -> Iterator[Statement]:
    """The platform's carrier: calls from its address reach every account's numbers."""
    carrier_id, source = fresh_id("tr"), str(CARRIER["source_ip"])
    yield (
        "INSERT INTO sip_trunk (id, account_id, name, role, direction, inbound_auth, inbound_ips)"
        " VALUES (?, NULL, 'Demo carrier', 'carrier', 'inbound', 'ip', ?)",
        (carrier_id, json.dumps([source])),
    )
    for row in rows_of(carrier_id, [source]):
        columns = ", ".join(row)
        yield f"INSERT INTO trunk_address ({columns}) VALUES (?, ?, ?, ?, ?)", tuple(row.values())  # noqa: S608 - our names


def _tenant(
    name: str,
    domain: str,
    people: tuple[tuple[str, bool], ...],
    numbers: tuple[tuple[str, str], ...],
    now: int,
) -> tuple[dict[str, Any], list[Statement]]:
    account_id = fresh_id("acc")
    key, key_row = _key(account_id, f"{name}'s own", now)
    rows: list[Statement] = [
        (
            "INSERT INTO account (id, name, media_engine, created_at) VALUES (?, ?, 'embedded', ?)",
            (account_id, name, now),
        ),
        (
            "INSERT INTO sip_domain (id, account_id, domain, is_primary) VALUES (?, ?, ?, 1)",
            (fresh_id("dom"), account_id, domain),
        ),
        key_row,
    ]
    users: list[dict[str, Any]] = []
    for digits, is_agent in people:
        user_id, password = fresh_id("us"), secrets.token_urlsafe(12)
        rows.extend(_person(account_id, user_id, domain, digits, is_agent, password))
        users.append(
            {
                "id": user_id,
                "extension": digits,
                "auth_username": digits,
                "password": password,
                "is_agent": is_agent,
            }
        )
    by_extension = {user["extension"]: user["id"] for user in users}
    for e164, extension in numbers:
        rows.append(
            (
                "INSERT INTO did (id, account_id, e164, label, dest_kind, dest_id) VALUES (?, ?, ?, 'Demo', 'user', ?)",
                (fresh_id("did"), account_id, e164, by_extension[extension]),
            )
        )
    account: dict[str, Any] = {"id": account_id, "name": name, "domain": domain, "users": users, "api_key": key}
    if numbers:
        rows.extend(_answered_by_flow(account_id, by_extension[numbers[0][1]], now))
        account["dids"] = [
            *({"e164": e164, "goes_to": f"user {extension}"} for e164, extension in numbers),
            {"e164": MAIN_FLOW_NUMBER, "goes_to": "flow main"},
        ]
    return account, rows


def _answered_by_flow(account_id: str, front_desk: str, now: int) -> Iterator[Statement]:
    """The main flow with the extension and the number that lead to it."""
    flow = demo_flow.main_flow(front_desk)
    yield from demo_flow.rows(account_id, flow, now)
    yield (
        "INSERT INTO extension (id, account_id, digits, dest_kind, dest_id) VALUES (?, ?, ?, 'flow', ?)",
        (fresh_id("ext"), account_id, MAIN_FLOW, flow.flow_id),
    )
    yield (
        "INSERT INTO did (id, account_id, e164, label, dest_kind, dest_id) VALUES (?, ?, ?, 'Demo', 'flow', ?)",
        (fresh_id("did"), account_id, MAIN_FLOW_NUMBER, flow.flow_id),
    )


def _person(
    account_id: str, user_id: str, domain: str, digits: str, is_agent: bool, password: str
) -> Iterator[Statement]:
    role = "Agent" if is_agent else "Phone"
    yield (
        "INSERT INTO sip_user (id, account_id, username, display_name, is_agent) VALUES (?, ?, ?, ?, ?)",
        (user_id, account_id, digits, f"{role} {digits}", int(is_agent)),
    )
    digest = make_secrets(digits, domain, password)
    yield (
        "INSERT INTO sip_device (id, account_id, user_id, auth_username, realm, ha1, ha1b, ha1_sha256, ha1b_sha256)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fresh_id("dev"),
            account_id,
            user_id,
            digits,
            domain,
            digest.ha1,
            digest.ha1b,
            digest.ha1_sha256,
            digest.ha1b_sha256,
        ),
    )
    yield (
        "INSERT INTO extension (id, account_id, digits, dest_kind, dest_id) VALUES (?, ?, ?, 'user', ?)",
        (fresh_id("ext"), account_id, digits, user_id),
    )


def _execute(settings: Settings, statements: list[Statement]) -> None:
    """Through wrangler, as an operator would; the file holds digests, so it is private and goes at once."""
    path = settings.secrets / "seed.sql"
    _write_private(path, "".join(f"{_inline(sql, params)};\n" for sql, params in statements))
    try:
        wrangler(settings, "d1", "execute", "CONTROL", f"--file={path}", "--yes")
    finally:
        path.unlink()


def _inline(sql: str, params: tuple[str | int | float | None, ...]) -> str:
    """The statement with its values as SQL literals: a file has no parameters."""
    parts = sql.split("?")
    values = [_literal(value) for value in params] + [""]
    return "".join(part + value for part, value in zip(parts, values, strict=True))


def _literal(value: str | int | float | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int | float) else "'" + value.replace("'", "''") + "'"


def _write_private(path: Path, content: dict[str, Any] | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1) + "\n")
