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

import re
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.download_tasks import (
    DownloadTaskQuery,
    Task,
    ask_instances,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.prediction import predicted_task
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.task import (
    TARGET_TYPES,
    has_format,
    normalised,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.waiting import is_live
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    BackupError,
    ServiceError,
    may_have_had_effect,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.text import redacted, visible

if t.TYPE_CHECKING:
    from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client

JOB_EXISTS = "DBS.DownloadTask.JobAlreadyExist"
SLOT_TAKEN = "DBS.DownloadTask.OnlyOneRunningOrFailedTask"

T = t.TypeVar("T")

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

    def __post_init__(self) -> None:
        if bool(self.backup_set_id) == (self.point_in_time is not None):
            raise ValueError("a download has either a backup set or a point in time")

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

    def compare(self, task: Task) -> dict[str, t.Optional[bool]]:
        """Whether a task has the same source, format and target, by field; none where what is listed does not tell.

        The bucket is not listed at all.
        """
        same = {
            "format": has_format(task["format"], self.format),
            "target_type": self._has_target_type(task["target_type"]),
        }
        if self.target_type == "OSS":
            same["target_path"] = self._has_target_path(task["target_path"])
        if self.backup_set_id:
            same["bak_set_id"] = task["bak_set_id"] == self.backup_set_id if task["bak_set_id"] else None
        else:
            same["backup_set_time"] = self._has_moment(task["backup_set_time"])
        return same

    def _has_target_type(self, listed: t.Optional[str]) -> t.Optional[bool]:
        known = str(listed or "").strip().upper()
        return known == self.target_type if known in TARGET_TYPES else None

    def _has_target_path(self, listed: t.Optional[str]) -> t.Optional[bool]:
        if not listed:
            return None
        bucket = f"{self.more.get('TargetBucket')}/"
        path = re.sub(r"^oss://[^/]*/?", "", listed).strip("/")
        return self._shown_path in (path, path.removeprefix(bucket))

    @property
    def _shown_path(self) -> str:
        """The target's path as it is listed by ``normalised``."""
        return str(visible(redacted(self.target_path))).strip("/")

    def _has_moment(self, listed: t.Optional[int]) -> t.Optional[bool]:
        """To the second; a whole minute may be that of the point in time."""
        wanted = t.cast(int, self.point_in_time) // 1000
        if not listed or (listed // 1000 != wanted and listed == wanted // 60 * 60_000):
            return None
        return listed // 1000 == wanted

    def predicted(self, state: str) -> Task:
        """The task that would be created, in that state."""
        return predicted_task(
            self.instance_name,
            self.region,
            Format=self.format,
            BakSetId=self.backup_set_id,
            DownloadStatus=state,
            BackupSetTime=self.point_in_time,
            TargetType=self.target_type,
            TargetPath=self.target_path,
        )

    @property
    def operation(self) -> str:
        return f"create a download task for {self.described}"

    @property
    def described(self) -> str:
        source = f"backup set {self.backup_set_id!r}" if self.backup_set_id else f"point in time {self.point_in_time}"
        return f"{source} of instance {self.instance_name!r} in region {self.region!r}"


def in_the_slot(tasks: t.Iterable[Task]) -> t.Optional[Task]:
    """The first that keeps others of its instance from being created, and can be followed."""
    holders = (task for task in tasks if is_live(task) or task["download_status"] == "failed")
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
        self.in_doubt = ""
        #: What the last list lacked, in a sentence; empty if it was whole.
        self.gap = ""
        #: Why the last look at the list failed; none if it did not.
        self._look_error: t.Optional[BackupError] = None

    def all(self) -> list[Task]:
        """The newest first."""
        return self._list(DownloadTaskQuery(self._region, cluster_name=self._cluster_name))

    def meeting(self, request: DownloadRequest) -> list[Match]:
        """Those that may meet it: live and finished ones, then failed, then expired ones; of each, the certain first.

        Those without an ID come last of their kind: nobody can follow them.
        """
        listed = self._list(request.query)
        # Where the service lists the format by its own name, another word is another format.
        is_named = any(has_format(task["format"], request.format) for task in listed)
        found = []
        for task in listed:
            same = request.compare(task)
            if is_named and task["format"]:
                same["format"] = bool(same["format"])
            if False not in same.values():
                found.append(Match(task, tuple(name for name, is_same in same.items() if is_same is None)))
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
        asked = {self._instance_name: query}
        (answer,) = ask_instances(self._client, asked, tolerate=lambda error: True, warn=gaps.append).values()
        self.gap = " ".join(gaps)
        if isinstance(answer, BackupError):
            raise answer
        return sorted(filter(query.wants, answer), key=lambda task: (-(task["gmt_create"] or 0), task["task_id"] or ""))

    def create(self, request: DownloadRequest, known: t.Sequence[Match]) -> tuple[Task, bool]:
        """The task that meets the request, and whether it was created by this. ``known``: those that may meet it.

        Raises SlotTaken, OutcomeUnknown, or any other BackupError; after them, nothing was created that they do not name.
        """
        asked = request.operation
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
        # Then it says itself that it is the same.
        is_same_job = refusal.code == JOB_EXISTS

        def in_the_way() -> t.Optional[tuple[Task, bool]]:
            """A task, and whether it is what was requested."""
            for task, uncertain in self.meeting(request):
                is_usable = is_live(task) or task["download_status"] == "finished"
                if task["task_id"] and is_usable and (is_same_job or not uncertain):
                    return task, True
            blocking = in_the_slot(self.all())
            return (blocking, False) if blocking else None

        task, is_same = self._look(in_the_way) or (None, False)
        if task and is_same:
            return task
        said = f"the service refused it ({refusal.code}, request ID {refusal.request_id or 'not given'}): "
        if task is None:
            said += "another task of the instance is in the way"
            if self._look_error:
                said += f", and which could not be found out ({str(self._look_error).rstrip('.')})"
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

    def _found_out(self, request: DownloadRequest, known: t.Sequence[Match], error: BackupError) -> Task:
        """The task that was created although the answer was lost. Raises OutcomeUnknown if none shows up."""
        before = {match.task["task_id"] for match in known}

        def created() -> t.Optional[Task]:
            return next(
                (one.task for one in self.meeting(request) if one.task["task_id"] not in {None, "", *before}), None
            )

        task = self._look(created)
        if task:
            self.in_doubt = ""
            return task
        raise self._unknown(error, "no such task has shown up", "a task that was created after all is found then")

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
            time.sleep(min(LOOK_INTERVAL, left))

    def restart(self, task: Task) -> None:
        """Send RetryDownloadTask for the failed task, once. Raises any BackupError; after some of them it may have been done."""
        parameters = {
            "RegionCode": self._region,
            "InstanceName": self._instance_name,
            "TaskId": task["task_id"],
            **({"ClusterName": self._cluster_name} if self._cluster_name else {}),
        }
        asked = (
            f"retry download task {task['task_id']!r} of instance {self._instance_name!r} in region {self._region!r}"
        )
        self.in_doubt = asked
        self._client.call("RetryDownloadTask", parameters, asked=asked, at_most_once=True)
        self.in_doubt = ""

    def retry(self, task: Task) -> Task:
        """The failed task, after it was started again. Raises OutcomeUnknown, or any other BackupError."""

        def restarted() -> t.Optional[Task]:
            ids = frozenset({task["task_id"]})
            found = self._list(DownloadTaskQuery(self._region, task_ids=ids, cluster_name=self._cluster_name))
            return next((one for one in found if one["download_status"] != "failed"), None)

        try:
            self.restart(task)
        except BackupError as error:
            if not may_have_had_effect(error):
                self.in_doubt = ""
                raise
            found = self._look(restarted)
            if found:
                self.in_doubt = ""
                return found
            raise self._unknown(error, "the task is still failed", "it is retried then") from error
        return self._look(restarted) or task

    def _unknown(self, error: BackupError, seen: str, then: str) -> OutcomeUnknown:
        error.asked, asked = "", error.asked
        if self._look_error:
            seen = f"the tasks could not be listed ({str(self._look_error).rstrip('.')}), so that {seen}"
        unknown = OutcomeUnknown(
            f"the answer was lost ({str(error).rstrip('.')}), and {seen} within {self._look_timeout:g} seconds",
            hint=f"Run it again: {then}. Nothing was sent twice",
        )
        unknown.asked, unknown.action, unknown.attempts, unknown.elapsed = asked, error.action, 1, error.elapsed
        return unknown
