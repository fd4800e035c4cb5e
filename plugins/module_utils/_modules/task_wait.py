# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""How the module ``dbs_download_task`` waits for one task, and reports its progress meanwhile."""

from __future__ import annotations

import dataclasses
import math
import time
import typing as t

from .._dbs.download_tasks import Task
from .._dbs.task import expires_at
from .._dbs.wait_state import (
    Verdict,
    WaitOutcome,
    WaitPolicy,
    WaitState,
    WaitTarget,
)
from .._dbs.waiting import Waiter
from .._plugin.background_job import Job
from .task_progress import TaskProgress
from .wait_messages import WaitFailedError, wait_message

if t.TYPE_CHECKING:
    from .._transport.client import Client


#: Milliseconds by which the clock of this host may be ahead: the service takes no requests with a larger difference.
_CLOCK_TOLERANCE = 900_000


class SlotTimeoutError(WaitFailedError):
    """The blocking task, none if it is unknown, did not finish in time."""

    def __init__(self, task: t.Optional[Task], wait_timeout: float) -> None:
        in_the_way = f": {described(task)}" if task else ""
        super().__init__(
            WaitOutcome.TIMED_OUT,
            "an instance can have only one running or failed task, and another one "
            f"blocked it for {wait_timeout:g} seconds (wait_timeout){in_the_way}. "
            "Nothing was created. Raise wait_timeout, or run it again later",
        )
        self.task = task

    def to_dict(self) -> dict[str, t.Any]:
        return dict(super().to_dict(), blocking_task=self.task)


class TaskWait:
    """Waits for one task at a time.

    ``target``: the instance; ``policy``: how to wait. Raise BackupErrors as Waiter does.
    """

    def __init__(
        self, client: Client, target: WaitTarget, policy: WaitPolicy, job: Job
    ) -> None:
        self._client = client
        self._target = target
        self._policy = policy
        self._job = job
        self._progress = TaskProgress()

    def until_finished(
        self, task_id: str, show: t.Callable[[Task], None]
    ) -> None:
        """Wait until the task is finished. Raise WaitFailedError if it does not finish.

        ``show``: called with the task whenever its state is known.
        """
        waiter = self._waiter(task_id, self._policy, show)
        outcome = waiter.run()
        pending = waiter.tasks(Verdict.RETRY)
        if outcome is WaitOutcome.TIMED_OUT and pending:
            raise WaitFailedError(
                outcome,
                f"{described(pending[0])}, and has not finished after "
                f"{self._policy.timeout:g} seconds (wait_timeout). It continues by "
                "itself: run this again to wait for it, or raise wait_timeout",
            )
        if outcome is not WaitOutcome.DONE:
            raise WaitFailedError(outcome, wait_message(outcome, waiter))

    def until_ended(self, task: Task, deadline: float) -> None:
        """Wait until a blocking task has ended. Raise SlotTimeoutError.

        One that is gone from the list is in nobody's way.
        """
        left = max(0.0, deadline - time.monotonic())
        policy = dataclasses.replace(self._policy, timeout=left, any_end=True)
        waiter = self._waiter(task["task_id"], policy, prefix="blocking: ")
        outcome = waiter.run()
        self._client.deadline = math.inf
        if outcome is WaitOutcome.TIMED_OUT:
            blocking = next(iter(waiter.tasks()), task)
            raise SlotTimeoutError(blocking, self._policy.timeout)

    def _waiter(
        self,
        task_id: str,
        policy: WaitPolicy,
        show: t.Callable[[Task], None] = lambda task: None,
        *,
        prefix: str = "",
    ) -> Waiter:
        asked_at = _now()
        #: When the task was last seen live, in epoch milliseconds.
        seen: t.Optional[int] = None

        def sleep(seconds: float) -> None:
            nonlocal asked_at
            self._job.sleep(seconds)
            asked_at = _now()

        def on_poll(waiter: Waiter) -> None:
            nonlocal seen
            for task in waiter.tasks():
                show(dict(task, expires_at=expires_at(task, seen)))
            if waiter.tasks(Verdict.RETRY):
                seen = asked_at - _CLOCK_TOLERANCE
            self._job.report(
                self._progress.update(waiter, prefix),
                news=self._progress.changed,
            )

        return Waiter(
            self._client,
            dataclasses.replace(self._target, task_ids=frozenset({task_id})),
            policy,
            # The service has answered before, so that its silence is an outage.
            WaitState(answered=True),
            on_poll=on_poll,
            sleep=sleep,
        )


def _now() -> int:
    return round(time.time() * 1000)


def described(task: Task) -> str:
    """``task 'dt-…' of rm-… is running, 3/8 tables, 37.5 %``"""
    tables = (
        f", {task['progress']} tables, {task['progress_percent']:g} %"
        if task["progress_total"]
        else ""
    )
    return f"task {task['task_id']!r} of {task['instance_name']} is {task['download_status'] or 'in an unknown state'}{tables}"
