"""The command tree: a group for each object of the API, and the commands that are about more than one object."""

from __future__ import annotations

import click

from cli import actions, flows, media
from cli.commands import completion, explain, trace
from cli.context import Context
from cli.login import login
from cli.objects import group
from tandem.contracts.v1.objects import OBJECTS


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--url", help="The brain's address (TANDEM_URL).")
@click.option("--key", help="An API key or a login's token (TANDEM_API_KEY).")
@click.option("--account", help="Act for this account (id or name): for resellers and operators (TANDEM_ACCOUNT).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.pass_context
def tandem(context: click.Context, url: str | None, key: str | None, account: str | None, as_json: bool) -> None:
    """Sets up and looks into a Tandem telephone platform.

    Objects are named by their id or by what people call them: `tandem users get 1001`.
    """
    context.obj = Context(url, key, account, as_json, context.obj)


FURTHER = {"flows": flows.COMMANDS, "media": media.COMMANDS, "calls": (trace,)}
for one in OBJECTS:
    made = group(one)
    for action in actions.ACTIONS:
        if action.object == one.name:
            made.add_command(actions.command(action))
    for further in FURTHER.get(one.name, ()):
        made.add_command(further)
    tandem.add_command(made)
for command in (explain, login, completion):
    tandem.add_command(command)


def main() -> None:
    tandem(prog_name="tandem")
