"""The SQL of the brain's decisions, as the twin runs it: read from the brain's own files, so both run the same text."""

from __future__ import annotations

from dataclasses import fields

from tandem.domain.calls import Call
from tandem.store.blocks import load


def statements() -> dict[str, str]:
    names = [field.name for field in fields(Call)]
    found = {
        f"{area}.{name}": text
        for area in ("live", "replica", "records", "control", "session")
        for name, text in load(area).items()
    }
    return {
        name: text.replace("{fields}", ", ".join(names))
        .replace("{marks}", ", ".join("?" * len(names)))
        .replace("{assignments}", ", ".join(f"{field} = ?" for field in names))
        for name, text in found.items()
    }
