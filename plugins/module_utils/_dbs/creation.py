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
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.waiting import is_live
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    BackupError,
    Remedy,
    ServiceError,
    may_have_had_effect,
    remedy_of,
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

    @property
    def query(self) -> DownloadTaskQuery:
        """For tasks of the same kind, and of the same backup set."""
        return DownloadTaskQuery(
            self.region,
            backup_set_id=self.backup_set_id,
            cluster_name=self.cluster_name,
            task_type="full" if self.backup_set_id else "pitr",
        )

    def is_met_by(self, task: Task) -> bool:
        """Whether a task that its query found has the same source, format and target; the bucket is not returned."""
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
        self.in_doubt = ""

    def all(self) -> list[Task]:
        """The newest first."""
        return self._list(DownloadTaskQuery(self._region, cluster_name=self._cluster_name))

    def meeting(self, request: DownloadRequest) -> list[Task]:
        """Those that meet the request: live and finished ones, then failed, then expired ones; the newest first of each."""
        rank = {"failed": 1, "expired": 2}
        found = [task for task in self._list(request.query) if request.is_met_by(task)]
        return sorted(found, key=lambda task: rank.get(task["download_status"], 0))

    def _list(self, query: DownloadTaskQuery) -> list[Task]:
        return list_download_tasks(self._client, [self._instance_name], query)

    def create(self, request: DownloadRequest, known: t.Sequence[Task]) -> tuple[Task, bool]:
        """The task that meets the request, and whether it was created by this. ``known``: those there are.

        Raises SlotTaken, OutcomeUnknown, or any other BackupError; after them, nothing was created that they do not name.
        """
        asked = f"create a download task for {request.described}"
        self.in_doubt = asked
        try:
            answer = self._client.call("CreateDownload", request.parameters(), asked=asked, at_most_once=True)
        except BackupError as error:
            if isinstance(error, ServiceError) and error.code in (JOB_EXISTS, SLOT_TAKEN):
                self.in_doubt = ""
                return self._that_exists(request, error), False
            if not may_have_had_effect(error):
                self.in_doubt = ""
                raise
            return self._found_out(request, known, error), True
        data = answer.get("Data")
        if isinstance(data, dict) and data.get("TaskId"):
            self.in_doubt = ""
            return normalised(data, self._instance_name, self._region), True
        lost = OutcomeUnknown("the service's answer names no task")
        lost.asked, lost.action = asked, "CreateDownload"
        return self._found_out(request, known, lost), True

    def _that_exists(self, request: DownloadRequest, refusal: ServiceError) -> Task:
        """The task that another has created meanwhile; raises SlotTaken if it is not what was requested."""

        def in_the_way() -> t.Optional[Task]:
            same = [task for task in self.meeting(request) if is_live(task) or task["download_status"] == "finished"]
            return next(iter(same), None) or next(
                (task for task in self.all() if is_live(task) or task["download_status"] == "failed"), None
            )

        task = self._look(in_the_way)
        if task and request.is_met_by(task) and task["download_status"] != "failed":
            return task
        said = f"the service refused it ({refusal.code}, request ID {refusal.request_id}): "
        if task is None:
            said += "another task of the instance is in the way"
            hint = "List its tasks: wait for one that is running, retry one that failed"
        else:
            said += (
                f"task {task['task_id']!r} is {task['download_status']}, and an instance has one running or failed task"
            )
            hint = "Retry it with state=retried: until then it blocks new ones"
            if is_live(task):
                hint = "Wait until it is done, for example with wait_for_slot"
        error = SlotTaken(said, task, hint=hint)
        error.asked, error.action = refusal.asked, refusal.action
        raise error

    def _found_out(self, request: DownloadRequest, known: t.Sequence[Task], error: BackupError) -> Task:
        """The task that was created although the answer was lost. Raises OutcomeUnknown if none shows up."""
        before = {task["task_id"] for task in known}

        def created() -> t.Optional[Task]:
            return next((one for one in self.meeting(request) if one["task_id"] not in before), None)

        task = self._look(created)
        if task:
            self.in_doubt = ""
            return task
        raise self._unknown(error, "no such task has shown up", "a task that was created after all is found then")

    def _look(self, find: t.Callable[[], t.Optional[Task]]) -> t.Optional[Task]:
        """What is found, looked for again and again for a while; an error that can pass is not the end of it."""
        began = time.monotonic()
        while True:
            try:
                found = find()
            except BackupError as error:
                if remedy_of(error) is Remedy.NONE:
                    return None
                found = None
            left = self._look_timeout - (time.monotonic() - began)
            if found or left <= 0:
                return found
            time.sleep(min(LOOK_INTERVAL, left))

    def retry(self, task: Task) -> Task:
        """The failed task, after it was started again. Raises OutcomeUnknown, or any other BackupError."""
        parameters = {
            "RegionCode": self._region,
            "InstanceName": self._instance_name,
            "TaskId": task["task_id"],
            **({"ClusterName": self._cluster_name} if self._cluster_name else {}),
        }
        asked = (
            f"retry download task {task['task_id']!r} of instance {self._instance_name!r} in region {self._region!r}"
        )

        def restarted() -> t.Optional[Task]:
            ids = frozenset({task["task_id"]})
            found = self._list(DownloadTaskQuery(self._region, task_ids=ids, cluster_name=self._cluster_name))
            return next((one for one in found if one["download_status"] != "failed"), None)

        self.in_doubt = asked
        try:
            self._client.call("RetryDownloadTask", parameters, asked=asked, at_most_once=True)
        except BackupError as error:
            if not may_have_had_effect(error):
                self.in_doubt = ""
                raise
            found = self._look(restarted)
            if found:
                self.in_doubt = ""
                return found
            raise self._unknown(error, "the task is still failed", "it is retried then") from error
        self.in_doubt = ""
        return self._look(restarted) or task

    def _unknown(self, error: BackupError, seen: str, then: str) -> OutcomeUnknown:
        error.asked, asked = "", error.asked
        unknown = OutcomeUnknown(
            f"the answer was lost ({str(error).rstrip('.')}), and {seen} within {self._look_timeout:g} seconds",
            hint=f"Run it again: {then}. Nothing was sent twice",
        )
        unknown.asked, unknown.action, unknown.attempts, unknown.elapsed = asked, error.action, 1, error.elapsed
        return unknown
