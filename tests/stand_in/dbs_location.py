# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database Backup: links to what download tasks made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .dbs import BusinessError, argument, dbs, existing_instance, invalid, number, task_of
from .exports import link
from .model import Task, canonical_state
from .registry import Parameters

if TYPE_CHECKING:
    from .server import StandIn


def no_link(task: Task, reason: str) -> BusinessError:
    return BusinessError("DBS.DownloadTask.NotSupport", f"The download task {task.task_id} {reason}.")


@dbs("DescribeDownloadBackupSetStorageInfo")
def describe_download_backup_set_storage_info(service: StandIn, parameters: Parameters) -> Any:
    argument(parameters, "RegionCode")
    if service.habits.duration_required:
        argument(parameters, "Duration")
    seconds = number(parameters, "Duration", 300) or 7200
    if seconds > 86400:
        raise invalid("Duration")
    task = _meant(service, parameters)
    state = canonical_state(task.state(service.clock.now()))
    if state == "expired":
        raise no_link(task, "is expired")
    if state != "finished":
        raise no_link(task, f"is not finished, its status is {state}")
    expires = service.clock.now() // 1000 + seconds
    expiration = expires * 1000 if service.habits.expiration == "ms" else expires
    if task.to_oss():
        if service.habits.oss_location == "error":
            raise no_link(task, "has an OSS bucket as its target")
        return {"PublicUrl": None, "PrivateUrl": None, "ExpirationTime": None}
    return {
        "PublicUrl": link(service, task, seconds, internal=False),
        "PrivateUrl": link(service, task, seconds, internal=True),
        "ExpirationTime": expiration,
    }


def _meant(service: StandIn, parameters: Parameters) -> Task:
    """The task, or the newest finished one of the backup set, or else its newest."""
    if parameters.get("TaskId"):
        return task_of(service, parameters)[1]
    backup_set_id = argument(parameters, "BackupSetId")
    tasks = [task for task in existing_instance(service, parameters).tasks if task.backup_set_id == backup_set_id]
    now = service.clock.now()
    finished = [task for task in tasks if canonical_state(task.state(now)) == "finished"]
    if not tasks:
        raise BusinessError("DBS.DownloadTask.CannotFind", "The download task cannot be found.")
    return (finished or tasks)[-1]
