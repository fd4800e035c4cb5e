# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the options of ``dbs_download_task`` ask for."""

from __future__ import annotations

import typing as t

from .._base.errors import ConfigurationError
from .._dbs.download_request import DownloadRequest
from .._dbs.service import DBS
from .._dbs.wait_state import WaitPolicy, WaitTarget
from .._plugin.checks import Options, check_identifier, check_range
from .._plugin.client import client_of
from .._plugin.options import region_of
from .._transport.client import Client
from .backup_sets import BackupSets
from .download_request import check_retried, request_of


class TaskRequest(t.NamedTuple):
    """What is to be done, and how.

    ``creation``         the task to create; none where one is to be retried
    ``task_id``          the task to retry; none for the one of ``backup_set_id``, or of the instance
    ``backups``          lists the backup sets of the instance; none where that is not possible
    ``backup_set_size``  in bytes
    ``instance``         the instance, as a target to wait for
    ``wait_policy``      how to wait for tasks
    """

    client: Client
    instance: WaitTarget
    creation: t.Optional[DownloadRequest]
    task_id: t.Optional[str]
    backup_set_id: t.Optional[str]
    backups: t.Optional[BackupSets]
    backup_set_size: t.Optional[int]
    fee_per_gib: float
    on_failed: str
    on_expired: str
    on_uncertain: str
    on_blocked: str
    wait: bool
    wait_for_slot: bool
    wait_policy: WaitPolicy

    @classmethod
    def parse(cls, options: Options) -> TaskRequest:
        """Check the completed options. Raise ConfigurationError."""
        wait_policy = _wait_policy_of(options)
        check_range(options, "progress_interval", 1, 86400, " seconds")
        if options["on_blocked"] == "retry" and not options["wait_for_slot"]:
            raise ConfigurationError(
                "on_blocked retry needs wait_for_slot: the retried task has to end first."
            )
        is_creation = options["state"] == "present"
        if not is_creation:
            check_retried(options)
        instance_name = check_identifier(
            "instance_name", options["instance_name"]
        )
        return cls(
            client=client_of(options, DBS),
            instance=WaitTarget(
                region_of(options),
                (instance_name,),
                cluster_name=_identifier_of(options, "cluster_name"),
            ),
            creation=request_of(options) if is_creation else None,
            task_id=_identifier_of(options, "task_id"),
            backup_set_id=options["backup_set_id"],
            backups=BackupSets.parse(options, instance_name)
            if is_creation
            else None,
            backup_set_size=check_range(options, "backup_set_size", 0, 2**63),
            fee_per_gib=check_range(options, "fee_per_gib", 0, 1000),
            on_failed=options["on_failed"],
            on_expired=options["on_expired"],
            on_uncertain=options["on_uncertain"],
            on_blocked=options["on_blocked"],
            wait=options["wait"],
            wait_for_slot=options["wait_for_slot"],
            wait_policy=wait_policy,
        )

    @property
    def region(self) -> str:
        return self.instance.region

    @property
    def instance_name(self) -> str:
        return self.instance.instance_names[0]

    def close(self) -> None:
        self.client.close()
        if self.backups:
            self.backups.client.close()


def _wait_policy_of(options: Options) -> WaitPolicy:
    interval = check_range(options, "poll_interval", 0.1, 3600, " seconds")
    return WaitPolicy(
        timeout=check_range(options, "wait_timeout", 0, 2592000, " seconds"),
        interval=interval,
        interval_max=check_range(
            options, "poll_interval_max", interval, 3600, " seconds"
        ),
        appear_timeout=check_range(
            options, "confirm_timeout", 0, 3600, " seconds"
        ),
        outage_timeout=check_range(
            options, "outage_timeout", 0, 86400, " seconds"
        ),
    )


def _identifier_of(options: Options, option: str) -> t.Optional[str]:
    return options[option] and check_identifier(option, options[option])
