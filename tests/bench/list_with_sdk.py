# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""List all tasks with a loop of the official client: URL, key ID, key secret, instance, page size (0: the service's)."""

import json
import sys
import time

from alibabacloud_dbs20210101.client import Client
from alibabacloud_dbs20210101.models import DescribeDownloadTaskRequest
from alibabacloud_tea_openapi.utils_models import Config

url, key_id, key_secret, instance, size = sys.argv[1:]
client = Client(
    Config(access_key_id=key_id, access_key_secret=key_secret, protocol="HTTP", endpoint=url.split("://")[1])
)
began = time.perf_counter()
tasks = []
page = 1
while True:
    request = DescribeDownloadTaskRequest(
        region_code="cn-hangzhou",
        instance_name=instance,
        current_page=str(page),
        page_size=None if size == "0" else size,
    )
    data = client.describe_download_task(request).body.data
    tasks += data.content.list
    if page >= data.total_pages:
        break
    page += 1
count = len({task.task_id for task in tasks})
print(json.dumps([count, time.perf_counter() - began]))
