# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_task``: from its options to its result."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import typing as t

from .._base.errors import BackupError, ConfigurationError
from .._dbs.creation import (
    AmbiguousResultError,
    DownloadTasks,
    Match,
    SlotTakenError,
    in_the_slot,
)
from .._dbs.download_request import DownloadRequest
from .._dbs.download_tasks import Task
from .._dbs.lists import IncompleteListError
from .._dbs.service import DBS
from .._dbs.wait_state import is_live
from .._plugin.background_job import JOB_SPEC, Job
from .._plugin.checks import Options, check_identifier, check_range
from .._plugin.client import client_of
from .._plugin.options import CONNECTION_SPEC, region_of
from .backup_sets import newest_backup_set
from .creation_prediction import estimated_size, warn_of_slot
from .dbs_download_task_info import warn_of_expiry
from .download_request import (
    FORMAT_CHOICES,
    LATEST,
    TARGET_TYPE_CHOICES,
    check_retried,
    request_of,
)
from .task_checks import UnusableTaskError, check_named, diff_lines, doubt_about
from .task_choice import task_to_retry, usable_match
from .task_wait import SlotTimeoutError, TaskWait

#: United States dollars for a gibibyte, as documented.
DEFAULT_FEE = 0.03125

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": {
        "type": "str",
        "required": True,
        "aliases": ["instance_id", "db_instance_id"],
    },
    "state": {"type": "str", "choices": ["present", "retried"], "default": "present"},
    "task_id": {"type": "str"},
    "backup_set_id": {"type": "str", "aliases": ["bak_set_id", "backup_id"]},
    "point_in_time": {
        "type": "str",
        "aliases": ["download_point_in_time", "restore_time"],
    },
    "backup_set_size": {"type": "int", "aliases": ["bak_set_size"]},
    "format": {"type": "str", "choices": FORMAT_CHOICES, "aliases": ["format_type"]},
    "target_type": {"type": "str", "choices": TARGET_TYPE_CHOICES, "default": "URL"},
    "target_bucket": {"type": "str", "aliases": ["bucket"]},
    "target_path": {"type": "str"},
    "target_oss_region": {"type": "str"},
    "use_zstd": {"type": "bool"},
    "is_physical": {"type": "bool"},
    "primary_key_type_only": {"type": "bool"},
    "is_cluster": {"type": "bool"},
    "admin_database": {"type": "str"},
    "cluster_name": {"type": "str"},
    "on_failed": {"type": "str", "choices": ["fail", "retry"], "default": "fail"},
    "on_expired": {"type": "str", "choices": ["create", "fail"], "default": "create"},
    "on_uncertain": {
        "type": "str",
        "choices": ["auto", "reuse", "error", "create"],
        "default": "auto",
    },
    "on_blocked": {"type": "str", "choices": ["error", "retry"], "default": "error"},
    "wait_for_slot": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 3600.0},
    "poll_interval": {"type": "float", "default": 10.0},
    "poll_interval_max": {"type": "float", "default": 60.0},
    "confirm_timeout": {"type": "float", "default": 60.0},
    "fee_per_gib": {"type": "float", "default": DEFAULT_FEE},
    **JOB_SPEC,
    **CONNECTION_SPEC,
}


class DownloadTaskModule:
    """One run of the module."""

    def __init__(self, options: Options, check_mode: bool) -> None:
        self._options = options
        self._check_mode = check_mode
        self._known: dict[str, t.Any] = {}
        self._warnings: list[str] = []
        self._unblocked: list[str] = []
        self._tasks: t.Optional[DownloadTasks] = None
        self._size: t.Optional[int] = options["backup_set_size"]

    def partial_result(self) -> dict[str, t.Any]:
        """What has been done, for an error that comes after."""
        known = dict(self._known)
        if self._unblocked:
            known.update(changed=True, retried_blocking_task_ids=self._unblocked)
        return {**known, "warnings": self._warnings} if self._warnings else known

    def interruption_note(self) -> str:
        """What to tell if it is interrupted; empty if nothing is in doubt."""
        return doubt_about(self._tasks.unconfirmed if self._tasks else "")

    def answer(self, job: Job) -> dict[str, t.Any]:
        """The module's result. All options are checked before the first call. Raises any BackupError."""
        self._job = job
        options = self._options
        self._check_limits()
        if options["state"] == "retried":
            check_retried(options)
            task_id = options["task_id"] and check_identifier(
                "task_id", options["task_id"]
            )
            request = None
        else:
            task_id = None
            request = request_of(options)
        self._instance_name = check_identifier("instance_name", options["instance_name"])
        self._region = region_of(options)
        if job.is_restarted:
            self._take_up(job.notes)
        client = client_of(options, DBS)
        # Each step has a time-out of its own.
        client.deadline = math.inf
        self._tasks = tasks = DownloadTasks(
            client,
            self._region,
            self._instance_name,
            cluster_name=options["cluster_name"]
            and check_identifier("cluster_name", options["cluster_name"]),
            look_timeout=options["confirm_timeout"],
        )
        self._wait = TaskWait(client, self._region, self._instance_name, options, job)
        try:
            if self._known:
                pass  # by a process that was lost while it waited
            elif request:
                self._present(tasks, self._with_latest(request))
            else:
                where = f"instance {self._instance_name!r} in region {self._region!r}"
                self._retried(
                    tasks,
                    Match(
                        task_to_retry(
                            tasks, task_id, options["backup_set_id"], where=where
                        )
                    ),
                )
            if options["wait"] and not self._check_mode:
                self._wait.until_finished(
                    self._known["task"]["task_id"],
                    lambda task: self._known.update(task=task),
                )
        finally:
            client.close()
        return self.partial_result()

    def _check_limits(self) -> None:
        options = self._options
        check_range(options, "wait_timeout", 0, 2592000, " seconds")
        check_range(options, "confirm_timeout", 0, 3600, " seconds")
        check_range(options, "fee_per_gib", 0, 1000)
        check_range(options, "backup_set_size", 0, 2**63)
        interval = check_range(options, "poll_interval", 0.1, 3600, " seconds")
        check_range(options, "poll_interval_max", interval, 3600, " seconds")
        check_range(options, "progress_interval", 1, 86400, " seconds")
        if options["on_blocked"] == "retry" and not options["wait_for_slot"]:
            raise ConfigurationError(
                "on_blocked retry needs wait_for_slot: the task that is retried has to end first."
            )

    def _take_up(self, notes: t.Optional[t.Mapping[str, t.Any]]) -> None:
        """What a process did that was lost. Raises AmbiguousResultError where that is not known: nothing is done twice."""
        if notes is None or notes.get("sending"):
            sending = notes["sending"] if notes else "create or retry a download task"
            raise AmbiguousResultError(
                "the module's process was ended from outside", hint=doubt_about(sending)
            )
        self._known = dict(notes.get("known", {}))
        self._unblocked = list(notes.get("unblocked", ()))
        self._warnings = list(notes.get("warnings", ()))

    @contextlib.contextmanager
    def _sending(self, what: str) -> t.Iterator[None]:
        """Around what cannot be done twice: somebody waits for it, and whoever takes the place of this process knows of it."""
        self._job.await_follower()
        self._job.note({"sending": what, **self._notes()})
        yield
        self._note()

    def _note(self) -> None:
        # Where this cannot be written, the last note stands, by which it is in doubt.
        with contextlib.suppress(BackupError):
            self._job.note(self._notes())

    def _notes(self) -> dict[str, t.Any]:
        return {
            "known": self._known,
            "unblocked": self._unblocked,
            "warnings": self._warnings,
        }

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    # state=present

    def _with_latest(self, request: DownloadRequest) -> DownloadRequest:
        """With the newest backup set, if that is asked for."""
        if request.backup_set_id != LATEST:
            return request
        newest = newest_backup_set(self._options, self._instance_name)
        self._size = self._size if self._size is not None else newest["backup_size"]
        size = {} if self._size is None else {"BakSetSize": str(self._size)}
        return dataclasses.replace(
            request, backup_set_id=newest["backup_id"], more={**request.more, **size}
        )

    def _present(self, tasks: DownloadTasks, request: DownloadRequest) -> None:
        options = self._options
        deadline = time.monotonic() + options["wait_timeout"]
        while True:
            known = tasks.meeting(request)
            match = usable_match(
                request, known, options["on_uncertain"], options["on_expired"], self._warn
            )
            if tasks.gap and not (match and match.task["download_status"] != "failed"):
                self._doubt(request, tasks.gap)
            if match and match.task["download_status"] == "failed":
                return self._failed(tasks, request, match)
            if match:
                return self._found(match)
            if self._check_mode:
                return self._would_create(tasks, request)
            try:
                with self._sending(request.operation):
                    created, is_new = tasks.create(request, known)
                    if is_new:
                        return self._created(request, created)
            except SlotTakenError as error:
                self._note()
                try:
                    self._make_way(tasks, error, deadline)
                except SlotTimeoutError as late:
                    late.operation = request.operation
                    raise
                continue
            return self._found(Match(created))

    def _make_way(
        self, tasks: DownloadTasks, error: SlotTakenError, deadline: float
    ) -> None:
        """Wait until the task in the way is done, after it was retried if it has failed. Raises the error, or SlotTimeoutError."""
        options, task = self._options, error.task
        if not options["wait_for_slot"]:
            raise error
        if task and not is_live(task):
            if options["on_blocked"] != "retry":
                error.hint += ", or set on_blocked=retry to retry it here"
                raise error
            if task["task_id"] in self._unblocked:
                error.hint = (
                    "It was retried, and has failed again: see why in the console"
                )
                raise error
            with self._sending(f"retry download task {task['task_id']!r}"):
                task = tasks.retry(task)
                self._unblocked.append(task["task_id"])
        if time.monotonic() >= deadline:
            raise SlotTimeoutError(task, options["wait_timeout"])
        if task:
            self._wait.until_ended(task, deadline)
        else:
            self._wait.sleep(options["poll_interval"])

    def _doubt(self, request: DownloadRequest, gap: str) -> None:
        """Where there may be a task that is not listed. Raises IncompleteListError, unless one is created all the same."""
        if self._options["on_uncertain"] == "create":
            return self._warn(
                f"{gap} There may be one for {request.described} among those that it did not give."
            )
        error = IncompleteListError(
            gap,
            hint="Run it again, or set on_uncertain=create to create a task all the same, and pay for it",
        )
        error.operation = request.operation
        raise error

    def _failed(
        self, tasks: DownloadTasks, request: DownloadRequest, match: Match
    ) -> None:
        if self._options["on_failed"] == "retry":
            return self._retried(tasks, match)
        raise UnusableTaskError(
            f"task {match.task['task_id']!r} for {request.described} has failed",
            hint="Retry it with on_failed=retry or state=retried: until then it blocks new tasks of its instance",
        )

    def _created(self, request: DownloadRequest, task: Task) -> None:
        self._known = self._result("created", task, size=self._size, before="")
        other = [
            name for name, is_same in request.compare(task).items() if is_same is False
        ]
        if other:
            listed = ", ".join(f"{name} {task[name]!r}" for name in other)
            self._warn(
                f"The service returned the new task {task['task_id']!r} with {listed}, which is not what was asked for: another"
                " run may not recognise it, and create, and pay for, one more."
            )

    def _found(self, match: Match) -> None:
        task = match.task
        if (
            str(task["target_type"]).upper() == "OSS"
            and self._options["state"] == "present"
        ):
            self._warn(
                f"Task {task['task_id']!r}, which there is already, wrote to the path {task['target_path']!r} of a bucket that"
                " the service does not name: see that it is the one you mean."
            )
        warn_of_expiry([task], self._warn)
        self._known = self._result("none", task, uncertain=match.uncertain)

    def _result(
        self,
        action: str,
        task: Task,
        *,
        before: t.Optional[str] = None,
        uncertain: t.Sequence[str] = (),
        size: t.Optional[int] = None,
    ) -> dict[str, t.Any]:
        """The same keys whatever was done. ``before``: what the diff shows; by default the task as it is."""
        fee = (
            None
            if size is None
            else round(size / 2**30 * self._options["fee_per_gib"], 4)
        )
        return {
            "changed": action != "none" or bool(self._unblocked),
            "action": action,
            "task": task,
            "uncertain_fields": list(uncertain),
            "backup_set_size": size,
            "backup_set_size_is_estimate": False,
            "estimated_fee": fee,
            "blocking_task": None,
            "retried_blocking_task_ids": list(self._unblocked),
            "diff": {
                "before": diff_lines(task) if before is None else before,
                "after": diff_lines(task),
            },
        }

    def _would_create(self, tasks: DownloadTasks, request: DownloadRequest) -> None:
        """Predict in check mode what creating the task would return."""
        size = self._size
        if size is None:
            size = estimated_size(self._options, request, self._warn)
        blocking = in_the_slot(tasks.all())
        if blocking and not is_live(blocking) and self._options["on_blocked"] == "retry":
            self._unblocked.append(blocking["task_id"])
        else:
            warn_of_slot(blocking, tasks.gap, self._options["wait_for_slot"], self._warn)
        after = "".join(
            f"{name}: {value}\n" for name, value in request.parameters().items()
        )
        state = "finished" if self._options["wait"] else "initializing"
        self._known = {
            **self._result("create", request.predicted(state), size=size),
            "backup_set_size_is_estimate": size is not None
            and self._size is None
            and not request.backup_set_id,
            "blocking_task": blocking,
            "diff": {"before": "", "after": after},
        }

    # state=retried

    def _retried(self, tasks: DownloadTasks, match: Match) -> None:
        task = match.task
        check_named(task)
        if task["download_status"] == "expired":
            raise UnusableTaskError(
                f"task {task['task_id']!r} has expired, and cannot be retried",
                hint="Create a new one with state=present, and pay for it again",
            )
        if task["download_status"] != "failed":
            return self._found(match)
        before = diff_lines(task)
        action, after = "retried", task
        if self._check_mode:
            action, after = "retry", dict(task, download_status="initializing")
        else:
            with self._sending(f"retry download task {task['task_id']!r}"):
                after = tasks.retry(task)
                self._known = self._result(
                    action, after, before=before, uncertain=match.uncertain
                )
        self._known = self._result(
            action, after, before=before, uncertain=match.uncertain
        )
        return None


def from_notes(notes: t.Mapping[str, t.Any]) -> tuple[str, dict[str, t.Any]]:
    """What to tell of a process that was stopped, by its notes: what is in doubt, and what is known."""
    return doubt_about(notes.get("sending", "")), dict(notes.get("known", {}))
