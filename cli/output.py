"""What the terminal shows: tables and cards for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED: Final = 10_000


def show_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], items: Iterable[dict[str, Any]]) -> None:
    """A row an item; piped into a file it is as wide as its content."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # An id is copied from the screen: it must not be broken.
        table.add_column(column, overflow="fold", no_wrap=column == "id" or column.endswith("_id"))
    count = 0
    for item in items:
        table.add_row(*(Text(cell(column, item.get(column))) for column in columns))
        count += 1
    if count == 0:
        click.echo("None.")
        return
    console = Console() if sys.stdout.isatty() else Console(width=_UNBOUNDED)
    console.print(table)


def show_card(item: dict[str, Any]) -> None:
    """One item, a line a field; what is not set is left out."""
    told = {name: value for name, value in item.items() if value not in (None, "", [], {})}
    width = max((len(name) for name in told), default=0)
    for name, value in told.items():
        click.echo(f"{name:<{width}}  {cell(name, value)}")


def cell(name: str, value: Any) -> str:
    """A value as people read it; times (`*_at`, `*_ts`, and `at` to the millisecond: epoch ms) in UTC."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith(("_at", "_ts")):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, int) and name == "at":
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
