"""Nodes that connect the caller with someone: dial, ringGroup, transfer. One leg covers all that ring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tandem.domain.flows import document, sounds
from tandem.domain.flows.commands import Bridge, Dial, Sound
from tandem.domain.flows.events import Data, LegPlaced, PlaceLeg
from tandem.domain.flows.outcomes import ERRORS
from tandem.domain.flows.results import Ask, Do, Enter, Fail, Leave, Result, Scene
from tandem.domain.target import Target

Node = document.Dial | document.RingGroup | document.Transfer
# The most that a node waits for a leg whose targets ring for their own times.
_OWN_TIMES_SEC: Final = 300
_LONGEST_NUMBER: Final = 64
_EXIT: Final = ERRORS["ringGroup"]


def place(scene: Scene, data: Node) -> Result:
    match data:
        case document.Dial():
            caller = scene.render(data.caller_id or "", longest=_LONGEST_NUMBER).strip()
            return _order(scene, data, data.targets, caller or None)
        case document.RingGroup():
            # With an edge to follow, the group's own exit is not for this call.
            kind = "ring_group" if scene.place.edge(_EXIT) is None else "members"
            return _ask(scene, data, Target(kind, data.ring_group_id))
        case _:
            return _order(scene, data, [data.target])


def _timeout_sec(data: Node) -> int | None:
    return None if isinstance(data, document.RingGroup) else data.timeout_sec


def _order(scene: Scene, data: Node, targets: Sequence[document.DialTarget], caller_id: str | None = None) -> Result:
    found = tuple(target for one in targets if (target := _target(scene, one)).dest_id)
    return _ask(scene, data, *found, caller_id=caller_id) if found else Fail("there is no number to dial")


def _ask(scene: Scene, data: Node, *targets: Target, caller_id: str | None = None) -> Result:
    return Ask(PlaceLeg(f"leg_{scene.mint()}", targets, _timeout_sec(data), caller_id))


def _target(scene: Scene, target: document.DialTarget) -> Target:
    if target.kind is not None and target.id is not None:
        return Target(target.kind, target.id)
    return Target("number", scene.render(target.number or "", longest=_LONGEST_NUMBER).strip())


def call(scene: Scene, data: Node, placed: LegPlaced) -> Result:
    """Music that is missing is no reason not to call: the caller hears the ringing, and the trace says so."""
    whisper = sounds.prompted(scene.facts, scene.variables, data.whisper if isinstance(data, document.Dial) else None)
    outcome, noted = None if placed.noted is None else "placed", placed.noted
    try:
        music = _music(scene, data)
    except sounds.MissingMediaError as error:
        music, outcome = (), "missing"
        noted = str(error) if noted is None else f"{error}; {noted}"
    command = Dial(
        leg_id=placed.leg_id,
        uri=placed.uri,
        token=placed.token,
        timeout_sec=_timeout_sec(data) or _OWN_TIMES_SEC,
        music=music,
        whisper=whisper,
    )
    return Do(command, outcome, noted=noted)


def _music(scene: Scene, data: Node) -> tuple[Sound, ...]:
    """A ring group's own music is not among the facts."""
    wanted = None if isinstance(data, document.RingGroup) else data.music
    return () if wanted is None else sounds.music(scene.facts, wanted)


def dialled(scene: Scene, data: Node, leg_id: str, outcome: str, told: Data) -> Result:
    """The node's message is what should have been heard meanwhile and was not: of a leg that was answered, too."""
    if outcome == "answered":
        return Do(Bridge(leg_id=leg_id), "answered", noted=told.message)
    if outcome not in ("no_answer", "busy", "failed"):
        return Fail(told.message or f"the leg came to {outcome}")
    error = "; ".join(word for word in (told.cause, told.message) if word) or None
    if isinstance(data, document.RingGroup) and scene.place.edge(_EXIT) is None:
        exit_flow = scene.facts.exits.get(data.ring_group_id)
        if exit_flow is not None:
            return Enter(exit_flow.dest_id, {**scene.facts.vars, **dict(exit_flow.xform)}, outcome=_EXIT, error=error)
    return Leave(outcome if isinstance(data, document.Dial) else ERRORS[data.kind], error=error)


def bridged(outcome: str, told: Data) -> Result:
    return Leave("answered") if outcome == "ended" else Fail(told.message or f"the bridge came to {outcome}")
