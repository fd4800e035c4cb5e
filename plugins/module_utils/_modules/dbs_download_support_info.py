# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_support_info``: from its options to its result."""

from __future__ import annotations

import typing as t

from .._dbs.service import DBS
from .._dbs.support import download_support
from .._plugin.checks import Options, check_identifier
from .._plugin.client import client_of
from .._plugin.options import (
    CONNECTION_SPEC,
    INSTANCE_NAME_SPEC,
    instance_names,
    region_of,
)
from .._plugin.runner import ModuleSpec, Runner
from .._transport.client import Client
from .._transport.concurrency import map_concurrently

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "cluster_name": {"type": "str"},
    **CONNECTION_SPEC,
}


class SupportRequest(t.NamedTuple):
    client: Client
    region: str
    instance_names: t.Sequence[str]
    cluster_name: t.Optional[str]


class DownloadSupportInfo(Runner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)

    def parse(self, options: Options) -> SupportRequest:
        return SupportRequest(
            instance_names=instance_names(options),
            region=region_of(options),
            cluster_name=options["cluster_name"]
            and check_identifier("cluster_name", options["cluster_name"]),
            client=client_of(options, DBS),
        )

    def run(self, request: SupportRequest) -> dict[str, t.Any]:
        client = request.client
        try:
            found = map_concurrently(
                lambda name: download_support(
                    client, request.region, name, request.cluster_name
                ),
                request.instance_names,
                client,
            )
        finally:
            client.close()
        return {
            "changed": False,
            "instances": found,
            "all_supported": all(one["supported"] for one in found),
        }
