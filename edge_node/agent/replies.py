"""The brain's replies, read. All raise `BrainError` for what cannot be read."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from edge_node.agent.brain import BrainError, Failure
from tandem.contracts.auth import AuthReply, Challenge, ChallengeReply
from tandem.contracts.base import BrainMessage
from tandem.contracts.route import Directive, RouteReply

M = TypeVar("M", bound=BrainMessage)


def parse(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise _unreadable("a reply that is not JSON") from error
    if not isinstance(parsed, dict):
        raise _unreadable("a reply that is not an object")
    return parsed


def challenge(reply: dict[str, Any]) -> Challenge | None:
    """None when the reply is another one."""
    return _read(ChallengeReply, reply, "a challenge").challenge if reply.get("ok") is False else None


def verdict(reply: dict[str, Any]) -> AuthReply:
    return _read(AuthReply, reply, "a verdict")


def directive(reply: dict[str, Any]) -> Directive:
    return _read(RouteReply, reply, "a directive").rtjson


def _read(model: type[M], reply: dict[str, Any], what: str) -> M:
    try:
        return model.model_validate(reply)
    except ValidationError as error:
        raise _unreadable(f"{what} that cannot be read") from error


def _unreadable(what: str) -> BrainError:
    return BrainError(Failure.SERVER, 200, "unreadable", what)
