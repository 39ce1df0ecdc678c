"""What can be done with call flows besides writing their drafts: `tandem flows …`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from cli.client import Client
from cli.commands import epoch_ms
from cli.context import Context, pass_context
from cli.errors import CliError, problem_lines
from cli.objects import named, resolve
from tandem.contracts.v1.objects import BY_NAME

DRAFT: Final = "draft"
_FLOWS: Final = BY_NAME["flows"]
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("validate")
@named(_FLOWS)
@pass_context
def validate(context: Context, named: str) -> None:
    """Tells all that keeps a flow from being published; the exit code is 1 when there is anything."""
    with context.client() as client:
        reply = client.post(f"{_path(client, named)}/validate", {})
    context.say("\n".join(problem_lines(reply["problems"])) or "It can be published.", reply)
    if not reply["valid"]:
        raise click.exceptions.Exit(1)


def _action(name: str, summary: str) -> click.Command:
    @click.command(name, help=summary)
    @named(_FLOWS)
    @pass_context
    def run(context: Context, /, named: str) -> None:
        with context.client() as client:
            _show(context, client.post(f"{_path(client, named)}/{name}", {}))

    return run


publish = _action("publish", "Makes the draft of a flow what new calls take.")
archive = _action("archive", "Takes a flow out of use; publishing it puts it into use again.")


@click.command("versions")
@named(_FLOWS)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@pass_context
def versions(context: Context, named: str, limit: int) -> None:
    """Lists what was ever published of a flow, newest first."""
    with context.client() as client:
        found = client.pages(f"{_path(client, named)}/versions", {}, limit)
        context.show_list(("version", "published_at", "published_by"), found)


@click.command("diff")
@named(_FLOWS)
@click.option("--from", "from_", help="A version's number, or draft. Default: the last version.")
@click.option("--to", default=DRAFT, show_default=True, help="A version's number, or draft.")
@pass_context
def diff(context: Context, named: str, from_: str | None, to: str) -> None:
    """Tells what is different between two versions of a flow, or one and the draft."""
    with context.client() as client:
        asked = {"to": to, **({} if from_ is None else {"from": from_})}
        reply = client.get(f"{_path(client, named)}/diff", asked)
    lines = [f"{reply['from']} -> {reply['to']}"]
    for part in ("nodes", "edges"):
        lines += [f"+ {part[:-1]} {one}" for one in reply[part]["added"]]
        lines += [f"- {part[:-1]} {one}" for one in reply[part]["removed"]]
        for one in reply[part]["changed"]:
            lines += [f"~ {part[:-1]} {one['id']} {_change(field)}" for field in one["fields"]]
    lines += [f"~ {_change(field)}" for field in reply["fields"]]
    context.say("\n".join(lines if len(lines) > 1 else [*lines, "There is no difference."]), reply)


@click.command("simulate")
@named(_FLOWS)
@click.option("--version", type=click.IntRange(1), help="A published version. Default: the draft.")
@click.option("--at", "moment", help="When (ISO 8601; without an offset: UTC). Default: now.")
@click.option("--from", "from_", help="The caller's number.")
@click.option("--to", help="What was called.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="A variable that the route sets.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    metavar="[NODE/]OUTCOME[=DIGITS]",
    help="What the next command comes to: digits=1, timeout, busy, dial/answered …",
)
@click.option("--script", type=_FILE, help="A JSON file with all of it, in the words of the API.")
@pass_context
def simulate(context: Context, /, named: str, script: Path | None, **given: Any) -> None:
    """Runs a flow on paper, given what its commands come to; no call is placed."""
    asked = {} if script is None else _read(script)
    asked |= _asked(**given)
    with context.client() as client:
        reply = client.post(f"{_path(client, named)}/simulate", asked)
    if context.as_json:
        context.show_item(reply)
        return
    context.show_list(("node_id", "kind", "outcome", "digits", "variables", "error"), reply["trace"])
    last = reply["commands"][-1]["cmd"] if reply["commands"] else "nothing"
    click.echo(f"  => {reply['reason'] or f'waits for the outcome of {last}'}")


@click.command("export")
@named(_FLOWS)
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path), required=False)
@click.option("--version", type=click.IntRange(1), help="A published version. Default: the draft.")
@pass_context
def export(context: Context, named: str, file: Path | None, version: int | None) -> None:
    """Writes a flow as JSON, to FILE or to the screen."""
    with context.client() as client:
        path = _path(client, named)
        flow = client.get(path)["item"]
        graph = flow["graph"] if version is None else client.get(f"{path}/versions/{version}")["item"]["graph"]
    text = json.dumps({"name": flow["name"], "graph": graph}, indent=2, ensure_ascii=False) + "\n"
    if file is None:
        click.echo(text, nl=False)
    else:
        file.write_text(text)
        context.say(f"Wrote {file}.", {"ok": True, "id": flow["id"]})


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--name", help="The flow's name. Default: the one in the file.")
@click.option("--publish", "at_once", is_flag=True, help="Publish it, too.")
@pass_context
def import_(context: Context, file: Path, name: str | None, at_once: bool) -> None:
    """Makes a flow of a JSON file, or its draft if there is one of that name."""
    content = _read(file)
    graph = content.get("graph", content)
    name = name or content.get("name")
    if not isinstance(graph, dict) or not isinstance(name, str):
        raise CliError(f"{file.name}: give an object with name and graph, or a graph and --name.")
    with context.client() as client:
        existing = list(client.pages(_FLOWS.path, {"name": name}, 1))
        if existing:
            reply = client.patch(f"{_FLOWS.path}/{existing[0]['id']}", {"graph": graph})
        else:
            reply = client.create(_FLOWS.path, {"name": name, "graph": graph})
        if at_once:
            reply = client.post(f"{_FLOWS.path}/{reply['item']['id']}/publish", {})
        _show(context, reply)


COMMANDS: Final[tuple[click.Command, ...]] = (
    validate,
    publish,
    archive,
    versions,
    diff,
    simulate,
    export,
    import_,
)


def _show(context: Context, reply: dict[str, Any]) -> None:
    """People are not shown the graph beside what became of it."""
    item = reply["item"]
    context.show_item(item if context.as_json else {name: value for name, value in item.items() if name != "graph"})


def _path(client: Client, flow: str) -> str:
    return f"{_FLOWS.path}/{resolve(client, _FLOWS, flow)}"


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CliError(f"{file.name} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise CliError(f"{file.name}: give a JSON object.")
    return content


def _asked(
    version: int | None,
    moment: str | None,
    from_: str | None,
    to: str | None,
    variables: tuple[str, ...],
    outcomes: tuple[str, ...],
) -> dict[str, Any]:
    """What was given on the command line, in the words of the API."""
    asked: dict[str, Any] = {"version": version, "from": from_, "to": to}
    asked["at"] = None if moment is None else epoch_ms(moment)
    asked["vars"] = dict(_pair(one) for one in variables) or None
    asked["outcomes"] = [_outcome(one) for one in outcomes] or None
    return {name: value for name, value in asked.items() if value is not None}


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise CliError(f"--var {text}: give NAME=VALUE.")
    return name, value


def _outcome(text: str) -> dict[str, str]:
    told, has_digits, digits = text.partition("=")
    node_id, has_node, outcome = told.rpartition("/")
    return {
        "outcome": outcome,
        **({"node_id": node_id} if has_node else {}),
        **({"digits": digits} if has_digits else {}),
    }


def _change(field: dict[str, Any]) -> str:
    before, after = (json.dumps(field[side], ensure_ascii=False) for side in ("before", "after"))
    return f"{field['path']}: {before} -> {after}"
