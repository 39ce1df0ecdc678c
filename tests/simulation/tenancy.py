"""The accounts of the simulation: two tenants below a reseller with a ceiling, with numbers, trunks and windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.support import inbound, rows, seeds

RESELLER: Final = "acc_reseller"
RESELLER_MAX_IN: Final = 9
MAX_IN: Final = 7
# The extensions that each number rings, and how many calls at a time it takes.
NUMBERS: Final[dict[str, int | None]] = {
    "1001": 2,
    "1002 1004": None,
    "1003 1005 1007": 2,
    "1001 1006 1008 1009": None,
    "1004 1005 1010": 1,
    "1009": None,
    "1002 1003 1006": 3,
    "1010": None,
}
TRUNK_LIMIT: Final = 4
FLOW_EXTENSION: Final = "600"
WINDOWS: Final = (("hard", 20, 12, 1), ("soft", 5, 2, 0))


def trunk_of(tenant: seeds.Tenant) -> str:
    return f"tr_{tenant.account_id[4:]}"


def address_of(tenant: seeds.Tenant) -> str:
    """Where the calls of its trunk come from."""
    return f"203.0.113.{int(tenant.account_id[4:])}"


def limits_of(tenant: seeds.Tenant) -> dict[tuple[str, str], int | None]:
    """(dimension, subject) → limit, beside those of the users."""
    return {
        ("account_in", tenant.account_id): MAX_IN,
        ("trunk_channels", trunk_of(tenant)): TRUNK_LIMIT,
        **{("did_channels", inbound.did_of(tenant, ring)): limit for ring, limit in NUMBERS.items()},
    }


def statements(tenants: list[seeds.Tenant]) -> Iterator[rows.Row]:
    yield "INSERT INTO account (id, name, created_at, max_in) VALUES (?, 'r', 0, ?)", (RESELLER, RESELLER_MAX_IN)
    for number, tenant in enumerate(tenants):
        account = tenant.account_id
        yield from inbound.below(RESELLER, tenant)
        yield rows.update("account", account, max_in=MAX_IN, media_engine="embedded")
        yield (
            "INSERT INTO extension (id, account_id, digits, dest_kind, dest_id) VALUES (?, ?, ?, 'flow', 'flow_1')",
            (f"ext_flow_{number}", account, FLOW_EXTENSION),
        )
        for ring, most in NUMBERS.items():
            yield from inbound.numbers(tenant, ring, max_channels=most)
        yield from rows.trunk(tenant, int(account[4:]), address_of(tenant), max_channels=TRUNK_LIMIT)
        for name, period, most, hard in WINDOWS:
            yield (
                "INSERT INTO call_limit (id, account_id, scope_kind, direction, period_sec, max_count, hard)"
                " VALUES (?, ?, 'account', 'in', ?, ?, ?)",
                (f"lim_{name}_{number}", account, period, most, hard),
            )
