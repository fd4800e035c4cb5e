# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Whether a download task that exists can be used, and how it is shown."""

from __future__ import annotations

import typing as t

from .._base.errors import BackupError
from .._dbs.download_request import DownloadRequest
from .._dbs.download_tasks import Task
from .._dbs.lists import IncompleteListError


class UnusableTaskError(BackupError):
    """A task that was found is not as it must be."""

    kind = "state"


def check_named(task: Task) -> None:
    """Raise UnusableTaskError for a task without an ID."""
    if not task["task_id"]:
        raise UnusableTaskError(
            f"the service lists a task of instance {task['instance_name']!r} that is "
            f"{task['download_status']} and has no ID: it cannot be used or retried. "
            "Nothing was created",
            hint="Look for it in the console, and report it to Alibaba Cloud",
        )


def unlisted_task_error(
    request: DownloadRequest, gap: str
) -> IncompleteListError:
    """Return the error for a list that may lack a task for the request. ``gap``: what it lacks."""
    error = IncompleteListError(
        gap,
        hint="Run it again, or set on_uncertain=create to create and pay for a task anyway",
    )
    error.operation = request.operation
    return error


def doubt_about(operation: str) -> str:
    """Return a sentence on an operation whose effect is not known; empty if there is none."""
    if not operation:
        return ""
    return f"It is unknown whether this was done: {operation}. Run it again: it checks first, and does nothing twice."


def warn_of_difference(
    request: DownloadRequest, task: Task, warn: t.Callable[[str], t.Any]
) -> None:
    """Warn of a new task that is not as it was requested."""
    compared = request.compare(task)
    other = [name for name in compared if compared[name] is False]
    if other:
        listed = ", ".join(f"{name} {task[name]!r}" for name in other)
        warn(
            f"The service returned the new task {task['task_id']!r} with {listed}, "
            "which is not what was requested: another run may not recognise it, and "
            "may create and pay for another one."
        )
