"""What the brain's verdicts become on the SIP side: challenges, refusals, rejections."""

from __future__ import annotations

import re
from typing import Final

from edge_node.agent import seam
from edge_node.agent.brain import BrainError, Failure
from edge_node.agent.seam import Question
from edge_node.agent.sip_text import quote
from tandem.contracts.auth import Challenge
from tandem.contracts.route import Directive

RETRY_AFTER_SEC: Final = 5
_PREFERENCE: Final = ("SHA-256", "MD5")
# One line, whole (RFC 3261 section 7.3.1): nothing that would end it and begin another.
_HEADER_LINE: Final = re.compile(r"[A-Za-z0-9-]{1,64}: [^\r\n]{1,512}")
# What a definite refusal of the brain's says to the phone; everything else is the platform's own trouble: 503.
_REFUSALS: Final = {
    "forbidden": (403, "Forbidden"),
    "account_suspended": (403, "Forbidden"),
    "unknown_domain": (404, "Not Found"),
    "unknown_account": (404, "Not Found"),
    "not_found": (404, "Not Found"),
    "invalid_request": (400, "Bad Request"),
    "too_large": (400, "Bad Request"),
}


def challenge(question: Question, wanted: Challenge) -> bytes:
    """A registrar asks for itself (401), a proxy for its hop (407) (RFC 3261 sections 22.2, 22.3).

    One header an algorithm, the strongest on top (RFC 8760 section 2.3); parameters of RFC 7616 section 3.3.
    """
    registers = question.method == "REGISTER"
    name = "WWW-Authenticate" if registers else "Proxy-Authenticate"
    code, reason = (401, "Unauthorized") if registers else (407, "Proxy Authentication Required")
    fixed = f"{name}: Digest realm={quote(wanted.realm)}, nonce={quote(wanted.nonce)}"
    rest = f"qop={quote(wanted.qop)}" + (", stale=true" if wanted.stale else "")
    algorithms = [known for known in _PREFERENCE if known in wanted.algorithms] or _PREFERENCE
    lines = "".join(f"{fixed}, algorithm={algorithm}, {rest}\r\n" for algorithm in algorithms)
    return seam.reply(question.tm, code, reason, lines)


def unavailable(question: Question, reason: str = "Service Unavailable") -> bytes:
    """So that the phone tries another node (RFC 3261 section 21.5.4, RFC 3263)."""
    return seam.reply(question.tm, 503, reason, f"Retry-After: {RETRY_AFTER_SEC}\r\n")


def refusal(question: Question, error: BrainError) -> bytes | None:
    """None when the error is not about the request: then the platform is unavailable."""
    answer = _REFUSALS.get(error.code) if error.failure is Failure.REFUSED else None
    return None if answer is None else seam.reply(question.tm, *answer)


def rejection(question: Question, directive: Directive) -> bytes:
    """With the directive's own header lines (`Reason`, RFC 3326) below `Retry-After`."""
    lines = [] if directive.retry_after_sec is None else [f"Retry-After: {directive.retry_after_sec}"]
    lines += [line for line in directive.headers or [] if _HEADER_LINE.fullmatch(line)]
    reason = (directive.reason or "Rejected").replace("\r", " ").replace("\n", " ")
    return seam.reply(question.tm, directive.code or 480, reason, "".join(f"{line}\r\n" for line in lines))
