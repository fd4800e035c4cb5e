# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in as a process of its own."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_dbs20210101 import models
from alibabacloud_dbs20210101.client import Client
from alibabacloud_tea_openapi.exceptions import ThrottlingException
from alibabacloud_tea_openapi.utils_models import Config

TESTS = Path(__file__).parents[2]


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts stand-ins; they end with the test."""
    with contextlib.ExitStack() as ending:

        def run(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "stand_in", "--port", "0", *arguments]
            process = subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            ending.enter_context(process)
            ending.callback(process.kill)
            return process

        yield run


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_demonstration(start: Start, tmp_path: Path, end: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    process = start("--tasks", "30", "--instance", "rm-more", "--ready-file", str(ready), "--fault", "throttled:1")
    deadline = time.monotonic() + 20
    while not ready.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    url = json.loads(ready.read_text())["url"]
    config = Config(
        access_key_id="LTAI-demo-not-a-real-key",
        access_key_secret="demo-secret-not-a-real-one",
        protocol="HTTP",
        endpoint=url.removeprefix("http://"),
    )
    client = Client(config)

    def total(instance: str, **more: Any) -> int:
        request = models.DescribeDownloadTaskRequest(region_code="cn-hangzhou", instance_name=instance, **more)
        return int(client.describe_download_task(request).body.data.total_elements)

    with pytest.raises(ThrottlingException):
        total("rm-more")
    assert total("rm-more") == 30
    assert total("rm-bp1demomysql0001") == 4
    assert total("pgm-bp1demopgsql001", state="failed") == 1
    location = models.DescribeDownloadBackupSetStorageInfoRequest(
        region_code="cn-hangzhou", instance_name="rm-bp1demomysql0001", backup_set_id="1482600098", duration="300"
    )
    link = client.describe_download_backup_set_storage_info(location).body.data.public_url
    with urllib.request.urlopen(link, timeout=5) as file:
        assert file.read(2) == b"\x1f\x8b"
    wanted = models.CreateDownloadRequest(
        region_code="cn-hangzhou", instance_name="rm-bp1demomysql0002", bak_set_id="1482640100", format_type="CSV"
    )
    assert client.create_download(wanted).body.success == "true"

    process.send_signal(end)
    out, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert url in out
    assert "export ALIBABA_CLOUD_ACCESS_KEY_SECRET=demo-secret-not-a-real-one" in out
    first, second = log.splitlines()[:2]
    assert first == (
        "DescribeDownloadTask InstanceName='rm-more' RegionCode='cn-hangzhou' -> 400 Throttling.User (throttled)"
    )
    assert second.endswith("-> 200")
    assert re.search(r"^GetObject /dbs-\S+\.tar\.gz -> 200$", log, re.MULTILINE)
    assert "demo-secret" not in log
    assert "Signature" not in log
    assert "OSSAccessKeyId" not in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 is not a loopback address"),
        (["--fault", "earthquake"], "unknown fault 'earthquake', known are reset"),
    ],
)
def test_refusals(start: Start, arguments: list[str], message: str) -> None:
    process = start(*arguments)
    dummy, errors = process.communicate(timeout=20)

    assert process.returncode != 0
    assert message in errors
