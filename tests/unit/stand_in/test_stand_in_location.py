# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links through the official client of the service, and what is behind them."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from alibabacloud_dbs20210101 import models
from processes import LIMIT
from stand_in import LIFE_CYCLE, StandIn

INSTANCE = "rm-bp1abc"
Locate = Callable[..., Any]


@pytest.fixture
def locate(official: Callable[..., Any]) -> Locate:
    """DescribeDownloadBackupSetStorageInfo: parameters in, the answer's body out."""
    client = official()

    def call(**parameters: Any) -> Any:
        parameters = {"region_code": "cn-hangzhou", "duration": "300", **parameters}
        request = models.DescribeDownloadBackupSetStorageInfoRequest(**parameters)
        return client.describe_download_backup_set_storage_info(request).body

    return call


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("presign", ["v1", "v4"])
@pytest.mark.parametrize("link_token", [False, True])
def test_both_links_lead_to_the_file(service: StandIn, locate: Locate, presign: Any, link_token: bool) -> None:
    service.habits.presign, service.habits.link_token = presign, link_token
    task = service.add_task(INSTANCE, databases=["shop", "billing"], backup_set_id="77")
    (stored,) = service.objects_of(task)

    before = time.time()
    answer = locate(task_id=task.task_id)

    assert answer.success == "true"
    assert before - 1 < answer.data.expiration_time - 300 <= time.time()
    for url in (answer.data.public_url, answer.data.private_url):
        assert urlsplit(url).path.endswith(f"/{task.task_id}/dbs_target_file_path/{task.task_id}_77.tar.gz")
        assert fetch(url)[::2] == (200, stored.read())
    assert [transfer.internal for transfer in service.transfers] == [False, True]
    assert [transfer.sent for transfer in service.transfers] == [stored.size] * 2
    assert len(service.calls) == 1


def test_a_backup_set_stands_for_its_newest_finished_task(service: StandIn, locate: Locate) -> None:
    service.add_task(INSTANCE, task_id="dt-old", created=1, backup_set_id="77")
    service.add_task(INSTANCE, task_id="dt-good", created=2, backup_set_id="77")
    service.add_task(INSTANCE, task_id="dt-failed", created=3, backup_set_id="77", state="failed")
    service.add_task(INSTANCE, task_id="dt-other", created=4, backup_set_id="78", state="failed")

    assert "/dt-good/" in locate(instance_name=INSTANCE, backup_set_id="77").data.public_url
    assert "failed" in locate(instance_name=INSTANCE, backup_set_id="78").message
    assert locate(instance_name=INSTANCE, backup_set_id="79").code == "DBS.DownloadTask.CannotFind"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"task_id": "dt-unknown"}, "DBS.DownloadTask.CannotFind"),
        ({"task_id": "dt-1", "region_code": "cn-beijing"}, "DBS.DownloadTask.CannotFind"),
        ({"task_id": "dt-1", "instance_name": "rm-other"}, "DBS.DownloadTask.CannotFind"),
        ({"task_id": "dt-1", "region_code": None}, "DBS.ParamIsInValid"),
        ({"task_id": "dt-1", "duration": "299"}, "DBS.ParamIsInValid"),
        ({"task_id": "dt-1", "duration": "86401"}, "DBS.ParamIsInValid"),
        ({"task_id": "dt-1", "duration": "1h"}, "DBS.ParamIsInValid"),
        ({}, "DBS.ParamIsInValid"),
        ({"instance_name": INSTANCE}, "DBS.ParamIsInValid"),
        ({"instance_name": "rm-other", "backup_set_id": "77"}, "Forbidden.InstanceNotFound"),
    ],
)
def test_refusals(service: StandIn, locate: Locate, parameters: dict[str, str], code: str) -> None:
    service.add_task(INSTANCE, task_id="dt-1")

    answer = locate(**parameters)

    assert (answer.success, answer.code, answer.data) == ("false", code, None)


def test_a_link_takes_a_finished_task_of_three_days_at_most(service: StandIn, locate: Locate) -> None:
    task = service.add_task(INSTANCE, schedule=LIFE_CYCLE)

    assert "its status is initializing" in locate(task_id=task.task_id).message
    service.advance(81)
    assert locate(task_id=task.task_id).success == "true"
    service.advance(3 * 24 * 3600)
    expired = locate(task_id=task.task_id)
    assert (expired.code, expired.message.endswith("is expired.")) == ("DBS.DownloadTask.NotSupport", True)


def test_the_duration_may_be_left_out_or_not(service: StandIn, locate: Locate) -> None:
    service.add_task(INSTANCE, task_id="dt-1")

    before = time.time()
    assert before - 1 < locate(task_id="dt-1", duration=None).data.expiration_time - 7200 <= time.time()
    service.habits.duration_required = True
    assert locate(task_id="dt-1", duration=None).message == "Argument: duration Must not be empty"


def test_variations_of_links(service: StandIn, locate: Locate) -> None:
    task = service.add_task(INSTANCE, task_id="dt-1")
    habits = service.habits
    habits.expiration, habits.storage_host, habits.url_scheme = "ms", "real", "https"

    before = time.time()
    data = locate(task_id="dt-1").data

    assert before - 1 < data.expiration_time / 1000 - 300 <= time.time()
    public, private = urlsplit(data.public_url), urlsplit(data.private_url)
    assert (public.scheme, private.scheme) == ("https", "https")
    assert public.netloc.startswith("dbs-1234567890123456-cn-hangzhou-")
    assert public.netloc.endswith(".oss-cn-hangzhou.aliyuncs.com")
    assert private.netloc == public.netloc.replace("cn-hangzhou.aliyuncs", "cn-hangzhou-internal.aliyuncs")
    for parts in (public, private):
        answer = requests.get(parts._replace(scheme="http").geturl(), proxies={"http": service.url}, timeout=LIMIT)
        assert answer.content == service.objects_of(task)[0].read()
    assert [transfer.internal for transfer in service.transfers] == [False, True]

    habits.link_lifetime = 1
    url = locate(task_id="dt-1").data.public_url
    assert int(parse_qs(urlsplit(url).query)["Expires"][0]) <= time.time() + 1


def test_an_oss_task_has_no_link(service: StandIn, locate: Locate) -> None:
    service.add_task(INSTANCE, task_id="dt-1", target_type="OSS", target_bucket="mine", target_path="nightly")

    assert locate(task_id="dt-1").code == "DBS.DownloadTask.NotSupport"
    service.habits.oss_location = "null"
    answer = locate(task_id="dt-1")
    assert (answer.success, answer.data.public_url, answer.data.private_url) == ("true", None, None)
