# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The operation DescribeDownloadTask: the download tasks of instances.

Source: DescribeDownloadTask in the API reference of DBS, 2021-01-01.
"""

from __future__ import annotations

import re
import threading
import typing as t

from .._base.errors import BackupError
from .._transport.concurrency import map_concurrently
from .._transport.errors import ServiceError
from . import tuning
from .lists import Expected, Page
from .task import STATES, UNDISPUTED_STATES, normalised
from .values import integer

if t.TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from .._transport.client import Client


RawTask = dict[str, t.Any]
Task = dict[str, t.Any]
#: Makes a task of what is listed, of an instance, in a region.
ParseTask = t.Callable[[RawTask, str, str], Task]


class DownloadTaskQuery(t.NamedTuple):
    """What is asked of each instance. Empty means any.

    The service filters by ``backup_set_id``, ``cluster_name``, ``datasource_id``, ``task_type``, ``start_time`` and
    ``end_time`` (epoch milliseconds of the creation, both inclusive), and by a single state; the rest is filtered here. So are
    times, as the service may ignore them; a task that tells none is kept.
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

    def matches(self, task: Task) -> bool:
        created = task["gmt_create"]
        return (
            (not self.states or task["download_status"] in self.states)
            and (not self.task_ids or task["task_id"] in self.task_ids)
            and (
                not self.target_types
                or str(task["target_type"]).casefold() in self.target_types
            )
            and (
                not self.formats
                or str(task["format"]).casefold() in self.formats
            )
            and (
                self.start_time is None
                or created is None
                or created >= self.start_time
            )
            and (
                self.end_time is None
                or created is None
                or created <= self.end_time
            )
        )

    @property
    def state_for_the_service(self) -> t.Optional[str]:
        """It filters by one state, and by those alone whose spelling is beyond doubt."""
        return (
            next(iter(self.states))
            if len(self.states) == 1 and self.states <= UNDISPUTED_STATES
            else None
        )

    def parameters(self) -> dict[str, str]:
        """The API's, but for the instance and the page. Times are a millisecond wider, as the service's may be exclusive."""
        parameters = {
            "RegionCode": self.region,
            "BackupSetId": self.backup_set_id,
            "ClusterName": self.cluster_name,
            "DatasourceId": self.datasource_id,
            "TaskType": self.task_type,
            "StartTime": None
            if self.start_time is None
            else self.start_time - 1,
            "EndTime": None if self.end_time is None else self.end_time + 1,
            "OrderColumn": self.order_column,
        }
        return {
            name: str(value)
            for name, value in parameters.items()
            if value is not None
        }


def list_download_tasks(
    client: Client,
    instance_names: t.Sequence[str],
    query: DownloadTaskQuery,
    warn: t.Callable[[str], t.Any] = lambda text: None,
) -> list[Task]:
    """The tasks of all the instances that the query wants, in its order. Raises any BackupError.

    ``warn`` is told where the service gives fewer than it announces.
    """
    responses = ask_instances(
        client, dict.fromkeys(instance_names, query), warn=warn
    )
    tasks = [
        task
        for response in responses.values()
        for task in t.cast("list[Task]", response)
        if query.matches(task)
    ]
    sign = -1 if query.order == "desc" else 1
    tasks.sort(
        key=lambda task: (
            sign * (task["gmt_create"] or 0),
            task["instance_name"],
            task["task_id"] or "",
        )
    )
    return tasks[: query.limit]


def ask_instances(
    client: Client,
    queries: t.Mapping[str, DownloadTaskQuery],
    tolerate: t.Callable[[BackupError], bool] = lambda error: False,
    warn: t.Callable[[str], t.Any] = lambda text: None,
    parse: ParseTask = normalised,
) -> dict[str, t.Union[list[Task], BackupError]]:
    """By instance, the tasks on the pages that its query had to read, or the error if that is tolerated.

    At most ``client.max_connections`` requests are under way at a time. Raises the first error that is not tolerated.
    """
    executors: list[ThreadPoolExecutor] = []
    #: Guards the list of executors: threads of several instances may need the first one at once.
    lock = threading.Lock()
    found_ids: set[t.Any] = set()

    def pages() -> ThreadPoolExecutor:
        """One for all instances, once the first of them has more than a page."""
        from concurrent.futures import ThreadPoolExecutor  # often not needed

        with lock:
            if not executors:
                executors.append(ThreadPoolExecutor(client.max_connections))
            return executors[0]

    def ask(name: str) -> t.Union[list[Task], BackupError]:
        try:
            return _InstanceTasks(
                client, name, queries[name], found_ids, warn, parse
            ).read(pages)
        except BackupError as error:
            if not tolerate(error):
                raise
            return error

    try:
        return dict(zip(queries, map_concurrently(ask, queries, client)))
    finally:
        for executor in executors:
            executor.shutdown(wait=False, cancel_futures=True)


def count_by_status(tasks: t.Iterable[Task]) -> dict[str, int]:
    """With a zero for each known state that none is in."""
    counts = dict.fromkeys(STATES, 0)
    for task in tasks:
        state = task["download_status"] or "unknown"
        counts[state] = counts.get(state, 0) + 1
    return counts


class _InstanceTasks:
    """The pages of one instance. ``found_ids`` are those of all the instances that are read at the same time."""

    def __init__(
        self,
        client: Client,
        instance_name: str,
        query: DownloadTaskQuery,
        found_ids: set[t.Any],
        warn: t.Callable[[str], t.Any],
        parse: ParseTask,
    ) -> None:
        self._client = client
        self._instance_name = instance_name
        self._query = query
        self._found_ids = found_ids
        self._warn = warn
        self._parse = parse
        self._expected = Expected(
            "list of download tasks",
            ("Data", "Content", "List"),
            "DescribeDownloadTask",
            f"list the download tasks of instance {instance_name!r} in region {query.region!r}",
            absent_is_empty=True,
        )
        self._parameters = dict(query.parameters(), InstanceName=instance_name)
        self._page_size: t.Optional[int] = (
            query.page_size or tuning.DEFAULT_PAGE_SIZE
        )

    def read(self, executor: t.Callable[[], ThreadPoolExecutor]) -> list[Task]:
        """All that the service may have for the query; what it does not filter is still among it.

        Often the first page in the query's order is enough. If not, all pages are read in ascending order, in which a new
        task comes after all others and moves none to another page; and without a filter by state, as tasks would leave
        the list while it is read. Of a limit, pages are read one after the other, for the same reason.
        """
        query = self._query
        ordered = dict(self._parameters, OrderDirect=query.order)
        state = query.state_for_the_service
        if query.current_page:
            parameters = dict(ordered, State=state) if state else ordered
            return [
                self._made(raw)
                for raw in self._page(parameters, query.current_page).items
            ]
        first: t.Optional[Page] = None
        if query.limit or query.task_ids or state:
            first = self._page(
                dict(ordered, State=state) if state else ordered, 1
            )
            tasks = [self._made(raw) for raw in first.items]
            if self._is_enough(tasks) or not first.has_next(len(tasks)):
                return tasks
            first = None if state else first
        if query.task_ids:
            return self._listed(ordered, first, executor)
        if query.limit and not (
            first and first.total and first.total <= query.limit
        ):
            return self._listed(ordered, first, None)
        return self._listed(dict(ordered, OrderDirect="asc"), None, executor)

    def _listed(
        self,
        parameters: t.Mapping[str, str],
        first: t.Optional[Page],
        executor: t.Optional[t.Callable[[], ThreadPoolExecutor]],
    ) -> list[Task]:
        first = first or self._page(parameters, 1)
        if not first.has_next(len(first.items)):
            tasks = [self._made(raw) for raw in first.items]
            if len({task["task_id"] for task in tasks}) == len(tasks):
                return tasks
        # Most lists have one page.
        from .paging import Paginator, tell_gap

        listing = Paginator(
            lambda number: self._page(parameters, number),
            self._made,
            identify=lambda task: task["task_id"] or repr(sorted(task.items())),
            executor=executor,
            ahead=2 * self._client.max_connections,
            enough=self._is_enough
            if self._query.task_ids or (self._query.limit and not executor)
            else None,
            first=first,
        )
        tasks = listing.all()
        tell_gap(
            listing,
            f"download tasks of instance {self._instance_name!r}",
            len(tasks),
            self._warn,
        )
        return tasks

    def _is_enough(self, tasks: t.Collection[Task]) -> bool:
        """Whether more pages cannot change the result."""
        query = self._query
        if query.task_ids:
            self._found_ids.update(task["task_id"] for task in tasks)
            return query.task_ids <= self._found_ids
        return (
            query.limit is not None
            and sum(map(query.matches, tasks)) >= query.limit
        )

    def _made(self, raw: RawTask) -> Task:
        return self._parse(raw, self._instance_name, self._query.region)

    def _page(self, parameters: t.Mapping[str, str], number: int) -> Page:
        try:
            return self._fetch(parameters, number)
        except ServiceError as error:
            if (
                self._query.page_size
                or not self._page_size
                or number > 1
                or not _refuses_page_size(error)
            ):
                raise
        # How many a page can have is not documented. The size by default is always taken.
        self._page_size = None
        return self._fetch(parameters, number)

    def _fetch(self, parameters: t.Mapping[str, str], number: int) -> Page:
        parameters = dict(parameters, CurrentPage=str(number))
        if self._page_size:
            parameters["PageSize"] = str(self._page_size)
        response = self._client.call(
            "DescribeDownloadTask",
            parameters,
            operation=self._expected.operation,
        )
        data = response.get("Data")
        data = data if isinstance(data, dict) else {}
        return self._expected.page(
            response,
            number,
            # One of the documented samples calls it Size.
            size=integer(data.get("PageSize", data.get("Size"))),
            total=data.get("TotalElements"),
            pages=integer(data.get("TotalPages")),
        )


def _refuses_page_size(error: ServiceError) -> bool:
    return error.code == "DBS.ParamIsInValid" or bool(
        re.search(r"page.?size", f"{error.code} {error.message}", re.I)
    )
