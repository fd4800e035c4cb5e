# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The backup sets of an instance: of RDS by DescribeBackups, of PolarDB by DescribeBackupDataList, in one shape.

Sources: DescribeBackups in the API reference of RDS, 2014-08-15; DescribeBackupDataList in that of DBS, 2021-01-01.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from .._transport.endpoints import Service
from .backup_set import BackupSet, BackupSetQuery, normalised
from .instances import kind_of
from .lists import Expected, IncompleteListError, Page
from .paging import Paginator, tell_gap
from .service import DBS, RDS
from .values import integer

if t.TYPE_CHECKING:
    from .._transport.client import Client


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
        # Whole minutes are all that RDS takes: those around the range, of which the list is filtered again.
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
    listing: Paginator[t.Mapping[str, t.Any], BackupSet] = Paginator(
        _fetcher(client, source, instance_name, query),
        lambda raw: normalised(raw, instance_name, query.region),
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


def _fetcher(
    client: Client, source: str, instance_name: str, query: BackupSetQuery
) -> t.Callable[[int], Page]:
    """Return a function that gets a page by its number."""
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

    return fetch


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


def _utc(
    epoch_ms: t.Optional[int], form: str, round_up: int = 0
) -> t.Optional[str]:
    if epoch_ms is None:
        return None
    epoch_ms = -(-epoch_ms // round_up) * round_up if round_up else epoch_ms
    return datetime.fromtimestamp(epoch_ms // 1000, timezone.utc).strftime(form)
