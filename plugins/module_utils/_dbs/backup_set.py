# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A backup set in one shape, whichever service lists it, and what is asked of an instance."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._base.text import MAX_NAME, printable, safe
from .times import milliseconds
from .values import integer, iso8601, snake_case

BackupSet = dict[str, t.Any]

METHODS = ("Physical", "Logical", "Snapshot")
MODES = ("Automated", "Manual")

_STATUSES = {
    "success": "success",
    "ok": "success",
    "failed": "failed",
    "error": "failed",
}
#: What is a text, or none, whichever service lists it.
_TEXTS = (
    "BackupId",
    "BackupMode",
    "BackupMethod",
    "BackupType",
    "Engine",
    "EngineVersion",
)


@dataclass(frozen=True)
class BackupSetQuery:
    """What is asked of an instance; none means any. Times are those of the start, in epoch milliseconds."""

    region: str
    backup_set_id: t.Optional[str] = None
    status: t.Optional[str] = None
    mode: t.Optional[str] = None
    method: t.Optional[str] = None
    start_time: t.Optional[int] = None
    end_time: t.Optional[int] = None

    def matches(self, backup: BackupSet) -> bool:
        # Asked again here, as not every service filters by everything, nor to the second.
        start = (
            milliseconds(backup["backup_start_time"])
            if backup["backup_start_time"]
            else None
        )
        # What tells no time is the service's choice.
        return (
            self.backup_set_id in (None, backup["backup_set_id"])
            and self.status in (None, backup["backup_status"])
            and self.mode in (None, backup["backup_mode"])
            and self.method in (None, backup["backup_method"])
            and (
                self.start_time is None
                or start is None
                or start >= self.start_time
            )
            and (
                self.end_time is None or start is None or start <= self.end_time
            )
        )


def is_usable(backup: BackupSet) -> bool:
    """Whether a backup set that succeeded is a full one that there is still."""
    return backup["is_avail"] is not False and backup["backup_type"] in (
        None,
        "FullBackup",
    )


def normalised(
    raw: t.Mapping[str, t.Any], instance_name: str, region: str
) -> BackupSet:
    """In the shape that both services share. Links that they issue are left out, or masked: they are as good as passwords."""
    shown = safe(raw)
    backup: BackupSet = {
        snake_case(name): value
        for name, value in shown.items()
        if "url" not in name.lower() and "link" not in name.lower()
    }
    backup.pop("db_instance_id", None)
    status = str(shown.get("BackupStatus") or "").lower()
    # In seconds, unlike other times. 0 is none.
    consistent = integer(raw.get("ConsistentTime"))
    for name in _TEXTS:
        value = shown.get(name)
        backup[snake_case(name)] = None if value in (None, "") else str(value)
    available = raw.get("IsAvail")
    backup.update(
        backup_set_id=backup["backup_id"],
        instance_name=instance_name,
        region_code=region,
        backup_status=_STATUSES.get(status, printable(status, MAX_NAME)),
        backup_size=integer(raw.get("BackupSize")),
        backup_start_time=instant(raw.get("BackupStartTime")),
        backup_end_time=instant(raw.get("BackupEndTime")),
        consistent_time=consistent or None,
        consistent_time_iso=iso8601(consistent * 1000) if consistent else None,
        is_avail=None
        if available in (None, "")
        else str(available).lower() in ("1", "true"),
    )
    return backup


def instant(text: object) -> t.Optional[str]:
    """ISO 8601 in UTC, to the second."""
    try:
        return iso8601(milliseconds(str(text))) if text else None
    except ValueError:
        return None
