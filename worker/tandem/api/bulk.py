"""Import of many objects at once, as JSON lines or CSV: all of them, or none and every wrong line named."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from fastapi import Response
from pydantic import ValidationError
from pydantic_core import from_json

from tandem.api import drafts, objects, rules
from tandem.api.drafts import Draft, LineError
from tandem.api.faults import first_fault
from tandem.api.work import Remember, Work, reply
from tandem.contracts.errors import TandemError
from tandem.contracts.v1.base import Fields
from tandem.runtime import Row, Statement
from tandem.store.config import Guard, commit
from tandem.store.config_tables import Table

MOST_LINES: Final = 10_000
MOST_BYTES: Final = 8 * 1024 * 1024
MOST_FAULTS: Final = 100
SLICE: Final = 500
JSON_LINES: Final = ("application/x-ndjson", "application/jsonl", "application/json-lines", "application/json")
Line = tuple[int, Any]


async def import_(work: Work, table: Table, content_type: str, account_id: str | None) -> Response:
    """Raises `import_failed` with the wrong lines; then nothing was written."""

    async def do(remember: Remember) -> Response:
        account = None if table.owner == "platform" else await work.account(work.named_account(account_id))
        batch = Batch(work, table, account)
        for some in _slices(_lines(table, content_type, work.body)):
            await batch.take(some)
        if batch.faults:
            raise _failed(batch.faults)
        if batch.first is None:
            raise TandemError("invalid_request", "There is nothing to import: the body has no lines.")
        content = {"ok": True, "imported": len(batch.keys)}
        try:
            await commit(work.env.control, batch.guards, [*batch.statements, *remember(201, content)])
        except TandemError as error:
            raise _failed(_located(error, batch.keys)) if error.lines else error from None
        await rules.poke(work, table, batch.first)
        return reply(201, content)

    return await work.once(do)


@dataclass(slots=True)
class Batch:
    """What all lines come to, taken some at a time: the statements are a fraction of what the drafts weigh.

    `keys` are (line, what the database may find wrong about it by field); `faults` those found before.
    """

    work: Work
    table: Table
    account: Row | None
    guards: list[Guard] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    keys: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[tuple[Any, ...], int] = field(default_factory=dict)
    first: dict[str, Any] | None = None

    async def take(self, lines: Sequence[Line]) -> None:
        numbers, made = self._drafts(lines)
        if self.faults or not made:
            return
        try:
            guards, statements = await objects.finish(self.work, self.table, self.account, made)
        except LineError as error:
            self.faults.append(_fault(numbers[error.index], error))
            return
        self.guards += guards
        self.statements += statements
        self.first = self.first or made[0].fields
        for number, draft in zip(numbers, made, strict=True):
            self._distinct(number, draft)
            named = {guard.field for guard in guards}
            self.keys.append((number, {name: draft.fields.get(name) for name in named if name is not None}))

    def _drafts(self, lines: Sequence[Line]) -> tuple[list[int], list[Draft]]:
        """Line numbers and drafts of the lines that are right by themselves."""
        numbers: list[int] = []
        made: list[Draft] = []
        for number, content in lines:
            if len(self.faults) == MOST_FAULTS:
                break
            try:
                made.append(drafts.new(self.work, self.table, self.account, _parse(self.table, self.account, content)))
                numbers.append(number)
            except TandemError as error:
                self.faults.append(_fault(number, error))
        return numbers, made

    def _distinct(self, number: int, draft: Draft) -> None:
        """Notes as a fault what must be unique and is twice in the import."""
        key = tuple(draft.fields[name] for name in self.table.unique)
        if key and self.seen.setdefault(key, number) != number:
            name = self.table.unique[0]
            error = TandemError("conflict", f"Field {name}: line {self.seen[key]} has {key[0]} too.", name)
            self.faults.append(_fault(number, error))


def _slices(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while some := list(islice(lines, SLICE)):
        yield some


def _lines(table: Table, content_type: str, body: str) -> Iterator[Line]:
    """(line number, object) of each line that is not empty. Raises `TandemError`."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/csv":
        yield from _csv(table, body)
    elif kind in JSON_LINES:
        for number, text in enumerate(body.split("\n"), 1):
            if text.strip():
                _count(number)
                yield number, text
    else:
        message = "Send JSON lines as application/x-ndjson, or CSV as text/csv."
        raise TandemError("unsupported_media_type", message)


def _csv(table: Table, body: str) -> Iterator[Line]:
    """RFC 4180 with a header line. An empty cell is a field not given; lists and objects are JSON in their cell."""
    codecs = table.codecs
    reader = csv.reader(io.StringIO(body.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        names = next(reader, [])
        if len(set(names)) != len(names):
            raise TandemError("invalid_request", "Line 1: the header names a column twice.")
        first = reader.line_num + 1
        for cells in reader:
            number, first = first, reader.line_num + 1
            if not cells:
                continue
            _count(number - 1)
            if len(cells) != len(names):
                raise TandemError("import_failed", f"Line {number}: has {len(cells)} cells, the header {len(names)}.")
            yield (
                number,
                {name: _cell(codecs.get(name, "plain"), cell) for name, cell in zip(names, cells, strict=True) if cell},
            )
    except csv.Error as error:
        raise TandemError("invalid_request", f"Line {reader.line_num}: is not CSV ({error}).") from None


def _cell(codec: str, cell: str) -> Any:
    if codec == "words" and not cell.startswith("["):
        return cell.split()
    if codec in ("json", "words"):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _count(number: int) -> None:
    if number > MOST_LINES:
        raise TandemError("too_large", f"An import has at most {MOST_LINES} lines.")


def _parse(table: Table, account: Row | None, content: Any) -> Fields:
    model = table.object.create
    assert model is not None
    try:
        if isinstance(content, str):
            content = from_json(content, allow_inf_nan=False)
            body = model.model_validate(content)
        else:
            body = model.model_validate(content, strict=False)
    except ValidationError as error:
        raise first_fault(error.errors(include_url=False, include_input=False)) from None
    except ValueError:
        raise TandemError("invalid_request", "The line is not JSON.") from None
    named = getattr(body, "account_id", None)
    if named is not None and account is not None and named != account["id"]:
        raise TandemError("invalid_request", "Field account_id: an import is for one account.", "account_id")
    if "password" in model.model_fields and getattr(body, "password", None) is None:
        raise TandemError(
            "invalid_request", "Field password: an import cannot show generated ones; give it.", "password"
        )
    return body


def _located(error: TandemError, keys: Sequence[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The faults that the database found, at the lines which they are about."""
    found = {(str(one["field"]), one["value"]): str(one["message"]) for one in error.lines or ()}
    return [
        {"line": number, "field": name, "message": message}
        for number, named in keys
        for (name, value), message in found.items()
        if value == named.get(name) or (isinstance(named.get(name), list) and value in named[name])
    ]


def _fault(number: int, error: TandemError) -> dict[str, Any]:
    named = {"field": error.field} if error.field else {}
    return {"line": number, **named, "message": error.message}


def _failed(faults: list[dict[str, Any]]) -> TandemError:
    first = faults[0]
    count = f"{len(faults)} lines are" if len(faults) > 1 else "One line is"
    message = f"{count} wrong, and nothing was imported. Line {first['line']}: {first['message']}"
    return TandemError("import_failed", message, lines=faults[:MOST_FAULTS])
