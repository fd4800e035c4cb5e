# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""dbs_download_task against the stand-in: a task exists, exactly one, whatever goes wrong on the way."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.download_request import DownloadRequest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.times import milliseconds
from processes import LIMIT, started
from stand_in import Fault, StandIn
from stand_in.registry import GatewayError

INSTANCE = "rm-bp1abc"
QUICK = [("running", 0.5), ("finished", None)]
SLOW = [("running", 1e6), ("finished", None)]
OSS = {
    "target_type": "OSS",
    "target_bucket": "my-backups",
    "target_path": "restore/orders",
    "target_oss_region": "cn-hangzhou",
}


@pytest.fixture
def service(service: StandIn) -> StandIn:
    service.add_instance(INSTANCE)
    return service


@pytest.fixture
def asked(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        **asked,
        "backup_set_id": "1482610001",
        "format": "CSV",
        "poll_interval": 0.1,
        "confirm_timeout": 0.3,
        "max_retries": 3,
    }


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.apsaradb.backup.plugins.module_utils._dbs import tuning

    monkeypatch.setattr(tuning, "LOOK_INTERVAL", 0.1)


@pytest.fixture
def retried(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in asked.items() if name not in ("format", "backup_set_id")},
        "state": "retried",
    }


def creations(service: StandIn) -> int:
    return len(service.calls_of("CreateDownload"))


def test_a_task_is_created_once(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    result = task({**asked, "_ansible_diff": True})
    assert (result["changed"], result["action"]) == (True, "created")
    assert result["task"]["task_id"] == service.created[0].task_id
    assert result["task"]["download_status"] == "initializing"
    assert result["task"]["backup_set_id"] == "1482610001"
    assert isinstance(result["task"]["gmt_create"], int)
    assert "task_id: dt-" in result["diff"]["after"]
    again = task(asked)
    assert (again["changed"], again["action"]) == (False, "none")
    assert again["task"]["task_id"] == result["task"]["task_id"]
    assert (len(service.created), creations(service)) == (1, 1)


def test_every_parameter_of_the_api(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_instance("dds-bp1abc", engine="mongodb")
    task(
        {
            **asked,
            **OSS,
            "instance_name": "dds-bp1abc",
            "backup_set_size": 1024,
            "format": "bson",
            "use_zstd": True,
            "primary_key_type_only": False,
            "is_cluster": True,
            "admin_database": "admin",
            "cluster_name": "shard-1",
        }
    )
    assert service.calls_of("CreateDownload")[0].params == {
        "RegionCode": "cn-hangzhou",
        "InstanceName": "dds-bp1abc",
        "BakSetType": "full",
        "BakSetId": "1482610001",
        "BakSetSize": "1024",
        "FormatType": "Bson",
        "TargetType": "OSS",
        "TargetBucket": "my-backups",
        "TargetPath": "restore/orders",
        "TargetOssRegion": "cn-hangzhou",
        "UseZstd": "true",
        "PrimaryKeyTypeOnly": "false",
        "IsCluster": "true",
        "AdminDatabase": "admin",
        "ClusterName": "shard-1",
    }


def test_a_physical_backup(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    task({**asked, "format": "QP.XB"})
    assert service.calls_of("CreateDownload")[0].params["FormatType"] == "qp.xb"
    assert service.calls_of("CreateDownload")[0].params["IsPhysical"] == "true"


def test_a_point_in_time(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    arguments = {**asked, "backup_set_id": None, "point_in_time": "2022-09-16T09:52:37.123Z"}
    assert task(arguments)["changed"]
    assert service.calls_of("CreateDownload")[0].params["DownloadPointInTime"] == "1663321957123"
    assert not task(arguments)["changed"]
    assert not task({**arguments, "point_in_time": "1663321957000"})["changed"]


LISTINGS: list[dict[str, Any]] = [
    {},
    *({"formats": formats} for formats in ("documented", "other", "absent")),
    *({"targets": targets} for targets in ("bucket", "absent")),
    *({"times": times} for times in ("s", "minute", "absent")),
    {"sources": False},
    {"formats": "absent", "targets": "absent", "times": "absent", "sources": False},
]
FORMATS = ["CSV", "csv-with-header", "SQL", "Parquet", "qp.xb", "Bson"]
#: How a request is listed that leaves something open.
UNCERTAIN = {
    ("csv-with-header", "documented"),
    *((name, "other") for name in ("csv-with-header", "qp.xb", "Bson")),
    *((name, "absent") for name in FORMATS),
}


@pytest.mark.parametrize(("source", "to_oss"), [("backup set", False), ("point in time", True)])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("habits", LISTINGS, ids=str)
def test_a_second_run_pays_nothing_however_tasks_are_listed(
    task: Any, asked: dict[str, Any], service: StandIn, habits: Any, format: str, source: str, to_oss: bool
) -> None:
    """The service would create as often as it is asked to. What leaves it open whether it is the same task is told."""
    service.habits.same_job, service.habits.one_task = "never", False
    for name, value in habits.items():
        setattr(service.habits, name, value)
    instance = "dds-bp1abc" if format == "Bson" else INSTANCE
    service.add_instance(instance)
    arguments = {**asked, **(OSS if to_oss else {}), "format": format, "instance_name": instance}
    expected = {"format"} if (format, service.habits.formats) in UNCERTAIN else set()
    if source == "point in time":
        arguments.update(backup_set_id=None, point_in_time="2022-09-16T09:52:37Z")
        expected |= {"backup_set_time"} if service.habits.times in ("minute", "absent") else set()
    else:
        expected |= set() if service.habits.sources else {"backup_set_id"}
    if service.habits.targets == "absent":
        expected |= {"target_type", "target_path"} if to_oss else {"target_type"}
    first = task(arguments)
    assert (first["action"], first["uncertain_fields"]) == ("created", [])
    assert "may not recognise it" not in str(first.get("warnings"))
    again = task(arguments)
    assert (again["changed"], again["action"]) == (False, "none")
    assert again["task"]["task_id"] == first["task"]["task_id"]
    assert set(again["uncertain_fields"]) == expected
    assert ("may be the one for" in str(again.get("warnings"))) is bool(expected)
    assert len(service.created) == 1


def test_what_to_do_where_it_is_uncertain(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.habits.formats = "documented"
    service.add_task(INSTANCE, task_id="dt-csv")
    arguments = {**asked, "format": "csv-with-header"}
    result = task(arguments)
    assert (result["action"], result["uncertain_fields"]) == ("none", ["format"])
    assert (
        "Task 'dt-csv' may be the one for backup set '1482610001' of instance 'rm-bp1abc' in region 'cn-hangzhou' in the "
        "format csv-with-header, but it is listed with format 'csv'. It is used, and nothing was "
        "created"
    ) in str(result["warnings"])
    refused = task({**arguments, "on_uncertain": "error"})
    assert refused["error"]["kind"] == "state"
    assert "task 'dt-csv' may be the one for" in refused["msg"]
    assert "Set on_uncertain=reuse to use it, or on_uncertain=create" in refused["msg"]
    checked = task({**arguments, "_ansible_check_mode": True})
    assert (checked["action"], checked["uncertain_fields"]) == ("none", ["format"])
    assert not creations(service)
    created = task({**arguments, "on_uncertain": "create"})
    assert (created["action"], created["uncertain_fields"]) == ("created", [])


@pytest.mark.parametrize("listed", ["csv", "CSV", "SQL", "Parquet"])
def test_a_physical_backup_that_may_be_listed_as_another_format(
    task: Any, asked: dict[str, Any], service: StandIn, listed: str
) -> None:
    """Nobody is handed other files without asking for it, nor pays for the same twice."""
    service.add_task(INSTANCE, task_id="dt-one", format=listed)
    arguments = {**asked, "format": "qp.xb"}
    for mode in ({}, {"_ansible_check_mode": True}):
        refused = task({**arguments, **mode})
        assert "task 'dt-one' may be the one for" in refused["msg"]
        assert f"it is listed with format {listed!r}" in refused["msg"]
    used = task({**arguments, "on_uncertain": "reuse"})
    assert (used["task"]["task_id"], used["uncertain_fields"]) == ("dt-one", ["format"])
    assert not creations(service)
    assert task({**arguments, "on_uncertain": "create"})["action"] == "created"


@pytest.mark.parametrize("format", ["CSV", "SQL", "Parquet"])
def test_a_format_that_is_listed_by_a_word_that_nobody_knows(
    task: Any, asked: dict[str, Any], service: StandIn, format: str
) -> None:
    service.add_task(INSTANCE, task_id="dt-one", format="text")
    result = task({**asked, "format": format})
    assert (result["action"], result["uncertain_fields"]) == ("none", ["format"])
    assert "may be the one for" in str(result["warnings"])
    assert not creations(service)


@pytest.mark.parametrize("on_failed", ["error", "retry"])
def test_an_uncertain_task_that_failed(task: Any, asked: dict[str, Any], service: StandIn, on_failed: str) -> None:
    service.habits.formats = "documented"
    failed = service.add_task(INSTANCE, state="failed", format="csv-with-header")
    result = task({**asked, "format": "csv-with-header", "on_failed": on_failed})
    assert "may be the one for" in str(result["warnings"])
    assert (failed.retries, creations(service)) == (int(on_failed == "retry"), 0)


def test_an_uncertain_task_that_expired(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.habits.formats = "documented"
    service.add_task(INSTANCE, task_id="dt-old", state="expired")
    arguments = {**asked, "format": "csv-with-header"}
    assert "task 'dt-old'" in task({**arguments, "on_expired": "error"})["msg"]
    assert not creations(service)
    result = task(arguments)
    assert result["action"] == "created"
    assert "warnings" not in result


def test_a_format_that_is_listed_by_its_own_name_is_certain(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    """Then one that is listed as csv is another one."""
    service.add_task(INSTANCE, state="expired", format="csv-with-header")
    service.add_task(INSTANCE, format="csv")
    assert task({**asked, "format": "csv-with-header"})["action"] == "created"


@pytest.mark.parametrize("code", ["JobAlreadyExist", "OnlyOneRunningOrFailedTask"])
def test_a_refusal_tells_whether_it_is_the_same(task: Any, asked: dict[str, Any], service: StandIn, code: str) -> None:
    """That the same job exists leaves nothing open; that another task is in the way leaves it as it was."""
    service.habits.formats = "absent"
    service.habits.same_job = "live" if code == "JobAlreadyExist" else "never"
    service.add_task(INSTANCE, task_id="dt-theirs", state="running", format="csv-with-header")
    result = task({**asked, "format": "csv-with-header", "on_uncertain": "create"})
    if code == "JobAlreadyExist":
        assert (result["action"], result["task"]["task_id"], result["uncertain_fields"]) == ("none", "dt-theirs", [])
    else:
        assert result["error"]["kind"] == "slot_taken"


def test_a_new_task_that_another_run_would_not_recognise(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    row = {"TaskId": "dt-odd", "Format": "csv", "TargetType": "URL", "BakSetId": "another", "DownloadStatus": "running"}
    service.answer("CreateDownload", {"Success": "true", "Data": row})
    result = task(asked)
    assert result["action"] == "created"
    assert "with backup_set_id 'another', which is not what was requested" in str(result["warnings"])


@pytest.mark.parametrize("state", ["initializing", "queueing", "running", "finished", "Archiving"])
def test_whoever_created_it(task: Any, asked: dict[str, Any], service: StandIn, state: str) -> None:
    service.add_task(INSTANCE, task_id="dt-theirs", state=state, format="csv")
    result = task(asked)
    assert (result["changed"], result["task"]["task_id"]) == (False, "dt-theirs")
    assert not creations(service)


@pytest.mark.parametrize(
    "other",
    [
        {"backup_set_id": "1482610002"},
        {"format": "SQL"},
        {"target_type": "OSS", "target_path": "elsewhere"},
        {"task_type": "pitr", "backup_set_id": ""},
    ],
)
def test_another_task_is_not_the_same(
    task: Any, asked: dict[str, Any], service: StandIn, other: dict[str, Any]
) -> None:
    service.add_task(INSTANCE, **other)
    assert task(asked)["changed"]


def test_the_same_path_in_oss(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    assert task({**asked, **OSS})["changed"]
    assert not task({**asked, **OSS, "target_path": "/restore/orders/"})["changed"]


def test_full_and_point_in_time_are_not_the_same(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    parse_time = 1_663_321_957_123
    service.add_task(INSTANCE, task_type="pitr", backup_set_id="1482610001", backup_set_time=parse_time)
    service.add_task(INSTANCE, task_type="full", backup_set_id="7", backup_set_time=parse_time + 1000)
    assert task(asked)["action"] == "created"
    service.created[0].follow([("finished", None)], service.clock.now())
    arguments = {**asked, "backup_set_id": None, "point_in_time": str(parse_time + 1000)}
    assert task(arguments)["action"] == "created"


def test_each_shard_has_its_own(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task("dds-bp1abc", backup_set_id="1482610001", cluster_name="shard-1")
    arguments = {**asked, "instance_name": "dds-bp1abc", "cluster_name": "shard-2"}
    assert task(arguments)["action"] == "created"
    assert not task(arguments)["changed"]


def test_a_finished_task_comes_before_a_newer_failure(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, state="expired", created=3)
    service.add_task(INSTANCE, state="failed", created=2)
    service.add_task(INSTANCE, task_id="dt-good", created=1)
    assert task({**asked, "on_expired": "error"})["task"]["task_id"] == "dt-good"


def test_the_bucket_of_a_task_that_there_was_is_not_known(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, target_type="OSS", target_path="restore/orders", target_bucket="another")
    result = task({**asked, **OSS})
    assert result["action"] == "none"
    assert "writes to the path 'restore/orders', but the service does not return its bucket" in str(result["warnings"])


def test_an_expired_task(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-old", state="expired")
    refused = task({**asked, "on_expired": "error"})
    assert "task 'dt-old' for backup set '1482610001'" in refused["msg"]
    assert "has expired: its files are gone. Set on_expired=create" in refused["msg"]
    assert not creations(service)
    assert task(asked)["task"]["task_id"] != "dt-old"


def test_a_failed_task(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    failed = service.add_task(INSTANCE, task_id="dt-bad", state="failed")
    refused = task(asked)
    assert refused["error"]["kind"] == "state"
    assert "task 'dt-bad' for backup set '1482610001' of instance 'rm-bp1abc'" in refused["msg"]
    assert "on_failed=retry" in refused["msg"]
    result = task({**asked, "on_failed": "retry"})
    assert (result["changed"], result["action"], failed.retries) == (True, "retried", 1)
    assert not creations(service)


@pytest.mark.parametrize(
    ("state", "advice"), [("running", "Wait until it has finished"), ("failed", "Retry it with state=retried")]
)
def test_a_task_in_the_way(task: Any, asked: dict[str, Any], service: StandIn, state: str, advice: str) -> None:
    service.add_task(INSTANCE, task_id="dt-other", state=state, backup_set_id="7")
    result = task(asked)
    assert result["error"]["kind"] == "slot_taken"
    assert result["error"]["blocking_task"]["task_id"] == "dt-other"
    assert f"task 'dt-other' is {state}" in result["msg"]
    assert advice in result["msg"]


def test_it_can_wait_for_the_slot(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, schedule=QUICK, backup_set_id="7")
    result = task({**asked, "wait_for_slot": True, "wait_timeout": 600})
    assert result["action"] == "created"
    assert creations(service) == 2


def test_a_slot_that_a_failure_blocks(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-bad", schedule=[("running", 0.3), ("failed", None)], backup_set_id="7")
    result = task({**asked, "wait_for_slot": True, "wait_timeout": 600})
    assert result["error"]["kind"] == "slot_taken"
    assert "task 'dt-bad' is failed" in result["msg"]


def test_it_can_wait_for_the_end(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.habits.life_cycle = QUICK
    result = task({**asked, "wait": True, "wait_timeout": 600})
    assert (result["changed"], result["task"]["download_status"]) == (True, "finished")


def test_a_created_task_that_fails_is_named(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.habits.life_cycle = [("running", 0.2), ("failed", None)]
    result = task({**asked, "wait": True, "wait_timeout": 600})
    assert result["failed"]
    assert result["changed"]
    assert result["task"]["task_id"] == service.created[0].task_id
    assert service.created[0].task_id in result["msg"]


def test_check_mode_tells_what_it_costs(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(INSTANCE, backup_id="1482610001", size=3 << 30)
    blocking = service.add_task(INSTANCE, state="running", backup_set_id="7")
    arguments = {**asked, "_ansible_check_mode": True, "_ansible_diff": True, "rds_endpoint": service.url}
    result = task(arguments)
    assert (result["changed"], result["action"]) == (True, "create")
    assert result["backup_set_size"] == 3 << 30
    assert result["estimated_fee"] == 0.0938
    assert result["blocking_task"]["task_id"] == blocking.task_id
    assert "is running: the service may refuse to create another one" in str(result["warnings"])
    assert "FormatType: CSV" in result["diff"]["after"]
    given = task({**arguments, "backup_set_size": 1 << 30, "fee_per_gib": 2})
    assert given["estimated_fee"] == 2.0
    assert not creations(service)


@pytest.mark.parametrize(
    ("options", "is_refused"),
    [({}, True), ({"wait_for_slot": True}, True), ({"wait_for_slot": True, "on_blocked": "retry"}, False)],
)
def test_check_mode_foretells_the_refusal(
    task: Any, asked: dict[str, Any], service: StandIn, options: dict[str, Any], is_refused: bool
) -> None:
    service.habits.retry_life_cycle = QUICK
    service.add_task(INSTANCE, task_id="dt-bad", state="failed", backup_set_id="7")
    arguments = {**asked, **options, "backup_set_size": 1, "wait_timeout": 600}
    planned = task({**arguments, "_ansible_check_mode": True})
    assert (
        "Task 'dt-bad' has failed: until it is retried, the service refuses" in str(planned.get("warnings"))
    ) is is_refused
    assert bool(task(arguments).get("failed")) is is_refused


@pytest.mark.parametrize("instance", [INSTANCE, "pc-bp1abc"])
def test_the_fee_of_a_point_in_time(task: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    """By the newest backup set before it, as an estimate."""
    now = service.clock.now()
    service.add_backup(instance, started=now - 8_000_000, size=1 << 30)
    service.add_backup(instance, started=now - 7_000_000, size=2 << 30)
    service.add_backup(instance, started=now - 6_000_000, size=3 << 30, succeeded=False)
    service.add_backup(instance, started=now - 1_000_000, size=4 << 30)
    arguments = {**asked, "instance_name": instance, "backup_set_id": None, "rds_endpoint": service.url}
    arguments.update(point_in_time=str(now - 5_000_000), _ansible_check_mode=True)
    result = task(arguments)
    assert (result["backup_set_size"], result["estimated_fee"]) == (2 << 30, 0.0625)
    assert result["backup_set_size_is_estimate"] is True
    given = task({**arguments, "backup_set_size": 1 << 30})
    assert (given["backup_set_size"], given["backup_set_size_is_estimate"]) == (1 << 30, False)
    early = task({**arguments, "point_in_time": str(now - 9_000_000)})
    assert (early["backup_set_size"], early["backup_set_size_is_estimate"]) == (None, False)


def test_a_point_in_time_before_now(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    before = time.time() * 1000
    task({**asked, "backup_set_id": None, "point_in_time": "-90m"})
    point = int(service.calls_of("CreateDownload")[0].params["DownloadPointInTime"])
    assert before - 5_400_000 <= point + 1 <= time.time() * 1000 - 5_400_000 + 1
    task({**asked, "backup_set_id": None, "point_in_time": "2026-01-31"})
    assert service.calls_of("CreateDownload")[1].params["DownloadPointInTime"] == "1769817600000"


def test_a_finished_task_whose_files_may_soon_be_gone(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    now = service.clock.now()
    service.add_task(INSTANCE, task_id="dt-old", created=now - 49 * 3_600_000)
    result = task(asked)
    assert result["action"] == "none"
    assert (
        f"Files of these tasks may be deleted in less than a day, or are deleted already: dt-old ({result['task']['expires_at']})"
        in str(result["warnings"])
    )


def test_a_task_that_was_seen_to_finish(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    """Its files are there for three days after it was last seen not to be finished."""
    long_ago = service.clock.now() - 86_400_000
    service.add_task(INSTANCE, task_id="dt-long", created=long_ago, schedule=[("running", 1.0), ("finished", None)])
    began = service.clock.now()
    result = task({**asked, "wait": True})
    expires = milliseconds(result["task"]["expires_at"])
    assert expires >= began + 3 * 86_400_000 - 900_000 - 1000
    assert expires > long_ago + 3 * 86_400_000
    assert expires <= service.clock.now() + 3 * 86_400_000


def test_check_mode_predicts_the_task(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    planned = task({**asked, **OSS, "backup_set_size": 1, "_ansible_check_mode": True})
    created = task({**asked, **OSS, "backup_set_size": 1})
    assert planned.keys() == created.keys() | {"diff"}
    assert planned["task"].keys() == created["task"].keys()
    same = ("instance_name", "region_code", "format", "backup_set_id", "download_status", "target_type", "target_path")
    assert [planned["task"][name] for name in same] == [created["task"][name] for name in same]
    assert planned["task"]["task_id"] == "dt-would-be-created"


def test_check_mode_predicts_a_retry(task: Any, retried: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-bad", state="failed")
    planned = task({**retried, "_ansible_check_mode": True, "_ansible_diff": True})
    assert (planned["task"]["task_id"], planned["task"]["download_status"]) == ("dt-bad", "initializing")
    assert planned["diff"]["before"] != planned["diff"]["after"]


@pytest.mark.parametrize("instance", [INSTANCE, "pc-bp1abc"])
def test_the_latest_backup_set(task: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    """The newest full one that succeeded and can be used; its size need not be given."""
    now = service.clock.now()
    service.add_backup(instance, backup_id="1", started=now - 9_000_000)
    service.add_backup(instance, backup_id="2", started=now - 8_000_000, size=3 << 30)
    service.add_backup(instance, backup_id="3", started=now - 7_000_000, succeeded=False)
    service.add_backup(instance, backup_id="4", started=now - 6_000_000, extra={"IsAvail": 0})
    service.add_backup(instance, backup_id="5", started=now - 5_000_000, type="IncrementalBackup")
    arguments = {**asked, "instance_name": instance, "backup_set_id": "latest", "rds_endpoint": service.url}
    planned = task({**arguments, "_ansible_check_mode": True})
    assert (planned["task"]["backup_set_id"], planned["backup_set_size"]) == ("2", 3 << 30)
    result = task(arguments)
    assert (result["task"]["backup_set_id"], result["backup_set_size"]) == ("2", 3 << 30)
    assert result["estimated_fee"] == planned["estimated_fee"] == 0.0938
    assert service.calls_of("CreateDownload")[0].params["BakSetSize"] == str(3 << 30)
    assert task({**arguments, "backup_set_size": 1})["action"] == "none"


@pytest.mark.parametrize("row", [{}, {"BackupStatus": "Success", "BackupType": "FullBackup"}], ids=str)
def test_the_latest_backup_set_has_no_id(task: Any, asked: dict[str, Any], service: StandIn, row: Any) -> None:
    service.answer("DescribeBackups", {"RequestId": "A", "TotalRecordCount": 1, "Items": {"Backup": [row]}})
    result = task({**asked, "backup_set_id": "latest", "rds_endpoint": service.url})
    assert "the response has no ID of a backup set" in result["msg"]
    assert not creations(service)


@pytest.mark.parametrize("source", [{}, {"backup_set_id": ""}, {"backup_set_id": "1", "point_in_time": 1}], ids=str)
def test_a_request_has_one_source(source: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either a backup set or a point in time"):
        DownloadRequest("cn-hangzhou", INSTANCE, "CSV", **source)


def test_no_latest_backup_set(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(INSTANCE, succeeded=False)
    result = task({**asked, "backup_set_id": "latest", "rds_endpoint": service.url})
    assert result["error"] == {"kind": "missing"}
    assert "instance 'rm-bp1abc' in region 'cn-hangzhou' has no usable full backup set" in result["msg"]
    assert not creations(service)


def test_check_mode_without_the_permission_to_list_backups(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    key = service.add_key(may={"dbs:DescribeDownloadTask"})
    arguments = {**asked, "access_key_id": key.id, "access_key_secret": key.secret, "rds_endpoint": service.url}
    result = task({**arguments, "_ansible_check_mode": True})
    assert (result["changed"], result["estimated_fee"]) == (True, None)
    assert "rds:DescribeBackups" in str(result["warnings"])


def test_an_unsupported_instance(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_instance("rm-local", unsupported="DBS.DownloadTask.InstanceStorageTypeNotSupport")
    result = task({**asked, "instance_name": "rm-local"})
    assert result["error"]["code"] == "DBS.DownloadTask.InstanceStorageTypeNotSupport"
    assert "cloud disks" in result["msg"]


# Retry


def test_a_failed_task_is_retried(task: Any, retried: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, state="finished", created=2)
    failed = service.add_task(INSTANCE, task_id="dt-bad", state="failed", created=1)
    arguments = retried
    checked = task({**arguments, "_ansible_check_mode": True})
    assert (checked["changed"], checked["action"], failed.retries) == (True, "retry", 0)
    result = task(arguments)
    assert (result["changed"], result["action"]) == (True, "retried")
    assert result["task"]["task_id"] == "dt-bad"
    assert result["task"]["download_status"] != "failed"
    assert not task({**arguments, "task_id": "dt-bad"})["changed"]
    assert failed.retries == 1


@pytest.mark.parametrize("state", ["running", "finished"])
def test_nothing_to_retry(task: Any, retried: dict[str, Any], service: StandIn, state: str) -> None:
    service.add_task(INSTANCE, task_id="dt-one", state=state)
    assert task({**retried, "task_id": "dt-one"})["changed"] is False
    assert not service.calls_of("RetryDownloadTask")


def test_what_cannot_be_retried(task: Any, retried: dict[str, Any], service: StandIn) -> None:
    arguments = retried
    assert "has no download task to retry" in task(arguments)["msg"]
    assert "has no task 'dt-gone' to retry" in task({**arguments, "task_id": "dt-gone"})["msg"]
    service.add_task(INSTANCE, task_id="dt-old", state="expired")
    assert "task 'dt-old' has expired and cannot be retried" in task(arguments)["msg"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", executed=True),
        Fault("truncated"),
        Fault("unavailable", executed=True),
        Fault("html", executed=True),
    ],
)
def test_a_retry_whose_answer_is_lost(task: Any, retried: dict[str, Any], service: StandIn, fault: Fault) -> None:
    failed = service.add_task(INSTANCE, state="failed")
    fault.action = "RetryDownloadTask"
    service.inject(fault)
    result = task(retried)
    assert (result["changed"], failed.retries) == (True, 1)


def test_a_retry_that_did_not_arrive(task: Any, retried: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-bad", state="failed")
    service.inject(Fault("reset", action="RetryDownloadTask"))
    result = task(retried)
    assert result["error"]["kind"] == "outcome_unknown"
    assert "Failed to retry download task 'dt-bad'" in result["msg"]
    assert result["msg"].count("Failed to") == 1
    assert "Run it again" in result["msg"]


@pytest.mark.parametrize(
    ("fault", "retries"),
    [(Fault("reset", 9), 0), (Fault("reset", 9, executed=True), 1), (Fault("truncated", 9), 1)],
    ids=["not arrived", "executed", "truncated"],
)
def test_a_lost_retry_of_what_is_in_the_way_is_not_sent_again(
    task: Any, asked: dict[str, Any], service: StandIn, fault: Fault, retries: int
) -> None:
    """What the service said before, that it refused the creation, says nothing of this request."""
    blocking = service.add_task(INSTANCE, task_id="dt-bad", state="failed", backup_set_id="7")
    blocking.retry_schedule = QUICK
    fault.action = "RetryDownloadTask"
    service.inject(fault)
    result = task({**asked, "wait_for_slot": True, "on_blocked": "retry", "wait_timeout": 600})
    assert len(service.calls_of("RetryDownloadTask")) == 1
    assert blocking.retries == retries
    if retries:
        assert result["action"] == "created"
    else:
        assert result["error"]["kind"] == "outcome_unknown"
        assert "Failed to retry download task 'dt-bad'" in result["msg"]


# Exactly once


LOST = [
    Fault("reset", executed=True, action="CreateDownload"),
    Fault("truncated", action="CreateDownload"),
    Fault("not_json", action="CreateDownload"),
    Fault("html", executed=True, action="CreateDownload"),
    Fault("unavailable", executed=True, action="CreateDownload"),
    Fault("internal", executed=True, action="CreateDownload"),
    Fault("slow", executed=True, seconds=3600.0, action="CreateDownload"),
    # Something on the way sent it twice.
    Fault("nonce_used", executed=True, action="CreateDownload"),
    Fault("html", executed=True, status=408, action="CreateDownload"),
]

#: Who waited too long, or does not know what went wrong, does not know what was done either.
IN_DOUBT = [
    (408, "RequestTimeout"),
    (400, "ServiceTimeout"),
    (200, "DBS.ServiceTimeout"),
    (200, "UnknownError"),
    (200, "DBS.InternalError"),
    (200, ""),
]


@pytest.mark.parametrize(("status", "code"), IN_DOUBT)
def test_an_error_that_leaves_it_in_doubt(
    task: Any, asked: dict[str, Any], service: StandIn, status: int, code: str
) -> None:
    service.habits.same_job, service.habits.one_task = "never", False
    details = {"status": status, "code": code, "executed": True}
    service.inject(Fault("error", action="CreateDownload", **details))
    result = task({**asked, "confirm_timeout": 600})
    assert (result["action"], result["task"]["task_id"]) == ("created", service.created[0].task_id)
    service.created[0].follow([("failed", None)], service.clock.now())
    service.inject(Fault("error", action="RetryDownloadTask", **details))
    result = task({**asked, "on_failed": "retry", "confirm_timeout": 600})
    assert (result["action"], service.created[0].retries) == ("retried", 1)
    assert (creations(service), len(service.calls_of("RetryDownloadTask"))) == (1, 1)


#: As the list was answered before, none of them is the end of it.
OUTAGES: list[dict[str, Any]] = [
    {"kind": "error", "status": 200, "code": "DBS.InternalError"},
    {"kind": "error", "status": 200, "code": ""},
    {"kind": "error", "status": 403, "code": "NoPermission"},
    {"kind": "html", "status": 403},
    {"kind": "reset"},
    {"kind": "not_json"},
]


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
@pytest.mark.parametrize("sought", ["created", "retried", "none"])
def test_a_fault_of_the_list_does_not_end_a_search(
    task: Any, asked: dict[str, Any], retried: dict[str, Any], service: StandIn, outage: dict[str, Any], sought: str
) -> None:
    """Whether for a task that was created or retried, or for the one because of which none is."""
    service.inject(Fault(**outage, times=2, action="DescribeDownloadTask", after=1))
    if sought == "created":
        service.inject(Fault("reset", executed=True, action="CreateDownload"))
        result = task({**asked, "confirm_timeout": 600})
        assert result["task"]["task_id"] == service.created[0].task_id
    elif sought == "retried":
        failed = service.add_task(INSTANCE, state="failed")
        service.inject(Fault("reset", executed=True, action="RetryDownloadTask"))
        result = task({**retried, "confirm_timeout": 600})
        assert failed.retries == 1
    else:
        service.add_task(INSTANCE, task_id="dt-other", state="running", backup_set_id="7")
        assert task({**asked, "confirm_timeout": 600})["error"]["blocking_task"]["task_id"] == "dt-other"
        return
    assert result["action"] == sought


@pytest.mark.parametrize("sought", ["created", "none"])
def test_a_list_that_fails_to_the_end_is_quoted(
    task: Any, asked: dict[str, Any], service: StandIn, sought: str
) -> None:
    service.inject(Fault("error", 100, "DescribeDownloadTask", after=1, status=403, code="NoPermission"))
    if sought == "created":
        service.inject(Fault("reset", executed=True, action="CreateDownload"))
    else:
        service.add_task(INSTANCE, state="running", backup_set_id="7")
    result = task(asked)
    assert result["error"]["kind"] == ("outcome_unknown" if sought == "created" else "slot_taken")
    assert "Failed to list the download tasks" in result["msg"]
    assert "NoPermission" in result["msg"]
    assert creations(service) == 1


@pytest.mark.parametrize("state", ["running", "finished", "failed"])
@pytest.mark.parametrize("mode", [{}, {"_ansible_check_mode": True}], ids=["run", "check"])
def test_a_task_without_an_id_cannot_be_used(
    task: Any, asked: dict[str, Any], retried: dict[str, Any], service: StandIn, state: str, mode: dict[str, Any]
) -> None:
    service.add_task(INSTANCE, state=state, extra={"TaskId": None})
    for arguments in (asked, {**asked, "on_failed": "retry", "wait_for_slot": True, "on_blocked": "retry"}, retried):
        result = task({**arguments, **mode})
        assert result["error"]["kind"] == "state", result
        assert f"that is {state} and has no ID" in result["msg"]
    assert not creations(service)
    assert not service.calls_of("RetryDownloadTask")


def test_a_task_with_an_id_comes_before_one_without(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, created=2, extra={"TaskId": None})
    service.add_task(INSTANCE, task_id="dt-good", created=1)
    assert task(asked)["task"]["task_id"] == "dt-good"


def test_a_task_without_an_id_does_not_prove_a_creation(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    """It is not returned as the new one, and keeps the next run from creating another."""
    row = {"TaskId": None, "Format": "CSV", "TargetType": "URL", "BakSetId": "1482610001", "DownloadStatus": "running"}

    def show(call: Any) -> None:
        if call.action == "CreateDownload":
            content = {"List": [row]}
            service.answer("DescribeDownloadTask", {"Success": "true", "Data": {"Content": content}})

    service.on_call(show)
    service.inject(Fault("unavailable", executed=True, action="CreateDownload"))
    assert task(asked)["error"]["kind"] == "outcome_unknown"
    assert "has no ID" in task(asked)["msg"]
    assert creations(service) == 1


def test_a_task_in_the_way_without_an_id(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, state="failed", backup_set_id="7", extra={"TaskId": None})
    options = {"wait_for_slot": True, "on_blocked": "retry", "wait_timeout": 0}
    result = task({**asked, **options})
    assert "another one blocked it" in result["msg"]
    assert result["error"]["blocking_task"] is None
    assert not service.calls_of("RetryDownloadTask")
    assert task({**asked, **options, "_ansible_check_mode": True})["retried_blocking_task_ids"] == []


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.kind)
def test_a_lost_answer_is_found_by_listing(task: Any, asked: dict[str, Any], service: StandIn, fault: Fault) -> None:
    service.habits.same_job, service.habits.one_task = "never", False
    service.inject(fault)
    patience = {"read_timeout": 1.0, "max_retries": 100} if fault.kind == "slow" else {}
    result = task({**asked, "confirm_timeout": 600, **patience})
    assert (result["changed"], result["action"]) == (True, "created")
    assert result["task"]["task_id"] == service.created[0].task_id
    assert (len(service.created), creations(service)) == (1, 1)


def test_a_task_that_shows_up_late(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    """The service was slow: it works on after the time-out, when the task is not there yet."""
    service.habits.same_job, service.habits.one_task = "never", False
    service.inject(Fault("slow", seconds=1.5, action="CreateDownload"))
    result = task({**asked, "read_timeout": 1.0, "max_retries": 100, "confirm_timeout": 600})
    assert result["task"]["task_id"] == service.created[0].task_id
    assert (len(service.created), creations(service)) == (1, 1)


def test_a_task_like_one_that_was_there_before(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-old", state="expired")
    service.inject(Fault("reset", executed=True, action="CreateDownload"))
    assert task(asked)["task"]["task_id"] == service.created[0].task_id


def test_what_did_not_arrive_is_not_sent_again(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.inject(Fault("reset", action="CreateDownload"))
    result = task(asked)
    assert result["error"]["kind"] == "outcome_unknown"
    assert "after 0.3 seconds no such task has appeared. Run it again" in result["msg"]
    assert (len(service.created), creations(service)) == (0, 1)
    assert task(asked)["changed"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("throttled", 2, retry_after=10, action="CreateDownload"),
        Fault("error", 1, action="CreateDownload", status=400, code="InvalidTimeStamp.Expired"),
    ],
    ids=lambda fault: fault.kind,
)
def test_what_was_refused_is_sent_again(task: Any, asked: dict[str, Any], service: StandIn, fault: Fault) -> None:
    service.inject(fault)
    assert task(asked)["action"] == "created"
    assert len(service.created) == 1


def test_another_controller_was_faster(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    """Between listing and creating."""

    def intrude(call: Any) -> None:
        if call.action == "CreateDownload" and not service.account.tasks():
            service.add_task(INSTANCE, task_id="dt-theirs", state="running")

    service.on_call(intrude)
    result = task(asked)
    assert (result["changed"], result["task"]["task_id"]) == (False, "dt-theirs")
    assert not service.created


@pytest.mark.parametrize("code", ["JobAlreadyExist", "OnlyOneRunningOrFailedTask"])
def test_the_list_lags_behind_a_refusal(task: Any, asked: dict[str, Any], service: StandIn, code: str) -> None:
    theirs = service.add_task(INSTANCE, task_id="dt-theirs", state="running")
    empty = {"Success": "true", "Data": {"Content": {"List": []}, "TotalElements": 0}}
    service.answer("DescribeDownloadTask", empty, times=3)
    result = task({**asked, "confirm_timeout": 600})
    assert (result["action"], result["task"]["task_id"]) == ("none", theirs.task_id)


def test_a_slot_that_became_free_meanwhile(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.answer(
        "CreateDownload", {"Success": "false", "Code": "DBS.DownloadTask.OnlyOneRunningOrFailedTask"}, times=1
    )
    result = task({**asked, "wait_for_slot": True, "confirm_timeout": 0.2})
    assert result["action"] == "created"
    service.advance(4 * 86400)
    service.answer(
        "CreateDownload", {"Success": "false", "Code": "DBS.DownloadTask.OnlyOneRunningOrFailedTask"}, times=1
    )
    refused = task({**asked, "confirm_timeout": 0.2})
    assert "the service refused it (DBS.DownloadTask.OnlyOneRunningOrFailedTask" in refused["msg"]
    assert refused["error"]["blocking_task"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_while_the_service_creates(
    task: Any, asked: dict[str, Any], service: StandIn, number: signal.Signals
) -> None:
    service.inject(Fault("slow", seconds=3600, executed=True, action="CreateDownload"))
    process = started(task.name, asked, stderr=None)
    while not service.created:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    output, _unused = process.outputs()
    said = json.loads(output)["msg"]
    assert said.startswith(
        f"Interrupted by {number.name}. It is unknown whether this was done: create a download task for backup set '1482610001'"
    )
    assert "Run it again" in said


def test_two_controllers_at_once(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    meeting = threading.Barrier(2)
    service.on_call(lambda call: meeting.wait(LIMIT) and None if call.action == "CreateDownload" else None)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(task.process(asked))) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result["changed"] for result in results) == [False, True]
    assert len({result["task"]["task_id"] for result in results}) == len(service.created) == 1


@pytest.mark.parametrize("executed", [False, True])
def test_killed_in_the_middle_of_a_creation(task: Any, asked: dict[str, Any], service: StandIn, executed: bool) -> None:
    service.habits.same_job, service.habits.one_task = "never", False
    service.inject(Fault("slow", seconds=1.0, executed=executed, action="CreateDownload"))
    process = started(task.name, asked, stdout=subprocess.DEVNULL, stderr=None)
    while not creations(service) or (executed and not service.created):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while not service.created:
        time.sleep(0.02)
    result = task(asked)
    assert (result["changed"], result["task"]["task_id"]) == (False, service.created[0].task_id)
    assert len(service.created) == 1


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("reset", {}),
    ("reset", {"executed": True}),
    ("slow", {"executed": True, "seconds": 2.0}),
    ("slow", {"seconds": 2.0}),
    ("unavailable", {}),
    ("unavailable", {"executed": True}),
    ("internal", {}),
    ("throttled", {"retry_after": 10}),
    ("truncated", {}),
    ("truncated", {"executed": False}),
    ("html", {"executed": True}),
    ("html", {"executed": True, "status": 408}),
    ("nonce_used", {"executed": True}),
    ("not_json", {}),
]


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(240))
def test_exactly_once_whatever_goes_wrong(task: Any, asked: dict[str, Any], service: StandIn, seed: int) -> None:
    """Random faults at creating and at listing. The service would create as often as it is asked to."""
    chance = random.Random(seed)
    service.habits.same_job, service.habits.one_task = "never", False
    confirm_timeout = 1.5
    for _unused in range(chance.randrange(1, 4)):
        kind, details = chance.choice(FAULTS)
        action = chance.choice(["CreateDownload", "CreateDownload", "DescribeDownloadTask"])
        service.inject(Fault(kind, 1, action, **details))
        if (kind, action, details) == ("slow", "CreateDownload", {"seconds": 2.0}):
            confirm_timeout = 15.0  # the task comes later than the time-out
    times = {"read_timeout": 1.0, "confirm_timeout": confirm_timeout, "request_timeout": 600}
    arguments = {**asked, **times, "max_retries": 100}
    result = task(arguments)
    if result.get("failed"):
        assert not service.created, "a failure was reported for a task that was created"
    else:
        assert [one.task_id for one in service.created] == [result["task"]["task_id"]]
    service.faults.clear()
    again = task(arguments)
    assert again["changed"] is bool(result.get("failed"))
    assert [one.task_id for one in service.created] == [again["task"]["task_id"]]
    assert task(arguments)["changed"] is False


# Bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backup_set_id": None}, "give one of backup_set_id and point_in_time"),
        ({"point_in_time": "2022-09-16T09:52:37Z"}, "give one of backup_set_id and point_in_time"),
        ({"backup_set_id": "a/b"}, "backup_set_id 'a/b' is malformed"),
        ({"backup_set_id": None, "point_in_time": "now"}, "point_in_time 'now' is not a time"),
        ({"backup_set_id": None, "point_in_time": "2099-01-01T00:00:00Z"}, "(2099-01-01T00:00:00Z) is in the future"),
        (
            {"backup_set_id": "latest", "instance_name": "dds-bp1abc", "format": "Bson"},
            "instance_name 'dds-bp1abc' is a MongoDB instance, whose backup sets cannot be listed",
        ),
        (
            {"backup_set_id": "latest", "instance_name": "mysql-odd"},
            "does not tell which service lists its backup sets: give the ID of a backup set instead of latest.",
        ),
        ({"state": "retried", "format": None, "backup_set_id": "latest"}, "latest is for state=present"),
        *(
            (
                {"backup_set_id": word, **more},
                f"backup_set_id '{word}' is malformed: give the ID of a backup set, such as",
            )
            for word in ("Latest", "LATEST", "laTest")
            for more in ({}, {"state": "retried", "format": None})
        ),
        ({"format": None}, "format is not set: use one of CSV"),
        ({"format": "Bson"}, "format Bson is for MongoDB instances, but 'rm-bp1abc' is not one."),
        ({"is_cluster": True}, "is_cluster is for MongoDB instances"),
        ({"is_physical": True}, "is_physical needs the format qp.xb, not CSV"),
        ({"format": "qp.xb", "is_physical": False}, "format qp.xb is a physical format"),
        ({"target_type": "OSS"}, "target_type OSS needs target_bucket, target_path, target_oss_region as well."),
        ({"target_path": "a"}, "target_path cannot be used with target_type URL"),
        ({**OSS, "target_bucket": "My_Bucket"}, "target_bucket 'My_Bucket' is malformed"),
        ({**OSS, "target_oss_region": "hangzhou"}, "target_oss_region 'hangzhou' is malformed"),
        (
            {**OSS, "target_oss_region": "cn-hangzou"},
            "target_oss_region 'cn-hangzou' is not known (did you mean cn-hangzhou",
        ),
        ({"task_id": "dt-one"}, "task_id is for state=retried"),
        ({"state": "retried"}, "format cannot be used with state=retried"),
        ({"state": "retried", "format": None, "task_id": "one"}, "task_id 'one' is malformed"),
        ({"wait_timeout": -1}, "wait_timeout -1.0 is out of range"),
        (
            {"poll_interval": 5, "poll_interval_max": 1},
            "poll_interval_max 1.0 is out of range: give 5.0 to 3600 seconds.",
        ),
        ({"progress_interval": 0}, "progress_interval 0.0 is out of range: give 1 to 86400 seconds."),
        ({"confirm_timeout": -1}, "confirm_timeout -1.0 is out of range"),
        ({"fee_per_gib": -1}, "fee_per_gib -1.0 is out of range"),
        ({"backup_set_size": -1}, "backup_set_size -1 is out of range"),
        ({"instance_name": "a b"}, "instance_name 'a b' is malformed"),
    ],
)
def test_bad_input(task: Any, asked: dict[str, Any], service: StandIn, options: dict[str, Any], said: str) -> None:
    result = task({**asked, **options})
    assert said in result["msg"]
    assert result["error"] == {"kind": "configuration"}
    assert not service.calls


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"format": "xml"},
            "value of format must be one of: CSV, csv-with-header, SQL, Parquet, Bson, qp.xb, got: xml",
        ),
        ({"target_type": "ftp"}, "value of target_type must be one of: URL, OSS, got: ftp"),
    ],
)
def test_no_choice(task: Any, asked: dict[str, Any], service: StandIn, options: dict[str, Any], said: str) -> None:
    assert said in task({**asked, **options})["msg"]
    assert not service.calls


def test_refused_by_the_service(task: Any, asked: dict[str, Any], service: StandIn) -> None:
    def refuse(call: Any) -> None:
        if call.action == "CreateDownload":
            raise GatewayError(403, "NoPermission", "No.")

    service.on_call(refuse)
    result = task(asked)
    assert "Failed to create a download task for backup set '1482610001' of instance 'rm-bp1abc'" in result["msg"]
    assert "Grant the caller the RAM action dbs:CreateDownload" in result["msg"]
    assert creations(service) == 1
