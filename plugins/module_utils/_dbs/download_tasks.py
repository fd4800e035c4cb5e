# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The operation DescribeDownloadTask: the download tasks of instances.

Source: DescribeDownloadTask in the API reference of DBS, 2021-01-01.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.paging import Listing, Page
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.task import (
    STATES,
    UNDISPUTED_STATES,
    normalised,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.values import integer
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.concurrency import each_at_once
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import BackupError, ServiceError

if t.TYPE_CHECKING:
    from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client

RawTask = dict[str, t.Any]
Task = dict[str, t.Any]

#: Asked for where the user does not say: the service's maximum is not documented, and it may give less.
DEFAULT_PAGE_SIZE = 100
_REFUSALS_OF_A_PAGE_SIZE = ("DBS.ParamIsInValid",)


@dataclass(frozen=True)
class DownloadTaskQuery:
    """What is asked of each instance. Empty means any.

    The service filters by ``backup_set_id``, ``cluster_name``, ``datasource_id``, ``task_type``, ``start_time`` and
    ``end_time`` (epoch milliseconds of the creation), and by a single state; the rest is filtered here.
    ``order``: ``desc`` (newest first) or ``asc``. ``limit``: of tasks of all instances together.
    ``current_page``: this page only.
    """

    region: str
    backup_set_id: t.Optional[str] = None
    cluster_name: t.Optional[str] = None
    datasource_id: t.Optional[str] = None
    task_type: t.Optional[str] = None
    start_time: t.Optional[int] = None
    end_time: t.Optional[int] = None
    states: frozenset[str] = frozenset()
    task_ids: frozenset[str] = frozenset()
    target_types: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    order: str = "desc"
    order_column: t.Optional[str] = None
    limit: t.Optional[int] = None
    page_size: t.Optional[int] = None
    current_page: t.Optional[int] = None

    def wants(self, task: Task) -> bool:
        return (
            (not self.states or task["download_status"] in self.states)
            and (not self.task_ids or task["task_id"] in self.task_ids)
            and (not self.target_types or str(task["target_type"]).casefold() in self.target_types)
            and (not self.formats or str(task["format"]).casefold() in self.formats)
        )

    def is_answered_by(self, tasks: t.Collection[Task]) -> bool:
        """Whether more pages cannot change the result."""
        if self.limit is not None and sum(map(self.wants, tasks)) >= self.limit:
            return True
        return bool(self.task_ids) and self.task_ids.issubset({task["task_id"] for task in tasks})

    @property
    def stops_early(self) -> bool:
        return self.limit is not None or bool(self.task_ids)

    def parameters(self) -> dict[str, str]:
        """The API's, but for the instance and the page."""
        parameters = {
            "RegionCode": self.region,
            "BackupSetId": self.backup_set_id,
            "ClusterName": self.cluster_name,
            "DatasourceId": self.datasource_id,
            "TaskType": self.task_type,
            "StartTime": self.start_time,
            "EndTime": self.end_time,
            "OrderColumn": self.order_column,
            # In ascending order a new task comes after all others, and moves none to another page.
            "OrderDirect": self.order if self.stops_early or self.current_page else "asc",
        }
        if len(self.states) == 1 and self.states <= UNDISPUTED_STATES:
            parameters["State"] = next(iter(self.states))
        return {name: str(value) for name, value in parameters.items() if value is not None}


def list_download_tasks(client: Client, instance_names: t.Sequence[str], query: DownloadTaskQuery) -> list[Task]:
    """The tasks of all the instances that the query wants, in its order. Raises any BackupError."""
    answers = ask_instances(client, dict.fromkeys(instance_names, query))
    tasks = [task for answer in answers.values() for task in t.cast("list[Task]", answer) if query.wants(task)]
    sign = -1 if query.order == "desc" else 1
    tasks.sort(key=lambda task: (sign * (task["gmt_create"] or 0), task["instance_name"], task["task_id"] or ""))
    return tasks[: query.limit]


def ask_instances(
    client: Client,
    queries: t.Mapping[str, DownloadTaskQuery],
    tolerate: t.Callable[[BackupError], bool] = lambda error: False,
) -> dict[str, t.Union[list[Task], BackupError]]:
    """By instance, the tasks on the pages that its query had to read, or the error if that is tolerated.

    At most ``client.max_connections`` requests are under way at a time. Raises the first error that is not tolerated.
    """
    pages = ThreadPoolExecutor(client.max_connections)

    def ask(name: str) -> t.Union[list[Task], BackupError]:
        try:
            return _InstanceTasks(client, name, queries[name]).list(pages)
        except BackupError as error:
            if not tolerate(error):
                raise
            return error

    try:
        return dict(zip(queries, each_at_once(ask, queries, client)))
    finally:
        pages.shutdown(wait=False, cancel_futures=True)


def count_by_state(tasks: t.Iterable[Task]) -> dict[str, int]:
    """With a zero for each known state that none is in."""
    counts = dict.fromkeys(STATES, 0)
    for task in tasks:
        counts[task["download_status"]] = counts.get(task["download_status"], 0) + 1
    return counts


class _InstanceTasks:
    """The pages of one instance."""

    def __init__(self, client: Client, instance_name: str, query: DownloadTaskQuery) -> None:
        self._client = client
        self._instance_name = instance_name
        self._query = query
        self._parameters = dict(query.parameters(), InstanceName=instance_name)
        self._page_size: t.Optional[int] = query.page_size or DEFAULT_PAGE_SIZE

    def list(self, executor: ThreadPoolExecutor) -> list[Task]:
        query = self._query
        if query.current_page:
            return [self._read(raw) for raw in self._page(query.current_page).items]
        listing = Listing(
            self._page,
            self._read,
            identify=lambda task: task["task_id"] or repr(sorted(task.items())),
            executor=None if query.stops_early else executor,
            ahead=2 * self._client.max_connections,
            enough=query.is_answered_by if query.stops_early else None,
        )
        return listing.all()

    def _read(self, raw: RawTask) -> Task:
        return normalised(raw, self._instance_name, self._query.region)

    def _page(self, number: int) -> Page[RawTask]:
        try:
            return self._fetch(number)
        except ServiceError as error:
            if self._query.page_size or not self._page_size or error.code not in _REFUSALS_OF_A_PAGE_SIZE:
                raise
        self._page_size = None
        return self._fetch(number)

    def _fetch(self, number: int) -> Page[RawTask]:
        parameters = dict(self._parameters, CurrentPage=str(number))
        if self._page_size:
            parameters["PageSize"] = str(self._page_size)
        answer = self._client.call(
            "DescribeDownloadTask",
            parameters,
            asked=f"list the download tasks of instance {self._instance_name!r} in region {self._query.region!r}",
        )
        data = answer.get("Data")
        data = data if isinstance(data, dict) else {"Content": data}
        content = data.get("Content")
        raw = content.get("List") if isinstance(content, dict) else content
        return Page(
            number,
            [task for task in (raw if isinstance(raw, list) else ()) if isinstance(task, dict)],
            size=integer(data.get("PageSize", data.get("Size"))),
            total=integer(data.get("TotalElements")),
            pages=integer(data.get("TotalPages")),
        )
