# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists that end short of what the service counts, or do not tell what is the newest: nothing is decided by them."""

from __future__ import annotations

from typing import Any

import pytest
from stand_in import StandIn

RDS = "rm-bp1abc"
CLUSTER = "pc-bp1abc"
START = 1_769_817_600_000  # 2026-01-31T00:00:00Z
HOUR = 3_600_000
SHORT = "he service announced 2 {} of instance '{}', but returned 1."


@pytest.fixture
def asked(asked: dict[str, Any], service: StandIn) -> dict[str, Any]:
    return {**asked, "rds_endpoint": service.url, "instance_name": RDS}


@pytest.fixture
def creating(asked: dict[str, Any], service: StandIn) -> dict[str, Any]:
    service.add_instance(RDS)
    return {**asked, "backup_set_id": "1", "format": "CSV", "confirm_timeout": 0, "poll_interval": 0.1}


def is_refused(result: dict[str, Any], said: str) -> bool:
    assert said in result.get("msg", ""), result
    return bool(result["failed"]) and result["error"]["kind"] == "answer"


# Backup sets


@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_backup_sets_are_lacking(backups: Any, asked: dict[str, Any], service: StandIn, instance: str) -> None:
    service.add_backup(instance, backup_id="1", started=START)
    service.add_backup(instance, backup_id="2", started=START + HOUR)
    service.habits.unlisted = ["2"]
    short = SHORT.format("backup sets", instance)
    arguments = {**asked, "instance_name": instance}
    result = backups(arguments)
    assert [backup["backup_set_id"] for backup in result["backup_sets"]] == ["1"]
    assert f"T{short}" in str(result["warnings"])
    for more in ({}, {"status": "success"}, {"mode": "Automated"}):
        assert is_refused(backups({**arguments, "latest": True, **more}), f"t{short} Run it again.")


def test_a_window_by_a_short_list(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(CLUSTER, backup_id="1", started=START)
    service.add_backup(CLUSTER, backup_id="2", started=START + HOUR)
    service.habits.unlisted = ["2"]
    result = backups({**asked, "instance_name": CLUSTER, "recoverable": True, "backup_set_id": "1"})
    assert result["recoverable"][CLUSTER]["latest"] == "2026-01-31T00:00:00Z"
    assert SHORT.format("backup sets", CLUSTER) in str(result["warnings"])


def test_a_window_by_a_backup_set_that_tells_no_time(backups: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_backup(CLUSTER, backup_id="1", started=START)
    service.add_backup(CLUSTER, backup_id="2", extra={"ConsistentTime": 0, "BackupEndTime": ""})
    result = backups({**asked, "instance_name": CLUSTER, "recoverable": True})
    assert "returned no time of 1 backup sets of instance 'pc-bp1abc'" in str(result["warnings"])


@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_the_latest_of_a_short_list_is_not_created(
    task: Any, creating: dict[str, Any], service: StandIn, instance: str
) -> None:
    service.add_backup(instance, backup_id="1", started=START)
    service.add_backup(instance, backup_id="2", started=START + HOUR)
    service.habits.unlisted = ["2"]
    result = task({**creating, "instance_name": instance, "backup_set_id": "latest"})
    assert is_refused(result, SHORT.format("backup sets", instance))
    assert not service.created


#: What a second backup set says of its times, as the service spells it, and whether the first is certainly newer.
TIMES: dict[str, tuple[dict[str, Any], bool]] = {
    "neither": ({"BackupStartTime": "", "BackupEndTime": ""}, False),
    "nothing of them": ({"BackupStartTime": None, "BackupEndTime": None}, False),
    "no time": ({"BackupStartTime": "soon", "BackupEndTime": "later"}, False),
    "an end before the other's start": ({"BackupStartTime": "", "BackupEndTime": "2026-01-31T00:00:00Z"}, True),
    "an end after the other's start": ({"BackupStartTime": "", "BackupEndTime": "2026-01-31T00:00:01Z"}, False),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("instance", [RDS, CLUSTER])
def test_a_backup_set_that_tells_no_start(
    backups: Any, task: Any, creating: dict[str, Any], service: StandIn, instance: str, times: str
) -> None:
    said, is_certain = TIMES[times]
    service.add_backup(instance, backup_id="1", started=START, minutes=5)
    service.add_backup(instance, backup_id="2", started=START - HOUR, extra=said)
    given = {name: creating[name] for name in creating if name in backups_options()}
    result = backups({**given, "instance_name": instance, "start_time": str(START - 2 * HOUR)})
    assert [backup["backup_set_id"] for backup in result["backup_sets"]] == ["1", "2"]
    assert f"The service returned no start time of backup sets of instance '{instance}': 2." in str(result["warnings"])
    latest = backups({**given, "instance_name": instance, "latest": True})
    created = task({**creating, "instance_name": instance, "backup_set_id": "latest"})
    if is_certain:
        assert [backup["backup_set_id"] for backup in latest["backup_sets"]] == ["1"]
        assert created["task"]["backup_set_id"] == "1"
        return
    for refused in (latest, created):
        assert is_refused(refused, f"the service returned no start time of backup set '2' of instance '{instance}'")
        assert "Set backup_set_id to the ID of the backup set that you need" in refused["msg"]
    assert not service.created


def backups_options() -> set[str]:
    from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_backup_set_info import ARGUMENT_SPEC

    return set(ARGUMENT_SPEC) - {"backup_set_id"}


def test_the_only_one_is_the_latest(task: Any, creating: dict[str, Any], service: StandIn) -> None:
    service.add_backup(RDS, backup_id="1", extra=TIMES["neither"][0])
    service.add_backup(RDS, backup_id="2", succeeded=False, extra=TIMES["neither"][0])
    assert task({**creating, "backup_set_id": "latest"})["task"]["backup_set_id"] == "1"


def test_the_size_of_one_of_a_short_list_is_not_told(task: Any, creating: dict[str, Any], service: StandIn) -> None:
    service.add_backup(RDS, backup_id="1", started=START)
    service.add_backup(RDS, backup_id="2", started=START + HOUR)
    service.habits.unlisted = ["2"]
    parse_time = {"backup_set_id": None, "point_in_time": str(START + 2 * HOUR), "_ansible_check_mode": True}
    result = task({**creating, **parse_time})
    assert (result["action"], result["backup_set_size"]) == ("create", None)
    assert SHORT.format("backup sets", RDS) in str(result["warnings"])


# Tasks that are there already


@pytest.fixture
def short(service: StandIn) -> str:
    """One of two tasks for the backup set is not listed."""
    service.habits.one_task = False
    service.add_task(RDS, task_id="dt-hidden", backup_set_id="1", format="CSV", state="finished", created=2)
    service.habits.unlisted = ["dt-hidden"]
    return SHORT.format("download tasks", RDS)


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("state", ["expired", "failed", "another"])
def test_no_task_is_paid_twice(
    task: Any, creating: dict[str, Any], service: StandIn, short: str, state: str, check_mode: bool
) -> None:
    another = state == "another"
    known = service.add_task(
        RDS,
        task_id="dt-known",
        backup_set_id="1",
        format="SQL" if another else "CSV",
        state="finished" if another else state,
        created=1,
    )
    arguments = {**creating, "on_failed": "retry", "_ansible_check_mode": check_mode}
    result = task(arguments)
    assert is_refused(
        result,
        f"Failed to create a download task for backup set '1' of instance 'rm-bp1abc' in region 'cn-hangzhou': t{short}",
    )
    assert "set on_uncertain=create to create and pay for a task anyway" in result["msg"]
    assert (service.created, known.retries) == ([], 0)


def test_one_is_created_all_the_same(task: Any, creating: dict[str, Any], service: StandIn, short: str) -> None:
    service.add_task(RDS, backup_set_id="1", format="SQL", state="finished", created=1)
    result = task({**creating, "on_uncertain": "create"})
    assert result["action"] == "created"
    assert f"T{short} A task for backup set '1'" in str(result["warnings"])


def test_one_that_is_listed_will_do(task: Any, creating: dict[str, Any], service: StandIn, short: str) -> None:
    service.add_task(RDS, task_id="dt-known", backup_set_id="1", format="CSV", state="finished", created=1)
    result = task(creating)
    assert (result["action"], result["task"]["task_id"]) == ("none", "dt-known")


def test_what_may_be_in_the_way(task: Any, creating: dict[str, Any], service: StandIn) -> None:
    service.add_task(RDS, task_id="dt-hidden", backup_set_id="2", state="running")
    service.add_task(RDS, backup_set_id="3", state="finished")
    service.habits.unlisted = ["dt-hidden"]
    result = task({**creating, "_ansible_check_mode": True})
    assert result["action"] == "create"
    assert "but returned 1. A task that it did not return may block the new one." in str(result["warnings"])


@pytest.mark.parametrize("task_id", [None, "dt-hidden"])
def test_what_is_to_be_retried_is_not_listed(
    task: Any, asked: dict[str, Any], service: StandIn, short: str, task_id: str | None
) -> None:
    service.add_task(RDS, task_id="dt-known", state="finished", created=1)
    result = task({**asked, "state": "retried", "task_id": task_id})
    assert is_refused(result, f"t{short}")


@pytest.mark.parametrize("task_id", [None, "dt-known"])
def test_what_is_to_be_retried_is_listed(
    task: Any, asked: dict[str, Any], service: StandIn, short: str, task_id: str | None
) -> None:
    service.add_task(RDS, task_id="dt-known", state="failed", created=1)
    result = task({**asked, "state": "retried", "task_id": task_id, "confirm_timeout": 0})
    assert (result["action"], result["task"]["task_id"]) == ("retried", "dt-known")


# Waiting


@pytest.mark.parametrize("what", [{}, {"backup_set_ids": "1"}], ids=["all", "a backup set"])
@pytest.mark.parametrize("check_mode", [False, True])
def test_what_to_wait_for_is_not_listed(
    wait: Any, asked: dict[str, Any], service: StandIn, short: str, what: dict[str, Any], check_mode: bool
) -> None:
    service.add_task(RDS, backup_set_id="1", state="finished", created=1)
    options = {name: value for name, value in asked.items() if name != "rds_endpoint"}
    assert is_refused(wait({**options, **what, "on_nothing": "skip", "_ansible_check_mode": check_mode}), f"t{short}")


def test_a_task_that_is_listed_is_waited_for(wait: Any, asked: dict[str, Any], service: StandIn, short: str) -> None:
    service.add_task(RDS, task_id="dt-known", state="finished", created=1)
    options = {name: value for name, value in asked.items() if name != "rds_endpoint"}
    assert wait({**options, "task_ids": "dt-known"})["count_by_status"]["finished"] == 1
    missing = wait({**options, "task_ids": "dt-hidden", "appear_timeout": 0})
    assert missing["missing_ids"] == ["dt-hidden"]


def test_a_short_list_in_between_is_lived_through(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(RDS, task_id="dt-one", backup_set_id="1", schedule=[("running", 3.0), ("finished", None)])
    service.add_task(RDS, task_id="dt-two", backup_set_id="2", schedule=[("finished", None)])
    service.habits.seconds_per_list = 1.0

    def hide(call: Any) -> None:
        service.habits.unlisted = ["dt-two"] if len(service.calls_of("DescribeDownloadTask")) == 2 else []

    service.on_call(hide)
    options = {name: value for name, value in asked.items() if name != "rds_endpoint"}
    result = wait({**options, "backup_set_ids": ["1", "2"], "poll_interval": 0.1})
    assert result["count_by_status"]["finished"] == 2


# Locating


def test_a_task_to_locate_is_not_listed(
    location_info: Any, asked: dict[str, Any], service: StandIn, short: str
) -> None:
    service.add_task(RDS, task_id="dt-known", state="finished", created=1)
    options = {name: value for name, value in asked.items() if name != "rds_endpoint"}
    for on_missing in ("error", "warn", "skip"):
        arguments = {**options, "task_ids": ["dt-known", "dt-hidden"], "on_missing": on_missing}
        assert is_refused(location_info(arguments), f"t{short}")
    assert len(location_info({**options, "task_ids": ["dt-known"]})["locations"]) == 1
