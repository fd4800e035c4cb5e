# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the module ``dbs_download_task`` is to create, by its options."""

from __future__ import annotations

import time
import typing as t

from .._base.errors import ConfigurationError
from .._dbs.download_request import DownloadRequest
from .._dbs.instances import kind_of
from .._dbs.task import FORMATS, TARGET_TYPES
from .._dbs.values import iso8601
from .._plugin.checks import (
    Choices,
    Options,
    check_choice,
    check_identifier,
    parse_time,
)
from .._plugin.options import region_of
from .._transport.endpoints import known_region
from .backup_sets import source_for

#: Options that mean something for MongoDB instances only, by the API's names.
MONGODB_OPTIONS = {
    "primary_key_type_only": "PrimaryKeyTypeOnly",
    "is_cluster": "IsCluster",
    "admin_database": "AdminDatabase",
    "cluster_name": "ClusterName",
}
FORMAT_CHOICES = Choices(FORMATS)
TARGET_TYPE_CHOICES = Choices(TARGET_TYPES)
OSS_OPTIONS = ("target_bucket", "target_path", "target_oss_region")

#: In place of the ID of a backup set: the newest one that can be used.
LATEST = "latest"


def request_of(options: Options) -> DownloadRequest:
    """What is to be created; ``latest`` is still to be found. Raises ConfigurationError for options that do not fit."""
    if options["task_id"]:
        raise ConfigurationError(
            "task_id is for state=retried: a new task gets its ID from the service."
        )
    instance_name = check_identifier("instance_name", options["instance_name"])
    if bool(options["backup_set_id"]) == bool(options["point_in_time"]):
        raise ConfigurationError(
            "give one of backup_set_id and point_in_time: what to download."
        )
    format = _format_of(options)
    target_type = check_choice(
        "target_type", options["target_type"], TARGET_TYPE_CHOICES
    )
    backup_set_id = str(options["backup_set_id"] or "").strip() or None
    if backup_set_id == LATEST:
        source_for(
            instance_name,
            instead="give the ID of a backup set instead of latest",
        )
    elif backup_set_id:
        backup_set_id = check_identifier("backup_set_id", backup_set_id)
    _check_target(options, target_type)
    _check_format(options, instance_name, format)
    point_in_time = parse_time(options, "point_in_time")
    if point_in_time is not None and point_in_time > time.time() * 1000:
        raise ConfigurationError(
            f"point_in_time {options['point_in_time']!r} ({iso8601(point_in_time)}) is in the future: give a time that a"
            " backup covers."
        )
    return DownloadRequest(
        region=region_of(options),
        instance_name=instance_name,
        format=format,
        backup_set_id=backup_set_id,
        point_in_time=point_in_time,
        target_type=target_type,
        target_path=options["target_path"],
        cluster_name=options["cluster_name"]
        and check_identifier("cluster_name", options["cluster_name"]),
        more=_more_of(options, format),
    )


def check_retried(options: Options) -> None:
    """Raises ConfigurationError for options of a new task."""
    names = (
        "point_in_time",
        "format",
        "backup_set_size",
        *OSS_OPTIONS,
        "use_zstd",
        "is_physical",
    )
    given = [
        name
        for name in (
            *names,
            "primary_key_type_only",
            "is_cluster",
            "admin_database",
        )
        if options[name] is not None
    ]
    if given:
        raise ConfigurationError(
            f"{', '.join(given)} cannot be used with state=retried: a task is retried as it was created."
        )
    if options["backup_set_id"] == LATEST:
        raise ConfigurationError(
            "backup_set_id latest is for state=present: give the ID, or leave it out."
        )
    if options["backup_set_id"]:
        check_identifier("backup_set_id", options["backup_set_id"])


def _more_of(options: Options, format: str) -> dict[str, str]:
    """Return the parameters that few requests have, by their names in the API."""
    flags = {
        "use_zstd": "UseZstd",
        "is_physical": "IsPhysical",
        **MONGODB_OPTIONS,
    }
    flags.pop("cluster_name")
    more = {
        api_name: _text(options[name])
        for name, api_name in flags.items()
        if options[name] is not None
    }
    if format == "qp.xb":
        more["IsPhysical"] = "true"
    for name, api_name in (
        ("backup_set_size", "BakSetSize"),
        ("target_oss_region", "TargetOssRegion"),
    ):
        if options[name] is not None:
            more[api_name] = _text(options[name])
    if options["target_bucket"]:
        more["TargetBucket"] = check_identifier(
            "target_bucket", options["target_bucket"]
        )
    return more


def _format_of(options: Options) -> str:
    """Return the format as the service spells it."""
    if not options["format"]:
        raise ConfigurationError(
            f"format is not set: use one of {', '.join(FORMATS)}."
        )
    return check_choice("format", options["format"], FORMAT_CHOICES)


def _check_target(options: Options, target_type: str) -> None:
    given = [name for name in OSS_OPTIONS if options[name]]
    if target_type == "OSS" and len(given) < len(OSS_OPTIONS):
        lacking = [name for name in OSS_OPTIONS if name not in given]
        raise ConfigurationError(
            f"target_type OSS needs {', '.join(lacking)} as well."
        )
    if target_type == "URL" and given:
        raise ConfigurationError(
            f"{', '.join(given)} cannot be used with target_type URL: set target_type to OSS."
        )
    if options["target_oss_region"]:
        region = check_identifier(
            "target_oss_region", options["target_oss_region"]
        ).removeprefix("oss-")
        if region != options["region"]:
            known_region(
                "target_oss_region",
                region,
                "use a bucket in the region of the instance",
            )


def _check_format(options: Options, instance_name: str, format: str) -> None:
    if format != "qp.xb" and options["is_physical"]:
        raise ConfigurationError(
            f"is_physical needs the format qp.xb, not {format}: leave one of the two out."
        )
    if format == "qp.xb" and options["is_physical"] is False:
        raise ConfigurationError(
            "format qp.xb is a physical format: leave is_physical out, or set it to true."
        )
    if kind_of(instance_name) not in ("mongodb", None):
        given = [name for name in MONGODB_OPTIONS if options[name] is not None]
        if given or format == "Bson":
            what = ", ".join(given) if given else "format Bson"
            raise ConfigurationError(
                f"{what} is for MongoDB instances, but {instance_name!r} is not one."
            )


def _text(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
