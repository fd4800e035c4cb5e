# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""dbs_download_task as its action plugin runs it while it waits: with progress, and exactly once whoever dies.

The service would create as often as it is asked to.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from jobs import JobController
from processes import started, until
from stand_in import Fault, StandIn

INSTANCE = "rm-bp1abc"
MODULE = "ansible_collections.apsaradb.backup.plugins.modules.dbs_download_task"
LONG = [("running", 1e6), ("finished", None)]

Result = dict[str, Any]


@pytest.fixture
def service(service: StandIn) -> StandIn:
    service.add_instance(INSTANCE)
    service.habits.same_job, service.habits.life_cycle = "never", LONG
    return service


@pytest.fixture
def asked(asked: dict[str, Any]) -> dict[str, Any]:
    quick = {"poll_interval": 0.1, "poll_interval_max": 0.1, "confirm_timeout": 0.3, "wait_timeout": 120}
    return {**asked, **quick, "backup_set_id": "1482610001", "format": "CSV", "wait": True, "wait_for_slot": True}


def creations(service: StandIn) -> int:
    return len(service.calls_of("CreateDownload"))


def finish(service: StandIn) -> None:
    for task in service.account.tasks():
        task.follow([("finished", None)], service.clock.now())


def test_it_says_how_far_it_is(service: StandIn, asked: dict[str, Any], tmp_path: Path) -> None:
    service.add_task(INSTANCE, task_id="dt-other", schedule=LONG, backup_set_id="7")
    controller = JobController(MODULE, asked, tmp_path)
    while not controller.progress:
        controller.step()
    (task,) = controller.progress[-1]["live"]
    assert (task["task_id"], task["status"], controller.progress[-1]["prefix"]) == (
        "dt-other",
        "running",
        "blocking: ",
    )
    finish(service)
    while controller.progress[-1]["prefix"]:
        controller.step()
    created = service.created[0]
    assert [task["task_id"] for task in controller.progress[-1]["live"]] == [created.task_id]
    # The changes of both are numbered on.
    assert controller.progress[-1]["changed"] == 3
    finish(service)
    result = controller.run()
    assert (result["action"], result["changed"], result["task"]["task_id"]) == ("created", True, created.task_id)
    assert result["task"]["download_status"] == "finished"
    assert len(service.created) == 1
    assert not list(controller.remote_tmp.iterdir())


def test_warnings_are_not_lost(service: StandIn, asked: dict[str, Any], tmp_path: Path) -> None:
    service.habits.formats = "documented"
    service.add_task(INSTANCE)
    result = JobController(MODULE, {**asked, "format": "csv-with-header"}, tmp_path).run()
    assert result["action"] == "none"
    assert "may be the one for" in str(result["warnings"])


def test_a_process_that_is_lost_while_it_waits(service: StandIn, asked: dict[str, Any], tmp_path: Path) -> None:
    """What takes its place knows that the task was created, and says so."""
    controller = JobController(MODULE, asked, tmp_path)
    while not controller.progress:
        controller.step()
    controller.kill()
    assert controller.step()["_job"]["directory"] is None
    finish(service)
    result = controller.run()
    assert (result["action"], result["changed"]) == ("created", True)
    assert result["task"]["task_id"] == service.created[0].task_id
    assert (len(service.created), creations(service)) == (1, 1)


def test_a_process_that_is_lost_while_the_slot_is_taken(
    service: StandIn, asked: dict[str, Any], tmp_path: Path
) -> None:
    service.add_task(INSTANCE, task_id="dt-other", schedule=LONG, backup_set_id="7")
    controller = JobController(MODULE, {**asked, "wait": False}, tmp_path)
    while not controller.progress:
        controller.step()
    controller.kill()
    finish(service)
    assert controller.run()["action"] == "created"
    assert len(service.created) == 1


@pytest.mark.parametrize("executed", [True, False])
def test_a_process_that_is_lost_while_the_service_creates(
    service: StandIn, asked: dict[str, Any], tmp_path: Path, executed: bool
) -> None:
    """What takes its place creates nothing: the task may not be in the list yet."""
    service.inject(Fault("slow", seconds=1.0, executed=executed, action="CreateDownload"))
    controller = JobController(MODULE, asked, tmp_path)
    with controller.start(60.0) as process:
        until(lambda: creations(service))
        controller.kill()
        assert controller.take(process)["_job"]["notes"]["sending"].startswith("create a download task for backup set")
    result = controller.run()
    assert result["error"] == {"kind": "outcome_unknown"}
    assert (
        "It is unknown whether this was done: create a download task for backup set '1482610001' of instance"
        in result["msg"]
    )
    assert "Run it again" in result["msg"]
    until(lambda: service.created)
    assert (len(service.created), creations(service)) == (1, 1)
    again = JobController(MODULE, {**asked, "wait": False}, tmp_path).run()
    assert (again["action"], again["task"]["task_id"]) == ("none", service.created[0].task_id)


def test_a_process_whose_notes_are_lost_as_well(service: StandIn, asked: dict[str, Any], tmp_path: Path) -> None:
    controller = JobController(MODULE, asked, tmp_path)
    while not controller.progress:
        controller.step()
    controller.begin = {"id": "another", "notes": None, "is_restarted": True}
    controller.directory = None
    result = controller.run()
    assert result["error"] == {"kind": "outcome_unknown"}
    assert creations(service) == 1


def test_a_start_that_comes_twice(service: StandIn, asked: dict[str, Any], tmp_path: Path) -> None:
    """As where the connection breaks when the module was started already, and its plugin tries again."""
    service.habits.one_task = False
    service.inject(Fault("slow", seconds=0.5, executed=False, action="CreateDownload"))
    controller = JobController(MODULE, {**asked, "wait": False}, tmp_path)
    with controller.start(60.0) as first:
        until(lambda: creations(service))
        with controller.start(60.0) as second:
            results = [json.loads(process.outputs()[0]) for process in (first, second)]
    assert {"created"} & {result.get("action") for result in results}
    assert (len(service.created), creations(service)) == (1, 1)


def test_a_controller_that_is_gone(service: StandIn, asked: dict[str, Any], tmp_path: Path) -> None:
    """Nobody pays for a task that he does not wait for any more: none is created before the next look of a controller."""
    service.add_task(INSTANCE, task_id="dt-other", schedule=LONG, backup_set_id="7")
    controller = JobController(MODULE, {**asked, "wait": False}, tmp_path)
    while not controller.progress:
        controller.step()

    def looks() -> int:
        """Those that come just before a creation."""
        return sum("BackupSetId" in call.params for call in service.calls_of("DescribeDownloadTask"))

    before, refused = looks(), creations(service)
    finish(service)
    until(lambda: looks() > before)
    time.sleep(0.5)
    assert creations(service) == refused
    job = {"seconds": 0, "directory": controller.directory, "stop": True}
    with started(MODULE, {**controller.arguments, "_job": job}) as process:
        assert "Ansible stopped it" in json.loads(process.outputs()[0])["msg"]
    assert not service.created
    assert JobController(MODULE, {**asked, "wait": False}, tmp_path).run()["action"] == "created"


def test_a_follower_that_is_interrupted_while_the_service_creates(
    service: StandIn, asked: dict[str, Any], tmp_path: Path
) -> None:
    service.inject(Fault("slow", seconds=20, executed=True, action="CreateDownload"))
    before = "from ansible_collections.apsaradb.backup.plugins.module_utils._plugin import tuning; tuning.GRACE = 0.1"
    controller = JobController(MODULE, asked, tmp_path)
    job = {"seconds": 60.0, "directory": None, "id": "one"}
    with started(MODULE, {**controller.arguments, "_job": job}, before=before) as process:
        until(lambda: service.created)
        process.send_signal(signal.SIGTERM)
        said = json.loads(process.outputs()[0])["msg"]
    assert said.startswith(
        "Interrupted by SIGTERM. It is unknown whether this was done: create a download task for backup set '1482610001'"
    )
    assert len(service.created) == 1


def test_a_follower_that_is_interrupted_after_the_creation(
    service: StandIn, asked: dict[str, Any], tmp_path: Path
) -> None:
    controller = JobController(MODULE, asked, tmp_path)
    while not controller.progress:
        controller.step()
    # The first poll comes after the notes.
    with controller.start(60.0) as process:
        until(lambda: "alive" in os.listdir(str(controller.directory)))
        followed = os.stat(f"{controller.directory}/followed").st_mtime_ns
        until(lambda: os.stat(f"{controller.directory}/followed").st_mtime_ns != followed)
        process.send_signal(signal.SIGTERM)
        result = json.loads(process.outputs()[0])
    assert result["msg"] == "Interrupted by SIGTERM."
    assert (result["action"], result["changed"]) == ("created", True)
    assert result["task"]["task_id"] == service.created[0].task_id


def test_without_an_action_plugin(service: StandIn, asked: dict[str, Any], task: Any) -> None:
    """As with async, it works by itself."""
    service.habits.life_cycle = [("finished", None)]
    assert task(asked)["task"]["download_status"] == "finished"


# A task in the way


def test_the_slot_does_not_become_free(service: StandIn, asked: dict[str, Any], task: Any) -> None:
    service.add_task(INSTANCE, task_id="dt-slow", state="running", backup_set_id="7", tables=10)
    result = task({**asked, "wait_timeout": 0.5})
    assert result["error"]["kind"] == "wait"
    assert result["error"]["reason"] == "timed_out"
    assert result["error"]["blocking_task"]["task_id"] == "dt-slow"
    assert result["msg"] == (
        "Failed to create a download task for backup set '1482610001' of instance 'rm-bp1abc' in region "
        "'cn-hangzhou': an instance can have only one running or failed task, and another one blocked it for "
        "0.5 seconds (wait_timeout): task 'dt-slow' of rm-bp1abc is running, 5/10 tables, 50 %. Nothing was created. "
        "Raise wait_timeout, or run it again later."
    )
    assert not service.created


def test_a_task_that_is_not_done_in_time(service: StandIn, asked: dict[str, Any], task: Any) -> None:
    result = task({**asked, "wait_timeout": 0.3})
    assert (result["action"], result["error"]["reason"]) == ("created", "timed_out")
    assert f"task '{service.created[0].task_id}' of rm-bp1abc is running" in result["msg"]
    assert "has not finished after 0.3 seconds (wait_timeout). It continues by itself" in result["msg"]


def test_a_failed_task_in_the_way(service: StandIn, asked: dict[str, Any], task: Any) -> None:
    failed = service.add_task(INSTANCE, task_id="dt-bad", state="failed", backup_set_id="7")
    refused = task(asked)
    assert refused["error"]["kind"] == "slot_taken"
    assert "task 'dt-bad' is failed" in refused["msg"]
    assert "on_blocked=retry" in refused["msg"]
    planned = task({**asked, "on_blocked": "retry", "backup_set_size": 1, "_ansible_check_mode": True})
    assert planned["retried_blocking_task_ids"] == ["dt-bad"]
    assert "warnings" not in planned
    assert failed.retries == 0
    service.habits.life_cycle = [("running", 0.3), ("finished", None)]
    result = task({**asked, "on_blocked": "retry"})
    assert (result["action"], result["retried_blocking_task_ids"]) == ("created", ["dt-bad"])
    assert result["task"]["download_status"] == "finished"
    assert (failed.retries, len(service.created)) == (1, 1)
    assert task(asked)["retried_blocking_task_ids"] == []


def test_a_task_in_the_way_that_fails_again(service: StandIn, asked: dict[str, Any], task: Any) -> None:
    failed = service.add_task(INSTANCE, task_id="dt-bad", state="failed", backup_set_id="7")
    service.habits.retry_life_cycle = [("running", 0.3), ("failed", None)]
    result = task({**asked, "on_blocked": "retry"})
    assert result["error"]["kind"] == "slot_taken"
    assert "It was retried, and has failed again" in result["msg"]
    assert (result["changed"], result["retried_blocking_task_ids"]) == (True, ["dt-bad"])
    assert (failed.retries, len(service.created)) == (1, 0)


def test_a_retry_of_another_task_is_known_to_what_takes_the_place(
    service: StandIn, asked: dict[str, Any], tmp_path: Path
) -> None:
    """So that none is retried again and again."""
    failed = service.add_task(INSTANCE, task_id="dt-bad", state="failed", backup_set_id="7")
    controller = JobController(MODULE, {**asked, "on_blocked": "retry", "wait": False}, tmp_path)
    while not controller.progress:
        controller.step()
    controller.kill()
    failed.follow([("failed", None)], service.clock.now())
    result = controller.run()
    assert "It was retried, and has failed again" in result["msg"]
    assert failed.retries == 1


def test_on_blocked_needs_the_slot(service: StandIn, asked: dict[str, Any], task: Any) -> None:
    result = task({**asked, "on_blocked": "retry", "wait_for_slot": False})
    assert "on_blocked retry needs wait_for_slot" in result["msg"]
    assert not service.calls
