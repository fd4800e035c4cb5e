# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The download task that check mode says would be created, so that the steps after its creation can be checked as well.

In check mode, its ID stands for a task that is finished, and the service is not asked for it. Otherwise it is an ID as any other.
"""

from __future__ import annotations

import typing as t

PREDICTED_ID = "dt-would-be-created"

#: Leads nowhere: no name that ends in .invalid exists (RFC 2606).
PREDICTED_LINK = f"https://{PREDICTED_ID}.invalid/{PREDICTED_ID}.tar.gz"

PREDICTED_WARNING = f"The task {PREDICTED_ID} does not exist yet: its values and its files are placeholders."


def is_predicted(task_id: t.Optional[str], check_mode: bool) -> bool:
    return check_mode and task_id == PREDICTED_ID


def predicted_task(
    instance_name: t.Optional[str], region: str, **raw: t.Any
) -> dict[str, t.Any]:
    """The task as the collection returns it. ``raw``: what is known of it, by the API's names."""
    # Whoever only has to know the ID need not load this.
    from .task import normalised

    unknown = dict.fromkeys(
        ("Format", "BakSetId", "BackupSetTime", "TargetType", "TargetPath")
    )
    return normalised(
        {
            **unknown,
            "DownloadStatus": "finished",
            "Progress": "0/0",
            **raw,
            "TaskId": PREDICTED_ID,
        },
        instance_name or "",
        region,
    )
