# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a job that waits for download tasks reports: changes of their states, and how far they are.

A report names at most MAX_LINES tasks of each kind. So it stays small, however many tasks there
are.
"""

from __future__ import annotations

import collections
import heapq
import typing as t

from .._dbs.download_tasks import Task
from .._dbs.wait_state import Verdict
from .._dbs.waiting import Waiter

#: Tasks that get a line of their own at a time.
MAX_LINES = 10


class TaskProgress:
    """Numbers the changes of states. A reader has seen all changes up to some number."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[t.Optional[str], int]] = {}
        self._changes: collections.deque[tuple[int, dict[str, t.Any]]]
        self._changes = collections.deque(maxlen=MAX_LINES)
        self.changed = 0

    def update(self, waiter: Waiter, prefix: str = "") -> dict[str, t.Any]:
        """Return the progress after a poll. ``prefix`` begins each line."""
        tasks = waiter.known.tasks.values()
        live_tasks = waiter.tasks(Verdict.RETRY)
        live = {task["task_id"] for task in live_tasks}
        retried = waiter.known.retried
        changed = [
            task
            for task in tasks
            if self._has_changed(task, retried.get(task["task_id"], 0))
        ]
        for task in sorted(changed, key=_age):
            self.changed += 1
            self._changes.append((self.changed, _line(task, waiter, live)))
        shown = heapq.nsmallest(MAX_LINES, live_tasks, key=_age)
        return {
            "changes": list(self._changes),
            "changed": self.changed,
            "live": [_line(task, waiter, live) for task in shown],
            "live_count": len(live),
            "count": len(tasks),
            "are_many": len(tasks) > MAX_LINES,
            "outage": str(waiter.outage) if waiter.outage else None,
            "prefix": prefix,
        }

    def _has_changed(self, task: Task, retries: int) -> bool:
        """Return whether the state of a task differs from the one before, and keep it."""
        state = task["download_status"], retries
        before = self._states.get(task["task_id"])
        self._states[task["task_id"]] = state
        return before != state


def _age(task: Task) -> tuple[int, str]:
    return task["gmt_create"] or 0, task["task_id"]


def _line(
    task: Task, waiter: Waiter, live: t.Container[str]
) -> dict[str, t.Any]:
    rate = waiter.progress(task) if task["task_id"] in live else {}
    return {
        "task_id": task["task_id"],
        "instance_name": task["instance_name"],
        "status": task["download_status"],
        "tables": task["progress"] if task["progress_total"] else None,
        "percent": task["progress_percent"],
        "retries": waiter.known.retried.get(task["task_id"], 0),
        "tables_per_minute": rate.get("tables_per_minute"),
        "seconds_left": rate.get("seconds_left"),
    }
