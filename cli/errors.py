"""What goes wrong at the terminal: one sentence each, and an exit code that scripts can tell apart."""

from __future__ import annotations

from typing import Any

import click


class CliError(click.ClickException):
    """The brain refused, or what is asked for does not exist. Shown as `Error: <message>`."""

    exit_code = 1


class MissingError(CliError):
    """Something is missing or contradictory on the command line or in the configuration."""

    exit_code = 2


class UnreachableError(CliError):
    """There was no answer."""

    exit_code = 3


def refusal(status: int, reply: dict[str, Any]) -> CliError:
    """The API's error shape (spec 00) as a sentence, with what it names besides: the field, referrers, wrong lines,
    problems of a flow."""
    error = reply.get("error")
    if not isinstance(error, dict):
        return CliError(f"The brain answered {status} with something that is not Tandem's; is the URL right?")
    lines = [str(error.get("message") or error.get("code") or status)]
    lines += [f"  {one['object']} {one['id']} ({one['field']})" for one in error.get("referrers") or []]
    lines += [f"  line {one['line']}: {one['message']}" for one in error.get("lines") or []]
    lines += [f"  {line}" for line in problem_lines(error.get("problems") or [])]
    if error.get("request_id"):
        lines.append(f"  request {error['request_id']}")
    return CliError("\n".join(lines))


def problem_lines(problems: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a flow, a line each, with the node or the edge where it is."""
    return [f"{_place(one)}{one['message']}" for one in problems]


def _place(problem: dict[str, Any]) -> str:
    named = [f"{part} {problem[f'{part}_id']}" for part in ("node", "edge") if f"{part}_id" in problem]
    named += [str(problem["field"])] if "field" in problem else []
    return f"{', '.join(named)}: " if named else ""
