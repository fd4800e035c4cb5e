# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""How the module ``dbs_download_task`` waits for one task, and reports its progress meanwhile."""

from __future__ import annotations

import math
import time
import typing as t

from .._dbs.download_tasks import Task
from .._dbs.task import expires_at
from .._dbs.wait_state import Verdict, WaitOutcome, WaitPolicy, WaitState, WaitTarget
from .._dbs.waiting import Waiter
from .._plugin.background_job import Job
from .._plugin.checks import Options
from .wait_messages import WaitFailedError, wait_message

if t.TYPE_CHECKING:
    from .._transport.client import Client


#: Seconds between two looks at whether somebody still waits for the result.
_LOOK_EVERY = 0.2

#: Milliseconds by which the clock of this host may be ahead: the service takes no requests with a larger difference.
_CLOCK_TOLERANCE = 900_000


class SlotTimeoutError(WaitFailedError):
    """The task in the way, none if it is not known, was not done in time."""

    def __init__(self, task: t.Optional[Task], wait_timeout: float) -> None:
        in_the_way = f": {described(task)}" if task else ""
        super().__init__(
            WaitOutcome.TIMED_OUT,
            "an instance has one running or failed task at a time, and another one was in the way for the"
            f" {wait_timeout:g} seconds of wait_timeout{in_the_way}. Nothing was created. Raise wait_timeout, or run it again"
            " later",
        )
        self.task = task

    def to_dict(self) -> dict[str, t.Any]:
        return dict(super().to_dict(), blocking_task=self.task)


class TaskWait:
    """Waits for one task at a time. Raises BackupErrors as Waiting does, and Abandoned when nobody waits for the result."""

    def __init__(
        self, client: Client, region: str, instance_name: str, options: Options, job: Job
    ) -> None:
        self._client = client
        self._region = region
        self._instance_name = instance_name
        self._options = options
        self._job = job

    def until_finished(self, task_id: str, show: t.Callable[[Task], None]) -> None:
        """``show`` is told the task whenever its state is known. Raises WaitFailedError if it does not finish."""
        timeout = self._options["wait_timeout"]
        waiting = self._waiting(task_id, timeout, any_end=False)
        ending = self._run(waiting, show, in_the_way=False)
        pending = waiting.tasks(Verdict.RETRY)
        if ending is WaitOutcome.TIMED_OUT and pending:
            raise WaitFailedError(
                ending,
                f"{described(pending[0])}, and is not done after the {timeout:g} seconds of wait_timeout. It goes on by itself:"
                " run this again to wait for it, or raise wait_timeout",
            )
        if ending is not WaitOutcome.DONE:
            raise WaitFailedError(ending, wait_message(ending, waiting))

    def until_ended(self, task: Task, deadline: float) -> None:
        """Until a task in the way no longer takes the slot, or has failed. Raises SlotTimeoutError."""
        waiting = self._waiting(
            task["task_id"], max(0.0, deadline - time.monotonic()), any_end=True
        )
        ending = self._run(waiting, lambda task: None, in_the_way=True)
        self._client.deadline = math.inf
        if ending is WaitOutcome.TIMED_OUT:
            raise SlotTimeoutError(
                next(iter(waiting.tasks()), task), self._options["wait_timeout"]
            )
        # One that is gone from the list is in nobody's way.

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            self._job.check()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(_LOOK_EVERY, left))

    def _run(
        self, waiting: Waiter, show: t.Callable[[Task], None], *, in_the_way: bool
    ) -> WaitOutcome:
        """Poll until it ends, and report in between."""
        seen: t.Optional[int] = None
        while True:
            asked_at = round(time.time() * 1000)
            ending = waiting.run((0.0, 0.0))
            for task in waiting.tasks():
                show(dict(task, expires_at=expires_at(task, seen)))
            if waiting.tasks(Verdict.RETRY):
                seen = asked_at - _CLOCK_TOLERANCE
            if ending is not WaitOutcome.SLICE_OVER:
                return ending
            self._job.report(
                {
                    "tasks": waiting.tasks(),
                    "rates": {
                        task["task_id"]: waiting.progress(task)
                        for task in waiting.tasks(Verdict.RETRY)
                    },
                    "outage": str(waiting.outage) if waiting.outage else None,
                    "in_the_way": in_the_way,
                }
            )
            pause, waiting.known.pause = waiting.known.pause, 0.0
            self.sleep(pause)

    def _waiting(self, task_id: str, timeout: float, *, any_end: bool) -> Waiter:
        options = self._options
        policy = WaitPolicy(
            timeout=timeout,
            interval=options["poll_interval"],
            interval_max=options["poll_interval_max"],
            appear_timeout=options["confirm_timeout"],
            outage_timeout=options["total_timeout"],
            any_end=any_end,
        )
        selection = WaitTarget(
            self._region,
            (self._instance_name,),
            task_ids=frozenset({task_id}),
            cluster_name=options["cluster_name"],
        )
        # The service has answered before, so that its silence is an outage.
        return Waiter(self._client, selection, policy, WaitState(answered=True))


def described(task: Task) -> str:
    """``task 'dt-…' of rm-… is running, 3/8 tables, 37.5 %``"""
    tables = (
        f", {task['progress']} tables, {task['progress_percent']:g} %"
        if task["progress_total"]
        else ""
    )
    return f"task {task['task_id']!r} of {task['instance_name']} is {task['download_status'] or 'in an unknown state'}{tables}"
