# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The operation DescribeDownloadSupport: whether an instance has advanced downloads.

Source: DescribeDownloadSupport in the API reference of DBS, 2021-01-01.
"""

from __future__ import annotations

import re
import typing as t

from .._transport.errors import ServiceError
from .lists import Expected

if t.TYPE_CHECKING:
    from .._transport.client import Client


#: Codes that say why there is no support; any other error says nothing about it.
_REASONS = re.compile(r"DBS\.DownloadTask\.\w*NotSupport$")


def download_support(
    client: Client,
    region: str,
    instance_name: str,
    cluster_name: t.Optional[str],
) -> dict[str, t.Any]:
    """``instance_name``, ``supported``, and ``reason``: the code and message of the service, if it gives any.

    Raises any BackupError.
    """
    parameters = {"RegionCode": region, "InstanceName": instance_name}
    if cluster_name:
        parameters["ClusterName"] = cluster_name
    found: dict[str, t.Any] = {
        "instance_name": instance_name,
        "region_code": region,
        "supported": False,
        "reason": None,
    }
    expected = Expected(
        "true or false",
        ("Data",),
        "DescribeDownloadSupport",
        f"check whether instance {instance_name!r} in region {region!r} supports advanced download",
    )
    try:
        response = client.call(
            expected.action, parameters, operation=expected.operation
        )
    except ServiceError as error:
        if not _REASONS.match(error.code):
            raise
        return {
            **found,
            "reason": {"code": error.code, "message": error.message},
        }
    word = str(response.get("Data")).strip().lower()
    if word not in ("true", "false"):
        raise expected.broken(response)
    return {**found, "supported": word == "true"}
