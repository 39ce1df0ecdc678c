"""The effective account: its own values, and what it inherits down the tree (spec 10, "Tenancy")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tandem.domain.target import Target

TIMEZONE: Final = "UTC"
LANGUAGE: Final = "en-US"
VOICE_GENDER: Final = "female"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it stands in its row; None is "as the parent"."""

    account_id: str
    parent_id: str | None
    name: str
    status: str
    timezone: str | None = None
    language: str | None = None
    voice_gender: str | None = None
    brand_name: str | None = None
    country: str = "US"
    max_in: int | None = None
    max_out: int | None = None
    max_dialer: int | None = None
    default_cid_number: str | None = None
    did_default: Target | None = None
    media_engine: str = "none"
    emergency_numbers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An account above that has a ceiling: a call below it needs room there too. None is no ceiling."""

    account_id: str
    max_in: int | None
    max_out: int | None
    max_dialer: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """`status` is `active`, or why nothing may be done: `suspended` (itself or an ancestor) or `closed`.

    `emergency_numbers` None means those of the country's numbering plan. `ancestors` are those with a ceiling,
    nearest first.
    """

    account_id: str
    name: str
    status: str = "active"
    timezone: str = TIMEZONE
    language: str = LANGUAGE
    voice_gender: str = VOICE_GENDER
    country: str = "US"
    max_in: int | None = None
    max_out: int | None = None
    max_dialer: int | None = None
    default_cid_number: str | None = None
    did_default: Target | None = None
    media_engine: str = "none"
    emergency_numbers: frozenset[str] | None = None
    ancestors: tuple[Ancestor, ...] = ()
    brand_name: str = ""


def effective(rows: Sequence[AccountRow]) -> Account | None:
    """The account of a chain of rows, in any order: the one that is nobody's parent, with its ancestors.

    None without rows.
    """
    chain = _chain(rows)
    if not chain:
        return None
    own, above = chain[0], chain[1:]

    def inherited(of: Callable[[AccountRow], T | None]) -> T | None:
        return next((value for row in chain if (value := of(row)) is not None), None)

    return Account(
        account_id=own.account_id,
        name=own.name,
        status=_status(own, above),
        timezone=inherited(lambda row: row.timezone) or TIMEZONE,
        language=inherited(lambda row: row.language) or LANGUAGE,
        voice_gender=inherited(lambda row: row.voice_gender) or VOICE_GENDER,
        country=own.country,
        max_in=own.max_in,
        max_out=own.max_out,
        max_dialer=own.max_dialer,
        default_cid_number=inherited(lambda row: row.default_cid_number),
        did_default=inherited(lambda row: _for_below(row.did_default) if row is not own else row.did_default),
        media_engine=own.media_engine,
        emergency_numbers=inherited(lambda row: row.emergency_numbers),
        ancestors=tuple(
            Ancestor(row.account_id, row.max_in, row.max_out, row.max_dialer)
            for row in above
            if (row.max_in, row.max_out, row.max_dialer) != (None, None, None)
        ),
        brand_name=inherited(lambda row: row.brand_name) or own.name,
    )


def _for_below(target: Target | None) -> Target | None:
    """A target as accounts below inherit it: what it names by id is another account's, and means nothing there."""
    return target if target is not None and target.dest_kind == "hangup" else None


def _chain(rows: Sequence[AccountRow]) -> list[AccountRow]:
    """The account's row, its parent's, and so on; a parent that is not among the rows ends it."""
    by_id = {row.account_id: row for row in rows}
    parents = {row.parent_id for row in rows}
    at = next((row for row in rows if row.account_id not in parents), None)
    chain: list[AccountRow] = []
    while at is not None:
        chain.append(at)
        at = by_id.get(at.parent_id or "")
    return chain


def _status(own: AccountRow, above: Sequence[AccountRow]) -> str:
    if own.status == "closed":
        return "closed"
    return "active" if all(row.status == "active" for row in (own, *above)) else "suspended"
