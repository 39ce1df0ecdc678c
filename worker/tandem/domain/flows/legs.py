"""Nodes that connect the caller with someone: dial, ringGroup, transfer. One leg covers all that ring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tandem.domain.flows import document, sounds
from tandem.domain.flows.commands import Bridge, Dial, Sound
from tandem.domain.flows.events import Data, LegPlaced, PlaceLeg
from tandem.domain.flows.outcomes import ERRORS
from tandem.domain.flows.results import Ask, Do, Fail, Leave, Result, Scene
from tandem.domain.flows.values import render
from tandem.domain.target import Target

Node = document.Dial | document.RingGroup | document.Transfer
# A ring group has times of its own.
_RING_GROUP_SEC: Final = 300
_LONGEST_NUMBER: Final = 64


def place(scene: Scene, data: Node) -> Result:
    match data:
        case document.Dial():
            caller = render(data.caller_id or "", scene.variables, longest=_LONGEST_NUMBER).strip()
            return _order(scene, data, data.targets, caller or None)
        case document.RingGroup():
            target = document.DialTarget(kind="ring_group", id=data.ring_group_id)
            return _order(scene, data, [target])
        case _:
            return _order(scene, data, [data.target])


def _timeout_sec(data: Node) -> int:
    return _RING_GROUP_SEC if isinstance(data, document.RingGroup) else data.timeout_sec


def _order(scene: Scene, data: Node, targets: Sequence[document.DialTarget], caller_id: str | None = None) -> Result:
    found = tuple(target for one in targets if (target := _target(scene, one)).dest_id)
    if not found:
        return Fail("there is no number to dial")
    return Ask(PlaceLeg(f"leg_{scene.mint()}", found, _timeout_sec(data), caller_id))


def _target(scene: Scene, target: document.DialTarget) -> Target:
    if target.kind is not None and target.id is not None:
        return Target(target.kind, target.id)
    return Target("number", render(target.number or "", scene.variables, longest=_LONGEST_NUMBER).strip())


def call(scene: Scene, data: Node, placed: LegPlaced) -> Result:
    """Music that is missing is no reason not to call: the caller hears the ringing, and the trace says so."""
    whisper = sounds.prompted(scene.facts, scene.variables, data.whisper if isinstance(data, document.Dial) else None)
    noted = None
    try:
        music = _music(scene, data)
    except sounds.MissingMediaError as error:
        music, noted = (), str(error)
    command = Dial(
        leg_id=placed.leg_id,
        uri=placed.uri,
        token=placed.token,
        timeout_sec=_timeout_sec(data),
        music=music,
        whisper=whisper,
    )
    return Do(command) if noted is None else Do(command, "missing", noted=noted)


def _music(scene: Scene, data: Node) -> tuple[Sound, ...]:
    """A ring group's own music is not among the facts."""
    wanted = None if isinstance(data, document.RingGroup) else data.music
    return () if wanted is None else sounds.music(scene.facts, wanted)


def dialled(data: Node, leg_id: str, outcome: str, told: Data) -> Result:
    """The node's message is what should have been heard meanwhile and was not: of a leg that was answered, too."""
    if outcome == "answered":
        return Do(Bridge(leg_id=leg_id), "answered", noted=told.message)
    if outcome not in ("no_answer", "busy", "failed"):
        return Fail(told.message or f"the leg came to {outcome}")
    why = "; ".join(word for word in (told.cause, told.message) if word)
    return Leave(outcome if isinstance(data, document.Dial) else ERRORS[data.kind], error=why or None)


def bridged(outcome: str, told: Data) -> Result:
    return Leave("answered") if outcome == "ended" else Fail(told.message or f"the bridge came to {outcome}")
