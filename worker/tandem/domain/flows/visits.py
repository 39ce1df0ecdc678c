"""Each node kind's behaviour by one table: what it does when it is entered, and with what its command came to."""

from __future__ import annotations

from typing import Final

from tandem.domain.flows import audible, document, legs, logic, web
from tandem.domain.flows.commands import Command, Dial
from tandem.domain.flows.events import Data, Fetched, LegPlaced, LegRefused
from tandem.domain.flows.expressions import ExpressionError
from tandem.domain.flows.outcomes import DEFAULT, ERRORS
from tandem.domain.flows.patterns import PatternError
from tandem.domain.flows.results import Fail, HangUp, Leave, Result, Scene
from tandem.domain.flows.sounds import MissingMediaError
from tandem.domain.flows.values import BadValueError

# The caller is answered before these.
AUDIBLE: Final = frozenset({"play", "say", "menu", "collect", "dial", "ringGroup", "transfer"})
# Raised by what a node is given, in an expression or a pattern only if the flow was never validated.
TROUBLES: Final = (BadValueError, MissingMediaError, ExpressionError, PatternError)


def enter(scene: Scene, data: document.Data) -> Result:
    """Raises `TROUBLES`."""
    match data:
        case document.Entry():
            return Leave(DEFAULT)
        case document.Play():
            return audible.play(scene, data)
        case document.Say():
            return audible.say(scene, data)
        case document.Menu() | document.Collect():
            return audible.begin(scene, data)
        case document.Condition():
            return logic.condition(scene, data)
        case document.TimeCondition():
            return logic.time_condition(scene, data)
        case document.SetVariable():
            return logic.set_variable(scene, data)
        case document.HttpRequest():
            return web.ask(scene, data)
        case document.Switch():
            return logic.switch(scene, data)
        case document.Dial() | document.RingGroup() | document.Transfer():
            return legs.place(scene, data)
        case document.Subflow():
            return logic.subflow(scene, data)
        case document.Hangup():
            return HangUp(data.cause)
        case _:
            return Leave(ERRORS[data.kind], error=f"{data.kind} is not available yet")


def hear(scene: Scene, data: document.Data, command: Command, outcome: str, told: Data) -> Result:
    """What follows from the outcome of the node's `command`. Raises `TROUBLES`."""
    if outcome in ("error", "missing"):
        return Fail(told.message or f"{command.cmd} came to {outcome}")
    match data:
        case document.Menu():
            return audible.menu(scene, data, outcome, told)
        case document.Collect():
            return audible.collect(scene, data, outcome, told)
        case document.Dial() | document.RingGroup() | document.Transfer():
            if isinstance(command, Dial):
                return legs.dialled(scene, data, command.leg_id, outcome, told)
            return legs.bridged(outcome, told)
        case _:
            return audible.played(outcome)


def supply(scene: Scene, data: document.Data, event: Fetched | LegPlaced | LegRefused) -> Result:
    """What follows from what the node has asked for. Raises `TROUBLES`."""
    match data, event:
        case document.HttpRequest(), Fetched():
            return web.reply(data, event)
        case ((document.Dial() | document.RingGroup() | document.Transfer()), LegPlaced()):
            return legs.call(scene, data, event)
        case _, LegRefused():
            return Fail(event.message)
        case _:
            return Fail("the node is another one now")
