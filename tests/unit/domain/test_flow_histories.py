"""Calls that are in a flow while the brain is published anew go on as they began."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.flow_histories import FOLDER, difference, record

HISTORIES = sorted(FOLDER.glob("*.json"))


def history(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_there_are_histories() -> None:
    assert len(HISTORIES) >= 5


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_history_is_told_again(path: Path) -> None:
    found = difference(history(path))
    assert found is None, f"{path.stem}, {found}"


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_recording_anew_changes_nothing(path: Path, tmp_path: Path) -> None:
    again = tmp_path / path.name
    again.write_text(path.read_text())
    record(again)
    assert again.read_text() == path.read_text()


def test_every_kind_of_node_and_of_event_is_in_a_history() -> None:
    kinds, events, commands = set(), set(), set()
    for path in HISTORIES:
        found = history(path)
        for flow in found["facts"]["flows"].values():
            kinds |= {node["data"]["kind"] for node in flow["graph"]["nodes"]}
        for step in found["steps"]:
            events.add(step["event"]["event"])
            commands |= {effect["command"]["cmd"] for effect in step["effects"] if "command" in effect}
    assert kinds == {
        *("entry", "play", "say", "menu", "collect", "condition", "timeCondition", "setVariable", "httpRequest"),
        *("switch", "dial", "ringGroup", "enqueue", "callback", "voicemail", "record", "conference", "transfer"),
        *("subflow", "hangup"),
    }
    assert events == {"Started", "Stepped", "Fetched", "LegPlaced", "LegRefused", "CallEnded"}
    assert commands == {"answer", "play", "gather", "dial", "bridge", "hangup", "noop"}


def test_the_step_that_differs_is_named() -> None:
    found = history(FOLDER / "reception.json")
    changed = copy.deepcopy(found)
    step = next(number for number, one in enumerate(found["steps"]) if one["event"].get("outcome") == "digits")
    changed["steps"][step]["effects"][-1]["seq"] += 1
    seq = found["steps"][step]["event"]["seq"]
    assert str(difference(changed)).startswith(f"step {step} (seq {seq}: digits):\nrecorded [")
    changed = copy.deepcopy(found)
    changed["steps"][0]["effects"] = []
    assert str(difference(changed)).startswith("step 0 (Started):\nrecorded []\nnow      [{")
