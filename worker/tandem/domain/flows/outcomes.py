"""The outcomes of each node kind (spec 20, "The 20 node kinds"), and what follows one that has no edge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from tandem.domain.flows import document
from tandem.domain.flows.document import EXIT, Graph

DEFAULT: Final = "default"
ELSE: Final = "else"
# What they do comes with other parts of the platform: for now they take their error outcome at once.
UNBUILT: Final = frozenset({"enqueue", "callback", "voicemail", "record", "conference"})
# Resolved without a word to the node (a subflow: `silence`). An HTTP request is no wait either: a loop of them would
# have no end.
UNHEARD: Final = UNBUILT | {"entry", "condition", "timeCondition", "setVariable", "httpRequest", "switch"}
# What a node comes to when it cannot do what it is for; the other kinds have no such outcome.
ERRORS: Final[Mapping[str, str]] = {
    "httpRequest": "error",
    "dial": "failed",
    "ringGroup": "exit",
    "enqueue": "no_agents",
    "callback": "refused",
    "voicemail": "full",
    "record": "timeout",
    "conference": "refused",
    "transfer": "failed",
}
# After these the caller has been served: without an edge the call is hung up.
SERVED: Final[Mapping[str, frozenset[str]]] = {
    "dial": frozenset({"answered"}),
    "ringGroup": frozenset({"answered"}),
    "enqueue": frozenset({"connected", "abandoned"}),
    "voicemail": frozenset({"recorded", "hung_up"}),
    "conference": frozenset({"ended"}),
    "transfer": frozenset({"answered"}),
}
# Without an edge the ring group's or the queue's own target follows; when that comes to nothing too, a goodbye.
_OWN_TARGET: Final[Mapping[str, frozenset[str]]] = {
    "ringGroup": frozenset({"exit"}),
    "enqueue": frozenset({"timeout", "no_agents", "queue_full", "ewt"}),
}
# Without an edge it is as another outcome.
INSTEAD: Final[Mapping[tuple[str, str], str]] = {("timeCondition", "holiday"): "out_of_hours"}
_FIXED: Final[Mapping[str, frozenset[str]]] = {
    "entry": frozenset({DEFAULT}),
    "play": frozenset({DEFAULT}),
    "say": frozenset({DEFAULT}),
    "menu": frozenset({"timeout", "invalid"}),
    "collect": frozenset({"matched", "no_match", "timeout"}),
    "timeCondition": frozenset({"in_hours", "out_of_hours", "holiday"}),
    "setVariable": frozenset({DEFAULT}),
    "httpRequest": frozenset({"success", "error", "timeout"}),
    "dial": frozenset({"answered", "no_answer", "busy", "failed"}),
    "ringGroup": frozenset({"answered", "exit"}),
    "enqueue": frozenset({"connected", "timeout", "abandoned", "no_agents", "queue_full", "ewt"}),
    "callback": frozenset({"scheduled", "refused"}),
    "voicemail": frozenset({"recorded", "hung_up", "full"}),
    "record": frozenset({"recorded", "timeout"}),
    "conference": frozenset({"ended", "refused"}),
    "transfer": frozenset({"answered", "failed"}),
    "hangup": frozenset(),
}
_KEY: Final = re.compile(r"key:[0-9*#]", re.ASCII)
_EXIT_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}", re.ASCII)
_DIGITS: Final = re.compile(r"digit:([0-9*#]{1,32})", re.ASCII)


def exits(graph: Graph) -> frozenset[str]:
    """The exits that a subflow has: its outcomes for who calls it."""
    return frozenset(edge.target[len(EXIT) :] for edge in graph.edges if edge.target.startswith(EXIT))


def is_exit(name: str) -> bool:
    return _EXIT_NAME.fullmatch(name) is not None


def calls(graph: Graph) -> frozenset[str]:
    """The ids of the flows that the graph calls."""
    return frozenset(node.data.flow_id for node in graph.nodes if isinstance(node.data, document.Subflow))


def outcomes(data: document.Data, flows: Mapping[str, Graph]) -> frozenset[str] | None:
    """All outcomes that have a name of their own (a menu's digits have not); None: not known, the flow it calls is."""
    match data:
        case document.Condition():
            return frozenset({ELSE, *(rule.handle for rule in data.rules)})
        case document.Switch():
            return frozenset({ELSE, *data.cases})
        case document.Subflow():
            return exits(flows[data.flow_id]) if data.flow_id in flows else None
        case _:
            return _FIXED[data.kind]


def required(data: document.Data, flows: Mapping[str, Graph]) -> frozenset[str]:
    """The outcomes that need an edge: all but those of `SERVED`, `_OWN_TARGET` and `INSTEAD`."""
    optional = SERVED.get(data.kind, frozenset()) | _OWN_TARGET.get(data.kind, frozenset())
    instead = frozenset(outcome for kind, outcome in INSTEAD if kind == data.kind)
    return (outcomes(data, flows) or frozenset()) - optional - instead


def is_free(data: document.Data, handle: str) -> bool:
    """Whether the handle is one of those that exist by having an edge: a menu's digits, a queue's keys. An exit that a
    subflow has not yet got is none to complain of: its callers have to be there before it."""
    match data:
        case document.Menu():
            found = _DIGITS.fullmatch(handle)
            return found is not None and _can_be_typed(data, found[1])
        case document.Enqueue():
            return _KEY.fullmatch(handle) is not None
        case document.Subflow():
            return is_exit(handle)
        case _:
            return False


def _can_be_typed(menu: document.Menu, digits: str) -> bool:
    """A terminator alone counts as what was typed; else none is part of it."""
    if len(digits) == 1 and digits in menu.terminators:
        return True
    return menu.min_digits <= len(digits) <= menu.max_digits and not set(digits) & set(menu.terminators)


def has_digits(handles: Iterable[str]) -> bool:
    return any(_DIGITS.fullmatch(handle) for handle in handles)
