# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database Backup, version 2021-01-01. Its own errors come as HTTP 200 with `Success: "false"`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from .model import Instance, Task, canonical_state
from .registry import Body, Parameters, Run, operation

if TYPE_CHECKING:
    from .server import Habits, StandIn

SPELLINGS: Final = {
    "ue": {},
    "u": {"initializing": "Initializing", "queueing": "queuing"},
}

FORMATS_LISTED: Final[dict[str, dict[str, str]]] = {
    "created": {},
    "documented": {"csv": "csv", "csv-with-header": "csv", "sql": "SQL", "parquet": "Parquet"},
    "other": {"csv-with-header": "csv_header", "qp.xb": "xbstream", "bson": "archive"},
    "absent": {},
}


class BusinessError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


def _status(code: str, message: str) -> Body:
    return {"ErrCode": code, "ErrMessage": message, "Code": code, "Message": message}


def dbs(action: str) -> Callable[[Run], Run]:
    """Register a function that returns `Data`, or raises a BusinessError, as an operation."""

    def register(run: Run) -> Run:
        @wraps(run)
        def answer(service: StandIn, parameters: Parameters) -> Body:
            try:
                data = run(service, parameters)
            except BusinessError as error:
                return {"Success": "false", **_status(error.code, error.message)}
            code = service.habits.code_beside_success
            body: Body = {"Success": service.habits.success, **(_status(code, code) if code else {})}
            return body if data is None else {**body, "Data": data}

        return operation(action, version="2021-01-01", product="dbs")(answer)

    return register


def required(parameters: Parameters, name: str) -> str:
    value = parameters.get(name)
    if not value:
        raise BusinessError("DBS.InternalError", f"{name[0].lower()}{name[1:]} can not be empty")
    return value


def invalid(name: str) -> BusinessError:
    return BusinessError("DBS.ParamIsInValid", f"The parameter {name} is invalid.")


def number(parameters: Parameters, name: str, minimum: int = 0) -> int | None:
    text = parameters.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < minimum:
        raise invalid(name)
    return int(text)


def choice(parameters: Parameters, name: str, *choices: str) -> str | None:
    value = parameters.get(name, "").lower()
    if value and value not in choices:
        raise invalid(name)
    return value or None


def instance_of(service: StandIn, parameters: Parameters) -> Instance:
    region = required(parameters, "RegionCode")
    name = required(parameters, "InstanceName")
    instance = service.account.find(region, name)
    if instance is None:
        if service.habits.unknown_instance == "empty":
            return Instance(name, region)
        raise BusinessError("Forbidden.InstanceNotFound", "The specified instance does not exist.")
    return instance


@dbs("DescribeDownloadTask")
def describe_download_task(service: StandIn, parameters: Parameters) -> Any:
    habits = service.habits
    instance = instance_of(service, parameters)
    choice(parameters, "OrderColumn", "gmt_create")
    ascending = choice(parameters, "OrderDirect", "asc", "desc") == "asc"
    now = service.clock.now()
    tasks = _selected(habits, instance, parameters, now)

    size = number(parameters, "PageSize", 1) or habits.page_size_default
    if size > habits.page_size_max:
        if habits.page_size_over == "refuse":
            raise invalid("PageSize")
        size = habits.page_size_max
    page = number(parameters, "CurrentPage", 1) or 1
    first = (page - 1) * size
    if ascending:
        shown = tasks[first : first + size]
    else:
        last = max(0, len(tasks) - first)
        shown = tasks[max(0, last - size) : last][::-1]
    rows = [listed(habits, task, now) for task in shown if task.task_id not in habits.unlisted]
    if habits.seconds_per_list:
        with service.account.lock:
            for task in instance.tasks:
                task.age(habits.seconds_per_list)
    return _page(habits, rows, page, size, len(tasks))


def listed(habits: Habits, task: Task, now: int) -> Body:
    """A task as the service describes it."""
    row = task.describe(now, SPELLINGS[habits.spelling])
    row["Format"] = FORMATS_LISTED[habits.formats].get(row["Format"].lower(), row["Format"])
    if habits.targets == "bucket" and task.to_oss():
        row["TargetPath"] = f"{task.target_bucket}/{task.target_path}"
    if habits.times in ("s", "minute"):
        seconds = task.backup_set_time // 1000
        row["BackupSetTime"] = str(seconds if habits.times == "s" else seconds // 60 * 60_000)
    absent = {
        "Format": habits.formats == "absent",
        "TargetType": habits.targets == "absent",
        "TargetPath": habits.targets == "absent",
        "BackupSetTime": habits.times == "absent",
        "BakSetId": not habits.sources,
        "RegionCode": not habits.sources,
    }
    return {name: value for name, value in row.items() if not absent.get(name)}


def _bounds(habits: Any, parameters: Parameters) -> tuple[int | None, int | None]:
    start, end = number(parameters, "StartTime"), number(parameters, "EndTime")
    given = (start is not None) + (end is not None)
    if given and (habits.bounds_taken == "none" or (habits.bounds_taken == "both" and given == 1)):
        raise BusinessError(habits.bounds_refused_by, "The request is not valid.")
    if habits.bounds == "ignored":
        return None, None
    inside = int(habits.bounds == "exclusive")
    return None if start is None else start + inside, None if end is None else end - inside


def _selected(habits: Any, instance: Instance, parameters: Parameters, now: int) -> Sequence[Task]:
    """The tasks that pass every filter, the oldest first."""
    tasks = instance.created_between(*_bounds(habits, parameters))
    if parameters.get("DatasourceId") not in (None, "", f"ds-{instance.name}_{instance.region}"):
        return []
    if backup_set_id := parameters.get("BackupSetId"):
        tasks = [task for task in tasks if task.backup_set_id == backup_set_id]
    if task_type := choice(parameters, "TaskType", "full", "pitr"):
        tasks = [task for task in tasks if task.task_type == task_type]
    if cluster_name := parameters.get("ClusterName"):
        tasks = [task for task in tasks if task.cluster_name == cluster_name]
    if state := parameters.get("State"):
        wanted = canonical_state(state)
        tasks = [task for task in tasks if canonical_state(task.state(now)) == wanted]
    return tasks


def _page(habits: Any, rows: list[Body], page: int, size: int, total: int) -> Body | None:
    if habits.content == "no_data" and not rows:
        return None
    content: Any = {"List": rows}
    if habits.content == "array":
        content = rows
    elif habits.content == "null" and not rows:
        content = None
    elif habits.content == "null_list" and not rows:
        content = {"List": None}
    pages = -(-total // size)
    totals = {"TotalPages": pages, "TotalElements": total}
    if habits.totals == "wrong":
        totals = {"TotalPages": pages + 1, "TotalElements": len(rows)}
    elif not habits.totals:
        totals = {}
    numbers = (
        {"Number": page - 1, "Size": size} if habits.paging == "number" else {"PageNumber": page, "PageSize": size}
    )
    return {**numbers, **totals, "Extra": "", "Content": content}


def argument(parameters: Parameters, name: str) -> str:
    """A parameter that must be there, as the operations besides DescribeDownloadTask say it."""
    value = parameters.get(name)
    if not value:
        raise BusinessError("DBS.ParamIsInValid", f"Argument: {name[0].lower()}{name[1:]} Must not be empty")
    return value


def existing_instance(service: StandIn, parameters: Parameters) -> Instance:
    region, name = argument(parameters, "RegionCode"), argument(parameters, "InstanceName")
    instance = service.account.find(region, name)
    if instance is None:
        raise BusinessError("Forbidden.InstanceNotFound", "The specified instance does not exist.")
    return instance


def task_of(service: StandIn, parameters: Parameters) -> tuple[Instance, Task]:
    found = service.account.find_task(argument(parameters, "RegionCode"), argument(parameters, "TaskId"))
    if found is None or parameters.get("InstanceName") not in (None, "", found[0].name):
        raise BusinessError("DBS.DownloadTask.CannotFind", "The download task cannot be found.")
    return found
