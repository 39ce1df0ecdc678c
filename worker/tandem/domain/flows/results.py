"""What a node makes of a visit or of an outcome; `machine` carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tandem.domain.flows.commands import Command
from tandem.domain.flows.draft import Draft, Place
from tandem.domain.flows.events import Pending
from tandem.domain.flows.expressions import Expression, parse
from tandem.domain.flows.facts import Facts
from tandem.domain.flows.patterns import LONGEST_SUBJECT, compile_pattern
from tandem.domain.flows.session import mint
from tandem.domain.flows.values import LONGEST, MASK, Value, Variables, names, render


@dataclass(frozen=True, slots=True)
class Scene:
    """What a node sees, and what it may compute: each method takes of the step's effort (`Draft.spend`)."""

    facts: Facts
    draft: Draft
    place: Place
    at: int

    @property
    def variables(self) -> Variables:
        return self.place.variables

    def value(self, name: str) -> Value:
        """An unset variable is an empty text."""
        return self.variables.get(name, "")

    def is_secret(self, template: str) -> bool:
        return not self.place.secrets.isdisjoint(names(template))

    def expression(self, source: str) -> Expression:
        """To be computed once. Raises `BadValueError`, `ExpressionError`."""
        self.draft.spend(1 + len(source) // 100)
        return parse(source)

    def matches(self, pattern: str, subject: str) -> bool:
        """Raises `BadValueError`, `PatternError`."""
        compiled = compile_pattern(pattern)
        self.draft.spend(1 + len(compiled.states) * min(len(subject), LONGEST_SUBJECT) // 500)
        return compiled.matches(subject)

    def render(self, template: str, escape: Callable[[str], str] = str, longest: int = LONGEST) -> str:
        """`values.render`. Raises `BadValueError`."""
        self.draft.spend(1 + len(template) // 100)
        return render(template, self.variables, escape, longest)

    def mint(self) -> str:
        """The id of what is now asked for."""
        return mint(self.draft.seed, self.draft.minted, self.at)


@dataclass(frozen=True, slots=True)
class Leave:
    """The node is over. `values` are set, those of `secrets` are secret. `shown` is the outcome for the trace, where it
    tells too much; `error` says why it is not the good one."""

    outcome: str
    values: Mapping[str, Value] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    digits: str | None = None
    shown: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Do:
    """The next command. `noted` goes into the trace with `outcome`: what just happened in a node that goes on."""

    command: Command
    outcome: str | None = None
    digits: str | None = None
    noted: str | None = None
    failures: int = 0
    timeouts: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """The next effect. It has taken the next id."""

    pending: Pending


@dataclass(frozen=True, slots=True)
class Enter:
    """Into another flow, with these variables besides those that every flow has. A subflow comes back; for another node
    `outcome` says why it leaves the call to that flow for good, and `error` what went before."""

    flow_id: str
    values: Mapping[str, Value]
    secrets: frozenset[str] = frozenset()
    outcome: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    cause: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The node cannot do what it is for: its error outcome, or the default error treatment."""

    message: str


Result = Leave | Do | Ask | Enter | HangUp | Fail


def masked(value: str | None, mask: bool) -> str | None:
    return MASK if mask and value else value
