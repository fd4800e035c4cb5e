# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""dbs_download_support_info against the stand-in."""

from __future__ import annotations

from typing import Any

import pytest
from stand_in import Fault, StandIn


@pytest.mark.parametrize("style", ["error", "false"])
def test_support(support: Any, asked: dict[str, Any], service: StandIn, style: Any) -> None:
    service.habits.unsupported = style
    service.add_instance("rm-good")
    service.add_instance("rm-local", unsupported="DBS.DownloadTask.InstanceStorageTypeNotSupport")
    result = support({**asked, "instance_name": ["rm-local", "rm-good"], "cluster_name": "shard-1"})
    local, good = result["instances"]
    assert (good["supported"], good["reason"]) == (True, None)
    assert local["supported"] is False
    if style == "error":
        assert local["reason"]["code"] == "DBS.DownloadTask.InstanceStorageTypeNotSupport"
    assert (result["all_supported"], result["changed"]) == (False, False)
    assert service.calls[0].params["ClusterName"] == "shard-1"
    assert support({**asked, "instance_name": "rm-good"})["all_supported"] is True


def test_other_errors_say_nothing_about_support(support: Any, asked: dict[str, Any], service: StandIn) -> None:
    assert support({**asked, "instance_name": "rm-gone"})["error"]["code"] == "Forbidden.InstanceNotFound"
    service.add_instance("rm-good")
    service.inject(Fault("error", status=403, code="NoPermission"))
    assert "dbs:DescribeDownloadSupport" in support({**asked, "instance_name": "rm-good"})["msg"]
