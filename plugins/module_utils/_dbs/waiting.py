# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Waiting for download tasks: a table of states, one list request per instance and poll, pauses that follow progress."""

from __future__ import annotations

import enum
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.download_tasks import (
    DownloadTaskQuery,
    Task,
    ask_instances,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import BackupError, Remedy, remedy_of

if t.TYPE_CHECKING:
    from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client


class Verdict(enum.Enum):
    SUCCESS = "success"
    FAILURE = "failure"
    RETRY = "retry"


#: A task that shows up late may have been created so many milliseconds before the newest one that was seen.
LATE = 3_600_000

#: Any other state, also one that nobody knows, may still change.
VERDICTS = {"finished": Verdict.SUCCESS, "failed": Verdict.FAILURE, "expired": Verdict.FAILURE}


def is_live(task: Task) -> bool:
    return VERDICTS.get(task["download_status"], Verdict.RETRY) is Verdict.RETRY


class Ending(enum.Enum):
    """Why waiting ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    SLICE_OVER = "slice over"


@dataclass(frozen=True)
class Selection:
    """What to wait for on these instances: tasks by ID, the newest task of each backup set, or else all that are live."""

    region: str
    instance_names: tuple[str, ...]
    task_ids: frozenset[str] = frozenset()
    backup_set_ids: frozenset[str] = frozenset()
    cluster_name: t.Optional[str] = None

    @property
    def wanted(self) -> frozenset[str]:
        """IDs that have to show up."""
        return self.task_ids or self.backup_set_ids


@dataclass(frozen=True)
class WaitPolicy:
    """Times in seconds. ``any_end``: a task that failed or expired is done as well."""

    timeout: float
    interval: float
    interval_max: float
    appear_timeout: float
    outage_timeout: float
    any_end: bool = False
    ignore_missing: bool = False
    fail_fast: bool = True

    def verdict(self, task: Task) -> Verdict:
        verdict = VERDICTS.get(task["download_status"], Verdict.RETRY)
        return Verdict.SUCCESS if self.any_end and verdict is Verdict.FAILURE else verdict


@dataclass
class Knowledge:
    """All that is known so far; ``dataclasses.asdict`` of it can be stored, and be taken up again.

    ``tasks`` by ID. ``first_progress`` by ID: the elapsed seconds and finished tables when progress was first seen.
    ``newest`` by instance: the creation of its newest task, in epoch milliseconds. ``unseen_since``: elapsed
    seconds. ``outage_since``: the same, by instances that do not answer. ``pause``: seconds to the next poll.
    """

    elapsed: float = 0.0
    polls: int = 0
    pause: float = 0.0
    tasks: dict[str, Task] = field(default_factory=dict)
    first_progress: dict[str, list[float]] = field(default_factory=dict)
    newest: dict[str, t.Optional[int]] = field(default_factory=dict)
    unseen_since: float = 0.0
    outage_since: dict[str, float] = field(default_factory=dict)


class Waiting:
    def __init__(
        self, client: Client, selection: Selection, policy: WaitPolicy, known: t.Optional[Knowledge] = None
    ) -> None:
        self._client = client
        self.selection = selection
        #: Why the last poll, or a part of it, failed; none if it did not.
        self.outage: t.Optional[BackupError] = None
        self._policy = policy
        self.known = known or Knowledge()
        self._began = time.monotonic() - self.known.elapsed
        client.deadline = self._began + policy.timeout

    # What is known

    def tasks(self, *verdicts: Verdict) -> list[Task]:
        """Those with one of the verdicts, or all; the newest first."""
        tasks = [task for task in self.known.tasks.values() if not verdicts or self._policy.verdict(task) in verdicts]
        return sorted(tasks, key=lambda task: (-(task["gmt_create"] or 0), task["task_id"]))

    def missing(self) -> list[str]:
        """IDs that were asked for and have not shown up."""
        seen = set(self.known.tasks)
        if self.selection.backup_set_ids and not self.selection.task_ids:
            seen = {task["bak_set_id"] for task in self.known.tasks.values()}
        return sorted(self.selection.wanted - seen)

    def progress(self, task: Task) -> dict[str, t.Optional[float]]:
        """Tables per minute, and the seconds that are left at that rate; none where nobody can say."""
        elapsed, done = self.known.first_progress.get(task["task_id"], (0.0, 0.0))
        advanced = (task["progress_done"] or 0) - done
        seconds = self.known.elapsed - elapsed
        if advanced <= 0 or seconds <= 0:
            return {"tables_per_minute": None, "seconds_left": None}
        rate = advanced / seconds
        left = (task["progress_total"] or 0) - (task["progress_done"] or 0)
        return {"tables_per_minute": round(60 * rate, 2), "seconds_left": round(left / rate, 1)}

    # Waiting

    def run(self, slice_seconds: t.Optional[tuple[float, float]] = None) -> Ending:
        """Poll until it ends. Raises a BackupError that no waiting can cure.

        ``slice_seconds``: end earlier, after the first number of seconds if a state changed, after the second anyway.
        """
        began = time.monotonic()
        changed = False
        while True:
            self._sleep(self.known.pause)
            changed = self.poll() or changed
            ending = self._ending()
            if ending:
                return ending
            self.known.pause = self._next_pause()
            if slice_seconds:
                spent = time.monotonic() - began
                if spent + self.known.pause > slice_seconds[1] or (changed and spent >= slice_seconds[0]):
                    return Ending.SLICE_OVER

    def poll(self) -> bool:
        """Ask once; whether a state changed."""
        known = self.known
        queries = self._queries()
        answers = ask_instances(self._client, queries, lambda error: remedy_of(error) is not Remedy.NONE)
        known.polls += 1
        known.elapsed = time.monotonic() - self._began
        before = {task_id: task["download_status"] for task_id, task in known.tasks.items()}
        self.outage = None
        for instance, answer in answers.items():
            if isinstance(answer, BackupError):
                self._survive(instance, answer)
            else:
                known.outage_since.pop(instance, None)
                self._learn(instance, answer)
        if not self.missing():
            known.unseen_since = known.elapsed
        return before != {task_id: task["download_status"] for task_id, task in known.tasks.items()}

    def _queries(self) -> dict[str, DownloadTaskQuery]:
        """One for each instance that has tasks to wait for, or may have."""
        selection, known = self.selection, self.known
        missing = self.missing()
        live: dict[str, list[Task]] = {}
        for task in self.tasks(Verdict.RETRY):
            live.setdefault(task["instance_name"], []).append(task)
        queries = {}
        for instance in selection.instance_names:
            if instance not in known.newest:
                queries[instance] = self._first_query()
            elif missing or instance in live:
                tasks = live.get(instance, [])
                since = [task["gmt_create"] for task in tasks]
                if missing:
                    newest = known.newest[instance]
                    since.append(None if newest is None else newest - LATE)
                queries[instance] = DownloadTaskQuery(
                    selection.region,
                    # What is missing can only be new; all that is new is read.
                    task_ids=frozenset() if missing else frozenset(task["task_id"] for task in tasks),
                    start_time=None if None in since else min(since),
                    cluster_name=selection.cluster_name,
                )
        return queries

    def _first_query(self) -> DownloadTaskQuery:
        selection = self.selection
        only = next(iter(selection.backup_set_ids)) if len(selection.backup_set_ids) == 1 else None
        return DownloadTaskQuery(
            selection.region,
            task_ids=selection.task_ids,
            backup_set_id=None if selection.task_ids else only,
            cluster_name=selection.cluster_name,
        )

    def _learn(self, instance: str, tasks: t.Sequence[Task]) -> None:
        """Take the news of tasks that are waited for."""
        selection, known = self.selection, self.known
        is_first = instance not in known.newest
        created = [task["gmt_create"] for task in tasks if task["gmt_create"] is not None]
        known.newest[instance] = max([*created, known.newest.get(instance) or 0]) or None
        missing = set(self.missing())
        # The task that is meant may not be listed yet, beside an old one that has expired.
        is_early = known.elapsed - known.unseen_since < self._policy.appear_timeout
        for task in sorted(tasks, key=lambda task: -(task["gmt_create"] or 0)):
            task_id = task["task_id"]
            if selection.task_ids:
                wanted = task_id in selection.task_ids
            elif selection.backup_set_ids:
                wanted = task_id in known.tasks or (
                    task["bak_set_id"] in missing and not (is_early and task["download_status"] == "expired")
                )
                missing.discard(task["bak_set_id"])
            else:
                wanted = task_id in known.tasks or (is_first and is_live(task))
            if wanted:
                known.tasks[task_id] = task
                if task["progress_total"]:
                    first = known.first_progress.setdefault(task_id, [known.elapsed, task["progress_done"]])
                    if task["progress_done"] < first[1]:  # it was begun again
                        known.first_progress[task_id] = [known.elapsed, task["progress_done"]]

    def _survive(self, instance: str, error: BackupError) -> None:
        """An outage is lived through for a while."""
        self.outage = error
        since = self.known.outage_since.setdefault(instance, max(0.0, self.known.elapsed - error.elapsed))
        out = self.known.elapsed - since
        if out >= self._policy.outage_timeout:
            error.hint = f"{error.hint.rstrip('.')}. " if error.hint else ""
            error.hint += f"This went on for {out:.0f} seconds while waiting: raise total_timeout to live through more"
            raise error

    def _ending(self) -> t.Optional[Ending]:
        """Why it is over now; none if it is not."""
        policy, known = self._policy, self.known
        failed = bool(self.tasks(Verdict.FAILURE))
        missing = self.missing()
        is_gone = known.elapsed - known.unseen_since >= policy.appear_timeout
        failed = failed or (bool(missing) and is_gone and not policy.ignore_missing)
        pending = bool(self.tasks(Verdict.RETRY)) or (bool(missing) and not is_gone)
        if not pending and not known.outage_since:
            return Ending.FAILED if failed else Ending.DONE
        if failed and policy.fail_fast:
            return Ending.FAILED
        return Ending.TIMED_OUT if known.elapsed >= policy.timeout else None

    def _next_pause(self) -> float:
        """Short when progress says that the end is near, long while a task prepares, never past the time-out."""
        policy, known = self._policy, self.known
        estimates = [self.progress(task)["seconds_left"] for task in self.tasks(Verdict.RETRY)]
        pause = min((left / 2 for left in estimates if left is not None), default=known.elapsed / 4)
        if self.missing() or known.outage_since:
            pause = policy.interval
        pause = min(max(pause, policy.interval), policy.interval_max)
        return max(0.0, min(pause, policy.timeout - (time.monotonic() - self._began)))

    @staticmethod
    def _sleep(seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)
