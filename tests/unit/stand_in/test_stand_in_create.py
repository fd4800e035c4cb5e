# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download tasks are created and retried, through the official client."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alibabacloud_dbs20210101 import models
from darabonba.runtime import RuntimeOptions
from processes import until
from stand_in import Fault, StandIn
from Tea.exceptions import TeaException

INSTANCE = "rm-bp1abc"
OSS = {"target_type": "OSS", "target_bucket": "mine", "target_path": "exports", "target_oss_region": "cn-hangzhou"}
Call = Callable[..., Any]


@pytest.fixture
def create(service: StandIn, official: Callable[..., Any]) -> Call:
    """CreateDownload: parameters in, the answer's body out."""
    service.add_instance(INSTANCE)
    client = official()

    def call(read_timeout: int = 600_000, **parameters: Any) -> Any:
        usual = {"region_code": "cn-hangzhou", "instance_name": INSTANCE, "format_type": "CSV", "bak_set_id": "77"}
        request = models.CreateDownloadRequest(**{**usual, **parameters})
        return client.create_download_with_options(request, RuntimeOptions(read_timeout=read_timeout)).body

    return call


@pytest.fixture
def retry(official: Callable[..., Any]) -> Call:
    client = official()

    def call(task_id: str, **parameters: Any) -> Any:
        request = models.RetryDownloadTaskRequest(**{"region_code": "cn-hangzhou", "task_id": task_id, **parameters})
        return client.retry_download_task(request).body

    return call


def test_a_task_is_created_and_runs(service: StandIn, create: Call, describe: Call) -> None:
    answer = create(bak_set_type="full", target_type="URL", use_zstd="True", is_physical=False, bak_set_size="5")

    assert answer.success == "true"
    (task,) = service.created
    assert answer.data.to_map() == {
        "TaskId": task.task_id,
        "RegionCode": "cn-hangzhou",
        "Format": "CSV",
        "DbList": "[appdb]",
        "BakSetId": "77",
        "DownloadStatus": "initializing",
        "ExportDataSize": 0,
        "ImportDataSize": 0,
        "BackupSetTime": task.backup_set_time,
        "TargetType": "URL",
        "TargetPath": f"{task.task_id}/dbs_target_file_path",
        "Progress": "0/0",
        "GmtCreate": task.created,
    }
    assert (task.zstd, task.parameters["IsPhysical"].lower()) == (True, "false")
    service.advance(81)
    (seen,) = describe().data.content.list
    assert (seen.task_id, seen.download_status) == (task.task_id, "finished")


def test_a_point_in_time_and_a_bucket(service: StandIn, create: Call) -> None:
    point = service.clock.now() - 1000

    data = create(bak_set_type="PITR", bak_set_id=None, download_point_in_time=str(point), **OSS).data

    assert (data.bak_set_id, data.backup_set_time, data.target_type, data.target_path) == ("", point, "OSS", "exports")
    assert (service.created[0].task_type, service.created[0].target_bucket) == ("pitr", "mine")


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"region_code": None}, "DBS.ParamIsInValid", "Argument: regionCode Must not be empty"),
        ({"instance_name": None}, "DBS.ParamIsInValid", "Argument: instanceName Must not be empty"),
        ({"format_type": None}, "DBS.ParamIsInValid", "Argument: formatType Must not be empty"),
        ({"bak_set_id": None}, "DBS.ParamIsInValid", "Argument: bakSetId Must not be empty"),
        ({"bak_set_type": "pitr"}, "DBS.ParamIsInValid", "Argument: downloadPointInTime Must not be empty"),
        ({"bak_set_type": "pitr", "download_point_in_time": "soon"}, "DBS.ParamIsInValid", "DownloadPointInTime"),
        ({"bak_set_type": "pitr", "download_point_in_time": "9" * 15}, "DBS.ParamIsInValid", "DownloadPointInTime"),
        ({"bak_set_type": "half"}, "DBS.ParamIsInValid", "BakSetType"),
        ({"bak_set_size": "much"}, "DBS.ParamIsInValid", "BakSetSize"),
        ({"format_type": "XLS"}, "DBS.ParamIsInValid", "FormatType"),
        ({"format_type": "Bson"}, "DBS.ParamIsInValid", "FormatType"),
        ({"target_type": "FTP"}, "DBS.ParamIsInValid", "TargetType"),
        ({"use_zstd": "perhaps"}, "DBS.ParamIsInValid", "UseZstd"),
        ({**OSS, "target_bucket": None}, "DBS.ParamIsInValid", "Argument: targetBucket Must not be empty"),
        ({**OSS, "target_path": None}, "DBS.ParamIsInValid", "Argument: targetPath Must not be empty"),
        ({**OSS, "target_oss_region": None}, "DBS.ParamIsInValid", "Argument: targetOssRegion Must not be empty"),
        ({"instance_name": "rm-other"}, "Forbidden.InstanceNotFound", "does not exist"),
        ({"region_code": "cn-beijing"}, "Forbidden.InstanceNotFound", "does not exist"),
    ],
)
def test_refusals(service: StandIn, create: Call, parameters: dict[str, Any], code: str, message: str) -> None:
    answer = create(**parameters)

    assert (answer.success, answer.code, answer.data) == ("false", code, None)
    assert message in answer.message
    assert service.created == []


@pytest.mark.parametrize("format", ["csv", "csv-with-header", "Sql", "PARQUET", "qp.xb"])
def test_formats_in_any_spelling(create: Call, format: str) -> None:
    assert create(format_type=format).data.format == format


def test_bson_is_for_mongodb(service: StandIn, create: Call) -> None:
    service.add_instance("dds-1", cluster_name="shard-1")
    assert create(instance_name="dds-1", format_type="Bson").success == "true"
    assert service.created[0].cluster_name == "shard-1"


def test_a_bucket_that_cannot_be_used(service: StandIn, create: Call) -> None:
    service.habits.oss_denied = "DBS.DownloadTask.OssForbid"
    assert create(**OSS).code == "DBS.DownloadTask.OssForbid"
    assert create().success == "true"


@pytest.mark.parametrize("state", ["initializing", "queuing", "running", "failed", "finished", "expired"])
def test_one_running_or_failed_task_at_a_time(service: StandIn, create: Call, state: str) -> None:
    service.add_task(INSTANCE, state=state, backup_set_id="76")

    answer = create()

    if state in ("finished", "expired"):
        assert answer.success == "true"
    else:
        assert answer.code == "DBS.DownloadTask.OnlyOneRunningOrFailedTask"
        service.habits.one_task = False
        assert create().success == "true"
    assert len(service.created) == 1


@pytest.mark.parametrize(
    ("parameters", "same"),
    [
        ({}, True),
        ({"format_type": "csv"}, True),
        ({"format_type": "SQL"}, False),
        ({"bak_set_id": "78"}, False),
        (OSS, False),
    ],
)
def test_the_same_job_again(service: StandIn, create: Call, parameters: dict[str, str], same: bool) -> None:
    service.habits.one_task = False
    create()

    assert (create(**parameters).code == "DBS.DownloadTask.JobAlreadyExist") == same

    service.advance(81)
    service.habits.same_job = "finished"
    assert create().code == "DBS.DownloadTask.JobAlreadyExist"
    service.habits.same_job = "live"
    assert create().success == "true"
    service.habits.same_job = "never"
    assert create().success == "true"


def test_failure_at_a_chosen_point_and_retries(service: StandIn, create: Call, retry: Call, describe: Call) -> None:
    service.habits.life_cycle = [("running", 5), ("failed", None)]
    create()
    (task,) = service.created

    def state() -> str:
        return str(describe().data.content.list[0].download_status)

    refused = retry(task.task_id)
    assert (refused.code, "running" in refused.message) == ("DBS.DownloadTask.NotSupport", True)
    service.advance(6)
    assert state() == "failed"
    assert create(bak_set_id="78").code == "DBS.DownloadTask.OnlyOneRunningOrFailedTask"

    again = retry(task.task_id, instance_name=INSTANCE)
    assert (again.success, again.data, state()) == ("true", task.task_id, "running")
    service.advance(6)
    service.habits.retry_life_cycle = [("running", 1), ("finished", None)]
    retry(task.task_id)
    service.advance(2)
    assert (state(), task.retries, len(service.created)) == ("finished", 2, 1)
    assert retry("dt-unknown").code == "DBS.DownloadTask.CannotFind"
    assert retry(task.task_id, instance_name="rm-other").code == "DBS.DownloadTask.CannotFind"
    assert retry(task.task_id, region_code=None).code == "DBS.ParamIsInValid"


def test_support(service: StandIn, official: Callable[..., Any], create: Call) -> None:
    service.add_instance("rm-old", unsupported="DBS.DownloadTask.InstanceStorageTypeNotSupport")
    client = official()

    def support(name: str) -> Any:
        request = models.DescribeDownloadSupportRequest(region_code="cn-hangzhou", instance_name=name)
        return client.describe_download_support(request).body

    assert (support(INSTANCE).success, support(INSTANCE).data) == ("true", "true")
    assert (support("rm-old").success, support("rm-old").data) == ("true", "false")
    assert support("rm-other").code == "Forbidden.InstanceNotFound"
    assert create(instance_name="rm-old").code == "DBS.DownloadTask.InstanceStorageTypeNotSupport"
    service.habits.unsupported = "error"
    assert support("rm-old").code == "DBS.DownloadTask.InstanceStorageTypeNotSupport"


@pytest.mark.parametrize(
    ("fault", "created"),
    [
        (Fault("reset"), 0),
        (Fault("reset", executed=True), 1),
        (Fault("reset", executed=True, at=30), 1),
        (Fault("truncated"), 1),
        (Fault("unavailable"), 0),
        (Fault("unavailable", executed=True), 1),
        (Fault("html", executed=True), 1),
        (Fault("throttled"), 0),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else str(value),
)
def test_what_was_created_when_the_answer_is_lost(
    service: StandIn, create: Call, describe: Call, fault: Fault, created: int
) -> None:
    service.inject(fault)

    with pytest.raises(TeaException):
        create()

    assert len(service.created) == len(describe().data.content.list) == created


@pytest.mark.parametrize("executed", [True, False])
def test_a_client_that_does_not_wait_for_the_answer(service: StandIn, create: Call, executed: bool) -> None:
    service.inject(Fault("slow", executed=executed, seconds=3600))

    with pytest.raises(TeaException, match="timed out"):
        create(read_timeout=100)

    # It may still be at work on it.
    until(lambda: len(service.calls) == 1 and (service.created or not executed))
    assert len(service.created) == executed


def test_two_at_once(service: StandIn, create: Call) -> None:
    service.habits.same_job = "never"
    service.latency = 0.05
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: create(bak_set_id=str(number)), range(8)))

    assert sorted(answer.success for answer in answers) == ["false"] * 7 + ["true"]
    assert len(service.created) == 1
