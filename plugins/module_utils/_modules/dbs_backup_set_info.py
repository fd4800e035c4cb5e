# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_backup_set_info``: from its options to its result."""

from __future__ import annotations

import typing as t

from .._dbs.backup_set import (
    METHODS,
    MODES,
    BackupSet,
    BackupSetQuery,
    is_usable,
)
from .._dbs.backup_sets import list_backup_sets, newest_of
from .._dbs.lists import refuse_gap
from .._dbs.recoverable_window import recoverable_window
from .._plugin.checks import (
    Choices,
    Options,
    check_choice,
    check_identifier,
    check_range,
    time_range,
)
from .._plugin.options import (
    CONNECTION_SPEC,
    INSTANCE_NAME_SPEC,
    instance_names,
    region_of,
)
from .._plugin.query import QUERY_SPEC, Query
from .._plugin.runner import ModuleSpec, Runner
from .._transport.client import Client
from .._transport.concurrency import map_concurrently
from .backup_sets import BackupSetMissingError, client_for_source, source_for

T = t.TypeVar("T")

MAX_LIMIT = 1_000_000

#: The largest number of backup sets that a warning names.
_MAX_NAMED = 10

#: Options that leave out backup sets.
_FILTERS = (
    "status",
    "backup_set_id",
    "mode",
    "method",
    "start_time",
    "end_time",
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "source": {
        "type": "str",
        "choices": ["auto", "rds", "polardb"],
        "default": "auto",
    },
    "backup_set_id": {"type": "str", "aliases": ["bak_set_id", "backup_id"]},
    "status": {
        "type": "str",
        "choices": Choices(["success", "failed"]),
        "aliases": ["backup_status"],
    },
    "mode": {
        "type": "str",
        "choices": Choices(MODES),
        "aliases": ["backup_mode"],
    },
    "method": {
        "type": "str",
        "choices": Choices(METHODS),
        "aliases": ["backup_method"],
    },
    "start_time": {"type": "str"},
    "end_time": {"type": "str"},
    "latest": {"type": "bool", "default": False},
    "on_missing": {
        "type": "str",
        "choices": ["error", "skip"],
        "default": "skip",
    },
    "limit": {"type": "int"},
    "recoverable": {"type": "bool", "default": False},
    **QUERY_SPEC,
    **CONNECTION_SPEC,
}


class BackupSetInfoRequest(t.NamedTuple):
    """``given``: the options that leave out backup sets, as a message quotes them."""

    clients: t.Mapping[str, Client]
    sources: t.Mapping[str, str]
    backup_sets: BackupSetQuery
    latest: bool
    recoverable: bool
    fails_if_missing: bool
    limit: t.Optional[int]
    given: str
    query: Query


class BackupSetInfo(Runner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)

    def parse(self, options: Options) -> BackupSetInfoRequest:
        def chosen(option: str) -> t.Optional[str]:
            choices = ARGUMENT_SPEC[option]["choices"]
            return options[option] and check_choice(
                option, options[option], choices
            )

        names = instance_names(options)
        sources = {name: source_for(name, options["source"]) for name in names}
        start_time, end_time = time_range(options)
        backup_sets = BackupSetQuery(
            region=region_of(options),
            backup_set_id=options["backup_set_id"]
            and check_identifier("backup_set_id", options["backup_set_id"]),
            status=chosen("status")
            or ("success" if options["latest"] else None),
            mode=chosen("mode"),
            method=chosen("method"),
            start_time=start_time,
            end_time=end_time,
        )
        return BackupSetInfoRequest(
            sources=sources,
            backup_sets=backup_sets,
            latest=options["latest"],
            recoverable=options["recoverable"],
            fails_if_missing=options["on_missing"] == "error",
            limit=check_range(options, "limit", 1, MAX_LIMIT),
            given=", ".join(
                f"{name} {options[name]!r}"
                for name in _FILTERS
                if options[name] is not None
            ),
            query=Query.parse(options),
            clients={
                source: client_for_source(options, source)
                for source in set(sources.values())
            },
        )

    def run(self, request: BackupSetInfoRequest) -> dict[str, t.Any]:
        names = list(request.sources)
        try:
            found = self._of_each(request, self._list)
            windows = (
                self._of_each(request, self._window)
                if request.recoverable
                else None
            )
        finally:
            for client in request.clients.values():
                client.close()
        if request.latest:
            found = {
                name: _newest_of(backups, request.backup_sets)
                for name, backups in found.items()
            }
        for name, backups in found.items():
            _warn_of_no_start(name, backups, self._warn)
        if request.fails_if_missing:
            _check_found(request, found)
        listed = _in_order(found)[: request.limit]
        result: dict[str, t.Any] = {
            "changed": False,
            "backup_sets": listed,
            "count": len(listed),
            "count_by_instance": {
                name: sum(one["instance_name"] == name for one in listed)
                for name in names
            },
            "recoverable": windows,
        }
        return request.query.apply(result, self._warn)

    def _of_each(
        self,
        request: BackupSetInfoRequest,
        ask: t.Callable[[BackupSetInfoRequest, str], T],
    ) -> dict[str, T]:
        """Ask for something of each instance, by several threads. Returns the answers by the names."""
        names = list(request.sources)
        answers = map_concurrently(
            lambda name: ask(request, name), names, *request.clients.values()
        )
        return dict(zip(names, answers))

    def _list(
        self, request: BackupSetInfoRequest, name: str
    ) -> list[BackupSet]:
        source = request.sources[name]
        return list_backup_sets(
            request.clients[source],
            source,
            name,
            request.backup_sets,
            refuse_gap if request.latest else self._warn,
        )

    def _window(
        self, request: BackupSetInfoRequest, name: str
    ) -> dict[str, t.Any]:
        source = request.sources[name]
        return recoverable_window(
            request.clients[source],
            source,
            name,
            request.backup_sets.region,
            self._warn,
        )


def _newest_of(
    backups: t.Sequence[BackupSet], query: BackupSetQuery
) -> list[BackupSet]:
    """Return the newest backup set alone; nothing if there is none. Of those that succeeded, one that can be used."""
    if query.status == "success":
        backups = list(filter(is_usable, backups))
    newest = newest_of(backups)
    return [newest] if newest else []


def _in_order(found: t.Mapping[str, t.Sequence[BackupSet]]) -> list[BackupSet]:
    """Return all backup sets, the newest first, and equally old ones by instance and ID."""
    backups = [backup for one in found.values() for backup in one]
    # Two sorts, of which the second keeps the order of the first among equals.
    backups.sort(
        key=lambda backup: (
            backup["instance_name"],
            backup["backup_set_id"] or "",
        )
    )
    backups.sort(
        key=lambda backup: backup["backup_start_time"] or "", reverse=True
    )
    return backups


def _warn_of_no_start(
    instance_name: str,
    backups: t.Sequence[BackupSet],
    warn: t.Callable[[str], t.Any],
) -> None:
    unknown = [
        backup["backup_set_id"]
        for backup in backups
        if not backup["backup_start_time"]
    ]
    if unknown:
        more = (
            f" and {len(unknown) - _MAX_NAMED} more"
            if len(unknown) > _MAX_NAMED
            else ""
        )
        warn(
            "The service returned no start time of backup sets of instance "
            f"{instance_name!r}: {', '.join(unknown[:_MAX_NAMED])}{more}. They are "
            "listed last, regardless of start_time and end_time."
        )


def _check_found(
    request: BackupSetInfoRequest, found: t.Mapping[str, t.Sequence[BackupSet]]
) -> None:
    missing = [name for name, backups in found.items() if not backups]
    if not missing:
        return
    given, query = request.given, request.backup_sets
    what = (
        "usable full backup set"
        if request.latest and query.status == "success"
        else "backup set"
    )
    raise BackupSetMissingError(
        f"there is no {what} for {', '.join(map(repr, missing))} in region {query.region!r}"
        + (f" with {given}" if given else ""),
        hint="Check these options"
        if given
        else "Check instance_name and region, or create a backup",
    )
