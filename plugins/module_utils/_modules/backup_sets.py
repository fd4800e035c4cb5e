# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Backup sets as other modules look them up."""

from __future__ import annotations

import time
import typing as t

from .._base.errors import BackupError, ConfigurationError
from .._dbs.backup_sets import (
    BackupSet,
    BackupSetQuery,
    is_usable,
    list_backup_sets,
    newest_of,
    service_of,
    source_of,
)
from .._dbs.lists import refuse_gap
from .._plugin.checks import Options
from .._plugin.client import client_of
from .._plugin.options import region_of

#: Seconds in which to find out the size of a backup set, which is no more than good to know.
SIZE_TIMEOUT = 5.0


class BackupSetMissingError(BackupError):
    """There is no backup set of the kind that is needed."""

    kind = "missing"


def find_backup_set(
    options: Options,
    instance_name: str,
    backup_set_id: t.Optional[str],
    *,
    before: t.Optional[int],
) -> t.Optional[BackupSet]:
    """One backup set by its ID, or else the newest usable one that was begun ``before``, in epoch milliseconds.

    None if there is no such, or it cannot be listed for that kind of instance.
    """
    source = source_of(instance_name)
    if not source:
        return None
    client = client_for_source(options, source)
    client.deadline = time.monotonic() + SIZE_TIMEOUT
    try:
        if backup_set_id:
            query = BackupSetQuery(region=region_of(options), backup_id=backup_set_id)
            return next(
                iter(list_backup_sets(client, source, instance_name, query, refuse_gap)),
                None,
            )
        query = BackupSetQuery(
            region=region_of(options), status="success", end_time=before
        )
        found = list_backup_sets(client, source, instance_name, query, refuse_gap)
        return newest_of(list(filter(is_usable, found)))
    finally:
        client.close()


def newest_backup_set(options: Options, instance_name: str) -> BackupSet:
    """The newest full backup set that can be used.

    Raises BackupSetMissingError if there is none, IncompleteListError if nobody can say which it is, or any BackupError.
    """
    source = source_for(instance_name)
    query = BackupSetQuery(region=region_of(options), status="success")
    client = client_for_source(options, source)
    try:
        backups = list_backup_sets(client, source, instance_name, query, refuse_gap)
    finally:
        client.close()
    newest = newest_of(list(filter(is_usable, backups)))
    if not newest:
        raise BackupSetMissingError(
            f"instance {instance_name!r} in region {query.region!r} has no full backup set that can be used",
            hint="Make one, or wait for the next one",
        )
    return newest


def source_for(
    instance_name: str,
    source: str = "auto",
    *,
    instead: str = "set source to rds or polardb",
) -> str:
    """Which service lists its backup sets. Raises ConfigurationError where the ID does not tell, and the option neither.

    ``instead``: what to do then.
    """
    if source != "auto":
        return source
    found = source_of(instance_name)
    if found:
        return found
    if instance_name.startswith("dds-"):
        raise ConfigurationError(
            f"instance_name {instance_name!r} is a MongoDB instance, whose backup sets cannot be listed: take the ID of a"
            " backup set from the console, and give it to dbs_download_task."
        )
    raise ConfigurationError(
        f"instance_name {instance_name!r} does not tell which service lists its backup sets: {instead}."
    )


def client_for_source(options: Options, source: str) -> t.Any:
    endpoint = options["rds_endpoint"] if source == "rds" else options["endpoint"]
    return client_of({**options, "endpoint": endpoint}, service_of(source))
