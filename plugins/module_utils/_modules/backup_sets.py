# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Backup sets as other modules look them up."""

from __future__ import annotations

import time
import typing as t

from .._base.errors import BackupError, ConfigurationError
from .._dbs.backup_set import BackupSet, BackupSetQuery, is_usable
from .._dbs.backup_sets import (
    list_backup_sets,
    newest_of,
    service_of,
    source_of,
)
from .._dbs.instances import kind_of
from .._dbs.lists import refuse_gap
from .._plugin.checks import Options
from .._plugin.client import client_of
from .._plugin.options import region_of
from .._transport.client import Client

#: Seconds in which to find out the size of a backup set, which is no more than good to know.
SIZE_TIMEOUT = 5.0


class BackupSetMissingError(BackupError):
    """There is no backup set of the kind that is needed."""

    kind = "missing"


class BackupSets(t.NamedTuple):
    """The backup sets of one instance. ``source``: which service lists them."""

    client: Client
    source: str
    region: str
    instance_name: str

    @classmethod
    def parse(
        cls, options: Options, instance_name: str
    ) -> t.Optional[BackupSets]:
        """None where they cannot be listed for that kind of instance."""
        source = source_of(instance_name)
        if not source:
            return None
        client = client_for_source(options, source)
        return cls(client, source, region_of(options), instance_name)

    def find(
        self, backup_set_id: t.Optional[str], *, before: t.Optional[int]
    ) -> t.Optional[BackupSet]:
        """Return one by its ID, or else the newest usable one that was begun ``before``.

        ``before``: epoch milliseconds.
        """
        self.client.deadline = time.monotonic() + SIZE_TIMEOUT
        if backup_set_id:
            query = BackupSetQuery(
                region=self.region, backup_set_id=backup_set_id
            )
            return next(iter(self._list(query)), None)
        query = BackupSetQuery(
            region=self.region, status="success", end_time=before
        )
        return newest_of(list(filter(is_usable, self._list(query))))

    def newest(self) -> BackupSet:
        """Return the newest full backup set that can be used.

        Raise BackupSetMissingError if there is none, IncompleteListError if it is unknown which it
        is, or any BackupError.
        """
        query = BackupSetQuery(region=self.region, status="success")
        newest = newest_of(list(filter(is_usable, self._list(query))))
        if not newest:
            raise BackupSetMissingError(
                f"instance {self.instance_name!r} in region {self.region!r} has no usable full backup set",
                hint="Create one, or wait for the next one",
            )
        return newest

    def _list(self, query: BackupSetQuery) -> list[BackupSet]:
        return list_backup_sets(
            self.client, self.source, self.instance_name, query, refuse_gap
        )


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
    if kind_of(instance_name) == "mongodb":
        raise ConfigurationError(
            f"instance_name {instance_name!r} is a MongoDB instance, whose backup sets "
            "cannot be listed: copy the ID of a backup set from the console, and give "
            "it to dbs_download_task."
        )
    raise ConfigurationError(
        f"instance_name {instance_name!r} does not tell which service lists its backup sets: {instead}."
    )


def client_for_source(options: Options, source: str) -> Client:
    endpoint = (
        options["rds_endpoint"] if source == "rds" else options["endpoint"]
    )
    return client_of({**options, "endpoint": endpoint}, service_of(source))
