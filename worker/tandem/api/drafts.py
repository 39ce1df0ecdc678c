"""From what was asked to what is written: defaults, numbers as E.164, and the rules of single objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from tandem.api.faults import first_fault
from tandem.api.work import Work
from tandem.contracts.errors import TandemError
from tandem.domain.numbers import normalise
from tandem.runtime import Param, Row, Statement
from tandem.store.config import Guard
from tandem.store.config_tables import Table


@dataclass(slots=True)
class Draft:
    """`fields` is the item as it will be shown; `given` what the request said, with fields that no item has.

    `hidden` are columns that no item shows, `shown` secrets that only this reply shows, `statements` further writes,
    `guards` what must hold besides.
    """

    fields: dict[str, Any]
    given: Mapping[str, Any]
    before: dict[str, Any] | None = None
    hidden: dict[str, Param] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)


# What is special about an object: completes drafts that belong to one account (None: the platform).
Finish = Callable[[Work, Row | None, Sequence[Draft]], Awaitable[None]]


class LineError(TandemError):
    """A fault of one draft among many; `index` counts from 0."""

    def __init__(self, error: TandemError, index: int) -> None:
        super().__init__(error.code, error.message, error.field)
        self.index = index


def new(work: Work, table: Table, account: Row | None, body: BaseModel) -> Draft:
    """A draft of a new object. Raises `TandemError` when a number is none of the account's country."""
    given = body.model_dump()
    fields = {name: given.get(name) for name in table.object.item.model_fields}
    fields |= {"id": work.new_id(table.object.prefix), "revision": 1}
    if "account_id" in fields:
        fields["account_id"] = None if account is None else account["id"]
    if "created_at" in fields:
        fields["created_at"] = work.now
    draft = Draft(fields, given)
    _normalise(table, account, draft, table.numbers)
    return draft


def changed(table: Table, account: Row | None, before: dict[str, Any], patch: BaseModel) -> Draft:
    """The object as it would become. Raises `TandemError` when it would break a rule between its fields."""
    given = patch.model_dump(exclude_unset=True)
    fields = before | given
    model = table.object.fields
    assert model is not None
    try:
        model.model_validate({name: fields[name] for name in model.model_fields})
    except ValidationError as error:
        raise first_fault(error.errors(include_url=False, include_input=False)) from None
    draft = Draft(fields | {"revision": before["revision"] + 1}, given, before)
    _normalise(table, account, draft, [name for name in table.numbers if name in given])
    return draft


def _normalise(table: Table, account: Row | None, draft: Draft, names: Sequence[str]) -> None:
    for target in table.targets:
        if draft.fields.get(f"{target}_kind") == "hangup":
            draft.fields[f"{target}_id"] = draft.fields.get(f"{target}_id") or ""
    known = draft.fields if table.owner == "self" else account
    country = "US" if known is None else str(known["country"])
    for name in names:
        raw = draft.fields[name]
        if raw is None:
            continue
        digits = normalise(raw, country)
        if digits is None:
            message = f"Field {name}: {raw} is not a telephone number; write it as +, country code and number."
            raise TandemError("invalid_request", message, name)
        draft.fields[name] = digits
