# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What check mode predicts of a task that would be created: its result, with its size and what is in its way."""

from __future__ import annotations

import typing as t

from .._base.errors import BackupError
from .._dbs.creation import DownloadTasks, in_the_slot
from .._dbs.download_request import DownloadRequest
from .._dbs.download_tasks import Task
from .._dbs.wait_state import is_live
from .backup_sets import BackupSets
from .task_request import TaskRequest
from .task_result import task_result


def predicted_creation(
    options: TaskRequest,
    request: DownloadRequest,
    tasks: DownloadTasks,
    size: t.Optional[int],
    warn: t.Callable[[str], t.Any],
) -> dict[str, t.Any]:
    """Return the result that creating the task would have. ``size``: of its backup set, if it is known."""
    is_other_set = size is None and not request.backup_set_id
    if size is None:
        size = _estimated_size(options.backups, request, warn)
    blocking = in_the_slot(tasks.all())
    unblocked = []
    if blocking and not is_live(blocking) and options.on_blocked == "retry":
        unblocked.append(blocking["task_id"])
    else:
        _warn_of_slot(blocking, tasks.gap, options.wait_for_slot, warn)
    parameters = request.parameters().items()
    after = "".join(f"{name}: {value}\n" for name, value in parameters)
    return {
        **task_result(
            "create",
            request.predicted("finished" if options.wait else "initializing"),
            unblocked=unblocked,
            fee_per_gib=options.fee_per_gib,
            size=size,
        ),
        "backup_set_size_is_estimate": size is not None and is_other_set,
        "blocking_task": blocking,
        "diff": {"before": "", "after": after},
    }


def _estimated_size(
    backups: t.Optional[BackupSets],
    request: DownloadRequest,
    warn: t.Callable[[str], t.Any],
) -> t.Optional[int]:
    """Return the size of the backup set, or of the last one before the point in time, which is about as large.

    The list of backup sets needs another permission, so a failure is a warning.
    """
    if not backups:
        return None
    try:
        backup = backups.find(
            request.backup_set_id, before=request.point_in_time
        )
    except BackupError as error:
        warn(
            f"The size of the backup set and the fee are unknown: {error} Set backup_set_size or rds_endpoint."
        )
        return None
    return backup["backup_size"] if backup else None


def _warn_of_slot(
    blocking: t.Optional[Task],
    gap: str,
    waits: bool,
    warn: t.Callable[[str], t.Any],
) -> None:
    """Warn of a task that blocks, or may block, a new one. ``waits``: whether the module waits for its end."""
    if gap and not blocking:
        warn(f"{gap} A task that it did not return may block the new one.")
    if blocking and not is_live(blocking):
        warn(
            f"Task {blocking['task_id']!r} has failed: until it is retried, the service "
            "refuses to create another one for the instance, and the run will fail. "
            "Retry it with state=retried, or set wait_for_slot and on_blocked=retry."
        )
    elif blocking and not waits:
        warn(
            f"Task {blocking['task_id']!r} is {blocking['download_status']}: the service may refuse to create another one"
            " for the instance."
        )
