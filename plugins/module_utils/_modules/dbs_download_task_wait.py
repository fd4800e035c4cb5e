# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_task_wait``: from its options to its result."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from .._dbs.creation import DownloadTasks
from .._dbs.download_tasks import Task, count_by_status
from .._dbs.prediction import PREDICTED_ID, PREDICTED_WARNING, predicted_task
from .._dbs.wait_state import (
    Verdict,
    WaitOutcome,
    WaitPolicy,
    WaitState,
    WaitTarget,
)
from .._dbs.waiting import Waiter
from .._files.errors import DestinationError
from .._plugin.checks import Options
from .._plugin.job_protocol import JOB_SPEC, Facts
from .._plugin.job_runner import JobRunner
from .._plugin.options import (
    CONNECTION_SPEC,
    INSTANCE_NAME_SPEC,
)
from .._plugin.runner import ModuleSpec
from .task_progress import TaskProgress
from .wait_messages import (
    WaitFailedError,
    advice,
    describe,
    ids_of,
    join_names,
    wait_message,
)
from .wait_request import WaitRequest

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "task_ids": {"type": "list", "elements": "str", "aliases": ["task_id"]},
    "cluster_name": {"type": "str"},
    "backup_set_ids": {
        "type": "list",
        "elements": "str",
        "aliases": ["backup_set_id", "bak_set_id", "backup_id"],
    },
    "until": {
        "type": "str",
        "choices": ["finished", "ended"],
        "default": "finished",
    },
    "timeout": {"type": "float", "default": 3600.0},
    "poll_interval": {"type": "float", "default": 10.0},
    "poll_interval_max": {"type": "float", "default": 60.0},
    "appear_timeout": {"type": "float", "default": 120.0},
    "outage_timeout": {"type": "float", "default": 120.0},
    "on_missing": {
        "type": "str",
        "choices": ["error", "skip"],
        "default": "error",
    },
    "on_nothing": {
        "type": "str",
        "choices": ["error", "skip"],
        "default": "error",
    },
    "fail_fast": {"type": "bool", "default": True},
    "retries": {"type": "int", "default": 0},
    **JOB_SPEC,
    "progress_interval": {"type": "float", "default": 60.0},
    **CONNECTION_SPEC,
}


class DownloadTaskWait(JobRunner):
    """``clock`` and ``sleep`` as those of the module ``time``; by default, it sleeps as its job does."""

    SPEC = ModuleSpec(
        ARGUMENT_SPEC, mutually_exclusive=[("task_ids", "backup_set_ids")]
    )

    def __init__(
        self,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Optional[t.Callable[[float], t.Any]] = None,
        **more: t.Any,
    ) -> None:
        super().__init__(**more)
        self._clock = clock
        self._sleep = sleep
        self._waiter: t.Optional[Waiter] = None

    def parse(self, options: Options) -> WaitRequest:
        return WaitRequest.parse(options)

    def run(self, request: WaitRequest) -> dict[str, t.Any]:
        """Return the result once all tasks are done; in check mode at once.

        Raise WaitFailedError, or any BackupError.
        """
        try:
            waiter = self._waiter = self._waiter_of(request)
            if self._check_mode:
                return self._present_states(waiter)
            outcome = waiter.run()
        finally:
            request.client.close()
        if outcome is not WaitOutcome.DONE:
            raise WaitFailedError(outcome, wait_message(outcome, waiter))
        return self.partial_result()

    def _waiter_of(self, request: WaitRequest) -> Waiter:
        client, target, policy = request
        known = WaitState(
            elapsed=self.job.elapsed, unseen_since=self.job.elapsed
        )
        if self.job.is_restarted:
            target, policy = self._resume(known, target, policy)
        progress = TaskProgress()
        # Tasks that were named need no note: whoever takes the place of this process has their names.
        is_noted = bool(target.wanted)

        def restart(task: Task) -> None:
            instance, cluster = task["instance_name"], target.cluster_name
            DownloadTasks(
                client,
                target.region,
                instance,
                cluster_name=cluster,
                look_timeout=0.0,
            ).restart(task)

        def save() -> None:
            """Save for a process that replaces this one what cannot be found out again."""
            self.job.await_follower()
            self.job.note(_notes_of(target, known))

        def on_poll(waiter: Waiter) -> None:
            nonlocal is_noted
            self._warn_of_nameless(waiter)
            self.job.report(progress.update(waiter), news=progress.changed)
            if not is_noted and len(known.newest) == len(target.instance_names):
                is_noted = True
                # Without room for them, a job that takes the place of this one waits for what is live then.
                with contextlib.suppress(DestinationError):
                    self.job.note(_notes_of(target, known))

        return Waiter(
            client,
            target,
            policy,
            known,
            restart=restart,
            save=save,
            on_poll=on_poll,
            clock=self._clock,
            sleep=self._sleep or self.job.sleep,
        )

    def _resume(
        self, known: WaitState, target: WaitTarget, policy: WaitPolicy
    ) -> tuple[WaitTarget, WaitPolicy]:
        """Take the place of a job that was lost."""
        notes = self.job.notes
        if notes is None:
            if policy.retries:
                self._warn(
                    "The waiting process was lost together with its notes: it is unknown what it retried, so nothing more is retried."
                )
            return target, dataclasses.replace(policy, retries=0)
        known.retried.update(notes.get("retried", {}))
        known.retry_errors.update(notes.get("retry_errors", {}))
        known.restarted.update(notes.get("restarted", {}))
        if notes.get("task_ids"):
            target = dataclasses.replace(
                target, task_ids=frozenset(notes["task_ids"])
            )
        return target, policy

    def interrupted_result(self, notes: Facts) -> tuple[Facts, str]:
        retried = notes.get("retried", {})
        return {"changed": bool(retried), "retried": retried}, ""

    def _present_states(self, waiter: Waiter) -> dict[str, t.Any]:
        """Return the result of check mode.

        What an earlier step would have created or retried is not there, or failed: a warning is enough.
        """
        target, tasks = waiter.target, waiter.known.tasks
        if PREDICTED_ID in target.task_ids:
            tasks[PREDICTED_ID] = predicted_task(
                target.instance_names[0], target.region
            )
            self._warn(PREDICTED_WARNING)
        if waiter.missing() or not target.wanted:
            waiter.poll()
        if waiter.outage:
            raise waiter.outage
        waiter.take_expired()
        self._warn_of_nameless(waiter)
        to_retry, missing = waiter.to_retry(), waiter.missing()
        failed = [
            task
            for task in waiter.tasks(Verdict.FAILURE)
            if task not in to_retry
        ]
        are_expired = any(
            task["download_status"] == "expired" for task in failed
        )
        if target.task_ids and are_expired:
            # No step could have changed that.
            message = wait_message(WaitOutcome.FAILED, waiter)
            raise WaitFailedError(WaitOutcome.FAILED, message)
        if failed:
            described = [
                describe(task) + advice(task, waiter.known) for task in failed
            ]
            self._warn(
                f"Without check mode, this fails: {join_names(described)}."
            )
        if missing:
            names = join_names(missing, ", ")
            self._warn(
                f"Not found now: {names}. Without check mode, the module waits for them."
            )
        elif not tasks:
            self._warn(wait_message(WaitOutcome.NOTHING, waiter))
        return self.partial_result()

    def _warn_of_nameless(self, waiter: Waiter) -> None:
        for instance in waiter.known.nameless:
            self._warn(
                f"Instance {instance} has a live download task without an ID, which cannot be waited for."
            )

    def interruption_note(self) -> str:
        task = self._waiter.unconfirmed if self._waiter else None
        if not task:
            return ""
        return f"It is unknown whether task {task['task_id']!r} was retried: check its status."

    def partial_result(self) -> dict[str, t.Any]:
        waiter = self._waiter
        if not waiter:
            return {}
        tasks = waiter.tasks()
        retried = {
            task_id: times
            for task_id, times in waiter.known.retried.items()
            if times
        }
        if self._check_mode:
            retried = {task["task_id"]: 1 for task in waiter.to_retry()}
        result: dict[str, t.Any] = {
            "changed": bool(retried),
            "download_tasks": tasks,
            "count": len(tasks),
            "count_by_status": count_by_status(tasks),
            "failed_task_ids": ids_of(waiter.tasks(Verdict.FAILURE)),
            "pending_task_ids": ids_of(waiter.tasks(Verdict.RETRY)),
            "missing_ids": waiter.missing(),
            "retried": retried,
            "elapsed": round(waiter.known.elapsed, 3),
            "polls": waiter.known.polls,
        }
        if retried:
            after = "to be retried" if self._check_mode else "retried"
            result["diff"] = {
                "before": "".join(
                    f"{task_id}: failed\n" for task_id in retried
                ),
                "after": "".join(
                    f"{task_id}: {after}\n" for task_id in retried
                ),
            }
        return result


def _notes_of(target: WaitTarget, known: WaitState) -> dict[str, t.Any]:
    """Return what is known of retries and, once all instances have answered, what is waited for."""
    chosen = sorted(target.task_ids)
    if not target.wanted and len(known.newest) == len(target.instance_names):
        chosen = sorted(known.tasks)
    return {
        "task_ids": chosen,
        "retried": known.retried,
        "restarted": known.restarted,
        "retry_errors": known.retry_errors,
    }
