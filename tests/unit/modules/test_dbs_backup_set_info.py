# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""dbs_backup_set_info against the stand-in."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.times import milliseconds
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.values import iso8601
from stand_in import StandIn

RDS = "rm-bp1abc"
CLUSTER = "pc-bp1abc"
START = 1_769_817_600_000  # 2026-01-31T00:00:00Z
DAY = 86_400_000


@pytest.fixture
def asked(asked: dict[str, Any], service: StandIn) -> dict[str, Any]:
    return {**asked, "rds_endpoint": service.url}


def ids(result: dict[str, Any]) -> list[str]:
    return [backup["backup_set_id"] for backup in result["backup_sets"]]


@pytest.mark.parametrize(("instance", "engine"), [(RDS, "MySQL"), (CLUSTER, "polardb_mysql")])
def test_one_shape_for_both(backups: Any, asked: dict[str, Any], service: StandIn, instance: str, engine: str) -> None:
    service.add_backup(instance, backup_id="7", started=START, minutes=5, size=1024, method="Snapshot")
    result = backups({**asked, "instance_name": instance, "_ansible_check_mode": True})
    (backup,) = result["backup_sets"]
    expected = {
        "backup_set_id": "7",
        "backup_id": "7",
        "instance_name": instance,
        "region_code": "cn-hangzhou",
        "backup_status": "success",
        "backup_mode": "Automated",
        "backup_method": "Snapshot",
        "backup_type": "FullBackup",
        "backup_size": 1024,
        "backup_start_time": "2026-01-31T00:00:00Z",
        "backup_end_time": "2026-01-31T00:05:00Z",
        "consistent_time": START // 1000,
        "consistent_time_iso": "2026-01-31T00:00:00Z",
        "is_avail": True,
        "engine": engine,
        "engine_version": "8.0",
    }
    assert expected.items() <= backup.items()
    assert not [name for name in backup if "url" in name or "link" in name]
    assert (result["count"], result["count_by_instance"], result["changed"]) == (1, {instance: 1}, False)


def test_no_link_leaks(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    links = {"BackupDownloadURL": "http://x/?Signature=1", "BackupDownloadLinkByDB": {"a": "http://x/?Signature=2"}}
    service.add_backup(RDS, extra=links)
    backups({**asked, "instance_name": RDS})
    assert "Signature" not in backups.output


@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_all_pages(backups: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    expected = [
        service.add_backup(instance, backup_id=str(number), started=START + number * DAY).backup_id
        for number in range(250)
    ]
    assert ids(backups({**asked, "instance_name": instance})) == expected[::-1]
    assert len(service.calls) == 3


@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_filters(backups: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    service.add_backup(instance, backup_id="1", started=START, method="Physical")
    service.add_backup(instance, backup_id="2", started=START + DAY, mode="Manual", method="Logical")
    service.add_backup(instance, backup_id="3", started=START + 2 * DAY + 30_500, method="Physical")
    service.add_backup(instance, backup_id="4", started=START + 3 * DAY, succeeded=False)

    def found(**options: Any) -> list[str]:
        return ids(backups({**asked, "instance_name": instance, **options}))

    assert found() == ["4", "3", "2", "1"]
    assert found(status="failed") == ["4"]
    assert found(status="success") == ["3", "2", "1"]
    assert found(mode="Manual") == ["2"]
    assert found(method="Logical") == ["2"]
    assert found(backup_set_id="1") == ["1"]
    assert found(latest=True) == ["3"]
    assert found(latest=True, status="failed") == ["4"]
    assert found(limit=2) == ["4", "3"]
    assert found(start_time="2026-02-01T00:00:00Z", end_time="2026-02-02T00:00:30.500Z") == ["3", "2"]
    assert found(start_time="2026-02-02T00:00:30.501Z") == ["4"]
    assert found(end_time=str(START)) == ["1"]


def test_the_latest_is_one_that_can_be_used(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(RDS, backup_id="1", started=START)
    service.add_backup(RDS, backup_id="2", started=START + 1000, extra={"BackupType": "IncrementalBackup"})
    service.add_backup(RDS, backup_id="3", started=START + 2000, extra={"IsAvail": 0})
    assert ids(backups({**asked, "instance_name": RDS, "latest": True})) == ["1"]


def test_instances_of_both_services(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(RDS, backup_id="1", started=START)
    service.add_backup(CLUSTER, backup_id="2", started=START + 1000)
    service.add_backup(RDS, backup_id="3", started=START + 2000)
    result = backups({**asked, "instance_name": [RDS, CLUSTER], "query": "backup_sets[].backup_set_id"})
    assert result["query_result"] == ids(result) == ["3", "2", "1"]
    assert ids(backups({**asked, "instance_name": [RDS, CLUSTER], "latest": True})) == ["3", "2"]
    assert {(call.action, call.headers["x-acs-version"]) for call in service.calls} == {
        ("DescribeBackups", "2014-08-15"),
        ("DescribeBackupDataList", "2021-01-01"),
    }


def test_an_instance_that_tells_no_service(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    said = backups({**asked, "instance_name": "mysql-odd"})["msg"]
    assert "instance_name 'mysql-odd' does not tell which service lists its backup sets: set source to rds" in said
    assert not service.calls
    service.add_backup("mysql-odd", backup_id="1")
    assert ids(backups({**asked, "instance_name": "mysql-odd", "source": "rds"})) == ["1"]


def test_a_mongodb_instance(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    """No source can list its backup sets, so none is asked for."""
    said = backups({**asked, "instance_name": "dds-bp1abc"})["msg"]
    assert "'dds-bp1abc' is a MongoDB instance, whose backup sets cannot be listed: copy the ID" in said
    assert "source" not in said
    assert not service.calls


def test_what_is_missing(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(RDS, backup_id="1", started=START)
    service.add_backup(CLUSTER, backup_id="2", started=START, succeeded=False)
    arguments = {**asked, "instance_name": [RDS, CLUSTER], "latest": True}
    assert ids(backups(arguments)) == ["1"]
    result = backups({**arguments, "on_missing": "error"})
    assert result["error"] == {"kind": "missing"}
    assert result["msg"] == (
        "there is no usable full backup set for 'pc-bp1abc' in region 'cn-hangzhou'. Check instance_name and region, "
        "or create a backup."
    )
    result = backups({**asked, "instance_name": RDS, "backup_set_id": "9", "mode": "Manual", "on_missing": "error"})
    assert (
        "there is no backup set for 'rm-bp1abc' in region 'cn-hangzhou' with backup_set_id '9', mode 'Manual'"
        in (result["msg"])
    )
    assert result["msg"].endswith("Check these options.")
    assert ids(backups({**asked, "instance_name": RDS, "on_missing": "error"})) == ["1"]


def test_no_such_instance(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    for instance, code in ((RDS, "InvalidDBInstanceId.NotFound"), (CLUSTER, "Forbidden.InstanceNotFound")):
        result = backups({**asked, "instance_name": instance})
        assert result["error"]["code"] == code
        assert f"Failed to list the backup sets of instance '{instance}' in region 'cn-hangzhou'" in result["msg"]
        assert "found in its own region only" in result["msg"]


def test_forbidden(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    key = service.add_key(may={"dbs:*"})
    service.add_backup(RDS)
    arguments = {**asked, "access_key_id": key.id, "access_key_secret": key.secret, "instance_name": RDS}
    assert "Grant the caller the RAM action rds:DescribeBackups" in backups(arguments)["msg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"status": "OK"}, "value of status must be one of: success, failed, got: OK"),
        ({"limit": 0}, "limit 0 is out of range: give 1 to 1000000."),
        ({"start_time": "2026-01-32"}, "start_time '2026-01-32' is not a time"),
        ({"end_time": "-1y"}, "end_time '-1y' is not a time"),
        ({"query_only": True}, "query_only needs query: it returns nothing else."),
        ({"start_time": "2026-02-01T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"}, "is after end_time"),
        ({"backup_set_id": "a b"}, "backup_set_id 'a b' is malformed"),
        ({"backup_set_id": "latest"}, "or to create a download task, latest in small letters for the newest one."),
        ({"backup_set_id": "Latest"}, "backup_set_id 'Latest' is malformed: give the ID of a backup set"),
        ({"query": "["}, "is not a JMESPath expression"),
        ({"rds_endpoint": "http://rds.aliyuncs.com"}, "is not encrypted"),
    ],
)
def test_bad_input(backups: Any, asked: dict[str, Any], service: StandIn, options: dict[str, Any], said: str) -> None:
    assert said in backups({**asked, "instance_name": RDS, **options})["msg"]
    assert not service.calls


@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_times_before_now_and_dates(backups: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    now = service.clock.now()
    service.add_backup(instance, backup_id="1", started=START - 1000)
    service.add_backup(instance, backup_id="2", started=START)
    service.add_backup(instance, backup_id="3", started=START + DAY - 1000)
    service.add_backup(instance, backup_id="4", started=START + DAY)
    service.add_backup(instance, backup_id="5", started=now - 3 * DAY)
    service.add_backup(instance, backup_id="6", started=now - 3_600_000)

    def found(**options: Any) -> list[str]:
        return ids(backups({**asked, "instance_name": instance, **options}))

    assert found(start_time="2026-01-31", end_time="2026-01-31") == ["3", "2"]
    assert found(start_time="-24h") == ["6"]
    assert found(start_time="-7d", end_time="-24h") == ["5"]


@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_what_can_be_restored(backups: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    now = service.clock.now() // 1000 * 1000
    service.add_backup(instance, started=START, succeeded=False)
    service.add_backup(instance, started=START + DAY)
    service.add_backup(instance, started=now - DAY)
    service.add_backup(instance, started=now - 1000, type="IncrementalBackup")
    arguments = {**asked, "instance_name": instance, "latest": True}
    assert backups(arguments)["recoverable"] is None
    window = backups({**arguments, "recoverable": True})["recoverable"][instance]
    assert window["earliest"] == "2026-02-01T00:00:00Z"
    if instance == RDS:
        assert window["told_by"] == "service"
        assert milliseconds(window["latest"]) >= now
    else:
        assert window == {**window, "latest": iso8601(now - DAY), "told_by": "backup_sets"}


@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_nothing_can_be_restored(backups: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    service.add_backup(instance, succeeded=False)
    window = backups({**asked, "instance_name": instance, "recoverable": True})["recoverable"][instance]
    assert (window["earliest"], window["latest"]) == (None, None)


def test_only_what_is_asked_for(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(RDS, backup_id="1")
    result = backups({**asked, "instance_name": RDS, "query": "backup_sets[].backup_set_id", "query_only": True})
    result.pop("invocation", None)
    assert result == {"changed": False, "query_result": ["1"]}
