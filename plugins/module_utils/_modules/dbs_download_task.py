# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_task``: from its options to its result."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .._dbs.creation import (
    DownloadTasks,
    Match,
    SlotTakenError,
)
from .._dbs.download_request import DownloadRequest
from .._dbs.download_tasks import Task
from .._dbs.wait_state import is_live
from .._plugin.checks import Options
from .._plugin.job_protocol import JOB_SPEC, Facts
from .._plugin.job_runner import JobRunner
from .._plugin.options import CONNECTION_SPEC
from .._plugin.runner import ModuleSpec
from .backup_sets import BackupSets
from .creation_prediction import predicted_creation
from .dbs_download_task_info import warn_of_expiry
from .download_request import FORMAT_CHOICES, LATEST, TARGET_TYPE_CHOICES
from .task_checks import (
    UnusableTaskError,
    check_named,
    doubt_about,
    unlisted_task_error,
    warn_of_difference,
)
from .task_choice import task_to_retry, usable_match
from .task_notes import TaskNotes, interrupted_result
from .task_request import TaskRequest
from .task_result import diff_lines, task_result
from .task_wait import SlotTimeoutError, TaskWait

#: United States dollars for a gibibyte, as documented.
DEFAULT_FEE = 0.03125

ON_UNCERTAIN = ["auto", "reuse", "error", "create"]

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": {
        "type": "str",
        "required": True,
        "aliases": ["instance_id", "db_instance_id"],
    },
    "state": {
        "type": "str",
        "choices": ["present", "retried"],
        "default": "present",
    },
    "task_id": {"type": "str"},
    "backup_set_id": {"type": "str", "aliases": ["bak_set_id", "backup_id"]},
    "point_in_time": {
        "type": "str",
        "aliases": ["download_point_in_time", "restore_time"],
    },
    "backup_set_size": {"type": "int", "aliases": ["bak_set_size"]},
    "format": {
        "type": "str",
        "choices": FORMAT_CHOICES,
        "aliases": ["format_type"],
    },
    "target_type": {
        "type": "str",
        "choices": TARGET_TYPE_CHOICES,
        "default": "URL",
    },
    "target_bucket": {"type": "str", "aliases": ["bucket"]},
    "target_path": {"type": "str"},
    "target_oss_region": {"type": "str"},
    "use_zstd": {"type": "bool"},
    "is_physical": {"type": "bool"},
    "primary_key_type_only": {"type": "bool"},
    "is_cluster": {"type": "bool"},
    "admin_database": {"type": "str"},
    "cluster_name": {"type": "str"},
    "on_failed": {
        "type": "str",
        "choices": ["error", "retry"],
        "default": "error",
    },
    "on_expired": {
        "type": "str",
        "choices": ["error", "create"],
        "default": "create",
    },
    "on_uncertain": {"type": "str", "choices": ON_UNCERTAIN, "default": "auto"},
    "on_blocked": {
        "type": "str",
        "choices": ["error", "retry"],
        "default": "error",
    },
    "wait_for_slot": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 3600.0},
    "poll_interval": {"type": "float", "default": 10.0},
    "poll_interval_max": {"type": "float", "default": 60.0},
    "confirm_timeout": {"type": "float", "default": 60.0},
    "outage_timeout": {"type": "float", "default": 120.0},
    "fee_per_gib": {"type": "float", "default": DEFAULT_FEE},
    **JOB_SPEC,
    **CONNECTION_SPEC,
}


class DownloadTaskModule(JobRunner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)

    def __init__(self, **more: t.Any) -> None:
        super().__init__(**more)
        self._notes = TaskNotes(self.job, self._warnings)
        self._size: t.Optional[int] = None
        self._tasks: t.Any = None

    def parse(self, options: Options) -> TaskRequest:
        return TaskRequest.parse(options)

    def run(self, request: TaskRequest) -> dict[str, t.Any]:
        self._request = request
        self._size = request.backup_set_size
        # The job is another one by now, if it works in the background.
        self._notes = TaskNotes(self.job, self._warnings)
        if self.job.is_restarted:
            self._notes.resume()
        policy = request.wait_policy
        self._tasks = DownloadTasks(
            request.client,
            request.region,
            request.instance_name,
            cluster_name=request.instance.cluster_name,
            look_timeout=policy.appear_timeout,
        )
        self._wait = TaskWait(
            request.client, request.instance, policy, self.job
        )
        try:
            # Where notes of a lost process were taken up, it was lost while it waited.
            if not self._notes.known:
                self._create_or_retry(request)
            if request.wait and not self._check_mode:
                self._wait.until_finished(
                    self._notes.known["task"]["task_id"],
                    lambda task: self._notes.known.update(task=task),
                )
        finally:
            request.close()
        return self.partial_result()

    def _create_or_retry(self, request: TaskRequest) -> None:
        if request.creation:
            self._present(self._with_latest(request.creation))
            return
        where = (
            f"instance {request.instance_name!r} in region {request.region!r}"
        )
        task = task_to_retry(
            self._tasks, request.task_id, request.backup_set_id, where=where
        )
        self._retried(Match(task))

    def partial_result(self) -> dict[str, t.Any]:
        return self._notes.result()

    def interruption_note(self) -> str:
        return doubt_about(self._tasks.unconfirmed) if self._tasks else ""

    def interrupted_result(self, notes: Facts) -> tuple[Facts, str]:
        return interrupted_result(notes)

    # state=present

    def _with_latest(self, request: DownloadRequest) -> DownloadRequest:
        """Return the request with the newest backup set, if latest is given."""
        if request.backup_set_id != LATEST:
            return request
        backups = self._request.backups
        # Options that ask for the newest one are refused for other instances.
        newest = t.cast(BackupSets, backups).newest()
        if self._size is None:
            self._size = newest["backup_size"]
        size = {} if self._size is None else {"BakSetSize": str(self._size)}
        return dataclasses.replace(
            request,
            backup_set_id=newest["backup_set_id"],
            more={**request.more, **size},
        )

    def _present(self, request: DownloadRequest) -> None:
        options, tasks = self._request, self._tasks
        deadline = time.monotonic() + options.wait_policy.timeout
        while True:
            known = tasks.meeting(request)
            match = usable_match(
                request,
                known,
                options.on_uncertain,
                options.on_expired,
                self._warn,
            )
            if tasks.gap and not (
                match and match.task["download_status"] != "failed"
            ):
                self._doubt(request, tasks.gap)
            if match and match.task["download_status"] == "failed":
                return self._failed(request, match)
            if match:
                return self._found(match)
            if self._check_mode:
                self._notes.known = predicted_creation(
                    options, request, tasks, self._size, self._warn
                )
                return None
            try:
                with self._notes.sending(request.operation):
                    created, is_new = tasks.create(request, known)
                    if is_new:
                        return self._created(request, created)
            except SlotTakenError as error:
                self._notes.save()
                try:
                    self._make_way(error, deadline)
                except SlotTimeoutError as late:
                    late.operation = request.operation
                    raise
                continue
            return self._found(Match(created))

    def _make_way(self, error: SlotTakenError, deadline: float) -> None:
        """Wait until the blocking task has ended; retry it first if it has failed.

        Raise the error, or SlotTimeoutError.
        """
        options, task = self._request, error.task
        if not options.wait_for_slot:
            raise error
        if task and not is_live(task):
            if options.on_blocked != "retry":
                error.hint += ", or set on_blocked=retry to retry it here"
                raise error
            if task["task_id"] in self._notes.unblocked:
                error.hint = "It was retried, and has failed again: check the cause in the console"
                raise error
            with self._notes.sending(
                f"retry download task {task['task_id']!r}"
            ):
                task = self._tasks.retry(task)
                self._notes.unblocked.append(task["task_id"])
        if time.monotonic() >= deadline:
            raise SlotTimeoutError(task, options.wait_policy.timeout)
        if task:
            self._wait.until_ended(task, deadline)
        else:
            self.job.sleep(options.wait_policy.interval)

    def _doubt(self, request: DownloadRequest, gap: str) -> None:
        """Where there may be a task that is not listed, refuse to create one, or warn."""
        if self._request.on_uncertain != "create":
            raise unlisted_task_error(request, gap)
        self._warn(
            f"{gap} A task for {request.described} may be among those that it did not return."
        )

    def _failed(self, request: DownloadRequest, match: Match) -> None:
        if self._request.on_failed == "retry":
            return self._retried(match)
        raise UnusableTaskError(
            f"task {match.task['task_id']!r} for {request.described} has failed",
            hint="Retry it with on_failed=retry or state=retried: a failed task blocks new tasks of its instance",
        )

    def _created(self, request: DownloadRequest, task: Task) -> None:
        self._notes.known = self._result(
            "created", task, size=self._size, before=""
        )
        warn_of_difference(request, task, self._warn)

    def _found(self, match: Match) -> None:
        task = match.task
        is_in_bucket = str(task["target_type"]).upper() == "OSS"
        if is_in_bucket and self._request.creation:
            self._warn(
                f"Task {task['task_id']!r} already exists and writes to the path "
                f"{task['target_path']!r}, but the service does not return its bucket: "
                "check that it is the right one."
            )
        warn_of_expiry([task], self._warn)
        self._notes.known = self._result(
            "none", task, uncertain=match.uncertain
        )

    def _result(
        self, action: str, task: Task, **more: t.Any
    ) -> dict[str, t.Any]:
        return task_result(
            action,
            task,
            unblocked=self._notes.unblocked,
            fee_per_gib=self._request.fee_per_gib,
            **more,
        )

    # state=retried

    def _retried(self, match: Match) -> None:
        task = match.task
        check_named(task)
        if task["download_status"] == "expired":
            raise UnusableTaskError(
                f"task {task['task_id']!r} has expired and cannot be retried",
                hint="Create and pay for a new one with state=present",
            )
        if task["download_status"] != "failed":
            return self._found(match)
        before, uncertain = diff_lines(task), match.uncertain
        if self._check_mode:
            after = dict(task, download_status="initializing")
            self._notes.known = self._result(
                "retry", after, before=before, uncertain=uncertain
            )
            return None
        with self._notes.sending(f"retry download task {task['task_id']!r}"):
            after = self._tasks.retry(task)
            self._notes.known = self._result(
                "retried", after, before=before, uncertain=uncertain
            )
        return None
