# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The backup sets of an instance: of RDS by DescribeBackups, of PolarDB by DescribeBackupDataList, in one shape.

Sources: DescribeBackups in the API reference of RDS, 2014-08-15; DescribeBackupDataList in that of DBS, 2021-01-01.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from .._base.text import MAX_NAME, printable, safe
from .._transport.endpoints import Service
from .instances import kind_of
from .lists import Expected, IncompleteListError, Page
from .paging import Paginator, tell_gap
from .service import DBS, RDS
from .times import milliseconds
from .values import integer, iso8601, snake_case

if t.TYPE_CHECKING:
    from .._transport.client import Client


BackupSet = dict[str, t.Any]

METHODS = ("Physical", "Logical", "Snapshot")
MODES = ("Automated", "Manual")

_STATUSES = {
    "success": "success",
    "ok": "success",
    "failed": "failed",
    "error": "failed",
}


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
        """Asked again here, as not every service filters by everything, nor to the second."""
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


class _Source(t.NamedTuple):
    """How one of the services lists backup sets."""

    service: Service
    action: str
    page_size: int
    parameters: t.Callable[[str, BackupSetQuery], dict[str, t.Optional[str]]]
    path: tuple[str, ...]
    #: The numbers of all items, of those on a page, and of pages, as the answer states them; none where it does not.
    counts: t.Callable[[t.Mapping[str, t.Any]], tuple[t.Any, t.Any, t.Any]]


def _rds_parameters(
    instance_name: str, query: BackupSetQuery
) -> dict[str, t.Optional[str]]:
    return {
        "DBInstanceId": instance_name,
        "BackupId": query.backup_set_id,
        "BackupStatus": query.status
        and {"success": "Success", "failed": "Failed"}[query.status],
        "BackupMode": query.mode,
        "StartTime": _utc(query.start_time, "%Y-%m-%dT%H:%MZ"),
        "EndTime": _utc(query.end_time, "%Y-%m-%dT%H:%MZ", round_up=60_000),
    }


def _rds_counts(response: t.Mapping[str, t.Any]) -> tuple[t.Any, t.Any, t.Any]:
    return response.get("TotalRecordCount"), None, None


def _polardb_parameters(
    instance_name: str, query: BackupSetQuery
) -> dict[str, t.Optional[str]]:
    return {
        "RegionCode": query.region,
        "InstanceName": instance_name,
        "BackupId": query.backup_set_id,
        "BackupStatus": query.status
        and {"success": "OK", "failed": "ERROR"}[query.status],
        "BackupMode": query.mode,
        "BackupMethod": query.method,
        "StartTime": _utc(query.start_time, "%Y-%m-%dT%H:%M:%SZ"),
        "EndTime": _utc(query.end_time, "%Y-%m-%dT%H:%M:%SZ", round_up=1000),
    }


def _polardb_counts(
    response: t.Mapping[str, t.Any],
) -> tuple[t.Any, t.Any, t.Any]:
    data = response.get("Data")
    data = data if isinstance(data, dict) else {}
    return (
        data.get("TotalElements"),
        data.get("PageSize"),
        data.get("TotalPages"),
    )


_SOURCES = {
    "rds": _Source(
        RDS,
        "DescribeBackups",
        100,
        _rds_parameters,
        ("Items", "Backup"),
        _rds_counts,
    ),
    "polardb": _Source(
        DBS,
        "DescribeBackupDataList",
        100,
        _polardb_parameters,
        ("Data", "Content", "List"),
        _polardb_counts,
    ),
}


def source_of(instance_name: str) -> t.Optional[str]:
    """Return ``rds`` or ``polardb``; none where the ID does not tell, or neither lists them."""
    kind = kind_of(instance_name)
    return kind if kind in _SOURCES else None


def service_of(source: str) -> Service:
    return _SOURCES[source].service


def list_backup_sets(
    client: Client,
    source: str,
    instance_name: str,
    query: BackupSetQuery,
    warn: t.Callable[[str], t.Any],
) -> list[BackupSet]:
    """All backup sets that the query wants, the newest first, and last those that tell no start. Raises any BackupError.

    ``warn`` is told where the service gives fewer than it announces.
    """
    lists = _SOURCES[source]
    parameters = {
        name: value
        for name, value in lists.parameters(instance_name, query).items()
        if value is not None
    }

    operation = f"list the backup sets of instance {instance_name!r} in region {query.region!r}"
    expected = Expected(
        "list of backup sets", lists.path, lists.action, operation
    )

    def fetch(number: int) -> Page:
        paged = {
            **parameters,
            "PageNumber": str(number),
            "PageSize": str(lists.page_size),
        }
        response = client.call(lists.action, paged, operation=operation)
        total, size, pages = lists.counts(response)
        page = expected.page(
            response,
            number,
            size=integer(size) or lists.page_size,
            total=total,
            pages=integer(pages),
        )
        if not all(row.get("BackupId") for row in page.items):
            raise expected._replace(what="ID of a backup set").broken(response)
        return page

    listing: Paginator[t.Mapping[str, t.Any], BackupSet] = Paginator(
        fetch,
        lambda raw: _normalised(raw, instance_name, query.region),
        identify=lambda backup: backup["backup_set_id"],
    )
    known = listing.all()
    tell_gap(
        listing, f"backup sets of instance {instance_name!r}", len(known), warn
    )
    found = [backup for backup in known if query.matches(backup)]
    return sorted(
        found,
        key=lambda backup: (
            backup["backup_start_time"] or "",
            backup["backup_set_id"] or "",
        ),
        reverse=True,
    )


def newest_of(backups: t.Sequence[BackupSet]) -> t.Optional[BackupSet]:
    """The newest of backup sets in the order of ``list_backup_sets``, none if there are none.

    Raises IncompleteListError where another one tells no start, and may be newer: only one that ended before is certainly older.
    """
    newest = next(iter(backups), None)
    began = newest["backup_start_time"] if newest else None
    for backup in backups[1:]:
        ended = backup["backup_end_time"]
        if not backup["backup_start_time"] and not (
            began and ended and ended <= began
        ):
            raise IncompleteListError(
                "the service returned no start time of backup set "
                f"{backup['backup_set_id']!r} of instance {backup['instance_name']!r}, "
                "so the newest one is unknown",
                hint="Set backup_set_id to the ID of the backup set that you need",
            )
    return newest


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
        earliest, latest = map(_instant, given)
        is_nothing = all(value in (None, "") for value in given)
        if not is_nothing and not (earliest and latest and earliest <= latest):
            raise expected.broken(response)
        return {"earliest": earliest, "latest": latest, "told_by": "service"}
    backups = list_backup_sets(
        client,
        source,
        instance_name,
        BackupSetQuery(region, status="success"),
        warn,
    )
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


def is_usable(backup: BackupSet) -> bool:
    """Whether a backup set that succeeded is a full one that there is still."""
    return backup["is_avail"] is not False and backup["backup_type"] in (
        None,
        "FullBackup",
    )


def _normalised(
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
    size, consistent = (
        integer(raw.get("BackupSize")),
        integer(raw.get("ConsistentTime")),
    )
    for name in (
        "BackupId",
        "BackupMode",
        "BackupMethod",
        "BackupType",
        "Engine",
        "EngineVersion",
    ):
        value = shown.get(name)
        backup[snake_case(name)] = None if value in (None, "") else str(value)
    available = raw.get("IsAvail")
    backup.update(
        backup_set_id=backup["backup_id"],
        instance_name=instance_name,
        region_code=region,
        backup_status=_STATUSES.get(status, printable(status, MAX_NAME)),
        backup_size=size,
        backup_start_time=_instant(raw.get("BackupStartTime")),
        backup_end_time=_instant(raw.get("BackupEndTime")),
        consistent_time=consistent or None,
        consistent_time_iso=iso8601(consistent * 1000) if consistent else None,
        is_avail=None
        if available in (None, "")
        else str(available).lower() in ("1", "true"),
    )
    return backup


def _instant(text: object) -> t.Optional[str]:
    """ISO 8601 in UTC, to the second."""
    try:
        return iso8601(milliseconds(str(text))) if text else None
    except ValueError:
        return None


def _utc(
    epoch_ms: t.Optional[int], form: str, round_up: int = 0
) -> t.Optional[str]:
    if epoch_ms is None:
        return None
    epoch_ms = -(-epoch_ms // round_up) * round_up if round_up else epoch_ms
    return datetime.fromtimestamp(epoch_ms // 1000, timezone.utc).strftime(form)
