# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup sets, through the official clients of Database Backup and of RDS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alibabacloud_dbs20210101 import models as dbs_models
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from stand_in import AccessKey, StandIn

INSTANCE = "rm-bp1abc"
CLUSTER = "pc-bp1abc"
DAY = 86_400_000
START = 1_700_000_000_000  # 2023-11-14T22:13:20Z
Call = Callable[..., Any]


def rds_of(service: StandIn, key: AccessKey) -> Call:
    """RDS DescribeBackups by that key: parameters in, the answer's body out."""
    # Each worker imports this file, and few of them run these tests: this takes half a second.
    from alibabacloud_rds20140815 import models
    from alibabacloud_rds20140815.client import Client

    client = Client(
        Config(
            access_key_id=key.id,
            access_key_secret=key.secret,
            protocol="HTTP",
            endpoint=service.url.removeprefix("http://"),
        )
    )

    def call(**parameters: Any) -> Any:
        return client.describe_backups(models.DescribeBackupsRequest(**{"dbinstance_id": INSTANCE, **parameters})).body

    return call


@pytest.fixture
def rds(service: StandIn) -> Call:
    return rds_of(service, service.key)


@pytest.fixture
def polardb(official: Callable[..., Any]) -> Call:
    """DescribeBackupDataList: parameters in, the answer's body out."""
    client = official()

    def call(**parameters: Any) -> Any:
        usual = {"region_code": "cn-hangzhou", "instance_name": CLUSTER}
        return client.describe_backup_data_list(
            dbs_models.DescribeBackupDataListRequest(**{**usual, **parameters})
        ).body

    return call


def some_backups(service: StandIn, instance: str) -> None:
    service.add_backup(instance, backup_id="1", started=START)
    service.add_backup(instance, backup_id="3", started=START + 2 * DAY, mode="Manual", method="Logical")
    service.add_backup(instance, backup_id="2", started=START + DAY, succeeded=False, size=0)


def test_a_backup_set_of_rds_with_every_field(service: StandIn, rds: Call) -> None:
    service.add_backup(INSTANCE, backup_id="1", started=START, minutes=2, size=10)

    answer = rds().to_map()

    assert answer.pop("RequestId") == service.calls[0].request_id
    assert answer == {
        "Items": {
            "Backup": [
                {
                    "BackupId": "1",
                    "DBInstanceId": INSTANCE,
                    "BackupStatus": "Success",
                    "BackupMode": "Automated",
                    "BackupMethod": "Snapshot",
                    "BackupType": "FullBackup",
                    "BackupSize": 10,
                    "BackupStartTime": "2023-11-14T22:13:20Z",
                    "BackupEndTime": "2023-11-14T22:15:20Z",
                    "BackupInitiator": "System",
                    "BackupDownloadURL": "",
                    "BackupIntranetDownloadURL": "",
                    "Checksum": "",
                    "ConsistentTime": START // 1000,
                    "CopyOnlyBackup": "0",
                    "Encryption": "{}",
                    "Engine": "MySQL",
                    "EngineVersion": "8.0",
                    "HostInstanceID": "5882781",
                    "IsAvail": 1,
                    "MetaStatus": "OK",
                    "StorageClass": "0",
                    "StoreStatus": "Enabled",
                }
            ]
        },
        "PageNumber": "1",
        "PageRecordCount": "1",
        "TotalRecordCount": "1",
        "TotalEcsSnapshotSize": 10,
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["3", "2", "1"]),
        ({"backup_id": "2"}, ["2"]),
        ({"backup_status": "Success"}, ["3", "1"]),
        ({"backup_status": "Failed"}, ["2"]),
        ({"backup_mode": "Manual"}, ["3"]),
        ({"backup_type": "IncrementalBackup"}, []),
        ({"start_time": "2023-11-15T00:00Z"}, ["3", "2"]),
        ({"start_time": "2023-11-14T22:13Z", "end_time": "2023-11-15T22:13Z"}, ["1"]),
    ],
)
def test_filters_of_rds(service: StandIn, rds: Call, filters: dict[str, str], expected: list[str]) -> None:
    some_backups(service, INSTANCE)

    assert [backup.backup_id for backup in rds(**filters).items.backup] == expected


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"dbinstance_id": None}, 400, "MissingParameter"),
        ({"dbinstance_id": "rm-other"}, 404, "InvalidDBInstanceId.NotFound"),
        ({"dbinstance_id": CLUSTER}, 404, "InvalidDBInstanceId.NotFound"),
        ({"backup_status": "OK"}, 400, "InvalidParameter"),
        ({"backup_mode": "manual"}, 400, "InvalidParameter"),
        ({"page_size": 20}, 400, "InvalidParameter"),
        ({"page_number": 0}, 400, "InvalidParameter"),
        ({"start_time": "2023-11-15T00:00:00Z"}, 400, "InvalidParameter"),
        ({"start_time": "2023-11-15T00:00Z", "end_time": "2023-11-15T00:00Z"}, 400, "InvalidParameter"),
    ],
)
def test_refusals_of_rds(service: StandIn, rds: Call, parameters: dict[str, Any], status: int, code: str) -> None:
    service.add_instance(INSTANCE)
    service.add_backup(CLUSTER)

    with pytest.raises(ClientException) as error:
        rds(**parameters)

    assert (error.value.status_code, error.value.code) == (status, code)


def test_pages_of_rds(service: StandIn, rds: Call) -> None:
    for number in range(35):
        service.add_backup(INSTANCE, backup_id=str(number), started=START + number)

    pages = [rds(page_number=page) for page in (1, 2, 3)]

    assert [[backup.backup_id for backup in page.items.backup] for page in pages] == [
        [str(number) for number in range(34, 4, -1)],
        [str(number) for number in range(4, -1, -1)],
        [],
    ]
    assert [page.page_record_count for page in pages] == ["30", "5", "0"]
    assert len(rds(page_size=50).items.backup) == 35


def test_rds_has_permissions_of_its_own(service: StandIn) -> None:
    service.add_instance(INSTANCE)
    key = service.add_key(may={"dbs:DescribeBackups"})

    with pytest.raises(ClientException) as error:
        rds_of(service, key)()

    assert error.value.access_denied_detail["AuthAction"] == "rds:DescribeBackups"


def test_a_backup_set_of_polardb(service: StandIn, polardb: Call) -> None:
    service.add_backup(CLUSTER, backup_id="1", started=START, minutes=2, size=10)

    data = polardb().data

    assert (data.page_number, data.page_size, data.total_pages, data.total_elements) == (1, 20, 1, 1)
    (backup,) = data.content
    assert (backup.backup_id, backup.instance_name, backup.backup_status) == ("1", CLUSTER, "OK")
    assert (backup.backup_start_time, backup.backup_end_time) == ("2023-11-14T22:13:20Z", "2023-11-14T22:15:20Z")
    assert (backup.backup_size, backup.consistent_time, backup.is_avail) == (10, START // 1000, 1)
    assert (backup.backup_method, backup.backup_mode, backup.backup_type) == ("Snapshot", "Automated", "FullBackup")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["3", "2", "1"]),
        ({"instance_name": None}, ["3", "2", "1", "9"]),
        ({"backup_id": "2"}, ["2"]),
        ({"backup_status": "OK"}, ["3", "1"]),
        ({"backup_status": "ERROR"}, ["2"]),
        ({"backup_mode": "Manual"}, ["3"]),
        ({"backup_method": "Logical"}, ["3"]),
        ({"backup_scale": "DBTable"}, []),
        ({"scene_type": "LEVEL_1"}, ["3", "2", "1"]),
        ({"start_time": "2023-11-14T22:13:21Z"}, ["3", "2"]),
        ({"end_time": "2023-11-14T22:13:20Z"}, ["1"]),
        ({"page_size": 2, "page_number": 1}, ["3", "2"]),
        ({"page_size": 2, "page_number": 2}, ["1"]),
        ({"page_size": 2, "page_number": 3}, []),
    ],
)
def test_filters_and_pages_of_polardb(
    service: StandIn, polardb: Call, filters: dict[str, Any], expected: list[str]
) -> None:
    some_backups(service, CLUSTER)
    service.add_backup("pc-other", backup_id="9", started=START)
    service.add_backup(INSTANCE, backup_id="of RDS", started=START)

    assert [backup.backup_id for backup in polardb(**filters).data.content] == expected


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"region_code": None}, "DBS.ParamIsInValid"),
        ({"instance_name": "pc-other"}, "Forbidden.InstanceNotFound"),
        ({"instance_name": INSTANCE}, "Forbidden.InstanceNotFound"),
        ({"backup_status": "Success"}, "DBS.ParamIsInValid"),
        ({"start_time": "2023-11-14T22:13Z"}, "DBS.ParamIsInValid"),
        ({"page_size": 0}, "DBS.ParamIsInValid"),
    ],
)
def test_refusals_of_polardb(service: StandIn, polardb: Call, parameters: dict[str, Any], code: str) -> None:
    service.add_instance(CLUSTER)
    service.add_instance(INSTANCE)

    answer = polardb(**parameters)

    assert (answer.success, answer.code) == ("false", code)


def test_tasks_are_created_for_good_backup_sets_only(service: StandIn, official: Callable[..., Any]) -> None:
    some_backups(service, INSTANCE)
    client = official()

    def create(backup_set_id: str) -> Any:
        request = dbs_models.CreateDownloadRequest(
            region_code="cn-hangzhou", instance_name=INSTANCE, format_type="SQL", bak_set_id=backup_set_id
        )
        return client.create_download(request).body

    assert create("2").code == "DBS.DownloadTask.BakSetError"
    assert create("4").code == "DBS.DownloadTask.BakSetError"
    assert create("3").data.backup_set_time == START + 2 * DAY
