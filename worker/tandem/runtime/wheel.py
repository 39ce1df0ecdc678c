"""One timer wheel over a Durable Object's single alarm.

Due times live with the rows that they are about, so none can be lost: each task tells when it is due next, and the
alarm is only the wake-up. Work that fails is tried again by the one retry policy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from tandem.contracts.retry import backoff_ms
from tandem.runtime.log import log
from tandem.runtime.ports import Alarm


class Task(Protocol):
    name: str

    def next_due(self, now: int) -> int | None:
        """Epoch ms, None when there is nothing to wait for."""
        ...

    async def run(self, now: int) -> None: ...


class Wheel:
    def __init__(self, alarm: Alarm, tasks: Sequence[Task], jitter: Callable[[], float]) -> None:
        self._alarm = alarm
        self._tasks = tasks
        self._jitter = jitter
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, int] = {}

    def arm(self, now: int) -> None:
        """Sees to it that the alarm rings in time for every task; cheap when it is armed already."""
        for task in self._tasks:
            due = self._due(task, now)
            if due is not None:
                self._alarm.at_latest(due)

    def nudge(self, due: int) -> None:
        """A task became due at `due`: what a decision calls, since it asks no task and costs next to nothing."""
        self._alarm.at_latest(due)

    async def ring(self, clock: Callable[[], int]) -> None:
        """The alarm rang: runs what is due, each on its own, and arms the alarm again."""
        self._alarm.rang()
        for task in self._tasks:
            due = self._due(task, clock())
            if due is not None and due <= clock():
                await self._run(task.name, task.run, clock)
        self.arm(clock())

    async def _run(self, name: str, run: Callable[[int], Awaitable[None]], clock: Callable[[], int]) -> None:
        try:
            await run(clock())
        except Exception as error:
            failures = self._failures.get(name, 0) + 1
            self._failures[name] = failures
            self._not_before[name] = clock() + backoff_ms(failures, self._jitter())
            log("warning", "task_failed", task=name, failures=failures, error=f"{type(error).__name__}: {error}")
        else:
            self._failures.pop(name, None)
            self._not_before.pop(name, None)

    def _due(self, task: Task, now: int) -> int | None:
        due = task.next_due(now)
        return None if due is None else max(due, self._not_before.get(task.name, 0))
