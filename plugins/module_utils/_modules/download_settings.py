# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the options of ``dbs_download_file`` say of the transfer."""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible.module_utils.common.text.formatters import human_to_bytes

from .._base.errors import ConfigurationError
from .._download.link import Link
from .._download.types import TransferOptions
from .._plugin.checks import Options, check_identifier, check_range
from .._plugin.options import http_options_of


class Settings(t.NamedTuple):
    """``checksum``: the name of the algorithm and the digest in hexadecimal digits."""

    transfer: TransferOptions
    checksum: t.Optional[tuple[str, str]]
    force: bool
    keep_partial: bool


def settings_of(options: Options) -> Settings:
    """What the options, which are completed ones, say of the transfer, checked. Raises ConfigurationError."""
    check_range(options, "progress_interval", 1, 86400, " seconds")
    if not options["dest"]:
        raise ConfigurationError(
            "dest is empty: give the path of a file or a directory."
        )
    if options["task_id"]:
        check_identifier("task_id", options["task_id"])
    if options["url"]:
        Link(options["url"])
    path = options["oss_path"]
    if path is not None and not re.fullmatch(
        r"oss://[a-z0-9][a-z0-9-]{1,61}[a-z0-9](/.*)?", path
    ):
        raise ConfigurationError(
            f"oss_path {path!r} is malformed: give oss://bucket/path, such as oss://my-backups/restore, or oss://bucket for the whole bucket."
        )
    http = http_options_of(options)
    stall_timeout = check_range(options, "stall_timeout", 1, 86400, " seconds")
    # No connection is waited for longer than all of them together.
    http = http._replace(
        connect_timeout=min(http.connect_timeout, stall_timeout),
        read_timeout=min(http.read_timeout, stall_timeout),
    )
    return Settings(
        TransferOptions(
            connections=check_range(options, "connections", 1, 64),
            http=http,
            retry=http.retry,
            limit_rate=_rate(options["limit_rate"]),
            stall_timeout=stall_timeout,
            outage_timeout=check_range(
                options, "outage_timeout", 0, 86400, " seconds"
            ),
            sync=options["sync"],
        ),
        checksum=_checksum(options["checksum"]),
        force=options["force"],
        keep_partial=options["keep_partial"],
    )


def _rate(value: t.Optional[str]) -> t.Optional[int]:
    if value is None:
        return None
    try:
        rate = human_to_bytes(value)
    except ValueError:
        rate = 0
    if rate < 1024:
        raise ConfigurationError(
            f"limit_rate {value!r} is not allowed: give bytes per second, at least 1K, such as 500K, 20M or 1048576; units are K, M and G."
        )
    return int(rate)


def _checksum(value: t.Optional[str]) -> t.Optional[tuple[str, str]]:
    if value is None:
        return None
    name, _unused, digest = value.strip().lower().partition(":")
    known = sorted(
        name
        for name in hashlib.algorithms_guaranteed
        if not name.startswith("shake")
    )
    if name not in known or not re.fullmatch(r"[0-9a-f]+", digest):
        raise ConfigurationError(
            f"checksum {value!r} is malformed: give algorithm:digest with one of {', '.join(known)}, such as sha256:9f86d0…."
        )
    length = hashlib.new(name, usedforsecurity=False).digest_size * 2
    if len(digest) != length:
        raise ConfigurationError(
            f"checksum {value!r} is malformed: a digest of {name} has {length} digits, not {len(digest)}."
        )
    return name, digest
