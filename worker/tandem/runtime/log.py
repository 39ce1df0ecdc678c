"""The one logger: a JSON object a line, on standard output. Callers never pass secrets."""

from __future__ import annotations

import json
import sys
from typing import Literal


def log(level: Literal["info", "warning", "error"], event: str, **fields: str | int | float | None) -> None:
    """`fields` carry `call_id` and `account_id` wherever there are any."""
    sys.stdout.write(json.dumps({"level": level, "event": event, **fields}) + "\n")
