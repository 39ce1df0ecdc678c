"""Nodes that decide or set something without a word to anyone."""

from __future__ import annotations

from typing import Final

from tandem.domain import hours
from tandem.domain.flows import document
from tandem.domain.flows.outcomes import DEFAULT, ELSE
from tandem.domain.flows.results import Enter, Fail, Leave, Result, Scene
from tandem.domain.flows.values import MASK, BadValueError, Value, compare, text

_HOURS: Final = {
    hours.Hours.OPEN: "in_hours",
    hours.Hours.CLOSED: "out_of_hours",
    hours.Hours.HOLIDAY: "holiday",
}


def condition(scene: Scene, data: document.Condition) -> Result:
    """The first rule that holds."""
    for rule in data.rules:
        if _holds(scene, rule):
            return Leave(rule.handle)
    return Leave(ELSE)


def _holds(scene: Scene, rule: document.Rule) -> bool:
    value = scene.value(rule.variable)
    match rule.operator:
        case "is_set":
            return rule.variable in scene.variables
        case "is_empty":
            return text(value) == ""
        case "matches":
            return scene.matches(rule.value, text(value))
    other = scene.render(rule.value)
    match rule.operator:
        case "contains":
            return other in text(value)
        case "starts_with":
            return text(value).startswith(other)
        case "ends_with":
            return text(value).endswith(other)
        case "in":
            return text(value) in [word.strip() for word in other.split(",")]
        case _:
            return compare(rule.operator, value, other)


def time_condition(scene: Scene, data: document.TimeCondition) -> Result:
    schedule = scene.facts.schedules.get(data.schedule_id)
    if schedule is None:
        return Fail(f"schedule {data.schedule_id} is gone")
    return Leave(_HOURS[hours.evaluate(schedule, scene.facts.timezone, scene.at)])


def set_variable(scene: Scene, data: document.SetVariable) -> Result:
    """One after another: each sees those before it. What is made of a secret is one."""
    variables: dict[str, Value] = dict(scene.variables)
    secrets = set(scene.place.secrets)
    values: dict[str, Value] = {}
    for one in data.assignments:
        expression = scene.expression(one.expression)
        try:
            value = expression.value(variables)
        except BadValueError as error:
            return Fail(f"{one.variable}: {error}")
        if one.secret or not secrets.isdisjoint(expression.names):
            secrets.add(one.variable)
        else:
            secrets.discard(one.variable)
        variables[one.variable] = values[one.variable] = value
    return Leave(DEFAULT, values, frozenset(secrets & values.keys()))


def switch(scene: Scene, data: document.Switch) -> Result:
    """The case that is the variable's text. Of a secret the outcome is not shown, for it is the secret."""
    value = text(scene.value(data.variable))
    outcome = value if value in data.cases else ELSE
    return Leave(outcome, shown=MASK if data.variable in scene.place.secrets else None)


def subflow(scene: Scene, data: document.Subflow) -> Result:
    values = {name: scene.render(template) for name, template in data.inputs.items()}
    return Enter(data.flow_id, values, frozenset(name for name, one in data.inputs.items() if scene.is_secret(one)))
