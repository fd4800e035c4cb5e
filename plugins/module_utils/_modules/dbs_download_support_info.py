# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_support_info``."""

from __future__ import annotations

import typing as t

from .._dbs.service import DBS
from .._dbs.support import download_support
from .._plugin.client import client_of
from .._plugin.options import CONNECTION_SPEC, INSTANCE_NAME_SPEC, Options, check_identifier, instance_names, region_of
from .._transport.concurrency import map_concurrently

SUPPORT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "cluster_name": {"type": "str"},
    **CONNECTION_SPEC,
}


def download_support_info(options: Options) -> dict[str, t.Any]:
    """The module's result. All options are checked before the first call."""
    names = instance_names(options)
    region = region_of(options)
    cluster_name = options["cluster_name"] and check_identifier("cluster_name", options["cluster_name"])
    client = client_of(options, DBS)
    try:
        found = map_concurrently(lambda name: download_support(client, region, name, cluster_name), names, client)
    finally:
        client.close()
    return {"changed": False, "instances": found, "all_supported": all(one["supported"] for one in found)}
