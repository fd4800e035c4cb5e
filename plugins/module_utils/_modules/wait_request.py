# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the options of ``dbs_download_task_wait`` ask for."""

from __future__ import annotations

import typing as t

from .._base.errors import ConfigurationError
from .._dbs.service import DBS
from .._dbs.wait_state import WaitPolicy, WaitTarget
from .._plugin.checks import Options, check_identifier, check_range
from .._plugin.client import client_of
from .._plugin.options import instance_names, region_of
from .._transport.client import Client


class WaitRequest(t.NamedTuple):
    client: Client
    target: WaitTarget
    policy: WaitPolicy

    @classmethod
    def parse(cls, options: Options) -> WaitRequest:
        """Check the completed options. Raise ConfigurationError."""
        target, policy = _target_of(options), _policy_of(options)
        return cls(client_of(options, DBS), target, policy)


def _target_of(options: Options) -> WaitTarget:
    return WaitTarget(
        region=region_of(options),
        instance_names=tuple(instance_names(options)),
        task_ids=frozenset(
            check_identifier("task_ids", value)
            for value in options["task_ids"] or ()
        ),
        backup_set_ids=frozenset(
            check_identifier("backup_set_ids", value)
            for value in options["backup_set_ids"] or ()
        ),
        cluster_name=options["cluster_name"]
        and check_identifier("cluster_name", options["cluster_name"]),
    )


def _policy_of(options: Options) -> WaitPolicy:
    interval = check_range(options, "poll_interval", 0.1, 3600, " seconds")
    if (
        check_range(options, "poll_interval_max", 0.1, 3600, " seconds")
        < interval
    ):
        raise ConfigurationError(
            f"poll_interval_max {options['poll_interval_max']} is less than poll_interval {interval}: set"
            f" poll_interval_max to {interval:g} or more, or poll_interval to less."
        )
    check_range(options, "progress_interval", 1, 86400, " seconds")
    return WaitPolicy(
        timeout=check_range(options, "timeout", 0, 2592000, " seconds"),
        interval=interval,
        interval_max=options["poll_interval_max"],
        appear_timeout=check_range(
            options, "appear_timeout", 0, 86400, " seconds"
        ),
        outage_timeout=check_range(
            options, "outage_timeout", 0, 86400, " seconds"
        ),
        any_end=options["until"] == "ended",
        ignore_missing=options["on_missing"] == "skip",
        ignore_nothing=options["on_nothing"] == "skip",
        fail_fast=options["fail_fast"],
        retries=check_range(options, "retries", 0, 100),
    )
