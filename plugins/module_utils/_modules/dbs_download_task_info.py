# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_task_info``: from its options to its result."""

from __future__ import annotations

import time
import typing as t

from .._dbs.download_tasks import (
    DownloadTaskQuery,
    Task,
    count_by_status,
    list_download_tasks,
)
from .._dbs.service import DBS
from .._dbs.task import FORMATS, STATES, TARGET_TYPES, canonical_state
from .._dbs.values import iso8601
from .._plugin.checks import (
    Choices,
    Options,
    check_choice,
    check_identifier,
    check_range,
    time_range,
)
from .._plugin.client import client_of
from .._plugin.options import (
    CONNECTION_SPEC,
    INSTANCE_NAME_SPEC,
    instance_names,
    region_of,
)
from .._plugin.query import QUERY_SPEC, Query
from .._plugin.runner import ModuleSpec, Runner
from .._transport.client import Client

MAX_PAGE_SIZE = 1000
MAX_LIMIT = 1_000_000

#: The largest number of tasks that a warning names.
_MAX_NAMED = 10

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "task_ids": {"type": "list", "elements": "str", "aliases": ["task_id"]},
    "status": {
        "type": "list",
        "elements": "str",
        "choices": Choices(STATES, canonical_state),
        "aliases": ["state", "states", "download_status"],
    },
    "backup_set_id": {"type": "str", "aliases": ["bak_set_id", "backup_id"]},
    "datasource_id": {"type": "str", "aliases": ["data_source_id"]},
    "cluster_name": {"type": "str"},
    "task_type": {"type": "str", "choices": ["full", "pitr"]},
    "start_time": {"type": "str"},
    "end_time": {"type": "str"},
    "target_type": {
        "type": "list",
        "elements": "str",
        "choices": Choices(TARGET_TYPES),
        "aliases": ["target_types"],
    },
    "format": {
        "type": "list",
        "elements": "str",
        "choices": Choices(FORMATS),
        "aliases": ["formats", "format_type"],
    },
    "order": {
        "type": "str",
        "choices": ["asc", "desc"],
        "default": "desc",
        "aliases": ["order_direct"],
    },
    "order_column": {
        "type": "str",
        "choices": ["gmt_create"],
        "default": "gmt_create",
    },
    "page_size": {"type": "int"},
    "current_page": {"type": "int", "aliases": ["page_number"]},
    "limit": {"type": "int"},
    **QUERY_SPEC,
    **CONNECTION_SPEC,
}


class TaskInfoRequest(t.NamedTuple):
    client: Client
    instance_names: t.Sequence[str]
    tasks: DownloadTaskQuery
    query: Query


class DownloadTaskInfo(Runner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)

    def parse(self, options: Options) -> TaskInfoRequest:
        return TaskInfoRequest(
            instance_names=instance_names(options),
            tasks=_query_of(options),
            query=Query.parse(options),
            client=client_of(options, DBS),
        )

    def run(self, request: TaskInfoRequest) -> dict[str, t.Any]:
        names = request.instance_names
        try:
            tasks = list_download_tasks(
                request.client, names, request.tasks, self._warn
            )
        finally:
            request.client.close()
        warn_of_expiry(tasks, self._warn)
        by_instance = dict.fromkeys(names, 0)
        for task in tasks:
            by_instance[task["instance_name"]] += 1
        result: dict[str, t.Any] = {
            "changed": False,
            "download_tasks": tasks,
            "count": len(tasks),
            "count_by_status": count_by_status(tasks),
            "count_by_instance": by_instance,
            "missing_task_ids": sorted(
                request.tasks.task_ids - {task["task_id"] for task in tasks}
            ),
        }
        return request.query.apply(result, self._warn)


def warn_of_expiry(
    tasks: t.Iterable[Task], warn: t.Callable[[str], t.Any]
) -> None:
    """Where less than a day may be left until the files of tasks are gone."""
    tomorrow = iso8601(round((time.time() + 86400) * 1000)) or ""
    soon = [
        f"{task['task_id']} ({task['expires_at']})"
        for task in tasks
        if (task["expires_at"] or tomorrow) < tomorrow
    ]
    if soon:
        more = (
            f" and {len(soon) - _MAX_NAMED} more"
            if len(soon) > _MAX_NAMED
            else ""
        )
        warn(
            "Files of these tasks may be deleted in less than a day, or are deleted "
            f"already: {', '.join(soon[:_MAX_NAMED])}{more}. They are kept for three "
            "days after the task finished, which the service does not return. They "
            "exist at least until the time in brackets."
        )


def _query_of(options: Options) -> DownloadTaskQuery:
    start_time, end_time = time_range(options)

    def chosen(option: str) -> frozenset[str]:
        choices = ARGUMENT_SPEC[option]["choices"]
        return frozenset(
            check_choice(option, value, choices)
            for value in options[option] or ()
        )

    def optional(option: str) -> t.Optional[str]:
        return (
            None
            if options[option] is None
            else check_identifier(option, options[option])
        )

    return DownloadTaskQuery(
        region=region_of(options),
        backup_set_id=optional("backup_set_id"),
        cluster_name=optional("cluster_name"),
        datasource_id=optional("datasource_id"),
        task_type=options["task_type"],
        start_time=start_time,
        end_time=end_time,
        states=chosen("status"),
        task_ids=frozenset(
            check_identifier("task_ids", value)
            for value in options["task_ids"] or ()
        ),
        target_types=frozenset(map(str.casefold, chosen("target_type"))),
        formats=frozenset(map(str.casefold, chosen("format"))),
        order=options["order"],
        order_column=options["order_column"],
        limit=check_range(options, "limit", 1, MAX_LIMIT),
        page_size=check_range(options, "page_size", 1, MAX_PAGE_SIZE),
        current_page=check_range(options, "current_page", 1, MAX_LIMIT),
    )
