# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The official client of the service cannot tell the difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alibabacloud_dbs20210101 import models
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from stand_in import LIFE_CYCLE, Call, Fault, StandIn, sample

INSTANCE = "rm-bp1abc"
HOUR = 3_600_000
Describe = Callable[..., Any]


def ids(body: Any) -> list[str]:
    return [task.task_id for task in body.data.content.list]


def test_a_task_comes_with_every_field(service: StandIn, describe: Describe) -> None:
    service.add_task(
        INSTANCE, task_id="dt-1", databases=["a", "b"], created=1663321957000, tables=7, size=10, backup_set_time=5
    )

    answer = describe().to_map()

    assert answer["Success"] == "true"
    assert answer["RequestId"] == service.calls[0].request_id
    content = answer["Data"].pop("Content")
    assert answer["Data"] == {"PageNumber": 1, "PageSize": 10, "TotalPages": 1, "TotalElements": 1, "Extra": ""}
    assert content["List"] == [
        {
            "TaskId": "dt-1",
            "RegionCode": "cn-hangzhou",
            "Format": "CSV",
            "DbList": "[a,b]",
            "BakSetId": "1482610001",
            "DownloadStatus": "finished",
            "ExportDataSize": "10",
            "ImportDataSize": "30",
            "BackupSetTime": "5",
            "TargetType": "URL",
            "TargetPath": "dt-1/dbs_target_file_path",
            "Progress": "7/7",
            "GmtCreate": "1663321957000",
        }
    ]


def test_pages_hold_every_task_once_newest_first(service: StandIn, describe: Describe) -> None:
    for number in range(25):
        service.add_task(INSTANCE, task_id=f"dt-{number}", created=number)

    pages = [describe(page_size="10", current_page=str(page)) for page in (1, 2, 3, 4)]

    assert [task for page in pages for task in ids(page)] == [f"dt-{number}" for number in reversed(range(25))]
    assert {(page.data.total_elements, page.data.total_pages) for page in pages} == {(25, 3)}
    assert [page.data.page_number for page in pages] == [1, 2, 3, 4]
    assert ids(describe(order_direct="asc", page_size="3")) == ["dt-0", "dt-1", "dt-2"]
    assert service.connections == 1


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["new", "old"]),
        ({"backup_set_id": "77"}, ["old"]),
        ({"state": "QUEUING"}, ["new"]),
        ({"state": "Finished"}, ["old"]),
        ({"state": "failed"}, []),
        ({"task_type": "PITR"}, ["new"]),
        ({"cluster_name": "shard-1"}, ["old"]),
        ({"start_time": "2000"}, ["new"]),
        ({"end_time": "1000"}, ["old"]),
        ({"start_time": "1001", "end_time": "1999"}, []),
        ({"datasource_id": f"ds-{INSTANCE}_cn-hangzhou"}, ["new", "old"]),
        ({"datasource_id": f"ds-{INSTANCE}_cn-beijing"}, []),
    ],
)
def test_filters(service: StandIn, describe: Describe, filters: dict[str, str], expected: list[str]) -> None:
    service.add_task(INSTANCE, task_id="old", created=1000, backup_set_id="77", cluster_name="shard-1")
    service.add_task(INSTANCE, task_id="new", created=2000, task_type="pitr", state="queueing")

    assert ids(describe(**filters)) == expected


@pytest.mark.parametrize(
    "parameter",
    ["start_time", "end_time", "page_size", "current_page", "order_direct", "order_column", "task_type"],
)
def test_rubbish_is_a_business_error_that_the_client_takes_for_success(
    service: StandIn, describe: Describe, parameter: str
) -> None:
    service.add_task(INSTANCE)

    answer = describe(**{parameter: "-1"})

    assert (answer.success, answer.code, answer.err_code) == ("false", "DBS.ParamIsInValid", "DBS.ParamIsInValid")
    assert answer.data is None
    assert (service.calls[0].status, service.calls[0].code) == (200, "DBS.ParamIsInValid")


def test_required_parameters(describe: Describe) -> None:
    assert describe(instance_name=None).message == "instanceName can not be empty"
    assert describe(region_code=None).err_message == "regionCode can not be empty"


def test_regions_do_not_see_each_other(service: StandIn, describe: Describe) -> None:
    service.add_task(INSTANCE, task_id="dt-1")
    service.add_task(INSTANCE, task_id="dt-2", region="eu-west-1")
    service.add_instance("rm-empty")

    assert ids(describe()) == ["dt-1"]
    assert ids(describe(region_code="eu-west-1")) == ["dt-2"]
    assert describe(region_code="us-west-1").code == "Forbidden.InstanceNotFound"
    assert ids(describe(instance_name="rm-empty")) == []
    service.habits.unknown_instance = "empty"
    assert ids(describe(region_code="us-west-1")) == []


def test_a_temporary_key(service: StandIn, official: Callable[..., Any]) -> None:
    service.add_instance(INSTANCE)
    request = models.DescribeDownloadTaskRequest(region_code="cn-hangzhou", instance_name=INSTANCE)
    good = service.add_key(token="token-1", expires_in=3600)
    expired = service.add_key(token="token-2", expires_in=0)

    assert official(good).describe_download_task(request).body.success == "true"
    with pytest.raises(ClientException) as error:
        official(expired).describe_download_task(request)
    assert error.value.code == "InvalidSecurityToken.Expired"


def test_a_wrong_secret(official: Callable[..., Any]) -> None:
    with pytest.raises(ClientException) as error:
        official(secret="wrong").describe_download_task(models.DescribeDownloadTaskRequest())

    assert (error.value.code, error.value.status_code) == ("SignatureDoesNotMatch", 400)
    assert "server StringToSign is [ACS3-HMAC-SHA256\n" in error.value.message


@pytest.mark.parametrize("code", ["NoPermission", "Forbidden.RAM"])
def test_forbidden(service: StandIn, official: Callable[..., Any], code: Any) -> None:
    service.habits.denial = code
    key = service.add_key(may={"dbs:CreateDownload"})

    with pytest.raises(ClientException) as error:
        official(key).describe_download_task(models.DescribeDownloadTaskRequest())

    assert (error.value.code, error.value.status_code) == (code, 403)
    assert error.value.access_denied_detail["AuthAction"] == "dbs:DescribeDownloadTask"


def test_throttling(service: StandIn, describe: Describe) -> None:
    service.add_instance(INSTANCE)
    service.inject(Fault("throttled", status=429, retry_after=250))

    with pytest.raises(ThrottlingException) as error:
        describe()

    assert (error.value.code, error.value.status_code, error.value.retry_after) == ("Throttling.User", 429, 250)
    assert describe().success == "true"


def test_errors_in_xml(service: StandIn, describe: Describe) -> None:
    service.inject(Fault("error", status=503, code="ServiceUnavailable", message="<down>", xml=True))

    with pytest.raises(ServerException) as error:
        describe()

    assert error.value.code == "ServiceUnavailable"
    assert "<down>" in error.value.message


def test_states_move_with_the_services_time(service: StandIn, describe: Describe) -> None:
    service.add_task(INSTANCE, schedule=LIFE_CYCLE, tables=10, size=99)

    def seen() -> tuple[str, str, str]:
        task = describe().data.content.list[0]
        return task.download_status, task.progress, task.export_data_size

    assert seen() == ("initializing", "0/0", "0")
    service.advance(11)
    assert seen() == ("queueing", "0/0", "0")
    service.advance(40)
    assert seen() == ("running", "5/10", "0")
    service.advance(30)
    assert seen() == ("finished", "10/10", "99")
    service.advance(3 * 24 * 3600)
    assert seen() == ("expired", "10/10", "99")


def test_states_move_with_the_lists_that_show_them(describe: Describe, service: StandIn) -> None:
    """Each instance has a time of its own then, which no clock moves."""
    service.habits.seconds_per_list = 1000
    for instance in (INSTANCE, "rm-other"):
        service.add_task(instance, schedule=[("running", 2500.0), ("finished", None)])

    def states(instance: str, count: int) -> list[str]:
        answers = [describe(instance_name=instance) for dummy in range(count)]
        return [answer.data.content.list[0].download_status for answer in answers]

    assert states(INSTANCE, 5) == ["running", "running", "running", "finished", "finished"]
    assert states("rm-other", 1) == ["running"]


def test_time_can_be_sped_up() -> None:
    with StandIn(speed=1e9) as service:
        task = service.add_task(INSTANCE, schedule=[("running", 3600), ("failed", None)])
        while (state := task.state(service.clock.now())) == "running":
            pass
    assert state == "failed"


@pytest.mark.parametrize(
    ("spelling", "expected"), [("ue", ["queueing", "initializing"]), ("u", ["queuing", "Initializing"])]
)
def test_spellings(service: StandIn, describe: Describe, spelling: Any, expected: list[str]) -> None:
    service.habits.spelling = spelling
    service.add_task(INSTANCE, state="initializing", created=1)
    service.add_task(INSTANCE, state="queueing", created=2)

    assert [task.download_status for task in describe().data.content.list] == expected


def test_page_sizes_are_clamped_or_refused(service: StandIn, describe: Describe) -> None:
    service.add_instance(INSTANCE)
    service.habits.page_size_max = 30

    assert describe(page_size="31").data.page_size == 30
    service.habits.page_size_over = "refuse"
    assert describe(page_size="30").success == "true"
    assert describe(page_size="31").code == "DBS.ParamIsInValid"


def test_a_task_may_appear_between_two_pages(service: StandIn, describe: Describe) -> None:
    for number in range(4):
        service.add_task(INSTANCE, task_id=f"dt-{number}", created=number)

    def add(call: Call) -> None:
        if call.params["CurrentPage"] == "2":
            service.add_task(INSTANCE, task_id="dt-4", created=4)

    service.on_call(add)

    assert ids(describe(page_size="2", current_page="1")) == ["dt-3", "dt-2"]
    assert ids(describe(page_size="2", current_page="2")) == ["dt-2", "dt-1"]


def test_the_documentations_own_sample(service: StandIn, describe: Describe) -> None:
    service.answer("DescribeDownloadTask", sample("DescribeDownloadTask"))

    answer = describe()

    assert (answer.success, answer.code, answer.data.total_pages) == ("true", "DBS.InternalError", 2)
    assert ids(answer) == ["dt-qxntlvgu****"]
