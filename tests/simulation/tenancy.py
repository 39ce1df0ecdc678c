"""The accounts of the simulation: two tenants below a reseller with a ceiling, with numbers, trunks and windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.support import inbound, seeds

Statement = tuple[str, tuple[str | int | None, ...]]
RESELLER: Final = "acc_reseller"
RESELLER_MAX_IN: Final = 9
MAX_IN: Final = 7
DID_LIMITS: Final = (2, None)
TRUNK_LIMIT: Final = 4
WINDOWS: Final = (("hard", 20, 12, 1), ("soft", 5, 2, 0))


def dids_of(tenant: seeds.Tenant) -> list[str]:
    return [f"did_{tenant.account_id[4:]}_{number}" for number in range(len(DID_LIMITS))]


def trunk_of(tenant: seeds.Tenant) -> str:
    return f"trk_{tenant.account_id[4:]}"


def limits_of(tenant: seeds.Tenant) -> dict[tuple[str, str], int | None]:
    """(dimension, subject) → limit, beside those of the users."""
    return {
        ("account_in", tenant.account_id): MAX_IN,
        ("trunk_channels", trunk_of(tenant)): TRUNK_LIMIT,
        **{("did_channels", one): limit for one, limit in zip(dids_of(tenant), DID_LIMITS, strict=True)},
    }


def rows(tenants: list[seeds.Tenant]) -> Iterator[Statement]:
    yield "INSERT INTO account (id, name, created_at, max_in) VALUES (?, 'r', 0, ?)", (RESELLER, RESELLER_MAX_IN)
    for number, tenant in enumerate(tenants):
        yield from inbound.below(RESELLER, tenant)
        account = tenant.account_id
        yield "UPDATE account SET max_in = ? WHERE id = ?", (MAX_IN, account)
        for index, (did, most) in enumerate(zip(dids_of(tenant), DID_LIMITS, strict=True)):
            statement = "INSERT INTO did (id, account_id, e164, max_channels) VALUES (?, ?, ?, ?)"
            yield statement, (did, account, f"1555010{number}{index}", most)
        statement = "INSERT INTO sip_trunk (id, account_id, name, max_channels) VALUES (?, ?, 't', ?)"
        yield statement, (trunk_of(tenant), account, TRUNK_LIMIT)
        for name, period, most, hard in WINDOWS:
            yield (
                "INSERT INTO call_limit (id, account_id, scope_kind, direction, period_sec, max_count, hard)"
                " VALUES (?, ?, 'account', 'in', ?, ?, ?)",
                (f"lim_{name}_{number}", account, period, most, hard),
            )
