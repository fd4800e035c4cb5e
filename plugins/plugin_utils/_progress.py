# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Progress of download tasks in plain lines for people."""

from __future__ import annotations

import typing as t

#: So many live tasks get a line of their own at an interval.
MAX_LINES = 10

Task = t.Mapping[str, t.Any]
Rates = t.Mapping[str, t.Mapping[str, t.Optional[float]]]


class ProgressLines:
    """Remembers what it has told."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def of(self, tasks: t.Iterable[Task], rates: Rates, elapsed: float) -> t.Iterator[str]:
        """Lines for tasks whose state is news, or else for those that are live. ``rates`` has the live ones."""
        tasks = sorted(tasks, key=lambda task: (task["gmt_create"] or 0, task["task_id"]))
        news = [task for task in tasks if self._told.get(task["task_id"]) != task["download_status"]]
        self._told.update((task["task_id"], task["download_status"]) for task in news)
        shown = news or [task for task in tasks if task["task_id"] in rates]
        for task in shown[:MAX_LINES]:
            yield line_of(task, rates.get(task["task_id"], {}), elapsed)
        if len(shown) > MAX_LINES or len(tasks) > MAX_LINES:
            yield f"{len(rates)} of {len(tasks)} download tasks are not done, {duration(elapsed)} elapsed"


def line_of(task: Task, rate: t.Mapping[str, t.Optional[float]], elapsed: float) -> str:
    """``dt-… of rm-…: running, 3/8 tables, 37.5 %, 1.5 tables/min, about 3m 20s left, 2m 05s elapsed``"""
    parts = [task["download_status"]]
    if task["progress_total"]:
        parts += [f"{task['progress']} tables", f"{task['progress_percent']:g} %"]
    if rate.get("tables_per_minute") is not None:
        parts.append(f"{rate['tables_per_minute']:g} tables/min")
    if rate.get("seconds_left") is not None:
        parts.append(f"about {duration(t.cast(float, rate['seconds_left']))} left")
    parts.append(f"{duration(elapsed)} elapsed")
    return f"{task['task_id']} of {task['instance_name']}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """``45s``, ``3m 20s``, ``2h 05m``"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"
