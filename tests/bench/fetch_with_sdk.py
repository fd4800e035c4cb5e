# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Download an object with the official package's downloader: URL with bucket and key in its path, file."""

import sys

import alibabacloud_oss_v2 as oss

url, file = sys.argv[1:]
endpoint, bucket, key = url.rsplit("/", 2)
config = oss.config.load_default()
config.region = "cn-hangzhou"
config.credentials_provider = oss.credentials.StaticCredentialsProvider("id", "secret")
config.endpoint = endpoint
config.use_path_style = True
oss.Client(config).downloader().download_file(oss.GetObjectRequest(bucket=bucket, key=key), file)
