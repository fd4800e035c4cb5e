# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database Backup: download tasks are created and retried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .dbs import BusinessError, argument, choice, dbs, existing_instance, invalid, listed, number, task_of
from .model import Instance, Task, canonical_state
from .registry import Parameters

if TYPE_CHECKING:
    from .server import StandIn

FORMATS: Final = ("csv", "csv-with-header", "sql", "parquet", "bson", "qp.xb")
FLAGS: Final = ("UseZstd", "IsPhysical", "IsCluster", "PrimaryKeyTypeOnly")
NUMBERS: Final = ("BackupSetTime", "ExportDataSize", "GmtCreate", "ImportDataSize")
"""Integers here, where DescribeDownloadTask has strings."""


@dbs("DescribeDownloadSupport")
def describe_download_support(service: StandIn, parameters: Parameters) -> Any:
    instance = existing_instance(service, parameters)
    if instance.unsupported and service.habits.unsupported == "error":
        raise unsupported(instance.unsupported)
    return "false" if instance.unsupported else "true"


@dbs("CreateDownload")
def create_download(service: StandIn, parameters: Parameters) -> Any:
    instance = existing_instance(service, parameters)
    if instance.unsupported:
        raise unsupported(instance.unsupported)
    now = service.clock.now()
    task = _asked_for(service, instance, parameters, now)
    _check_rivals(service, instance, task, now)
    task.follow(service.habits.life_cycle, now)
    service.account.add_task(instance, task)
    service.created.append(task)
    answer = listed(service.habits, task, now)
    return {name: int(value) if name in NUMBERS else value for name, value in answer.items()}


@dbs("RetryDownloadTask")
def retry_download_task(service: StandIn, parameters: Parameters) -> Any:
    dummy, task = task_of(service, parameters)
    now = service.clock.now()
    state = canonical_state(task.state(now))
    if state != "failed":
        message = f"The download task {task.task_id} cannot be retried, its status is {state}."
        raise BusinessError("DBS.DownloadTask.NotSupport", message)
    task.follow(task.retry_schedule or service.habits.retry_life_cycle or service.habits.life_cycle, now)
    task.retries += 1
    return task.task_id


def unsupported(code: str) -> BusinessError:
    return BusinessError(code, "The instance does not support advanced downloads.")


def _asked_for(service: StandIn, instance: Instance, parameters: Parameters, now: int) -> Task:
    """The task as the parameters have it, or the error that they are."""
    argument(parameters, "FormatType")
    format = choice(parameters, "FormatType", *FORMATS)
    if format == "bson" and instance.engine != "mongodb":
        raise invalid("FormatType")
    for flag in FLAGS:
        choice(parameters, flag, "true", "false")
    number(parameters, "BakSetSize")
    fields: dict[str, Any] = {}
    if choice(parameters, "BakSetType", "full", "pitr") == "pitr":
        argument(parameters, "DownloadPointInTime")
        point = number(parameters, "DownloadPointInTime", 1)
        if point is None or point > now:
            raise invalid("DownloadPointInTime")
        fields.update(task_type="pitr", backup_set_id="", backup_set_time=point)
    else:
        fields["backup_set_id"] = argument(parameters, "BakSetId")
        fields["backup_set_time"] = _time_of_backup(instance, fields["backup_set_id"])
    if choice(parameters, "TargetType", "oss", "url") == "oss":
        for name in ("TargetBucket", "TargetPath", "TargetOssRegion"):
            argument(parameters, name)
        if service.habits.oss_denied:
            raise BusinessError(service.habits.oss_denied, "The OSS bucket cannot be written to.")
        fields.update(target_type="OSS", target_bucket=parameters["TargetBucket"], target_path=parameters["TargetPath"])
    return Task(
        service.account.new_task_id(),
        instance.region,
        now,
        format=parameters["FormatType"],
        zstd=parameters.get("UseZstd", "").lower() == "true",
        cluster_name=parameters.get("ClusterName") or instance.cluster_name,
        parameters=parameters,
        **fields,
    )


def _time_of_backup(instance: Instance, backup_id: str) -> int | None:
    """Unknown if the instance has no backup set at all; else it must be one of its own, and good."""
    if not instance.backups:
        return None
    for backup in instance.backups:
        if backup.backup_id == backup_id and backup.succeeded:
            return backup.started
    raise BusinessError("DBS.DownloadTask.BakSetError", "The backup set does not exist or cannot be downloaded.")


def _check_rivals(service: StandIn, instance: Instance, task: Task, now: int) -> None:
    habits = service.habits
    states = [(other, canonical_state(other.state(now))) for other in instance.tasks]
    same = {"live": ("initializing", "queueing", "running"), "never": ()}
    same["finished"] = (*same["live"], "finished")
    if any(_same_job(other, task) and state in same[habits.same_job] for other, state in states):
        message = "A download task of the same backup set, format and target exists already."
        raise BusinessError("DBS.DownloadTask.JobAlreadyExist", message)
    if habits.one_task and any(state not in ("finished", "expired") for dummy, state in states):
        message = "An instance can have only one download task that is running or has failed."
        raise BusinessError("DBS.DownloadTask.OnlyOneRunningOrFailedTask", message)


def _same_job(one: Task, other: Task) -> bool:
    def job(task: Task) -> tuple[Any, ...]:
        source = task.backup_set_time if task.task_type == "pitr" else task.backup_set_id
        target = (task.target_bucket, task.target_path.strip("/")) if task.to_oss() else None
        return task.task_type, source, task.format.casefold(), target

    return job(one) == job(other)
