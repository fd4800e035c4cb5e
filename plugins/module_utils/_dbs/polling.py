# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The requests of one poll: one list request per instance, and which of their errors may pass."""

from __future__ import annotations

import re
import time
import typing as t

from .._base.errors import BackupError
from .._transport.errors import RetryAction, ServiceError, classify, is_outage
from . import tuning
from .download_tasks import DownloadTaskQuery, Task, ask_instances
from .lists import refuse_gap
from .task import TaskCache

if t.TYPE_CHECKING:
    from .._transport.client import Client
    from .wait_state import WaitState, WaitTarget


Responses = dict[str, t.Union[list[Task], BackupError]]


#: Codes and messages that say that a parameter, or one of the two times, is not accepted.
_REFUSES_TIMES = r"DBS\.ParamIsInValid|(start|end).?time"


class Poller:
    """Asks for the tasks of instances again and again. What it learns of the service is kept in ``known``."""

    def __init__(
        self, client: Client, target: WaitTarget, known: WaitState
    ) -> None:
        self._client = client
        self._target = target
        self._known = known
        self._parse = TaskCache().normalised

    def ask(self, live: t.Iterable[Task], missing: bool) -> Responses:
        """By instance, the tasks on the pages that had to be read, or an error that may pass.

        ``live``: the tasks that are waited for. ``missing``: whether others have to show up.
        Raises an error that does not pass. The first answer decides: until the service has answered well, no error passes.
        """
        known = self._known
        queries = self._queries(live, missing)
        bounded = {
            instance
            for instance, query in queries.items()
            if query.start_time is not None
        }
        responses = self._ask(queries)
        refused = {
            instance
            for instance in bounded
            if self._refuses_times(responses[instance])
        }
        if refused:
            unbounded = {
                instance: queries[instance]._replace(
                    start_time=None, end_time=None
                )
                for instance in refused
            }
            responses.update(self._ask(unbounded))
        good = {
            instance
            for instance, response in responses.items()
            if isinstance(response, list)
        }
        if good & bounded:
            known.takes_times = not good & refused
        for instance, response in responses.items():
            if isinstance(response, BackupError) and not self._may_pass(
                instance, response, bool(good)
            ):
                raise response
        known.answered = known.answered or bool(good)
        return responses

    def _ask(self, queries: t.Mapping[str, DownloadTaskQuery]) -> Responses:
        return ask_instances(
            self._client, queries, self._is_tolerable, self._on_gap, self._parse
        )

    def _on_gap(self, text: str) -> None:
        """What is not listed is missing if it was asked for by its ID; otherwise nobody would wait for it."""
        if not self._target.task_ids:
            refuse_gap(text)

    def _queries(
        self, live: t.Iterable[Task], missing: bool
    ) -> dict[str, DownloadTaskQuery]:
        """One for each instance that has tasks to wait for, or may have."""
        target, known = self._target, self._known
        by_instance: dict[str, list[Task]] = {}
        for task in live:
            by_instance.setdefault(task["instance_name"], []).append(task)
        queries = {}
        for instance in target.instance_names:
            if instance not in known.newest:
                queries[instance] = self._first_query()
            elif missing or instance in by_instance:
                queries[instance] = self._next_query(
                    instance, by_instance.get(instance, []), missing
                )
        return queries

    def _first_query(self) -> DownloadTaskQuery:
        target = self._target
        only = (
            next(iter(target.backup_set_ids))
            if len(target.backup_set_ids) == 1
            else None
        )
        return DownloadTaskQuery(
            target.region,
            task_ids=target.task_ids,
            backup_set_id=None if target.task_ids else only,
            cluster_name=target.cluster_name,
        )

    def _next_query(
        self, instance: str, tasks: t.Sequence[Task], missing: bool
    ) -> DownloadTaskQuery:
        known = self._known
        newest = known.newest[instance]
        since = [task["gmt_create"] for task in tasks]
        if missing:
            since.append(None if newest is None else newest - tuning.LATE)
        query = DownloadTaskQuery(
            self._target.region,
            # What is missing can only be new; all that is new is read.
            task_ids=frozenset()
            if missing
            else frozenset(task["task_id"] for task in tasks),
            cluster_name=self._target.cluster_name,
        )
        if None in since or known.takes_times is False:
            return query
        # Never one without the other, which may be refused.
        end = max(int(time.time() * 1000), newest or 0) + tuning.AHEAD
        return query._replace(start_time=min(since), end_time=end)

    def _is_tolerable(self, error: BackupError) -> bool:
        """Whether the other instances are still asked; ``ask`` decides what becomes of the error."""
        return is_outage(error) or self._refuses_times(error)

    def _may_pass(
        self, instance: str, error: BackupError, others_answer: bool
    ) -> bool:
        known = self._known
        if instance in known.newest:
            return is_outage(error)
        return (known.answered or others_answer) and classify(
            error
        ) is not RetryAction.NONE

    def _refuses_times(
        self, response: t.Union[list[Task], BackupError]
    ) -> bool:
        """Whether a request with StartTime and EndTime may have failed because of them."""
        if (
            not isinstance(response, ServiceError)
            or classify(response) is not RetryAction.NONE
        ):
            return False
        if re.search(
            _REFUSES_TIMES, f"{response.code} {response.message}", re.IGNORECASE
        ):
            return True
        # Without them it went well before: whatever the code, they may be what is new.
        return self._known.takes_times is None and bool(self._known.newest)
