# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in as a process of its own."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_dbs20210101 import models
from alibabacloud_dbs20210101.client import Client
from alibabacloud_tea_openapi.exceptions import ThrottlingException
from alibabacloud_tea_openapi.utils_models import Config
from processes import LIMIT, until

pytestmark = pytest.mark.process

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


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    match = re.match(r"Listening on (\S+),", process.stdout.readline())
    assert match, process.communicate()
    return match[1]


def client_of(url: str) -> Client:
    config = Config(
        access_key_id="LTAI-demo-not-a-real-key",
        access_key_secret="demo-secret-not-a-real-one",
        protocol="HTTP",
        endpoint=url.removeprefix("http://"),
    )
    return Client(config)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_demonstration(start: Start, tmp_path: Path, end: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    process = start("--tasks", "30", "--instance", "rm-more", "--ready-file", str(ready), "--fault", "throttled:1")
    until(lambda: ready.exists() or process.poll() is not None)
    url = json.loads(ready.read_text())["url"]
    client = client_of(url)

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
    with urllib.request.urlopen(link, timeout=LIMIT) as file:
        assert file.read(2) == b"\x1f\x8b"
    wanted = models.CreateDownloadRequest(
        region_code="cn-hangzhou", instance_name="rm-bp1demomysql0002", bak_set_id="1482640100", format_type="CSV"
    )
    assert client.create_download(wanted).body.success == "true"

    process.send_signal(end)
    out, log = process.communicate(timeout=LIMIT)
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


def test_habits(start: Start) -> None:
    habits = ["page_size_over=refuse", "page_size_max=20", "totals=false", "code_beside_success=null", "success=true"]
    process = start(*(part for habit in habits for part in ("--habit", habit)))
    client = client_of(url_of(process))

    def ask(page_size: str) -> Any:
        request = models.DescribeDownloadTaskRequest(
            region_code="cn-hangzhou", instance_name="rm-bp1demomysql0001", page_size=page_size
        )
        return client.describe_download_task(request).body

    answer = ask("20")
    assert answer.success == "true"
    assert answer.data.total_elements is None
    assert ask("21").code == "DBS.ParamIsInValid"


def test_a_life_cycle_from_json(start: Start, tmp_path: Path) -> None:
    """As a habit, and as the schedule of a task: either way a finished task expires."""
    schedule = '[["running", 0.0], ["finished", null]]'
    account = tmp_path / "account.json"
    account.write_text(f'{{"tasks": [{{"instance": "rm-1", "schedule": {schedule}}}]}}')
    process = start("--account", str(account), "--speed", "1000000", "--habit", f"life_cycle={schedule}")
    client = client_of(url_of(process))
    wanted = models.CreateDownloadRequest(
        region_code="cn-hangzhou", instance_name="rm-1", bak_set_id="1482610002", format_type="CSV"
    )
    assert client.create_download(wanted).body.success == "true"
    request = models.DescribeDownloadTaskRequest(region_code="cn-hangzhou", instance_name="rm-1")

    def states() -> list[str]:
        return [task.download_status for task in client.describe_download_task(request).body.data.content.list]

    until(lambda: states() == ["expired", "expired"])


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6(start: Start) -> None:
    url = url_of(start("--host", "::1"))
    assert re.fullmatch(r"http://\[::1\]:\d+", url)
    with pytest.raises(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=LIMIT):
        pass


ACCOUNTS = {
    "{": "Expecting property name enclosed in double quotes",
    "[]": 'it is not {"tasks": [{...}, ...]}',
    '{"tasks": [1]}': 'it is not {"tasks": [{...}, ...]}',
    '{"tasks": [{"state": "failed"}]}': "a task has no instance: {'state': 'failed'}",
    '{"tasks": [{"instance": "rm-1", "size": "big"}]}': "a task cannot have size='big'",
    '{"tasks": [{"instance": "rm-1", "sise": 1}]}': "a task cannot have sise=1",
    '{"tasks": [{"instance": "rm-1", "schedule": ["running"]}]}': "a task cannot have schedule=['running']",
}


@pytest.mark.parametrize(("account", "message"), ACCOUNTS.items())
def test_unusable_accounts(start: Start, tmp_path: Path, account: str, message: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(account)
    refused(start("--account", str(path)), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 is not a loopback address"),
        (["--port", "99999"], "--port: '99999' is not a whole number from 0 to 65535"),
        (["--port", "http"], "--port: 'http' is not a whole number from 0 to 65535"),
        (["--speed", "-1"], "--speed: '-1' is not a number from 0 to 1000000"),
        (["--speed", "nan"], "--speed: 'nan' is not a number from 0 to 1000000"),
        (["--latency", "-0.1"], "--latency: '-0.1' is not a number from 0 to 3600"),
        (["--tasks", "-1"], "--tasks: '-1' is not a whole number from 0 to 1000000"),
        (["--fault", "earthquake"], "unknown fault 'earthquake', known are reset"),
        (["--fault", "slow:x"], "--fault: 'x' is not a whole number from 1 to 1000000"),
        (["--fault", "slow:0"], "--fault: '0' is not a whole number from 1 to 1000000"),
        (["--habit", "page_size_over"], "'page_size_over' is not NAME=VALUE with one of the names page_size_max,"),
        (["--habit", "mood=bad"], "'mood=bad' is not NAME=VALUE with one of the names page_size_max,"),
        (["--habit", "page_size_over=ignore"], "page_size_over takes Literal['clamp', 'refuse'], not 'ignore'"),
        (["--habit", "page_size_max=true"], "page_size_max takes int, not 'true'"),
        (["--habit", "one_task=1"], "one_task takes bool, not '1'"),
    ],
)
def test_refusals(start: Start, arguments: list[str], message: str) -> None:
    refused(start(*arguments), message)


def test_files_that_are_not_there(start: Start, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    refused(start("--account", str(missing)), f"--account: {missing}: [Errno 2] No such file or directory")
    refused(start("--ready-file", f"{missing}/x"), f"cannot write {missing}/x: No such file or directory")


def refused(process: subprocess.Popen[str], message: str) -> None:
    """In one line."""
    dummy, errors = process.communicate(timeout=LIMIT)
    assert process.returncode != 0
    assert message in errors
    assert errors.startswith("stand_in: ")
    assert errors.count("\n") == 1
