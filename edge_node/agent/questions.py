"""From Kamailio's questions to the brain's requests. Raises `RejectedError` for what can be refused here."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from edge_node.agent.seam import Question
from edge_node.agent.sip_text import SipTextError, Uri, parse_contacts, parse_digest, parse_uri, registration_expires
from tandem.contracts.auth import AuthRequest, DigestCredentials
from tandem.contracts.base import NodeMessage
from tandem.contracts.route import RouteRequest

M = TypeVar("M", bound=NodeMessage)


class RejectedError(Exception):
    """The request is malformed: a final answer that needs no brain."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def auth_request(question: Question, node: str) -> AuthRequest:
    """REGISTER is for the To domain (RFC 3261 section 10.2), everything else from the From domain."""
    registers = question.method == "REGISTER"
    uri = _uri(question.to_uri, "To") if registers else _uri(question.from_uri, "From")
    fields: dict[str, Any] = {
        **_common(question, node),
        "method": question.method,
        "realm": uri.host,
        "credentials": credentials(question),
    }
    if registers:
        contacts = parse_contacts(question.contact)
        fields |= {
            # Spelt as the location table and its events spell it. What becomes of several, only the registrar knows.
            "contact": contacts[0].uri or None if len(contacts) == 1 else None,
            "expires": registration_expires(contacts, question.expires),
            "path": question.path or None,
            "ruri": question.ruri or None,
        }
    return _validated(lambda: AuthRequest(**fields))


def route_request(question: Question, node: str) -> RouteRequest:
    """`from` and `to` are the user parts of the From and To URIs; `ruri` is the whole Request-URI."""
    caller, callee = _uri(question.from_uri, "From"), _uri(question.to_uri, "To")
    fields: dict[str, Any] = {
        **_common(question, node),
        "call_id": question.our_call_id or None,
        "account_id": question.our_account_id or None,
        "outcome": question.outcome or None,
        "leg": question.leg or None,
        "from_": caller.user,
        "from_domain": caller.host,
        "to": callee.user,
        "to_domain": callee.host or None,
        "ruri": question.ruri,
        # A retry carries the same id: the brain tells it from the next question with the same outcome.
        "question_id": secrets.token_hex(8) if question.our_call_id else None,
        "credentials": credentials(question),
        "pai": question.pai or None,
        "privacy": question.privacy or None,
        "headers": {
            name: value
            for name, value in (("p-called-party-id", question.called_party), ("diversion", question.diversion))
            if value
        },
    }
    return _validated(lambda: RouteRequest(**fields))


def domain_of(question: Question) -> str:
    """The domain that the question is for, lower case; empty when there is none to be read. That of a leg, which
    comes from the engine for whatever account, is its account."""
    if question.leg:
        return question.our_account_id
    text = question.to_uri if question.method == "REGISTER" else question.from_uri
    try:
        return parse_uri(text).host.lower()
    except SipTextError:
        return ""


def credentials(question: Question) -> DigestCredentials | None:
    """None when the request carries none that could be a digest: it will be challenged."""
    if not question.authorization:
        return None
    try:
        parameters = parse_digest(question.authorization)
    except SipTextError as error:
        raise RejectedError(400, str(error)) from error
    if parameters is None:
        return None
    return _validated(lambda: DigestCredentials(**parameters))


def _common(question: Question, node: str) -> dict[str, Any]:
    return {
        "node": node,
        "sip_call_id": question.call_id,
        "from_tag": question.from_tag,
        "cseq": question.cseq,
        "source_ip": question.source_ip,
        "source_port": question.source_port,
        "transport": question.transport,
        "user_agent": question.user_agent or None,
    }


def _uri(text: str, header: str) -> Uri:
    try:
        return parse_uri(text)
    except SipTextError as error:
        raise RejectedError(400, f"Malformed {header}") from error


def _validated(make: Callable[[], M]) -> M:
    try:
        return make()
    except ValidationError as error:
        where = str(error.errors(include_url=False, include_input=False)[0]["loc"][0])
        raise RejectedError(400, f"Unacceptable {where}") from error
