# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Which of the tasks that already exist the module continues with: for a new one, or to retry it."""

from __future__ import annotations

import typing as t

from .._dbs.creation import DownloadTasks, Match
from .._dbs.download_request import DownloadRequest
from .._dbs.download_tasks import Task
from .._dbs.lists import refuse_gap
from .._dbs.task import is_documented_format
from .task_checks import UnusableTaskError, check_named


def usable_match(
    request: DownloadRequest,
    known: t.Sequence[Match],
    on_uncertain: str,
    on_expired: str,
    warn: t.Callable[[str], t.Any],
) -> t.Optional[Match]:
    """Return the task to continue with, or none if one is to be created."""
    match = next(
        (
            match
            for match in known
            if on_uncertain != "create" or not match.uncertain
        ),
        None,
    )
    if not match:
        return None
    task = match.task
    if task["download_status"] == "expired" and on_expired == "create":
        return None
    check_named(task)
    if match.uncertain:
        listed = ", ".join(f"{name} {task[name]!r}" for name in match.uncertain)
        said = f"task {task['task_id']!r} may be the one for {request.described} in the format {request.format}, but it is listed with {listed}"
        if on_uncertain == "error" or (
            on_uncertain == "auto" and _is_unlikely(request, task)
        ):
            raise UnusableTaskError(
                said,
                hint="Set on_uncertain=reuse to use it, or on_uncertain=create to create and pay for another one",
            )
        warn(
            f"{said[0].upper()}{said[1:]}. It is used, and nothing was created: check that it is the right one."
        )
    if task["download_status"] == "expired":
        raise UnusableTaskError(
            f"task {task['task_id']!r} for {request.described} has expired: its files are gone",
            hint="Set on_expired=create to create and pay for a new one",
        )
    return match


def task_to_retry(
    tasks: DownloadTasks,
    task_id: t.Optional[str],
    backup_set_id: t.Optional[str],
    *,
    where: str,
) -> Task:
    """Return the task by its ID, or else the failed one of the instance, or else its newest."""
    known = tasks.all()
    if task_id:
        found = [task for task in known if task["task_id"] == task_id]
    else:
        known = [
            task
            for task in known
            if backup_set_id in (None, task["backup_set_id"])
        ]
        failed = [task for task in known if task["download_status"] == "failed"]
        found = failed or ([] if tasks.gap else known)
    if not found and tasks.gap:
        refuse_gap(tasks.gap)
    if not found:
        what = f"task {task_id!r}" if task_id else "download task"
        raise UnusableTaskError(
            f"{where} has no {what} to retry",
            hint="Check task_id, instance_name and region",
        )
    return found[0]


def _is_unlikely(request: DownloadRequest, task: Task) -> bool:
    """Return whether the task is listed under another format: its content would be of no use then."""
    return request.format == "qp.xb" and is_documented_format(task["format"])
