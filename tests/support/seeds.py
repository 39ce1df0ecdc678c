"""Rows of the control database for tests: two tenants with the same extensions on purpose."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tandem.contracts.signature import node_credential
from tandem.domain.digest import make_secrets

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
MASTER_KEY = "test-master-key"
OPERATOR_KEY = "sk_test_operator"
NODE_ID = "node_00000000000000000000000001"
Execute = Callable[[str, tuple[str | int | None, ...]], object]


@dataclass(frozen=True)
class Person:
    user_id: str
    device_id: str
    username: str
    password: str


@dataclass(frozen=True)
class Tenant:
    account_id: str
    domain: str
    people: dict[str, Person]


def suffix(number: int) -> str:
    return f"{number:026d}"


def tenant(number: int, domain: str, extensions: tuple[str, ...] = ("1001", "1002")) -> Tenant:
    people = {
        digits: Person(
            f"us_{suffix(number * 1_000_000 + int(digits))}",
            f"dev_{suffix(number * 1_000_000 + int(digits))}",
            digits,
            f"secret-{number}-{digits}",
        )
        for digits in extensions
    }
    return Tenant(f"acc_{suffix(number)}", domain, people)


def rows_of(one: Tenant) -> Iterator[tuple[str, tuple[str | int | None, ...]]]:
    """(SQL, parameters) that write the tenant."""
    yield "INSERT INTO account (id, name, created_at) VALUES (?, ?, 0)", (one.account_id, one.domain)
    yield (
        "INSERT INTO sip_domain (id, account_id, domain, is_primary) VALUES (?, ?, ?, 1)",
        (f"dom_{one.account_id[4:]}", one.account_id, one.domain),
    )
    for digits, person in one.people.items():
        yield (
            "INSERT INTO sip_user (id, account_id, username, display_name) VALUES (?, ?, ?, ?)",
            (person.user_id, one.account_id, digits, f"Phone {digits}"),
        )
        yield device_row(one, person, person.device_id, digits)
        yield (
            "INSERT INTO extension (id, account_id, digits, dest_kind, dest_id) VALUES (?, ?, ?, 'user', ?)",
            (f"ext_{person.user_id[3:]}", one.account_id, digits, person.user_id),
        )


def device_row(
    one: Tenant, person: Person, device_id: str, auth_username: str
) -> tuple[str, tuple[str | int | None, ...]]:
    secrets = make_secrets(auth_username, one.domain, person.password)
    return (
        "INSERT INTO sip_device (id, account_id, user_id, auth_username, realm, ha1, ha1b, ha1_sha256, ha1b_sha256)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            device_id,
            one.account_id,
            person.user_id,
            auth_username,
            one.domain,
            secrets.ha1,
            secrets.ha1b,
            secrets.ha1_sha256,
            secrets.ha1b_sha256,
        ),
    )


def platform_rows() -> Iterator[tuple[str, tuple[str | int | None, ...]]]:
    """The edge node and the platform operator's API key."""
    yield "INSERT INTO node (id, region, status, created_at) VALUES (?, 'local', 'active', 0)", (NODE_ID,)
    yield (
        "INSERT INTO api_key (id, account_id, name, hash, scopes, created_at) VALUES (?, NULL, 'tests', ?, 'nodes', 0)",
        (f"key_{suffix(1)}", hashlib.sha256(OPERATOR_KEY.encode()).hexdigest()),
    )


def credential() -> str:
    return node_credential(MASTER_KEY, NODE_ID, 1)


def migrated() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for path in sorted(MIGRATIONS.glob("*.sql")):
        connection.executescript(path.read_text())
    return connection
