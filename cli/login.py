"""Who is asking: a console login, kept in the configuration file."""

from __future__ import annotations

import click

from cli.client import Client
from cli.context import Context, pass_context
from cli.settings import LOCAL_URL, Access, remember


@click.command("login")
@click.option("--email", prompt=True, help="The console user's e-mail address.")
@click.option(
    "--password", prompt=True, hide_input=True, envvar="TANDEM_PASSWORD", help="Better typed than given here."
)
@pass_context
def login(context: Context, email: str, password: str) -> None:
    """Logs in as a console user for 12 hours."""
    url = (context.url or LOCAL_URL).rstrip("/")
    with Client(Access(url, "", None), context.transport) as client:
        token = client.post("/v1/login", {"email": email, "password": password})["token"]
    path = remember(Access(url, token, context.account))
    context.say(f"Logged in; the token is in {path} and is good for 12 hours.", {"ok": True, "config": str(path)})
