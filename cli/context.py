"""What every command needs: the way to the brain, and how to show what it said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import httpx

from cli import output
from cli.client import Client
from cli.settings import Access, access
from tandem.contracts.ids import is_id


@dataclass(frozen=True, slots=True)
class Context:
    """The options before the command's name; `transport` is another way to the brain than the network (tests)."""

    url: str | None
    key: str | None
    account: str | None
    as_json: bool
    transport: httpx.BaseTransport | None = None

    def access(self) -> Access:
        return access(self.url, self.key, self.account)

    def client(self) -> Client:
        """A client for the account that --account names, by its id or by its name."""
        found = self.access()
        if found.account is not None and not is_id("acc", found.account):
            with Client(replace(found, account=None), self.transport) as client:
                found = replace(found, account=client.named("/v1/accounts", "account", "name", found.account))
        return Client(found, self.transport)

    def show_list(self, columns: Sequence[str], items: Iterable[dict[str, Any]]) -> None:
        if self.as_json:
            output.show_json(list(items))
        else:
            output.show_table(columns, items)

    def show_item(self, item: dict[str, Any]) -> None:
        if self.as_json:
            output.show_json(item)
        else:
            output.show_card(item)

    def show_reply(self, reply: dict[str, Any]) -> None:
        """The reply's item, and beside it what is shown this once: a password, a key, a credential."""
        once = {name: value for name, value in reply.items() if name not in ("ok", "item")}
        self.show_item({**reply["item"], **once})

    def say(self, sentence: str, fact: dict[str, Any]) -> None:
        """The outcome of a command that shows no object."""
        if self.as_json:
            output.show_json(fact)
        else:
            click.echo(sentence)


pass_context = click.make_pass_decorator(Context)
