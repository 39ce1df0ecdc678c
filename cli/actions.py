"""What some objects can do besides being made, changed and deleted: `tandem <object> <action> ID`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click

from cli.context import Context, pass_context
from cli.objects import named, resolve
from tandem.contracts.v1.objects import BY_NAME, Object


@dataclass(frozen=True, slots=True)
class Action:
    """`POST <object>/<id>/<name>`; `asks` is a field that it takes, asked for unless `optional`."""

    object: str
    name: str
    summary: str
    asks: str | None = None
    optional: bool = False


ACTIONS: Final = (
    Action("devices", "password", "Gives a device another password; shown once.", "password", optional=True),
    Action("console-users", "password", "Sets the password of a console user.", "password"),
    Action("keys", "revoke", "Takes a key out of use for good."),
    Action("nodes", "credential", "Gives a node another credential; shown once."),
)


def command(action: Action) -> click.Command:
    one: Object = BY_NAME[action.object]

    @click.command(action.name, help=action.summary)
    @named(one)
    @pass_context
    def run(context: Context, /, named: str, **given: str | None) -> None:
        with context.client() as client:
            body = {name: value for name, value in given.items() if value is not None}
            context.show_reply(client.post(f"{one.path}/{resolve(client, one, named)}/{action.name}", body))

    if action.asks is not None:
        # A password on the command line stays in the shell's history: it is asked for where none must be generated.
        prompt = not action.optional
        help_ = None if prompt else "Default: a generated one."
        run.params.append(click.Option([f"--{action.asks}"], prompt=prompt, hide_input=prompt, help=help_))
    return run
