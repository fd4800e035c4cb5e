# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The operations CreateDownload and RetryDownloadTask: a task for a backup set exists, and exactly one.

The API has no client token. So before a task is created those that exist are listed, and where the answer to a creation
is lost, whether it had an effect is found out by listing; it is never sent again.

Sources: CreateDownload and RetryDownloadTask in the API reference of DBS, 2021-01-01.
"""

from __future__ import annotations

import time
import typing as t

from .._base.errors import BackupError
from .._transport.errors import ServiceError, is_ambiguous
from . import tuning
from .download_request import DownloadRequest
from .download_tasks import DownloadTaskQuery, Task, ask_instances
from .task import has_format, normalised
from .wait_state import is_live

if t.TYPE_CHECKING:
    from .._transport.client import Client


JOB_EXISTS = "DBS.DownloadTask.JobAlreadyExist"
SLOT_TAKEN = "DBS.DownloadTask.OnlyOneRunningOrFailedTask"

T = t.TypeVar("T")


class AmbiguousResultError(BackupError):
    """The answer was lost, and no effect has shown; there may be one yet."""

    kind = "outcome_unknown"


class SlotTakenError(BackupError):
    """An instance can have only one running or failed task: ``task`` blocks it, none if it was not found."""

    kind = "slot_taken"

    def __init__(
        self, message: str, task: t.Optional[Task], *, hint: str
    ) -> None:
        super().__init__(message, hint=hint)
        self.task = task

    def to_dict(self) -> dict[str, t.Any]:
        return dict(super().to_dict(), blocking_task=self.task)


def in_the_slot(tasks: t.Iterable[Task]) -> t.Optional[Task]:
    """The first that keeps others of its instance from being created, and can be followed."""
    holders = (
        task
        for task in tasks
        if is_live(task) or task["download_status"] == "failed"
    )
    return next((task for task in holders if task["task_id"]), None)


class Match(t.NamedTuple):
    """A task that meets a request, as far as what is listed of it tells; ``uncertain`` are the fields that do not."""

    task: Task
    uncertain: tuple[str, ...] = ()


class DownloadTasks:
    """The tasks of one instance, to find, create and retry."""

    def __init__(
        self,
        client: Client,
        region: str,
        instance_name: str,
        *,
        cluster_name: t.Optional[str] = None,
        look_timeout: float,
    ) -> None:
        self._client = client
        self._region = region
        self._instance_name = instance_name
        self._cluster_name = cluster_name
        self._look_timeout = look_timeout
        #: What was sent whose effect is not known yet; empty otherwise.
        self.unconfirmed = ""
        #: What the last list lacked, in a sentence; empty if it was whole.
        self.gap = ""
        #: Why the last look at the list failed; none if it did not.
        self._look_error: t.Optional[BackupError] = None

    def all(self) -> list[Task]:
        """The newest first."""
        return self._list(
            DownloadTaskQuery(self._region, cluster_name=self._cluster_name)
        )

    def meeting(self, request: DownloadRequest) -> list[Match]:
        """Those that may meet it: live and finished ones, then failed, then expired ones; of each, the certain first.

        Those without an ID come last of their kind: nobody can follow them.
        """
        listed = self._list(request.query)
        # Where the service lists the format by its own name, another word is another format.
        is_named = any(
            has_format(task["format"], request.format) for task in listed
        )
        found = []
        for task in listed:
            same = request.compare(task)
            if is_named and task["format"]:
                same["format"] = bool(same["format"])
            if False not in same.values():
                found.append(
                    Match(
                        task,
                        tuple(
                            name
                            for name, is_same in same.items()
                            if is_same is None
                        ),
                    )
                )
        rank = {"failed": 1, "expired": 2}
        return sorted(
            found,
            key=lambda match: (
                rank.get(match.task["download_status"], 0),
                not match.task["task_id"],
                bool(match.uncertain),
            ),
        )

    def _list(self, query: DownloadTaskQuery) -> list[Task]:
        """The newest first. An error leaves the client as it is: there may be another look."""
        gaps: list[str] = []
        operation = {self._instance_name: query}
        (response,) = ask_instances(
            self._client,
            operation,
            tolerate=lambda error: True,
            warn=gaps.append,
        ).values()
        self.gap = " ".join(gaps)
        if isinstance(response, BackupError):
            raise response
        return sorted(
            filter(query.matches, response),
            key=lambda task: (
                -(task["gmt_create"] or 0),
                task["task_id"] or "",
            ),
        )

    def create(
        self, request: DownloadRequest, known: t.Sequence[Match]
    ) -> tuple[Task, bool]:
        """The task that meets the request, and whether it was created by this. ``known``: those that may meet it.

        Raises SlotTakenError, AmbiguousResultError, or any other BackupError; after them, nothing was created that they do not name.
        """
        operation = request.operation
        self.unconfirmed = operation
        try:
            # A task costs money, and no token tells the service that a request is a repetition.
            response = self._client.call(
                "CreateDownload",
                request.parameters(),
                operation=operation,
                at_most_once=True,
            )
        except BackupError as error:
            if isinstance(error, ServiceError) and error.code in (
                JOB_EXISTS,
                SLOT_TAKEN,
            ):
                self.unconfirmed = ""
                return self._that_exists(request, error), False
            if not is_ambiguous(error):
                self.unconfirmed = ""
                raise
            return self._found_out(request, known, error), True
        data = response.get("Data")
        if isinstance(data, dict) and data.get("TaskId"):
            self.unconfirmed = ""
            return normalised(data, self._instance_name, self._region), True
        lost = AmbiguousResultError("the response has no task ID")
        lost.operation, lost.action = operation, "CreateDownload"
        return self._found_out(request, known, lost), True

    def _that_exists(
        self, request: DownloadRequest, refusal: ServiceError
    ) -> Task:
        """The task that another has created meanwhile; raises SlotTakenError if it is not what was requested."""
        # Then it says itself that it is the same.
        is_same_job = refusal.code == JOB_EXISTS

        def in_the_way() -> t.Optional[tuple[Task, bool]]:
            """A task, and whether it is what was requested."""
            for task, uncertain in self.meeting(request):
                is_usable = (
                    is_live(task) or task["download_status"] == "finished"
                )
                if (
                    task["task_id"]
                    and is_usable
                    and (is_same_job or not uncertain)
                ):
                    return task, True
            blocking = in_the_slot(self.all())
            return (blocking, False) if blocking else None

        task, is_same = self._look(in_the_way) or (None, False)
        if task and is_same:
            return task
        said = f"the service refused it ({refusal.code}, request ID {refusal.request_id or 'not given'}): "
        if task is None:
            said += "another task of the instance blocks it"
            if self._look_error:
                said += f", but it could not be looked up ({str(self._look_error).rstrip('.')})"
            hint = "List its tasks: wait for one that is running, retry one that failed"
        else:
            said += f"task {task['task_id']!r} is {task['download_status']}, and an instance can have only one running or failed task"
            hint = "Retry it with state=retried: a failed task blocks new ones"
            if is_live(task):
                hint = "Wait until it has finished, for example with wait_for_slot=true"
        raise SlotTakenError(said, task, hint=hint).in_context(
            refusal.operation, action=refusal.action
        )

    def _found_out(
        self,
        request: DownloadRequest,
        known: t.Sequence[Match],
        error: BackupError,
    ) -> Task:
        """The task that was created although the answer was lost. Raises AmbiguousResultError if none shows up."""
        before = {match.task["task_id"] for match in known}

        def created() -> t.Optional[Task]:
            return next(
                (
                    one.task
                    for one in self.meeting(request)
                    if one.task["task_id"] not in {None, "", *before}
                ),
                None,
            )

        task = self._look(created)
        if task:
            self.unconfirmed = ""
            return task
        raise self._unknown(
            error,
            "no such task has appeared",
            "it finds the task if it was created",
        )

    def _look(self, find: t.Callable[[], t.Optional[T]]) -> t.Optional[T]:
        """What is found, looked for again and again for a while.

        No error ends it: the list was answered before, so that it is an outage.
        """
        began = time.monotonic()
        while True:
            found, self._look_error = None, None
            try:
                found = find()
            except BackupError as error:
                self._look_error = error
            left = self._look_timeout - (time.monotonic() - began)
            if found or left <= 0:
                return found
            time.sleep(min(tuning.LOOK_INTERVAL, left))

    def restart(self, task: Task) -> None:
        """Send RetryDownloadTask for the failed task, once. Raises any BackupError; after some of them it may have been done."""
        parameters = {
            "RegionCode": self._region,
            "InstanceName": self._instance_name,
            "TaskId": task["task_id"],
            **(
                {"ClusterName": self._cluster_name}
                if self._cluster_name
                else {}
            ),
        }
        operation = f"retry download task {task['task_id']!r} of instance {self._instance_name!r} in region {self._region!r}"
        self.unconfirmed = operation
        self._client.call(
            "RetryDownloadTask",
            parameters,
            operation=operation,
            at_most_once=True,
        )
        self.unconfirmed = ""

    def retry(self, task: Task) -> Task:
        """The failed task, after it was started again. Raises AmbiguousResultError, or any other BackupError."""

        def restarted() -> t.Optional[Task]:
            ids = frozenset({task["task_id"]})
            found = self._list(
                DownloadTaskQuery(
                    self._region, task_ids=ids, cluster_name=self._cluster_name
                )
            )
            return next(
                (one for one in found if one["download_status"] != "failed"),
                None,
            )

        try:
            self.restart(task)
        except BackupError as error:
            if not is_ambiguous(error):
                self.unconfirmed = ""
                raise
            found = self._look(restarted)
            if found:
                self.unconfirmed = ""
                return found
            raise self._unknown(
                error,
                "the task is still failed",
                "it retries the task if it is still failed",
            ) from error
        # The list may show the old state for a while.
        return self._look(restarted) or task

    def _unknown(
        self, error: BackupError, seen: str, then: str
    ) -> AmbiguousResultError:
        if self._look_error:
            seen = f"the tasks could not be listed ({str(self._look_error).rstrip('.')})"
        unknown = AmbiguousResultError(
            f"the response was lost ({error.explanation.rstrip('.')}), and after {self._look_timeout:g} seconds {seen}",
            hint=f"Run it again: {then}. Nothing was sent twice",
        )
        unknown.in_context(
            error.operation,
            action=error.action,
            attempts=1,
            elapsed=error.elapsed,
        )
        return unknown
