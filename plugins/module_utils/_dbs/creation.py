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
from dataclasses import dataclass, field

from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.download_tasks import (
    DownloadTaskQuery,
    Task,
    list_download_tasks,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.task import normalised
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.waiting import VERDICTS, Verdict
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    BackupError,
    ServiceError,
    may_have_had_effect,
)

if t.TYPE_CHECKING:
    from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client

JOB_EXISTS = "DBS.DownloadTask.JobAlreadyExist"
SLOT_TAKEN = "DBS.DownloadTask.OnlyOneRunningOrFailedTask"

#: Seconds between two looks for a task whose creation is in doubt.
LOOK_INTERVAL = 2.0


class OutcomeUnknown(BackupError):
    """The answer was lost, and no effect has shown; there may be one yet."""

    kind = "outcome unknown"


class SlotTaken(BackupError):
    """An instance has one running or failed task at a time: ``task`` is in the way, none if it was not found."""

    kind = "slot taken"

    def __init__(self, message: str, task: t.Optional[Task], *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.task = task

    def facts(self) -> dict[str, t.Any]:
        return dict(super().facts(), blocking_task=self.task)


@dataclass(frozen=True)
class DownloadRequest:
    """A backup set, or a point in time in epoch milliseconds, in a format, at a target.

    ``more``: further parameters of CreateDownload by the API's names.
    """

    region: str
    instance_name: str
    format: str
    backup_set_id: t.Optional[str] = None
    point_in_time: t.Optional[int] = None
    target_type: str = "URL"
    target_path: t.Optional[str] = None
    cluster_name: t.Optional[str] = None
    more: t.Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, str]:
        parameters = {
            "RegionCode": self.region,
            "InstanceName": self.instance_name,
            "BakSetType": "full" if self.backup_set_id else "pitr",
            "BakSetId": self.backup_set_id,
            "DownloadPointInTime": self.point_in_time,
            "FormatType": self.format,
            "TargetType": self.target_type,
            "TargetPath": self.target_path,
            "ClusterName": self.cluster_name,
            **self.more,
        }
        return {name: str(value) for name, value in parameters.items() if value is not None}

    def is_met_by(self, task: Task) -> bool:
        """Whether the task has the same source, format and target; the service does not return the bucket."""
        if str(task["format"]).casefold() != self.format.casefold():
            return False
        if str(task["target_type"]).upper() != self.target_type:
            return False
        if self.target_type == "OSS" and str(task["target_path"]).strip("/") != str(self.target_path).strip("/"):
            return False
        if self.backup_set_id:
            return bool(task["bak_set_id"] == self.backup_set_id)
        moment = task["backup_set_time"]
        return moment is not None and moment // 1000 == t.cast(int, self.point_in_time) // 1000

    @property
    def described(self) -> str:
        source = f"backup set {self.backup_set_id!r}" if self.backup_set_id else f"point in time {self.point_in_time}"
        return f"{source} of instance {self.instance_name!r} in region {self.region!r}"


def is_live(task: Task) -> bool:
    return VERDICTS.get(task["download_status"], Verdict.RETRY) is Verdict.RETRY


class DownloadTasks:
    """The tasks of one instance, to find, create and retry."""

    def __init__(self, client: Client, region: str, instance_name: str, *, look_timeout: float) -> None:
        self._client = client
        self._region = region
        self._instance_name = instance_name
        self._look_timeout = look_timeout

    def all(self, *, since: t.Optional[int] = None) -> list[Task]:
        """The newest first. ``since``: of their creation, in epoch milliseconds."""
        return list_download_tasks(
            self._client, [self._instance_name], DownloadTaskQuery(self._region, start_time=since)
        )

    def create(self, request: DownloadRequest, known: t.Sequence[Task]) -> tuple[Task, bool]:
        """The task that meets the request, and whether it was created by this. ``known``: those there are.

        Raises SlotTaken, OutcomeUnknown, or any other BackupError; after them, nothing was created that they do not name.
        """
        asked = f"create a download task for {request.described}"
        try:
            answer = self._client.call("CreateDownload", request.parameters(), asked=asked, at_most_once=True)
        except ServiceError as error:
            if error.code in (JOB_EXISTS, SLOT_TAKEN):
                return self._that_exists(request, asked), False
            if not may_have_had_effect(error):
                raise
            return self._found_out(request, known, error), True
        except BackupError as error:
            if not may_have_had_effect(error):
                raise
            return self._found_out(request, known, error), True
        data = answer.get("Data")
        if isinstance(data, dict) and data.get("TaskId"):
            return normalised(data, self._instance_name, self._region), True
        lost = OutcomeUnknown("the service's answer names no task")
        lost.asked, lost.action = asked, "CreateDownload"
        return self._found_out(request, known, lost), True

    def _that_exists(self, request: DownloadRequest, asked: str) -> Task:
        """The task that another has created meanwhile; raises SlotTaken if it is not what was requested."""
        tasks = [task for task in self.all() if task["download_status"] != "expired"]
        for task in tasks:
            if request.is_met_by(task) and task["download_status"] != "failed":
                return task
        in_the_way = next((task for task in tasks if task["download_status"] != "finished"), None)
        if in_the_way is None:
            message = "another task of the instance is in the way"
            hint = "List its tasks: wait for one that is running, retry one that failed"
        else:
            message = (
                f"task {in_the_way['task_id']!r} is {in_the_way['download_status']}, and an instance has one running"
            )
            message += " or failed task at a time"
            hint = "Retry it with state=retried: until then it blocks new ones"
            if is_live(in_the_way):
                hint = "Wait until it is done, for example with wait_for_slot"
        error = SlotTaken(message, in_the_way, hint=hint)
        error.asked, error.action = asked, "CreateDownload"
        raise error

    def _found_out(self, request: DownloadRequest, known: t.Sequence[Task], error: BackupError) -> Task:
        """The task that was created although the answer was lost. Raises OutcomeUnknown if none shows up."""
        before = {task["task_id"] for task in known}

        def created() -> t.Optional[Task]:
            return next((one for one in self.all() if one["task_id"] not in before and request.is_met_by(one)), None)

        task = self._look(created)
        if task:
            return task
        raise self._unknown(error, "no such task has shown up", "a task that was created after all is found then")

    def _look(self, find: t.Callable[[], t.Optional[Task]]) -> t.Optional[Task]:
        """What is found, looked for again and again for a while; an error is not the end of it."""
        began = time.monotonic()
        while True:
            try:
                found = find()
            except BackupError:
                found = None
            left = self._look_timeout - (time.monotonic() - began)
            if found or left <= 0:
                return found
            time.sleep(min(LOOK_INTERVAL, left))

    def retry(self, task: Task, cluster_name: t.Optional[str]) -> Task:
        """The failed task, after it was started again. Raises OutcomeUnknown, or any other BackupError."""
        parameters = {
            "RegionCode": self._region,
            "InstanceName": self._instance_name,
            "TaskId": task["task_id"],
            **({"ClusterName": cluster_name} if cluster_name else {}),
        }
        asked = (
            f"retry download task {task['task_id']!r} of instance {self._instance_name!r} in region {self._region!r}"
        )

        def restarted() -> t.Optional[Task]:
            query = DownloadTaskQuery(self._region, task_ids=frozenset({task["task_id"]}))
            found = list_download_tasks(self._client, [self._instance_name], query)
            return next((one for one in found if one["download_status"] != "failed"), None)

        try:
            self._client.call("RetryDownloadTask", parameters, asked=asked, at_most_once=True)
        except BackupError as error:
            if not may_have_had_effect(error):
                raise
            found = self._look(restarted)
            if found:
                return found
            raise self._unknown(error, "the task is still failed", "it is retried then") from error
        return self._look(restarted) or task

    def _unknown(self, error: BackupError, seen: str, then: str) -> OutcomeUnknown:
        error.asked, asked = "", error.asked
        unknown = OutcomeUnknown(
            f"the answer was lost ({str(error).rstrip('.')}), and {seen} within {self._look_timeout:g} seconds",
            hint=f"Run it again: {then}. Nothing was sent twice",
        )
        unknown.asked, unknown.action, unknown.attempts, unknown.elapsed = asked, error.action, 1, error.elapsed
        return unknown
