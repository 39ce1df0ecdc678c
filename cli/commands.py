"""Commands that are about a call or about the command line itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click
from click.shell_completion import get_completion_class

from cli.context import Context, pass_context
from cli.errors import MissingError
from cli.objects import named, resolve
from tandem.contracts.v1.objects import BY_NAME

_CALLS: Final = BY_NAME["calls"]
SHELLS: Final = ("bash", "zsh", "fish")


@click.command("explain")
@click.option("--from", "caller", required=True, help="Who calls: a username, an extension, or an outside number.")
@click.option("--to", "called", required=True, help="What is dialled.")
@click.option("--at", "moment", help="When (ISO 8601; without an offset: UTC). Default: now.")
@click.option("--source-ip", help="The address that the call comes from, for calls of trunks.")
@click.option("--source-port", type=click.IntRange(1, 65_535), default=5060, help="The port there. Default: 5060.")
@pass_context
def explain(
    context: Context, caller: str, called: str, moment: str | None, source_ip: str | None, source_port: int
) -> None:
    """What would happen to a call, and why, step by step; no call is placed and nothing is counted."""
    asked: dict[str, Any] = {"from": caller, "to": called}
    if moment is not None:
        asked["at"] = epoch_ms(moment)
    if source_ip is not None:
        asked |= {"source_ip": source_ip, "source_port": source_port}
    with context.client() as client:
        reply = client.create("/v1/explain", asked)
    if context.as_json:
        context.show_item(reply)
        return
    for number, step in enumerate(reply["steps"], 1):
        click.echo(f"{number:>3}. {_sentence(step)}")
    click.echo(f"  => {_verdict(reply['directive'])}")


@click.command("trace")
@named(_CALLS)
@click.option("--limit", type=click.IntRange(1), default=1_000, show_default=True)
@pass_context
def trace(context: Context, named: str, limit: int) -> None:
    """What happened in a call, step by step: the nodes of its flow, what was pressed, what came of it."""
    with context.client() as client:
        steps = list(client.pages(f"{_CALLS.path}/{resolve(client, _CALLS, named)}/trace", {}, limit))
    context.show_list(("at", "source", "seq", "kind", "node_id", "data"), steps)


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """The completion script of a shell: eval "$(tandem completion bash)"."""
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "tandem", "_TANDEM_COMPLETE").source())


def epoch_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MissingError(f"--at {text}: give a time such as 2026-03-29T01:30:00+01:00.") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _sentence(step: dict[str, Any]) -> str:
    details = ", ".join(f"{name} {value}" for name, value in step.items() if name != "step" and value not in (None, ""))
    return f"{step['step']}: {details}" if details else str(step["step"])


def _verdict(directive: dict[str, Any]) -> str:
    if directive["action"] == "reject":
        return f"reject {directive.get('code')} {directive.get('reason') or ''}".rstrip()
    routes = [route["uri"] for route in directive.get("routes") or []]
    later = [
        f"{route['uri']} after {one['after_ms'] / 1000:g} s"
        for one in directive.get("later") or []
        for route in one["routes"]
    ]
    return f"{directive['action']} ({directive.get('routing', 'parallel')}): {', '.join(routes + later) or 'nobody'}"
