# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Options that plugins share: their specification and their checks; ``client`` has what is made of them.

Works on a plain mapping of option values, so that a module, a lookup and an action plugin can all use it.
Documented in the doc fragment ``connection``.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.values import DEFAULT_DURATION, milliseconds
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import ConfigurationError

Options = t.Mapping[str, t.Any]

#: Read here and not as a fallback of Ansible, which takes empty ones, and warns of an alias beside them.
REGION_VARIABLES = ["ALIBABA_CLOUD_REGION_ID", "ALICLOUD_REGION", "ALICLOUD_REGION_ID"]

CONNECTION_SPEC: dict[str, dict[str, t.Any]] = {
    "region": {
        "type": "str",
        "aliases": ["region_id", "region_code", "alicloud_region"],
    },
    "access_key_id": {"type": "str", "no_log": True, "aliases": ["access_key", "alicloud_access_key"]},
    "access_key_secret": {"type": "str", "no_log": True, "aliases": ["secret_key", "alicloud_secret_key"]},
    "security_token": {"type": "str", "no_log": True, "aliases": ["alicloud_security_token"]},
    "profile": {"type": "str", "aliases": ["alicloud_profile"]},
    "endpoint": {"type": "str"},
    "network": {"type": "str", "choices": ["public", "vpc"], "default": "public"},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "connect_timeout": {"type": "float", "default": 5.0},
    "read_timeout": {"type": "float", "default": 30.0},
    "max_retries": {"type": "int", "default": 5},
    "total_timeout": {"type": "float", "default": 120.0},
    "max_connections": {"type": "int", "default": 8},
}

#: Of what tells where files are; documented in the doc fragment ``location``.
FILES_SPEC: dict[str, dict[str, t.Any]] = {
    "network": {"type": "str", "choices": ["auto", "public", "vpc"], "default": "auto"},
    "cluster_name": {"type": "str"},
    "duration": {"type": "int", "default": DEFAULT_DURATION},
    "https": {"type": "bool", "default": True},
    "bucket": {"type": "str"},
    "oss_region": {"type": "str"},
    "oss_endpoint": {"type": "str"},
}

INSTANCE_NAME_SPEC: dict[str, t.Any] = {
    "type": "list",
    "elements": "str",
    "required": True,
    "aliases": ["instance_names", "instance_id", "instance_ids", "db_instance_id", "db_instance_ids"],
}

#: Identifiers as the services make them; loose, so that a new kind of instance is not refused.
_IDENTIFIERS = {
    "region": (r"[a-z]{2}(-[a-z0-9]+)+", "a region ID such as cn-hangzhou"),
    "instance_name": (
        r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)+",
        "the ID of an instance, such as rm-bp1a2b3c4d5e6f7g8 (not its address, nor its description)",
    ),
    "task_id": (r"dt-[A-Za-z0-9_-]+", "the ID of a download task, such as dt-a1b2c3d4e5f6"),
    "target_oss_region": (r"(oss-)?[a-z]{2}(-[a-z0-9]+)+", "the region of a bucket, such as cn-hangzhou"),
    "task_ids": (r"dt-[A-Za-z0-9_-]+", "the ID of a download task, such as dt-a1b2c3d4e5f6"),
    "backup_set_ids": (r"[A-Za-z0-9][A-Za-z0-9_-]*", "the ID of a backup set, such as 1482610001"),
    "backup_set_id": (r"[A-Za-z0-9][A-Za-z0-9_-]*", "the ID of a backup set, such as 1482610001"),
    "datasource_id": (r"ds-[A-Za-z0-9-]+_[a-z0-9-]+", "the ID of a data source: ds-<instance>_<region>"),
    "target_bucket": (
        r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "the name of a bucket: lower case letters, digits and hyphens",
    ),
    "bucket": (r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", "the name of a bucket: lower case letters, digits and hyphens"),
    "cluster_name": (r"[A-Za-z0-9][A-Za-z0-9_.-]*", "the name of a cluster"),
}


_LONGEST_IDENTIFIER = 200


def identifier(option: str, value: t.Any) -> str:
    """The value, stripped, if it looks like what the option holds."""
    pattern, allowed = _IDENTIFIERS[option]
    text = str(value).strip()
    if not re.fullmatch(pattern, text) or len(text) > _LONGEST_IDENTIFIER:
        shown = text if len(text) <= _LONGEST_IDENTIFIER else text[:_LONGEST_IDENTIFIER] + "…"
        raise ConfigurationError(f"{option} {shown!r} is malformed: give {allowed}.")
    return text


def region_of(options: Options) -> str:
    """By the option, or else by the environment."""
    given = str(options["region"] or "").strip()
    names = [name for name in REGION_VARIABLES if os.environ.get(name, "").strip()]
    if not given and not names:
        raise ConfigurationError(
            f"region is not set: give a region ID such as cn-hangzhou, or set one of {', '.join(REGION_VARIABLES)}."
        )
    return identifier("region", given or os.environ[names[0]])


def instance_names(options: Options) -> list[str]:
    """The instances, each once."""
    names = dict.fromkeys(identifier("instance_name", name) for name in options["instance_name"])
    if not names:
        raise ConfigurationError("instance_name is empty: give the ID of one instance at least.")
    return list(names)


def moment(options: Options, option: str) -> t.Optional[int]:
    """Epoch milliseconds of a time, none if it is not set."""
    value = options[option]
    if value is None:
        return None
    try:
        return milliseconds(value)
    except ValueError as error:
        raise ConfigurationError(f"{option} {value!r} {error}.") from None


def time_range(options: Options) -> tuple[t.Optional[int], t.Optional[int]]:
    """``start_time`` and ``end_time`` in epoch milliseconds, none where not set."""
    start_time, end_time = moment(options, "start_time"), moment(options, "end_time")
    if start_time is not None and end_time is not None and start_time > end_time:
        raise ConfigurationError(
            f"start_time {options['start_time']!r} is after end_time {options['end_time']!r}: exchange them."
        )
    return start_time, end_time


def within(options: Options, option: str, low: float, high: float, unit: str = "") -> t.Any:
    """The number, none if it is not set, if it lies in a range."""
    value = options.get(option)
    if value is not None and not low <= value <= high:
        raise ConfigurationError(f"{option} {value!r} is out of range: give {low} to {high}{unit}.")
    return value


def one_of(option: str, value: t.Any, allowed: t.Iterable[str], fold: t.Callable[[str], str] = str.casefold) -> str:
    """The value as folded, if it is one of those allowed."""
    known = {fold(name) for name in allowed}
    folded = fold(str(value).strip())
    if folded not in known:
        raise ConfigurationError(f"{option} {value!r} is not known: use one of {', '.join(allowed)}.")
    return folded
