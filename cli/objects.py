"""`tandem <object> list|get|create|update|delete|import`: the commands that every object of the API has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from cli import options
from cli.client import Client
from cli.context import Context, pass_context
from cli.errors import CliError
from tandem.contracts.ids import is_id
from tandem.contracts.v1.objects import Object

DEFAULT_ROWS: Final = 100
F = TypeVar("F", bound=Callable[..., Any])
_TYPES: Final = {".csv": "text/csv", ".jsonl": "application/x-ndjson", ".ndjson": "application/x-ndjson"}


def group(one: Object) -> click.Group:
    commands = {"list": _list, "get": _get, "create": _create, "update": _update, "delete": _delete, "import": _import}
    made = click.Group(one.name, help=one.summary)
    for verb in one.verbs:
        if verb in commands:
            made.add_command(commands[verb](one))
    return made


def resolve(client: Client, one: Object, named: str) -> str:
    """The id of the object that people call `named`. Raises `CliError` when there is none, or more than one."""
    if one.prefix and is_id(one.prefix, named):
        return named
    if one.key is None:
        raise CliError(f"{named} is not the id of a {one.singular} ({one.prefix}_…).")
    return client.named(one.path, one.singular, one.key, named)


def _list(one: Object) -> click.Command:
    @pass_context
    def run(context: Context, /, limit: int, **filters: str | None) -> None:
        with context.client() as client:
            asked = {name: value for name, value in filters.items() if value is not None}
            context.show_list(one.columns, client.pages(one.path, asked, limit))

    flags: list[click.Parameter] = [
        click.Option([f"--{name.replace('_', '-')}", name], help=f"Only those with this {name}.")
        for name in one.filters
    ]
    limit = click.Option(["--limit"], type=click.IntRange(1), default=DEFAULT_ROWS, show_default=True)
    return click.Command("list", callback=run, params=[*flags, limit], help=f"Lists {one.name}.")


def _get(one: Object) -> click.Command:
    @click.command("get", help=_article("Shows", one))
    @named(one)
    @pass_context
    def run(context: Context, /, named: str) -> None:
        with context.client() as client:
            context.show_reply(client.get(f"{one.path}/{resolve(client, one, named)}"))

    return run


def _create(one: Object) -> click.Command:
    assert one.create is not None

    @click.command("create", help=_article("Makes", one))
    @options.for_create(one.create)
    @pass_context
    def run(context: Context, /, **given: Any) -> None:
        with context.client() as client:
            context.show_reply(client.create(one.path, options.body(given)))

    return run


def _update(one: Object) -> click.Command:
    assert one.patch is not None

    @click.command("update", help=f"{_article('Changes', one)} What is not given stays.")
    @named(one)
    @click.option("--revision", type=click.INT, help="Only if nobody changed it since this revision.")
    @options.for_patch(one.patch)
    @pass_context
    def run(context: Context, /, named: str, revision: int | None, clear: tuple[str, ...], **given: Any) -> None:
        changes = options.body(given, clear)
        if not changes:
            raise CliError("Nothing to change: give at least one option.")
        with context.client() as client:
            etag = None if revision is None else f'"{revision}"'
            context.show_reply(client.patch(f"{one.path}/{resolve(client, one, named)}", changes, etag))

    return run


def _delete(one: Object) -> click.Command:
    @click.command("delete", help=_article("Deletes", one))
    @named(one)
    @pass_context
    def run(context: Context, /, named: str) -> None:
        with context.client() as client:
            found = resolve(client, one, named)
            client.delete(f"{one.path}/{found}")
            context.say(f"Deleted {found}.", {"ok": True, "id": found})

    return run


def _import(one: Object) -> click.Command:
    @click.command("import", help=f"Makes many {one.name} from a .csv or .jsonl file: all of them, or none.")
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @pass_context
    def run(context: Context, /, file: Path) -> None:
        content_type = _TYPES.get(file.suffix.lower())
        if content_type is None:
            raise CliError(f"{file.name}: give a .csv file with a header line, or a .jsonl file with an object a line.")
        with context.client() as client:
            reply = client.upload(f"{one.path}/import", file.read_bytes(), content_type)
            context.say(f"Imported {reply['imported']} {one.name}.", reply)

    return run


def named(one: Object) -> Callable[[F], F]:
    metavar = "ID" if one.key is None else f"ID|{one.key.upper()}"

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What the brain has; a shell that completes shows no errors, so neither do we."""
        root = context.find_root().params
        try:
            with Context(root.get("url"), root.get("key"), root.get("account"), False).client() as client:
                names = [
                    str(item.get(one.key or "id") or item["id"]) for item in client.pages(one.path, {}, DEFAULT_ROWS)
                ]
        except CliError:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return click.argument("named", metavar=metavar, shell_complete=complete)


def _article(verb: str, one: Object) -> str:
    return f"{verb} {'an' if one.singular[0] in 'aeio' else 'a'} {one.singular}."
