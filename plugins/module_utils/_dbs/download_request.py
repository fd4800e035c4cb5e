# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The parameters of CreateDownload, and which tasks that exist are for the same."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .._base.text import safe
from .download_tasks import DownloadTaskQuery, Task
from .prediction import predicted_task
from .task import TARGET_TYPES, has_format


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
            raise ValueError(
                "a download has either a backup set or a point in time"
            )

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
        return {
            name: str(value)
            for name, value in parameters.items()
            if value is not None
        }

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
            same["backup_set_id"] = (
                task["backup_set_id"] == self.backup_set_id
                if task["backup_set_id"]
                else None
            )
        else:
            same["backup_set_time"] = self._has_moment(task["backup_set_time"])
        return same

    def _has_target_type(self, listed: t.Optional[str]) -> t.Optional[bool]:
        known = str(listed or "").strip().upper()
        return known == self.target_type if known in TARGET_TYPES else None

    def _has_target_path(self, listed: t.Optional[str]) -> t.Optional[bool]:
        if not listed:
            return None
        # Documented as the path inside the bucket, whose name is not returned: one before it is allowed for.
        bucket = f"{self.more.get('TargetBucket')}/"
        path = re.sub(r"^oss://[^/]*/?", "", listed).strip("/")
        return self._shown_path in (path, path.removeprefix(bucket))

    @property
    def _shown_path(self) -> str:
        """The target's path as it is listed by ``normalised``."""
        return str(safe(self.target_path)).strip("/")

    def _has_moment(self, listed: t.Optional[int]) -> t.Optional[bool]:
        """To the second; a whole minute may be that of the point in time."""
        wanted = t.cast(int, self.point_in_time) // 1000
        if not listed or (
            listed // 1000 != wanted and listed == wanted // 60 * 60_000
        ):
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
        source = (
            f"backup set {self.backup_set_id!r}"
            if self.backup_set_id
            else f"point in time {self.point_in_time}"
        )
        return f"{source} of instance {self.instance_name!r} in region {self.region!r}"
