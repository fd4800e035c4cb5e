# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""dbs_download_task_wait against the stand-in; the time of both moves when it is slept, and at no other time."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.wait_state import WaitPolicy, WaitState, WaitTarget
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.waiting import Waiter
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task_wait import DownloadTaskWait
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import TaskLines, duration
from jobs import JobController
from processes import started, until
from stand_in import Fault, StandIn

INSTANCE = "rm-bp1abc"
MODULE = "ansible_collections.apsaradb.backup.plugins.modules.dbs_download_task_wait"
OTHER = "rm-bp1other"
BEGINNING = 1_663_321_957_000
QUICK = [("initializing", 2.0), ("queuing", 2.0), ("running", 6.0), ("finished", None)]  # half a second of ours
SLOW = [("running", 1e6), ("finished", None)]


class OurTime:
    """The service's runs twenty times as fast."""

    def __init__(self, service: StandIn) -> None:
        self._service = service
        self._events: list[tuple[float, Callable[[], Any]]] = []
        self.now = time.monotonic()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)  # however short, some time passes
        self._service.advance(20 * seconds)
        due = [event for event in self._events if event[0] <= self.now]
        for event in due:
            self._events.remove(event)
            event[1]()

    def after(self, seconds: float, happen: Callable[[], Any]) -> None:
        self._events.append((self.now + seconds, happen))


@pytest.fixture(autouse=True)
def ours(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> OurTime:
    ours = OurTime(service)
    defaults: Any = DownloadTaskWait.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "clock", ours.clock)
    monkeypatch.setitem(defaults, "sleep", ours.sleep)
    return ours


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn(speed=0.0) as running:
        running.add_instance(INSTANCE)
        running.add_instance(OTHER)
        yield running


@pytest.fixture
def asked(asked: dict[str, Any]) -> dict[str, Any]:
    return {**asked, "timeout": 10, "poll_interval": 0.1, "appear_timeout": 0.5}


def test_it_waits_until_the_task_is_finished(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    result = wait({**asked, "task_ids": ["dt-one"]})
    assert result["changed"] is False
    assert result["download_tasks"][0]["download_status"] == "finished"
    assert result["count_by_status"]["finished"] == 1
    assert (result["failed_task_ids"], result["pending_task_ids"], result["missing_ids"]) == ([], [], [])
    assert 0.4 <= result["elapsed"] < 1.5
    assert result["polls"] == len(service.calls) > 2
    assert service.connections == 1


def test_one_request_per_instance_and_poll(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    """However many tasks, and none for instances that are done."""
    for number in range(30):
        service.add_task(INSTANCE, task_id=f"dt-a{number}", schedule=QUICK)
        service.add_task(OTHER, task_id=f"dt-b{number}", state="finished")
    result = wait({**asked, "instance_name": [INSTANCE, OTHER]})
    assert result["count"] == 30
    asked_for = [call.params["InstanceName"] for call in service.calls]
    assert asked_for.count(INSTANCE) == result["polls"]
    assert asked_for.count(OTHER) == 1


def test_only_the_pages_that_matter_are_read(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.habits.page_size_max = 10
    for number in range(100):
        service.add_task(INSTANCE, created=BEGINNING + number)
    service.add_task(INSTANCE, task_id="dt-live", created=BEGINNING + 1000, schedule=QUICK)
    wait(asked)
    first = [call for call in service.calls if "StartTime" not in call.params]
    later = service.calls[len(first) :]
    assert len(first) == 11
    assert len(later) > 2
    assert {call.params["StartTime"] for call in later} == {str(BEGINNING + 999)}
    assert {call.params["CurrentPage"] for call in later} == {"1"}


def test_all_that_are_live_at_the_start(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-failed", state="failed")
    service.add_task(INSTANCE, task_id="dt-live", schedule=QUICK)
    service.add_task(INSTANCE, task_id="dt-odd", schedule=[("Archiving", 4.0), ("finished", None)])
    result = wait(asked)
    assert {task["task_id"] for task in result["download_tasks"]} == {"dt-live", "dt-odd"}


def test_nothing_to_wait_for(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, state="failed")
    result = wait({**asked, "on_nothing": "skip"})
    assert (result["count"], result["polls"]) == (0, 1)
    assert wait(asked)["error"] == {"kind": "wait", "reason": "nothing"}


def test_the_newest_task_of_a_backup_set(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, state="expired", backup_set_id="7", created=BEGINNING)
    service.add_task(INSTANCE, task_id="dt-new", schedule=QUICK, backup_set_id="7", created=BEGINNING + 1)
    service.add_task(INSTANCE, schedule=SLOW, backup_set_id="8", created=BEGINNING + 2)
    result = wait({**asked, "backup_set_ids": "7"})
    assert [task["task_id"] for task in result["download_tasks"]] == ["dt-new"]
    assert service.calls[0].params["BackupSetId"] == "7"


@pytest.mark.parametrize("options", [{"task_ids": ["dt-late"]}, {"backup_set_ids": ["77"]}])
def test_a_task_that_shows_up_late(
    wait: Any, asked: dict[str, Any], service: StandIn, options: dict[str, Any], ours: OurTime
) -> None:
    service.add_task(INSTANCE, created=BEGINNING)
    ours.after(0.3, lambda: service.add_task(INSTANCE, task_id="dt-late", schedule=QUICK, backup_set_id="77"))
    result = wait({**asked, "appear_timeout": 5, **options})
    assert [task["download_status"] for task in result["download_tasks"]] == ["finished"]


def test_a_task_that_never_shows_up(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    result = wait({**asked, "task_ids": ["dt-gone"]})
    assert result["failed"]
    assert result["missing_ids"] == ["dt-gone"]
    assert "task dt-gone was not found: check ID, instance and region" in result["msg"]
    assert 0.5 <= result["elapsed"] < 2
    ignored = wait({**asked, "task_ids": ["dt-gone"], "on_missing": "skip"})
    assert ignored["missing_ids"] == ["dt-gone"]


def test_a_task_of_another_region(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-far", region="eu-central-1")
    assert wait({**asked, "task_ids": ["dt-far"]})["missing_ids"] == ["dt-far"]


@pytest.mark.parametrize(("state", "advice"), [("failed", "retry it"), ("expired", "create a new task")])
def test_a_task_that_failed_or_expired(
    wait: Any, asked: dict[str, Any], service: StandIn, state: str, advice: str
) -> None:
    service.add_task(INSTANCE, task_id="dt-bad", state=state)
    service.add_task(INSTANCE, task_id="dt-live", schedule=SLOW)
    arguments = {**asked, "task_ids": ["dt-bad", "dt-live"]}
    result = wait(arguments)
    assert result["failed"]
    assert result["error"]["reason"] == "failed"
    assert result["failed_task_ids"] == ["dt-bad"]
    assert result["pending_task_ids"] == ["dt-live"]
    assert result["polls"] == 1
    assert f"dt-bad of {INSTANCE} is {state}" in result["msg"]
    assert advice in result["msg"]
    ended = wait({**arguments, "task_ids": ["dt-bad"], "until": "ended"})
    assert ended["failed_task_ids"] == []


def test_failing_at_the_end(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-bad", state="failed")
    service.add_task(INSTANCE, task_id="dt-live", schedule=QUICK)
    result = wait({**asked, "task_ids": ["dt-bad", "dt-live"], "fail_fast": False})
    assert result["failed"]
    assert result["pending_task_ids"] == []
    assert result["count_by_status"]["finished"] == 1


def test_the_time_is_over(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-slow", schedule=SLOW, tables=8)
    result = wait({**asked, "timeout": 0.7})
    assert result["error"] == {"kind": "wait", "reason": "timed_out"}
    assert 0.7 <= result["elapsed"] < 1.2
    assert "timed out after 0.7 seconds" in result["msg"]
    assert f"dt-slow of {INSTANCE} is running at 0/8 tables, 0 %" in result["msg"]
    assert result["download_tasks"][0]["progress_total"] == 8


def test_no_time_at_all(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-done", state="finished")
    assert wait({**asked, "timeout": 0, "task_ids": "dt-done"})["polls"] == 1
    service.add_task(INSTANCE, task_id="dt-slow", schedule=SLOW)
    assert wait({**asked, "timeout": 0})["error"]["reason"] == "timed_out"


def test_check_mode_answers_at_once(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-slow", schedule=SLOW)
    service.add_task(INSTANCE, task_id="dt-bad", state="failed")
    result = wait({**asked, "task_ids": ["dt-slow", "dt-bad", "dt-gone"], "_ansible_check_mode": True})
    assert result["pending_task_ids"] == ["dt-slow"]
    assert result["failed_task_ids"] == ["dt-bad"]
    assert result["missing_ids"] == ["dt-gone"]
    assert result["polls"] == 1


def test_many_tasks_are_not_all_named(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    for number in range(25):
        service.add_task(INSTANCE, schedule=SLOW, created=BEGINNING + number)
    message = wait({**asked, "timeout": 0})["msg"]
    assert message.count(" of rm-bp1abc is running") == 10
    assert "and 15 more" in message


# Faults


def test_an_outage_is_lived_through(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    service.inject(Fault("unavailable", 8, after=2))
    result = wait({**asked, "max_retries": 0, "request_timeout": 5})
    assert result["count_by_status"]["finished"] == 1
    assert result["polls"] > 10


def test_outages_of_different_instances_are_not_one(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    names = [f"rm-i{number}" for number in range(4)]
    for name in names:
        service.add_task(name, task_id=f"dt-{name}", schedule=[("running", 60.0), ("finished", None)])
    service.inject(*[Fault("unavailable", 1, action="DescribeDownloadTask", after=4) for number in range(40)])
    arguments = {**asked, "instance_name": names, "max_retries": 0, "outage_timeout": 1, "max_connections": 1}
    assert wait(arguments)["count_by_status"]["finished"] == 4


def test_an_expired_task_of_a_backup_set_may_have_a_successor(
    wait: Any, asked: dict[str, Any], service: StandIn, ours: OurTime
) -> None:
    service.add_task(INSTANCE, task_id="dt-old", state="expired", backup_set_id="9", created=BEGINNING)
    arguments = {**asked, "backup_set_ids": "9", "appear_timeout": 0.5}
    result = wait(arguments)
    assert result["failed_task_ids"] == ["dt-old"]
    assert result["elapsed"] >= 0.5
    ours.after(0.2, lambda: service.add_task(INSTANCE, backup_set_id="9", schedule=QUICK))
    assert wait({**arguments, "appear_timeout": 3})["count_by_status"]["finished"] == 1


def test_a_task_that_was_listed_late(wait: Any, asked: dict[str, Any], service: StandIn, ours: OurTime) -> None:
    """Created before the newest task that was seen."""
    service.add_task(INSTANCE, created=BEGINNING)
    ours.after(0.2, lambda: service.add_task(INSTANCE, task_id="dt-late", created=BEGINNING - 60_000, schedule=QUICK))
    assert wait({**asked, "task_ids": "dt-late", "appear_timeout": 3})["count_by_status"]["finished"] == 1


def test_the_cluster(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", cluster_name="shard-1", schedule=QUICK)
    wait({**asked, "cluster_name": "shard-1"})
    assert {call.params["ClusterName"] for call in service.calls} == {"shard-1"}


def test_an_outage_that_is_too_long(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", schedule=SLOW)
    service.inject(Fault("unavailable", 10_000, after=2))
    result = wait({**asked, "max_retries": 0, "outage_timeout": 1})
    assert result["error"]["code"] == "ServiceUnavailable"
    assert "raise outage_timeout to tolerate longer" in result["msg"]
    assert result["pending_task_ids"] == ["dt-one"]
    assert 1.0 <= result["elapsed"] < 3.0


def test_throttled_throughout(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    service.inject(*[Fault("throttled", 1, after=1, retry_after=20) for number in range(200)])
    assert wait({**asked, "max_retries": 5})["count_by_status"]["finished"] == 1


def test_the_time_is_kept_though_nobody_answers(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", schedule=SLOW)
    service.inject(Fault("unavailable", 10_000, after=2))
    result = wait({**asked, "timeout": 1, "max_retries": 100, "request_timeout": 60})
    assert result["error"]["reason"] == "timed_out"
    assert result["elapsed"] < 2.0
    assert result["pending_task_ids"] == ["dt-one"]
    assert "The last poll failed: Failed to list the download tasks" in result["msg"]
    assert "ServiceUnavailable" in result["msg"]


@pytest.mark.parametrize("code", ["Forbidden.RAM", "InvalidAccessKeyId.NotFound"])
def test_what_no_waiting_can_cure(wait: Any, asked: dict[str, Any], service: StandIn, code: str) -> None:
    service.add_task(INSTANCE, task_id="dt-one", schedule=SLOW)
    service.inject(Fault("error", 1, after=2, status=403, code=code))
    result = wait(asked)
    assert result["error"]["code"] == code
    assert result["pending_task_ids"] == ["dt-one"]
    assert result["polls"] == 2


def test_a_clock_that_is_an_hour_off(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.clock_offset = 3600.0
    service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    result = wait({**asked, "max_retries": 1})
    assert result["count_by_status"]["finished"] == 1
    assert [call.code for call in service.calls].count("InvalidTimeStamp.Expired") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("instances", [[INSTANCE], [INSTANCE, OTHER]])
def test_a_signal_ends_it_at_once(
    wait: Any, asked: dict[str, Any], service: StandIn, number: signal.Signals, instances: list[str]
) -> None:
    for instance in instances:
        service.add_task(instance, task_id=f"dt-{instance}", schedule=SLOW)
    service.inject(Fault("slow", 99, after=len(instances), seconds=3600))
    process = started(wait.name, {**asked, "instance_name": instances, "timeout": 600}, stderr=subprocess.PIPE)
    while len(service.calls) <= len(instances):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(number)
    output, errors = process.outputs()
    result = json.loads(output)
    assert result["msg"] == f"Interrupted by {number.name}."
    assert result["count"] == len(instances)
    assert "Traceback" not in errors


# Bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task_ids": ["1482610001"]}, "task_ids '1482610001' is malformed"),
        ({"backup_set_ids": ["a b"]}, "backup_set_ids 'a b' is malformed"),
        ({"task_ids": ["dt-one"], "backup_set_ids": ["1"]}, "mutually exclusive"),
        ({"timeout": -1}, "timeout -1.0 is out of range: give 0 to 2592000 seconds."),
        ({"poll_interval": 0}, "poll_interval 0.0 is out of range: give 0.1 to 3600 seconds."),
        ({"poll_interval": 20, "poll_interval_max": 10}, "poll_interval_max 10.0 is less than poll_interval 20.0"),
        ({"appear_timeout": -1}, "appear_timeout -1.0 is out of range"),
        ({"progress_interval": 0}, "progress_interval 0.0 is out of range"),
        ({"until": "done"}, "value of until must be one of: finished, ended, got: done"),
        ({"retries": -1}, "retries -1 is out of range: give 0 to 100."),
        ({"on_nothing": "warn"}, "value of on_nothing must be one of: error, skip, got: warn"),
        ({"instance_name": []}, "instance_name is empty"),
    ],
)
def test_bad_input(wait: Any, asked: dict[str, Any], service: StandIn, options: dict[str, Any], said: str) -> None:
    assert said in wait({**asked, **options})["msg"]
    assert not service.calls


def test_no_such_instance(wait: Any, asked: dict[str, Any], service: StandIn) -> None:
    result = wait({**asked, "instance_name": "rm-unknown"})
    assert result["error"]["code"] == "Forbidden.InstanceNotFound"
    assert len(service.calls) == 1


# Progress


def policy(**changes: float) -> WaitPolicy:
    times = {"timeout": 1e5, "interval": 10.0, "interval_max": 60.0, "appear_timeout": 120.0, "outage_timeout": 120.0}
    return WaitPolicy(**{**times, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("elapsed", "task", "pause"),
    [
        (4.0, {"download_status": "initializing", "done": None, "total": None}, 10.0),
        (100.0, {"download_status": "queueing", "done": 0, "total": 0}, 25.0),
        (4000.0, {"download_status": "queueing", "done": 0, "total": 0}, 60.0),
        (100.0, {"download_status": "running", "done": 50, "total": 100}, 50.0),
        (100.0, {"download_status": "running", "done": 80, "total": 100}, 12.5),
        (100.0, {"download_status": "running", "done": 99, "total": 100}, 10.0),
    ],
)
def test_pauses_follow_progress(
    client_of: Any, service: StandIn, elapsed: float, task: dict[str, Any], pause: float
) -> None:
    known = WaitState(elapsed=elapsed, unseen_since=elapsed, first_progress={"dt-one": [0.0, 0]})
    known.tasks["dt-one"] = {
        "task_id": "dt-one",
        "gmt_create": BEGINNING,
        "download_status": task["download_status"],
        "progress_done": task["done"],
        "progress_total": task["total"],
    }
    waiting = Waiter(client_of(service), WaitTarget("cn-hangzhou", (INSTANCE,)), policy(), known)
    assert waiting._next_pause() == pytest.approx(pause, abs=0.1)


def test_progress_that_begins_again(client_of: Any, service: StandIn, ours: OurTime) -> None:
    """As of a task that somebody else retried: what was done before is not what is done a minute now."""
    task = service.add_task(INSTANCE, task_id="dt-one", schedule=[("running", 100.0), ("finished", None)], tables=10)
    service.advance(60)
    target = WaitTarget("cn-hangzhou", (INSTANCE,))
    waiting = Waiter(client_of(service), target, policy(), clock=ours.clock, sleep=ours.sleep)
    waiting.poll()
    task.follow([("running", 100.0), ("finished", None)], service.clock.now())
    waiting.poll()
    ours.sleep(2.0)
    waiting.poll()
    (found,) = waiting.tasks()
    assert (found["progress_done"], found["progress_total"]) == (4, 10)
    assert waiting.progress(found) == {"tables_per_minute": 120.0, "seconds_left": 3.0}


def task_facts(number: int, **changes: Any) -> dict[str, Any]:
    facts = {
        "task_id": f"dt-{number}",
        "instance_name": "rm-bp1abc",
        "status": "running",
        "tables": "3/8",
        "percent": 37.5,
        "retries": 0,
        "tables_per_minute": 1.5,
        "seconds_left": 200.0,
    }
    return {**facts, **changes}


def facts_of(changes: list[Any], live: list[Any], **more: Any) -> dict[str, Any]:
    facts = {"changed": len(changes), "live_count": len(live), "count": len(live), "are_many": False}
    return {"changes": changes, "live": live, **facts, "outage": None, "prefix": "", **more}


def test_lines_for_people() -> None:
    task = task_facts(1)
    said = "dt-1 of rm-bp1abc: running, 3/8 tables, 37.5 %, 1.5 tables/min, about 3m 20s left, 2m 05s elapsed"
    facts = facts_of([[1, task]], [task])
    lines = TaskLines()
    assert list(lines.of(facts, 125.0)) == [said]
    assert lines.news == 1
    assert list(lines.of(facts, 185.0)) == [said.replace("2m 05s", "3m 05s")]
    gone = {**facts, "outage": "The host is gone."}
    assert list(TaskLines().of(gone, 245.0)) == [
        "service is unavailable, 4m 05s elapsed: The host is gone.",
        "last known: " + said.replace("2m 05s", "4m 05s"),
    ]
    assert list(lines.of(gone, 245.0)) == ["service is unavailable, 4m 05s elapsed: The host is gone."]
    done = task_facts(1, status="finished", tables_per_minute=None, seconds_left=None)
    # It was seen as failed in between, and nobody looked.
    changes = [[1, task], [2, task_facts(1, status="failed")], [3, done]]
    last = facts_of(changes, [], prefix="blocking: ")
    assert list(lines.last(last, 250.0)) == [
        "blocking: dt-1 of rm-bp1abc: finished, 3/8 tables, 37.5 %, 4m 10s elapsed"
    ]
    assert list(lines.last(last, 250.0)) == []
    assert list(lines.last({}, 250.0)) == []


@pytest.fixture
def controller(asked: dict[str, Any], tmp_path: Path) -> JobController:
    return JobController(MODULE, {**asked, "timeout": 1000, "poll_interval_max": 0.1, "appear_timeout": 0}, tmp_path)


def test_lines_for_many_tasks(controller: JobController, service: StandIn) -> None:
    """A report stays small, and what is not named in it is counted."""
    instances = [f"rm-{number}" for number in range(30)]
    for name in instances:
        service.add_task(name, task_id=f"dt-{name}", schedule=SLOW)
    controller.arguments["instance_name"] = instances
    controller.begin["news_after"] = 0.0
    state = controller.step(600.0)["_job"]
    lines = TaskLines()
    first = list(lines.of(state["progress"], 10.0))
    assert lines.news == state["news"] == 30
    assert len(first) == 12
    assert first[-2:] == [
        "20 more download tasks changed their status",
        "30 of 30 download tasks are not finished, 10s elapsed",
    ]
    assert list(lines.of(state["progress"], 70.0)) == ["30 of 30 download tasks are not finished, 1m 10s elapsed"]
    assert list(lines.last(state["progress"], 80.0)) == []
    controller.begin["stop"] = True
    result = controller.step()
    assert result["count"] == len(result["pending_task_ids"]) == 30
    assert not list(controller.remote_tmp.iterdir())


def test_news_end_a_run_that_follows_and_what_was_shown_does_not(controller: JobController, service: StandIn) -> None:
    task = service.add_task(INSTANCE, task_id="dt-one", schedule=SLOW)
    controller.begin["news_after"] = 0.0
    assert controller.step(600.0)["_job"]["news"] == 1
    controller.begin["news"] = 1
    assert controller.step(0.3)["_job"]["followed"] >= 0.3
    process = controller.start(600.0)
    task.follow([("queuing", None)], service.clock.now())
    assert controller.take(process)["_job"]["news"] == 2
    # Put off, they are not lost.
    controller.begin.update(news=2, news_after=600.0)
    task.follow([("running", 1e6), ("finished", None)], service.clock.now())
    assert controller.step(0.5)["_job"]["followed"] >= 0.5
    task.follow([("finished", None)], service.clock.now())
    result = controller.run()
    assert [task["status"] for _unused, task in result["_progress"]["changes"]][-1] == "finished"
    assert result["count_by_status"]["finished"] == 1


def test_a_job_that_is_killed_is_waited_on(controller: JobController, service: StandIn) -> None:
    """What was live at the start is waited for, also if it is done before another job takes its place."""
    first = service.add_task(INSTANCE, task_id="dt-one", schedule=SLOW)
    service.add_task(OTHER, task_id="dt-two", schedule=SLOW)
    controller.arguments["instance_name"] = [INSTANCE, OTHER]
    until(lambda: controller.step()["_job"]["progress"].get("count") == 2)
    controller.kill()
    assert controller.step()["_job"]["directory"] is None
    first.follow([("finished", None)], service.clock.now())
    until(lambda: controller.step()["_job"]["progress"].get("live_count") == 1)
    for task in service.account.tasks():
        task.follow([("finished", None)], service.clock.now())
    result = controller.run()
    assert result["count_by_status"]["finished"] == 2


@pytest.mark.parametrize("loses_notes", [False, True])
def test_a_job_that_is_killed_has_retried_once(controller: JobController, service: StandIn, loses_notes: bool) -> None:
    service.habits.retry_life_cycle = SLOW
    service.add_task(INSTANCE, task_id="dt-one", state="failed")
    controller.arguments.update(task_ids=["dt-one"], retries=1)
    until(lambda: "dt-one" in str(controller.step()["_job"]["progress"].get("live")))
    controller.kill()
    assert controller.step()["_job"]["directory"] is None
    if loses_notes:
        controller.begin["notes"] = None
    for task in service.account.tasks():
        task.follow([("failed", None)], service.clock.now())
    result = controller.run()
    assert result["failed_task_ids"] == ["dt-one"]
    assert result["retried"] == ({} if loses_notes else {"dt-one": 1})
    assert ("it is unknown what it retried" in str(result.get("warnings"))) is loses_notes
    assert len(service.calls_of("RetryDownloadTask")) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.4, "59s"), (60, "1m 00s"), (3599, "59m 59s"), (7500, "2h 05m")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
