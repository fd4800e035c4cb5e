# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Waiting for download tasks: a table of states, one list request per instance and poll, pauses that follow progress."""

from __future__ import annotations

import time
import typing as t

from .._base.errors import BackupError
from .._transport.errors import ServiceError, is_ambiguous
from .download_tasks import Task
from .polling import Poller
from .wait_state import (
    VERDICTS,
    Verdict,
    WaitOutcome,
    WaitPolicy,
    WaitState,
    WaitTarget,
    is_live,
)

if t.TYPE_CHECKING:
    from .._transport.client import Client


#: The code of the error for a task that is to be retried and has not failed, as when another has restarted it.
NOT_FAILED = "DBS.DownloadTask.NotSupport"


class Waiter:
    """One wait.

    ``restart``          sends RetryDownloadTask for a failed task, once; raises any BackupError
    ``save``             called before that, and after a refusal, so that what is known of retries
                         outlives this process
    ``on_poll``          called after each poll
    ``clock``, ``sleep`` as those of the module ``time``
    """

    def __init__(
        self,
        client: Client,
        target: WaitTarget,
        policy: WaitPolicy,
        known: t.Optional[WaitState] = None,
        *,
        restart: t.Optional[t.Callable[[Task], None]] = None,
        save: t.Callable[[], None] = lambda: None,
        on_poll: t.Callable[[Waiter], None] = lambda waiter: None,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], t.Any] = time.sleep,
    ) -> None:
        self.target = target
        #: Why the last poll, or a part of it, failed; none if it did not.
        self.outage: t.Optional[BackupError] = None
        #: The task whose restart is under way, so that nobody can say whether it is retried.
        self.unconfirmed: t.Optional[Task] = None
        self._policy = policy
        self.known = known or WaitState()
        self._poller = Poller(client, target, self.known)
        self._restart = restart
        self._save = save
        self._on_poll = on_poll
        self._clock = clock
        self._sleep = sleep
        self._began = clock() - self.known.elapsed
        client.deadline = time.monotonic() - self.known.elapsed + policy.timeout

    # What is known

    def tasks(self, *verdicts: Verdict) -> list[Task]:
        """Those with one of the verdicts, or all; the newest first."""
        return _newest_first(self._tasks(*verdicts))

    def _tasks(self, *verdicts: Verdict) -> t.Iterator[Task]:
        """The same in no order: there may be thousands."""
        for task in self.known.tasks.values():
            if not verdicts or self._verdict(task) in verdicts:
                yield task

    def _verdict(self, task: Task) -> Verdict:
        verdict = VERDICTS.get(task["download_status"], Verdict.RETRY)
        if task["task_id"] in self.known.restarted:
            return Verdict.RETRY
        return (
            Verdict.SUCCESS
            if self._policy.any_end and verdict is Verdict.FAILURE
            else verdict
        )

    def to_retry(self) -> list[Task]:
        """Failed tasks that are to be started again."""
        known = self.known
        return _newest_first(
            task
            for task in known.tasks.values()
            if task["download_status"] == "failed"
            and task["task_id"] not in (*known.restarted, *known.retry_errors)
            and known.retried.get(task["task_id"], 0) < self._policy.retries
        )

    def missing(self) -> list[str]:
        """IDs that were asked for and have not shown up."""
        seen = set(self.known.tasks)
        if self.target.backup_set_ids and not self.target.task_ids:
            seen = {task["backup_set_id"] for task in self.known.tasks.values()}
        return sorted(self.target.wanted - seen)

    def progress(self, task: Task) -> dict[str, t.Optional[float]]:
        """Tables per minute, and the seconds that are left at that rate; none where nobody can say."""
        # Nothing is known of a task that was just retried: what is listed is of the try before.
        elapsed, done = self.known.first_progress.get(
            task["task_id"], (self.known.elapsed, 0.0)
        )
        advanced = (task["progress_done"] or 0) - done
        seconds = self.known.elapsed - elapsed
        if advanced <= 0 or seconds <= 0:
            return {"tables_per_minute": None, "seconds_left": None}
        rate = advanced / seconds
        left = (task["progress_total"] or 0) - (task["progress_done"] or 0)
        return {
            "tables_per_minute": round(60 * rate, 2),
            "seconds_left": round(left / rate, 1),
        }

    # Waiting

    def run(self) -> WaitOutcome:
        """Poll until the wait ends. Raise a BackupError that no waiting can cure."""
        while True:
            self.poll()
            self._restart_failed()
            outcome = self._outcome()
            self._on_poll(self)
            if outcome:
                return outcome
            self._sleep(self._next_pause())

    def poll(self) -> None:
        """Ask once."""
        known = self.known
        missing = set(self.missing())
        try:
            responses = self._poller.ask(
                list(self._tasks(Verdict.RETRY)), bool(missing)
            )
        finally:
            known.elapsed = self._clock() - self._began
        known.polls += 1
        errors: dict[str, BackupError] = {}
        for instance, response in responses.items():
            if isinstance(response, BackupError):
                errors[instance] = response
            else:
                known.outage_since.pop(instance, None)
                self._update(instance, response, missing)
        self.outage = None
        for instance, error in errors.items():
            self._tolerate_outage(instance, error)
        if not self.missing():
            known.unseen_since = known.elapsed
        self._settle()

    def _update(
        self, instance: str, tasks: t.Sequence[Task], missing: set[str]
    ) -> None:
        """Take the news of tasks that are waited for. ``missing``: what no instance has shown; what is taken leaves it."""
        target, known = self.target, self.known
        is_first = instance not in known.newest
        created = [
            task["gmt_create"]
            for task in tasks
            if task["gmt_create"] is not None
        ]
        known.newest[instance] = (
            max([*created, known.newest.get(instance) or 0]) or None
        )
        unseen = set() if target.task_ids else set(missing)
        for task in sorted(tasks, key=lambda task: -(task["gmt_create"] or 0)):
            task_id = task["task_id"]
            if not task_id:
                # Nobody could tell it from another one, or follow it.
                if is_live(task) and instance not in known.nameless:
                    known.nameless.append(instance)
                continue
            if target.task_ids:
                wanted = task_id in target.task_ids
            elif target.backup_set_ids:
                wanted = task_id in known.tasks or self._is_of_missing_set(
                    task, unseen
                )
                unseen.discard(task["backup_set_id"])
            else:
                wanted = task_id in known.tasks or (is_first and is_live(task))
                if is_first and task["download_status"] == "finished":
                    known.newest_finished = _newer(task, known.newest_finished)
            if wanted:
                self._take(task)
                missing.discard(task["backup_set_id"])

    def _is_of_missing_set(
        self, task: Task, missing: t.Collection[str]
    ) -> bool:
        """Whether it is the task of a missing backup set; one that has expired is put aside for a while."""
        if task["backup_set_id"] not in missing:
            return False
        if task["download_status"] == "expired":
            # The task that is meant may not be listed yet.
            self.known.expired[task["backup_set_id"]] = task
            return False
        return True

    def _take(self, task: Task) -> None:
        known, task_id = self.known, task["task_id"]
        known.tasks[task_id] = task
        if (
            task["download_status"] != "failed"
            and known.restarted.pop(task_id, None) is not None
        ):
            known.retry_errors.pop(task_id, None)
        if task["progress_total"]:
            first = known.first_progress.setdefault(
                task_id, [known.elapsed, task["progress_done"]]
            )
            if task["progress_done"] < first[1]:  # it was begun again
                known.first_progress[task_id] = [
                    known.elapsed,
                    task["progress_done"],
                ]

    def _settle(self) -> None:
        """Give up hope for what has not shown up in time: a newer task of a backup set, the effect of a restart."""
        known, policy = self.known, self._policy
        if (
            known.elapsed >= policy.timeout
            or known.elapsed - known.unseen_since >= policy.appear_timeout
        ):
            self.take_expired()
        for task_id, since in list(known.restarted.items()):
            if known.elapsed - since >= policy.appear_timeout:
                del known.restarted[task_id]
                if known.retried[task_id] < policy.retries:
                    # It had no effect, or the task has failed again: it may be sent once more.
                    known.retry_errors.pop(task_id, None)

    def take_expired(self) -> None:
        """Take the expired task of a backup set for the one that is meant, as there is no newer one."""
        for name in self.missing():
            if name in self.known.expired:
                self._take(self.known.expired[name])

    # Retrying

    def _restart_failed(self) -> None:
        """Restart failed tasks, as long as there is time."""
        if self._restart and self.known.elapsed < self._policy.timeout:
            for task in self.to_retry():
                self._restart_one(task, self._restart)

    def _restart_one(
        self, task: Task, restart: t.Callable[[Task], None]
    ) -> None:
        known, task_id = self.known, task["task_id"]
        before = known.retried.get(task_id, 0)
        # Counted, and saved, before it is sent: whatever happens then, it may have had an effect.
        # What the next polls say of the task shows whether it had.
        known.retried[task_id] = before + 1
        known.restarted[task_id] = known.elapsed
        try:
            self._save()
        except BaseException:
            self._forget_restart(task_id, before)
            raise
        error: t.Optional[BackupError] = None
        self.unconfirmed = task
        try:
            restart(task)
        except BackupError as caught:
            error = caught
        self.unconfirmed = None
        known.first_progress.pop(task_id, None)
        if error:
            known.retry_errors[task_id] = str(error)
            is_running = (
                isinstance(error, ServiceError) and error.code == NOT_FAILED
            )
            if not is_running and not is_ambiguous(error):
                self._forget_restart(task_id, before)
                self._save()

    def _forget_restart(self, task_id: str, before: int) -> None:
        """Take back a restart that was not sent, or refused."""
        self.known.retried[task_id] = before
        self.known.restarted.pop(task_id, None)

    def _tolerate_outage(self, instance: str, error: BackupError) -> None:
        """An outage is lived through for a while."""
        self.outage = error
        since = self.known.outage_since.setdefault(
            instance, max(0.0, self.known.elapsed - error.elapsed)
        )
        out = self.known.elapsed - since
        if out >= self._policy.outage_timeout:
            raise error.in_context(
                hint=f"The outage lasted {out:.0f} seconds: raise outage_timeout to tolerate longer ones"
            )

    def _outcome(self) -> t.Optional[WaitOutcome]:
        """Why it is over now; none if it is not."""
        policy, known = self._policy, self.known
        failed = any(self._tasks(Verdict.FAILURE))
        missing = self.missing()
        is_gone = known.elapsed - known.unseen_since >= policy.appear_timeout
        failed = failed or (
            bool(missing) and is_gone and not policy.ignore_missing
        )
        pending = any(self._tasks(Verdict.RETRY)) or (
            bool(missing) and not is_gone
        )
        if not pending and not known.outage_since:
            if not (self.target.wanted or known.tasks or policy.ignore_nothing):
                return WaitOutcome.NOTHING
            return WaitOutcome.FAILED if failed else WaitOutcome.DONE
        if failed and policy.fail_fast:
            return WaitOutcome.FAILED
        return (
            WaitOutcome.TIMED_OUT if known.elapsed >= policy.timeout else None
        )

    def _next_pause(self) -> float:
        """Short when progress says that the end is near, long while a task prepares, never past the time-out."""
        policy, known = self._policy, self.known
        estimates = [
            self.progress(task)["seconds_left"]
            for task in self._tasks(Verdict.RETRY)
        ]
        pause = min(
            (left / 2 for left in estimates if left is not None),
            default=known.elapsed / 4,
        )
        if self.missing() or known.outage_since or known.restarted:
            pause = policy.interval
        pause = min(max(pause, policy.interval), policy.interval_max)
        return max(
            0.0, min(pause, policy.timeout - (self._clock() - self._began))
        )


def _newest_first(tasks: t.Iterable[Task]) -> list[Task]:
    return sorted(
        tasks, key=lambda task: (-(task["gmt_create"] or 0), task["task_id"])
    )


def _newer(one: Task, other: t.Optional[Task]) -> Task:
    return (
        one
        if other is None
        or (one["gmt_create"] or 0) > (other["gmt_create"] or 0)
        else other
    )
