# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""List all tasks with the collection: URL, key ID, key secret, instance; prints number and seconds as JSON."""

import json
import sys
import time

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task_info import (
    ARGUMENT_SPEC,
    DownloadTaskInfo,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import completed

url, key_id, key_secret, instance = sys.argv[1:]
options = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
options.update(
    endpoint=url, access_key_id=key_id, access_key_secret=key_secret, instance_name=[instance], region="cn-hangzhou"
)
began = time.perf_counter()
runner = DownloadTaskInfo(warn=print)
result = runner.run(runner.parse(completed(options)))
count = len({task["task_id"] for task in result["download_tasks"]})
print(json.dumps([count, time.perf_counter() - began]))
