# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The sentences on how a wait ended."""

from __future__ import annotations

import typing as t

from .._base.errors import BackupError
from .._base.text import counted
from .._dbs.download_tasks import Task
from .._dbs.wait_state import Verdict, WaitOutcome, WaitState
from .._dbs.waiting import Waiter

#: The largest number of tasks that a message names; the result holds all.
MAX_NAMED = 10

_ADVICE = {
    "failed": "retry it: a failed task blocks new ones of its instance",
    "expired": "its files are gone, create a new task",
}


class WaitFailedError(BackupError):
    """A wait that did not reach its goal."""

    kind = "wait"

    def __init__(self, reason: WaitOutcome, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def to_dict(self) -> dict[str, t.Any]:
        return dict(super().to_dict(), reason=self.reason.value)


def wait_message(outcome: WaitOutcome, waiter: Waiter) -> str:
    """What was waited for, how long, what is not as it should be, and what to do."""
    known, target = waiter.known, waiter.target
    where = f"{', '.join(target.instance_names[:MAX_NAMED])} in region {target.region}"
    if outcome is WaitOutcome.NOTHING:
        return _nothing_message(where, known.newest_finished)
    failed, pending, missing = (
        waiter.tasks(Verdict.FAILURE),
        waiter.tasks(Verdict.RETRY),
        waiter.missing(),
    )
    timed_out = outcome is WaitOutcome.TIMED_OUT
    sentences = [
        f"Waiting for {counted(len(known.tasks) + len(missing), 'download task')} of {where}"
        f" {'timed out' if timed_out else 'failed'} after {known.elapsed:.1f} seconds and {counted(known.polls, 'poll')}"
    ]
    summary = _summary(failed, pending, missing)
    if summary:
        sentences[0] += f": {summary}"
    details = [f"{describe(task)}{advice(task, known)}" for task in failed]
    if timed_out:
        details += [
            f"{describe(task)}{_restarted(task, known)}" for task in pending
        ]
    kind = "task" if target.task_ids else "backup set"
    details += [
        f"{kind} {name} was not found: check ID, instance and region"
        for name in missing
    ]
    if details:
        sentences.append(join_names(details))
    if waiter.outage:
        sentences.append(
            f"The last poll failed: {str(waiter.outage).rstrip('.')}"
        )
    if any(_can_be_retried(task, known) for task in failed):
        sentences.append(
            "To retry failed tasks, set retries=1 (wait_for_download_tasks_retries=1 "
            "for the role), or on_blocked=retry with wait_for_slot when "
            "dbs_download_task creates the next one; a retry may cost money"
        )
    if timed_out and pending:
        sentences.append(
            "The tasks continue by themselves: wait again, or raise timeout"
        )
    return ". ".join(sentences) + "."


def _summary(
    failed: t.Sequence[Task],
    pending: t.Sequence[Task],
    missing: t.Sequence[str],
) -> str:
    """Return how many tasks are not as they should be; empty if there are none."""
    expired = sum(task["download_status"] == "expired" for task in failed)
    counts = {
        "failed": len(failed) - expired,
        "expired": expired,
        "not finished": len(pending),
        "not found": len(missing),
    }
    return ", ".join(
        f"{count} {what}" for what, count in counts.items() if count
    )


def _nothing_message(where: str, newest: t.Optional[Task]) -> str:
    known = "No task is finished"
    if newest:
        created, backup_set = (
            newest["gmt_create_iso"] or "at an unknown time",
            newest["backup_set_id"] or "unknown",
        )
        known = f"The newest finished task is {newest['task_id']}, created {created}, of backup set {backup_set}"
    return (
        f"No download task of {where} is in progress, so there is nothing to wait for. "
        f"{known}. Give task_id or backup_set_id to wait for a task that may be finished "
        "already, or create a task."
    )


def advice(task: Task, known: WaitState) -> str:
    task_id, state = task["task_id"], task["download_status"]
    times = known.retried.get(task_id)
    if state == "failed" and task_id in known.retry_errors:
        return f": it could not be retried: {known.retry_errors[task_id].rstrip('.')}"
    if state == "failed" and times:
        return f", again after {counted(times, 'retry')}: it blocks new tasks of its instance, check the cause in the console"
    return f": {_ADVICE[state]}"


def _can_be_retried(task: Task, known: WaitState) -> bool:
    task_id = task["task_id"]
    return (
        task["download_status"] == "failed"
        and task_id not in known.retry_errors
        and not known.retried.get(task_id)
    )


def _restarted(task: Task, known: WaitState) -> str:
    if task["task_id"] not in known.restarted:
        return ""
    return f" and was retried {known.elapsed - known.restarted[task['task_id']]:.0f} seconds ago"


def join_names(names: t.Sequence[str], separator: str = "; ") -> str:
    more = (
        f"; and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    )
    return separator.join(names[:MAX_NAMED]) + more


def ids_of(tasks: t.Iterable[Task]) -> list[str]:
    return [task["task_id"] for task in tasks]


def describe(task: Task) -> str:
    percent = (
        ""
        if task["progress_percent"] is None
        else f", {task['progress_percent']:g} %"
    )
    tables = (
        f" at {task['progress']} tables{percent}"
        if task["progress_total"]
        else ""
    )
    return f"{task['task_id']} of {task['instance_name']} is {task['download_status'] or 'in an unknown state'}{tables}"
