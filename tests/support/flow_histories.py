"""Recorded histories of flows: what a call was told after each event. A new interpreter has to tell the same.

A history is a JSON file: `about`, `facts` (flows by id, and the fields of `Facts` that are not as usual), and `steps`:
each an event (its class in `event`, and its fields) and the `effects` that it had. `python -m
tests.support.flow_histories FILE…` writes the effects of the events anew; what changes by that is what calls in
progress would be told otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tandem.domain import flows
from tandem.domain.flows import Data, Effect, Event, Facts, Finish, Flow, Graph, MediaFile, Stepped, Tell, Trace
from tandem.domain.hours import Schedule, make_rule

FOLDER = Path(__file__).resolve().parents[1] / "unit" / "domain" / "histories"


def facts_of(state: Mapping[str, Any]) -> Facts:
    fields = dict(state)
    fields["flows"] = {
        flow_id: Flow(flow_id, one["name"], one["version"], Graph.model_validate(one["graph"]))
        for flow_id, one in state["flows"].items()
    }
    fields["media"] = {ident: MediaFile(*one) for ident, one in state.get("media", {}).items()}
    fields["playlists"] = {ident: tuple(one) for ident, one in state.get("playlists", {}).items()}
    fields["schedules"] = {
        ident: Schedule(ident, timezone, tuple(make_rule(*rule) for rule in rules))
        for ident, (timezone, rules) in state.get("schedules", {}).items()
    }
    return Facts(**fields)


def event_of(state: Mapping[str, Any]) -> Event:
    fields = {name: value for name, value in state.items() if name != "event"}
    if "data" in fields:
        fields["data"] = Data(**fields["data"])
    made: Event = getattr(flows, state["event"])(**fields)
    return made


def effect_state(effect: Effect) -> dict[str, Any]:
    """Traces without what is empty: a field that is new in them is no other command."""
    name = type(effect).__name__
    match effect:
        case Tell():
            command: BaseModel = effect.command
            return {"effect": name, "seq": effect.seq, "command": command.model_dump(mode="json")}
        case Trace():
            entry = {field: value for field, value in asdict(effect.entry).items() if value not in (None, {}, "")}
            return {"effect": name, **entry}
        case Finish():
            return {"effect": name, "reason": effect.reason}
        case _:
            found: dict[str, Any] = json.loads(json.dumps(asdict(effect)))
            return {"effect": name, **found}


def run(history: Mapping[str, Any]) -> Iterator[tuple[Event, list[dict[str, Any]]]]:
    """Each event with its effects; the session goes through JSON between any two, as in the object's storage."""
    facts, session = facts_of(history["facts"]), flows.new_session(history["seed"])
    for recorded in history["steps"]:
        event = event_of(recorded["event"])
        stored = json.loads(json.dumps(flows.encode(session)))
        session, effects = flows.step(facts, flows.decode(stored), event)
        yield event, [effect_state(effect) for effect in effects]


def difference(history: Mapping[str, Any]) -> str | None:
    """Where this interpreter first tells something else: the step, what was recorded, what comes now."""
    for number, (event, effects) in enumerate(run(history)):
        recorded = history["steps"][number]["effects"]
        if effects != recorded:
            what = f"step {number} ({_name(event)})"
            return f"{what}:\nrecorded {json.dumps(recorded)}\nnow      {json.dumps(effects)}"
    return None


def _name(event: Event) -> str:
    if isinstance(event, Stepped):
        return f"seq {event.seq}: {event.outcome}"
    return type(event).__name__


def record(path: Path) -> None:
    history = json.loads(path.read_text())
    for step, (_, effects) in zip(history["steps"], run(history), strict=True):
        step["effects"] = effects
    path.write_text(json.dumps(history, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(Path(name))
