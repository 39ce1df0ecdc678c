"""Runs a scenario, and reads and writes what a real switch said: `transcripts.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.unit.freeswitch.scenarios import SCENARIOS
from tests.unit.freeswitch.script import Script, World

FILE: Final = Path(__file__).with_name("transcripts.json")


async def perform(name: str, world: World) -> dict[str, list[str]]:
    """The lines of each connection."""
    async with Script(world) as script:
        await SCENARIOS[name](script)
    return {line: _settled(script, lines) for line, lines in script.lines.items()}


def recorded() -> dict[str, Any]:
    """`scenarios` by name."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def _settled(script: Script, lines: list[str]) -> list[str]:
    """Without the park of a channel that has just come: it may be over before it is listened for.

    The notice of lingering comes around the hang-up, sooner or later: it is put behind the events.
    """
    first = next((number for number, line in enumerate(lines) if line != "CHANNEL_PARK"), len(lines))
    found = lines[first:]
    notices = [line for line in found if line.startswith("text/disconnect-notice linger")]
    place = next((number for number, line in enumerate(found) if line == "text/disconnect-notice disconnect"), None)
    if place is not None and notices:
        rest = [line for line in found if line not in notices]
        found = [*rest[: place - len(notices)], *notices, *rest[place - len(notices) :]]
    for number, name in script.names.items():
        found = [line.replace(number, name) for line in found]
    return found
