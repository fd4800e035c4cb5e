# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""From when until when the state of an instance can be restored.

Source: DescribeLocalAvailableRecoveryTime in the API reference of RDS, 2014-08-15.
"""

from __future__ import annotations

import typing as t

from .backup_set import BackupSet, BackupSetQuery, instant, is_usable
from .backup_sets import list_backup_sets
from .lists import Expected

if t.TYPE_CHECKING:
    from .._transport.client import Client


def recoverable_window(
    client: Client,
    source: str,
    instance_name: str,
    region: str,
    warn: t.Callable[[str], t.Any],
) -> dict[str, t.Any]:
    """From when until when the state of an instance can be restored, and what tells so. Raises any BackupError.

    Of RDS instances the service says it, by backup sets and logs together. Of PolarDB clusters the oldest and the newest backup
    set tell it that can be used; logs may reach further, which nobody says. Both times are none where nothing can be restored.
    ``warn`` is told where something is lacking by which the window may be another one.
    """
    if source == "rds":
        return _by_service(client, instance_name, region)
    backups = list_backup_sets(
        client,
        source,
        instance_name,
        BackupSetQuery(region, status="success"),
        warn,
    )
    return _by_backup_sets(backups, instance_name, warn)


def _by_service(
    client: Client, instance_name: str, region: str
) -> dict[str, t.Any]:
    expected = Expected(
        "window of time",
        ("RecoveryBeginTime",),
        "DescribeLocalAvailableRecoveryTime",
        f"get the recoverable times of instance {instance_name!r} in region {region!r}",
    )
    response = client.call(
        expected.action,
        {"DBInstanceId": instance_name, "Region": region},
        operation=expected.operation,
    )
    given = [
        response.get(name, ...)
        for name in ("RecoveryBeginTime", "RecoveryEndTime")
    ]
    earliest, latest = map(instant, given)
    is_nothing = all(value in (None, "") for value in given)
    if not is_nothing and not (earliest and latest and earliest <= latest):
        raise expected.broken(response)
    return {"earliest": earliest, "latest": latest, "told_by": "service"}


def _by_backup_sets(
    backups: t.Sequence[BackupSet],
    instance_name: str,
    warn: t.Callable[[str], t.Any],
) -> dict[str, t.Any]:
    usable = list(filter(is_usable, backups))
    times = sorted(
        filter(
            None,
            (
                backup["consistent_time_iso"] or backup["backup_end_time"]
                for backup in usable
            ),
        )
    )
    if len(times) < len(usable):
        warn(
            f"The service returned no time of {len(usable) - len(times)} backup sets of "
            f"instance {instance_name!r}: the recoverable range may be larger than "
            "recoverable says."
        )
    return {
        "earliest": times[0] if times else None,
        "latest": times[-1] if times else None,
        "told_by": "backup_sets",
    }
