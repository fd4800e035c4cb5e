# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The result of ``dbs_download_task``."""

from __future__ import annotations

import typing as t

from .._dbs.download_tasks import Task


def task_result(
    action: str,
    task: Task,
    *,
    unblocked: t.Sequence[str],
    fee_per_gib: float,
    size: t.Optional[int] = None,
    uncertain: t.Sequence[str] = (),
    before: t.Optional[str] = None,
) -> dict[str, t.Any]:
    """Return the same keys whatever was done.

    ``unblocked``: IDs of blocking tasks that were retried. ``size``: of the backup set, in bytes.
    ``before``: what the diff shows; by default the task as it is.
    """
    fee = None if size is None else round(size / 2**30 * fee_per_gib, 4)
    return {
        "changed": action != "none" or bool(unblocked),
        "action": action,
        "task": task,
        "uncertain_fields": list(uncertain),
        "backup_set_size": size,
        "backup_set_size_is_estimate": False,
        "estimated_fee": fee,
        "blocking_task": None,
        "retried_blocking_task_ids": list(unblocked),
        "diff": {
            "before": diff_lines(task) if before is None else before,
            "after": diff_lines(task),
        },
    }


def diff_lines(task: Task) -> str:
    """Return a task as lines of a diff."""
    names = (
        "task_id",
        "download_status",
        "backup_set_id",
        "backup_set_time_iso",
        "format",
        "target_type",
        "target_path",
    )
    return "".join(f"{name}: {task.get(name)}\n" for name in names)
