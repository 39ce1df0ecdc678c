"""Options of a command, made from the API's own models: one for each field, with its type, choices and help."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cli.errors import MissingError

F = TypeVar("F", bound=Callable[..., Any])
_UNIONS: Final = (Union, types.UnionType)


class Json(click.ParamType[Any]):
    """A JSON value on the command line, for fields that are objects."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            self.fail(f"is not JSON ({error})", param, ctx)


def for_create(model: type[BaseModel]) -> Callable[[F], F]:
    """Options of `create`: what the model requires is required here."""
    return _options(model, required=True)


def for_patch(model: type[BaseModel]) -> Callable[[F], F]:
    """Options of `update`: all of them optional; `--clear FIELD` sets one to null."""
    fields = [name for name, field in model.model_fields.items() if type(None) in _members(field.annotation)]

    def add(command: F) -> F:
        clear = click.option("--clear", multiple=True, type=click.Choice(fields), help="Set a field to null.")
        return _options(model, required=False)(clear(command))

    return add


def body(given: dict[str, Any], clear: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that were given; a list option that was not is left out. Raises `CliError` on a contradiction."""
    told = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in (None, ())
    }
    for name in clear:
        if name in told:
            raise MissingError(f"Both --{_dashed(name)} and --clear {name} were given; which one?")
        told[name] = None
    return told


def _options(model: type[BaseModel], *, required: bool) -> Callable[[F], F]:
    def add(command: F) -> F:
        for name, field in reversed(model.model_fields.items()):
            if name != "account_id":  # the option --account before the command's name
                command = _option(name, field, required=required)(command)
        return command

    return add


def _option(name: str, field: FieldInfo, *, required: bool) -> Callable[[F], F]:
    members = [member for member in _members(field.annotation) if member is not type(None)]
    needed = required and field.is_required()
    shown = field.description or ""
    flags = f"--{_dashed(name)}"
    if bool in members:
        return click.option(f"{flags}/--no-{_dashed(name)}", name, default=None, required=needed, help=shown)
    kind, multiple = _kind(members)
    return click.option(flags, name, type=kind, multiple=multiple, required=needed, help=shown)


def _kind(members: list[Any]) -> tuple[click.ParamType[Any], bool]:
    """The click type, and whether the option may be repeated."""
    literals = [value for member in members if get_origin(member) is Literal for value in get_args(member)]
    if literals:
        return click.Choice([str(value) for value in literals]), False
    for member in members:
        if get_origin(member) is list:
            return _kind(_members(get_args(member)[0]))[0], True
    if any(member is dict or get_origin(member) is dict for member in members):
        return Json(), False
    if int in members:
        return click.INT, False
    if float in members:
        return click.FLOAT, False
    return click.STRING, False


def _members(annotation: Any) -> list[Any]:
    """The alternatives of a union, `Annotated` and type aliases opened."""
    if hasattr(annotation, "__value__"):
        return _members(annotation.__value__)
    if hasattr(annotation, "__metadata__"):
        return _members(annotation.__origin__)
    if get_origin(annotation) in _UNIONS:
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def _dashed(name: str) -> str:
    return name.replace("_", "-")
