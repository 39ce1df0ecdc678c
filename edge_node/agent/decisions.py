"""The decision lane: a question of Kamailio's becomes a signed request, the reply becomes the answer.

Every question is on its own: a slow account delays no other. After the time-out the caller gets 503 with Retry-After,
but the request is still listened to for a while: a call that the brain admitted too late is reported as failed, with
its ids, so that it is released.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Protocol

from edge_node.agent import answers, questions, replies, rtjson, seam, staggered
from edge_node.agent.brain import Brain, BrainError, Failure
from edge_node.agent.clock import backoff_sec
from edge_node.agent.deliveries import Deliveries
from edge_node.agent.live import Asked, Call, Live
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.netstring import TooLargeError
from edge_node.agent.questions import RejectedError
from edge_node.agent.seam import Question
from edge_node.agent.staggered import Staggered
from tandem.contracts.auth import Challenge
from tandem.contracts.route import Directive

# How long after the caller was refused the brain's late answer is still worth hearing.
LATE_SEC: Final = 15.0
# A connection of the pool died under a question: the second and last try comes almost at once.
_LONGEST_PAUSE_SEC: Final = 0.05


class Sender(Protocol):
    """The way back to Kamailio; `generation` names the connection."""

    @property
    def generation(self) -> int: ...
    def send(self, payload: bytes) -> bool: ...


class Aftermath(Protocol):
    """What the node must hear of decisions."""

    def learned(self, device_id: str, account_id: str, domain: str) -> None: ...
    def not_executed(self, question: Question, call_id: str | None, account_id: str | None, cause: str) -> None: ...


class Answering(Protocol):
    """The calls that the platform itself answers."""

    def seat(self) -> str | None:
        """Where the next of them goes (`host:port`); None: there is no room."""
        ...

    def refusal(self, call_id: str) -> int | None:
        """The SIP code with which its flow refused a call, told once; None: it did not."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout` in seconds, from a question's arrival to its answer."""

    timeout: float
    questions: int
    questions_per_domain: int


@dataclass(slots=True)
class _Pending:
    question: Question
    domain: str
    generation: int
    started: float
    given_up: bool = False
    cause: str = "not_delivered"

    @property
    def sip_ids(self) -> tuple[str, str, str]:
        return self.question.call_id, self.question.from_tag, self.question.cseq


class Decisions:
    def __init__(
        self,
        node: str,
        brain: Brain,
        live: Live,
        aftermath: Aftermath,
        answering: Answering,
        limits: Limits,
        deliveries: Deliveries,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._node = node
        self._brain = brain
        self._live = live
        self._aftermath = aftermath
        self._answering = answering
        self._limits = limits
        self._deliveries = deliveries
        self.staggered = Staggered()
        self._metrics = metrics
        self._log = log
        self._domains: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[tuple[str, str, str], _Pending] = {}
        self._clock = time.monotonic
        self.draining = False
        # Set once the brain has told the node's desired state: before that, the node takes no calls.
        self.ready = asyncio.Event()

    def ask(self, question: Question, kamailio: Sender) -> None:
        """Never waits and never raises; the answer goes to `kamailio` when it is there."""
        pending = _Pending(question, questions.domain_of(question), kamailio.generation, self._clock())
        if question.ask == "deliver":
            answer, let_in = self._deliveries.answer(question)
            self._answer(pending, kamailio, answer, "accepted" if let_in else "refused")
            return
        if question.our_call_id and self.staggered.hold(question):
            return
        if question.our_call_id and (code := self._answering.refusal(question.our_call_id)) is not None:
            # the flow's own word, which Kamailio took for a target's
            self._answer(pending, kamailio, seam.reply(question.tm, code, "Refused"), "refused")
            return
        if question.ask == "route" and self.draining and not question.our_call_id and not question.leg:
            self._answer(pending, kamailio, answers.unavailable(question, "Draining"), "draining")
            return
        if (
            len(self._tasks) >= self._limits.questions
            or self._domains[pending.domain] >= self._limits.questions_per_domain
        ):
            self._answer(pending, kamailio, answers.unavailable(question, "Too Busy"), "too_busy")
            return
        self._domains[pending.domain] += 1
        task = asyncio.create_task(self._decide(pending, kamailio))
        self._tasks.add(task)
        self._metrics.in_flight.set(len(self._tasks))
        task.add_done_callback(lambda done: self._forget(done, pending.domain))

    def abandon(self, sip_call_id: str, from_tag: str, cseq: str, cause: str) -> bool:
        """The caller is gone while the brain decides: the call it may admit is reported as failed then.

        False when no question of that call is under way.
        """
        pending = self._calls.get((sip_call_id, from_tag, cseq))
        if pending is None:
            return False
        pending.given_up, pending.cause = True, cause
        return True

    async def close(self) -> None:
        """Ends what is under way; the calls that the brain may have admitted are reported as not executed."""
        self.staggered.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None], domain: str) -> None:
        self._tasks.discard(task)
        self._metrics.in_flight.set(len(self._tasks))
        self._domains[domain] -= 1
        if self._domains[domain] <= 0:
            del self._domains[domain]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("decision failed", error=repr(error))

    async def _decide(self, pending: _Pending, kamailio: Sender) -> None:
        question = pending.question
        first_of_call = question.ask == "route" and not question.our_call_id
        timer = asyncio.get_running_loop().call_later(self._limits.timeout, self._give_up, pending, kamailio)
        if first_of_call:
            leg = (question.our_account_id, question.leg_id) if question.leg else ("", "")
            asked = Asked(pending.domain, question.call_id, question.from_tag, question.cseq, *leg)
            self._live.asked(question.tm, asked)
            self._calls[pending.sip_ids] = pending
        try:
            if first_of_call and not self.ready.is_set():
                async with asyncio.timeout(self._limits.timeout):
                    await self.ready.wait()
                if self.draining and not question.leg:
                    self._answer(pending, kamailio, answers.unavailable(question, "Draining"), "draining")
                    return
            if question.ask == "auth":
                await self._auth(pending, kamailio)
            else:
                await self._route(pending, kamailio)
        except RejectedError as error:
            self._answer(pending, kamailio, seam.reply(question.tm, error.code, error.reason), "rejected")
        except BrainError as error:
            self._failed(pending, kamailio, error, may_be_admitted=first_of_call)
        except TimeoutError:  # nothing was asked: the node waits for its hello
            self._give_up(pending, kamailio)
        except asyncio.CancelledError:
            if first_of_call:
                self._aftermath.not_executed(question, None, None, "agent_stopped")
            raise
        except Exception:
            self._answer(pending, kamailio, answers.unavailable(question), "error")
            raise
        finally:
            timer.cancel()
            if first_of_call:
                self._live.answered(question.tm)
                self._calls.pop(pending.sip_ids, None)

    async def _auth(self, pending: _Pending, kamailio: Sender) -> None:
        question = pending.question
        reply = await self._exchange("/auth", questions.auth_request(question, self._node).wire(), pending, late=0.0)
        if (wanted := replies.challenge(reply)) is not None:
            self._challenge(pending, kamailio, wanted)
            return
        verdict = replies.verdict(reply)
        self._aftermath.learned(verdict.device_id, verdict.account_id, verdict.context.domain)
        if question.method == "REGISTER":
            answer = seam.save(question.tm, verdict.context.aor, verdict.account_id, verdict.device_id)
        else:
            answer = seam.relay(question.tm, verdict.account_id, verdict.user_id)
        self._answer(pending, kamailio, answer, "accepted")

    async def _route(self, pending: _Pending, kamailio: Sender) -> None:
        question = pending.question
        reply = await self._exchange("/route", questions.route_request(question, self._node).wire(), pending, LATE_SEC)
        if (wanted := replies.challenge(reply)) is not None:
            self._challenge(pending, kamailio, wanted)
            return
        directive = replies.directive(reply)
        if directive.action == "reject":
            self._answer(pending, kamailio, answers.rejection(question, directive), "refused")
            return
        raw: dict[str, Any] = reply["rtjson"]
        if directive.action == "flow":
            raw, directive = rtjson.seated(raw, directive, None if self.draining else self._answering.seat())
        self._execute(pending, kamailio, directive, raw)

    def _execute(self, pending: _Pending, kamailio: Sender, directive: Directive, raw: dict[str, Any]) -> None:
        question = pending.question
        plan = staggered.plan(directive)
        answer = seam.route(
            question.tm,
            directive.call_id,
            directive.account_id,
            directive.max_duration_sec,
            rtjson.flags(directive.rtpengine),
            rtjson.document(raw, directive, plan),
            plan.members() if plan else {},
        )
        if self._answer(pending, kamailio, answer, "routed"):
            if plan is not None:
                self.staggered.begin(directive.call_id, question.tm, plan, kamailio.send)
            self._live.put_call(
                Call(
                    directive.call_id,
                    directive.account_id,
                    question.call_id,
                    question.from_tag,
                    question.cseq,
                    "early",
                    self._clock(),
                )
            )
        else:
            self._aftermath.not_executed(question, directive.call_id, directive.account_id, pending.cause)

    async def _exchange(self, path: str, body: str, pending: _Pending, late: float) -> dict[str, Any]:
        """One request, and one more with the same body after a connection error; answers may be `late` seconds late."""
        try:
            reply = await self._brain.post(path, body, self._left(pending) + late)
        except BrainError as error:
            pause = backoff_sec(1, _LONGEST_PAUSE_SEC)
            if error.failure is not Failure.CONNECTION or self._left(pending) <= pause:
                raise
            self._metrics.retries.inc()
            await asyncio.sleep(pause)
            reply = await self._brain.post(path, body, self._left(pending) + late)
        return replies.parse(reply)

    def _left(self, pending: _Pending) -> float:
        return max(0.0, pending.started + self._limits.timeout - self._clock())

    def _challenge(self, pending: _Pending, kamailio: Sender, wanted: Challenge) -> None:
        self._metrics.failed_logins.saw(pending.question, wanted)
        self._answer(pending, kamailio, answers.challenge(pending.question, wanted), "challenged")

    def _failed(self, pending: _Pending, kamailio: Sender, error: BrainError, *, may_be_admitted: bool) -> None:
        question = pending.question
        refusal = answers.refusal(question, error)
        if refusal is not None:
            self._answer(pending, kamailio, refusal, "refused")
            return
        self._log.warning("no decision", ask=question.ask, error=str(error), sip_call_id=question.call_id)
        self._answer(pending, kamailio, answers.unavailable(question), str(error.failure))
        if may_be_admitted and error.failure is not Failure.REFUSED:
            self._aftermath.not_executed(question, None, None, "brain_timeout")

    def _give_up(self, pending: _Pending, kamailio: Sender) -> None:
        if pending.given_up:
            return
        self._log.warning("brain timed out", ask=pending.question.ask, sip_call_id=pending.question.call_id)
        self._answer(pending, kamailio, answers.unavailable(pending.question), "timeout")
        pending.given_up, pending.cause = True, "brain_timeout"

    def _answer(self, pending: _Pending, kamailio: Sender, answer: bytes, result: str) -> bool:
        """True when Kamailio gets it. A transaction has one answer, and it belongs to the connection that asked."""
        if pending.given_up or pending.generation != kamailio.generation:
            return False
        try:
            sent = kamailio.send(answer)
        except TooLargeError as error:
            self._log.error("answer too large", error=str(error), sip_call_id=pending.question.call_id)
            kamailio.send(answers.unavailable(pending.question))
            sent, result = False, "too_large"
        self._metrics.questions.labels(pending.question.ask, result if sent else "undelivered").inc()
        self._metrics.decision_seconds.labels(pending.question.ask).observe(self._clock() - pending.started)
        return sent
