"""What the API asks an account's object: where would this call go?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.contracts.auth import Port, Text
from tandem.contracts.base import BrainMessage


class ExplainRequest(BrainMessage):
    """`from_` is a username, an extension, or a number of the world outside; `at` (epoch ms) is when the hours are
    asked; `source_ip` and `source_port` are where a call from outside comes from."""

    from_: Annotated[Text, Field(alias="from", min_length=1)]
    to: Annotated[Text, Field(min_length=1)]
    at: int | None = None
    source_ip: Text | None = None
    source_port: Port = 5060

    def wire(self) -> str:
        return self.model_dump_json(exclude_none=True, by_alias=True)
