# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting and retrying against the stand-in, by a clock that moves only when it is slept: both sides live in it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs import task
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.task import normalised
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task_wait import (
    ARGUMENT_SPEC,
    DownloadTaskWait,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.background_job import Job
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import TaskLines
from processes import same_signals
from stand_in import Fault, StandIn

INSTANCE = "rm-bp1abc"
OTHER = "rm-bp1other"
BEGINNING = 1_663_321_957_000
QUICK = [("initializing", 20.0), ("running", 60.0), ("finished", None)]
FAILING = [("running", 30.0), ("failed", None)]
SLOW = [("running", 1e6), ("finished", None)]


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn(speed=0.0) as running:
        running.add_instance(INSTANCE)
        running.add_instance(OTHER)
        yield running


class ProcessLost(BaseException):
    """The end of a process that does nothing more, as by SIGKILL."""


class RecordedJob(Job):
    """A job of this process. What it says is text in between, as for a process of its own."""

    def __init__(self, elapsed: float = 0.0, notes: Any = ...) -> None:
        super().__init__()
        self.elapsed = elapsed
        self.is_restarted = notes is not ...
        self.notes = None if notes is ... else notes
        self.reports: list[dict[str, Any]] = []
        self.noted: Any = notes if self.is_restarted else {}

    def report(self, progress: Any, news: int = 0) -> None:
        self.reports.append(json.loads(json.dumps(dict(progress, news=news))))

    def note(self, notes: Any) -> None:
        self.noted = json.loads(json.dumps(notes))


class World:
    """Runs the module in a time of its own, in which the service lives as well."""

    def __init__(self, service: StandIn) -> None:
        self.service = service
        self.now = 0.0
        self.url = service.url
        self.job = RecordedJob()
        self.loss_at = float("inf")

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.service.advance(seconds)
        if self.now >= self.loss_at:
            raise ProcessLost

    def wait(self, *, check_mode: bool = False, job: RecordedJob | None = None, **given: Any) -> dict[str, Any]:
        """The module's result."""
        options = {name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}
        options.update(
            region="cn-hangzhou",
            instance_name=[INSTANCE],
            endpoint=self.url,
            access_key_id=self.service.key.id,
            access_key_secret=self.service.key.secret,
            max_retries=0,
        )
        options.update(given)
        run = DownloadTaskWait(check_mode=check_mode, clock=lambda: self.now, sleep=self.sleep)
        run.job = self.job = job or RecordedJob()
        with same_signals():
            return run.outcome(options)

    def wait_with_losses(self, seconds: float, lose_notes: bool = False, **given: Any) -> dict[str, Any]:
        """The same, but each process is lost after some seconds, and another one takes its place."""
        began, job = self.now, RecordedJob()
        while True:
            self.loss_at = self.now + seconds
            try:
                return self.wait(job=job, **given)
            except ProcessLost:
                job = RecordedJob(self.now - began, None if lose_notes else self.job.noted)
            finally:
                self.loss_at = float("inf")

    def retries(self) -> list[str]:
        return [call.params["TaskId"] for call in self.service.calls_of("RetryDownloadTask")]


@pytest.fixture
def world(service: StandIn) -> World:
    return World(service)


# Retrying


@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize("seconds", [None, 5.0, 40.0])
@pytest.mark.parametrize("fail_fast", [True, False])
def test_each_task_is_retried_so_often_and_then_it_has_failed(
    world: World, retries: int, seconds: float | None, fail_fast: bool
) -> None:
    for instance, task_id in ((INSTANCE, "dt-one"), (OTHER, "dt-two")):
        world.service.add_task(instance, task_id=task_id, schedule=FAILING, retry_schedule=FAILING)
    given = {"instance_name": [INSTANCE, OTHER], "retries": retries, "fail_fast": fail_fast}
    result = world.wait_with_losses(seconds, **given) if seconds else world.wait(**given)
    assert sorted(world.retries()) == sorted(["dt-one", "dt-two"] * retries)
    assert result["failed"]
    assert sorted(result["failed_task_ids"]) == ["dt-one", "dt-two"]
    assert result["changed"] is bool(retries)
    assert result["retried"] == ({"dt-one": retries, "dt-two": retries} if retries else {})
    times = "1 retry" if retries == 1 else f"{retries} retries"
    said = f"%, again after {times}: it blocks new tasks of its instance" if retries else "%: retry it"
    assert result["msg"].count(said) == 2
    # Once, and only where it cures: what was retried in vain needs another cure.
    hint = "set retries=1 (wait_for_download_tasks_retries=1 for the role), or on_blocked=retry"
    assert result["msg"].count(hint) == result["msg"].count("a retry may cost money") == (0 if retries else 1)


@pytest.mark.parametrize("seconds", [None, 30.0])
def test_a_task_that_is_finished_after_a_retry(world: World, seconds: float | None) -> None:
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=FAILING, retry_schedule=QUICK)
    world.service.add_task(OTHER, task_id="dt-two", schedule=[("running", 500.0), ("finished", None)])
    given = {"instance_name": [INSTANCE, OTHER], "retries": 2}
    result = world.wait_with_losses(seconds, **given) if seconds else world.wait(**given)
    assert result["count_by_status"]["finished"] == 2
    assert result["retried"] == {"dt-one": 1}
    assert result["changed"]
    assert result["diff"] == {"before": "dt-one: failed\n", "after": "dt-one: retried\n"}
    assert world.retries() == ["dt-one"]


def test_no_rate_is_told_of_the_try_before(world: World) -> None:
    """Tables that were done before the retry took no time since."""
    world.service.habits.retry_life_cycle = [("running", 100), ("finished", None)]
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=[("running", 10), ("failed", None)], tables=10)
    world.wait(retries=1, poll_interval=1, timeout=40)
    told = [(report["live"][0]["retries"], report["live"][0]) for report in world.job.reports if report["live"]]
    assert any(task["tables_per_minute"] for retries, task in told if not retries)
    first = next(task for retries, task in told if retries)
    assert first["tables"] not in (None, "0/10")
    assert first["tables_per_minute"] is None


def test_a_task_of_a_backup_set_is_retried_whatever_until_says(world: World) -> None:
    world.service.add_task(INSTANCE, state="failed", backup_set_id="7", task_id="dt-one", retry_schedule=FAILING)
    result = world.wait(backup_set_ids=["7"], retries=1, until="ended")
    assert "failed" not in result
    assert result["count_by_status"]["failed"] == 1
    assert world.retries() == ["dt-one"]


def test_check_mode_says_what_it_would_retry(world: World) -> None:
    world.service.add_task(INSTANCE, state="failed", task_id="dt-one")
    world.service.add_task(OTHER, state="running", task_id="dt-two")
    result = world.wait(check_mode=True, instance_name=[INSTANCE, OTHER], task_ids=["dt-one", "dt-two"], retries=2)
    assert result["changed"]
    assert result["retried"] == {"dt-one": 1}
    assert result["diff"]["after"] == "dt-one: to be retried\n"
    assert not world.retries()
    assert world.now == 0.0


def test_a_list_that_shows_the_retry_late(world: World) -> None:
    late = [("failed", 25.0), *QUICK]
    world.service.add_task(INSTANCE, task_id="dt-one", state="failed", retry_schedule=late)
    assert world.wait(task_ids=["dt-one"], retries=1)["count_by_status"]["finished"] == 1
    assert world.retries() == ["dt-one"]


def test_no_retry_when_the_time_is_over(world: World) -> None:
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=FAILING, retry_schedule=SLOW)
    assert world.wait(task_ids=["dt-one"], retries=1, timeout=30)["failed_task_ids"] == ["dt-one"]
    assert not world.retries()
    late = world.wait(task_ids=["dt-one"], retries=1, timeout=0)
    assert late["failed_task_ids"] == ["dt-one"]
    assert not world.retries()


def test_the_time_is_over_before_the_retry_shows(world: World) -> None:
    world.service.add_task(INSTANCE, task_id="dt-one", state="failed", retry_schedule=[("failed", None)])
    result = world.wait(task_ids=["dt-one"], retries=1, timeout=50)
    assert result["error"]["reason"] == "timed_out"
    assert "dt-one of rm-bp1abc is failed at 5/10 tables, 50 % and was retried 50 seconds ago" in result["msg"]


@pytest.mark.parametrize("retries", [1, 2])
@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("kind", ["reset", "truncated", "internal", "unavailable", "html"])
def test_a_retry_whose_answer_is_lost(world: World, kind: str, effect: bool, retries: int) -> None:
    """Whether it had an effect, the state tells; one that had none is sent again only if that is allowed."""
    world.service.add_task(INSTANCE, task_id="dt-one", state="failed", retry_schedule=QUICK)
    details = {"at": 0} if kind == "reset" and effect else {}
    world.service.inject(Fault(kind, 1, action="RetryDownloadTask", executed=effect, **details))
    result = world.wait(task_ids=["dt-one"], retries=retries, max_retries=3)
    assert len(world.retries()) == (1 if effect or retries == 1 else 2)
    assert result["changed"]
    if effect or retries == 2:
        assert result["count_by_status"]["finished"] == 1
    else:
        assert (
            "dt-one of rm-bp1abc is failed at 5/10 tables, 50 %: it could not be retried: Failed to retry"
            in result["msg"]
        )


@pytest.mark.parametrize("code", ["Forbidden.RAM", "DBS.ParamIsInValid"])
def test_a_retry_that_is_refused(world: World, code: str) -> None:
    world.service.add_task(INSTANCE, task_id="dt-one", state="failed", retry_schedule=QUICK)
    world.service.inject(Fault("error", 9, action="RetryDownloadTask", status=403, code=code))
    result = world.wait(task_ids=["dt-one"], retries=3)
    assert not result["changed"]
    assert result["retried"] == {}
    assert len(world.retries()) == 1
    assert "it could not be retried: Failed to retry download task 'dt-one' of instance 'rm-bp1abc'" in result["msg"]
    assert code in result["msg"]


def test_a_task_that_another_retries_at_the_same_time(world: World) -> None:
    task = world.service.add_task(INSTANCE, task_id="dt-one", state="failed")

    def first(call: Any) -> None:
        if call.action == "RetryDownloadTask":
            task.follow(QUICK, world.service.clock.now())

    world.service.on_call(first)
    assert world.wait(task_ids=["dt-one"], retries=1)["count_by_status"]["finished"] == 1
    assert world.retries() == ["dt-one"]


# Nothing to wait for


def test_nothing_is_under_way(world: World) -> None:
    world.service.add_task(INSTANCE, task_id="dt-old", created=BEGINNING, backup_set_id="6")
    world.service.add_task(INSTANCE, task_id="dt-done", created=BEGINNING + 1000, backup_set_id="7")
    world.service.add_task(INSTANCE, state="failed", created=BEGINNING + 2000)
    result = world.wait()
    assert result["error"] == {"kind": "wait", "reason": "nothing"}
    assert result["msg"] == (
        "No download task of rm-bp1abc in region cn-hangzhou is in progress, so there is nothing to wait for. The "
        "newest finished task is dt-done, created 2022-09-16T09:52:38Z, of backup set 7. Give task_id or backup_set_id to "
        "wait for a task that may be finished already, or create a task."
    )
    assert result["count"] == 0
    skipped = world.wait(on_nothing="skip")
    assert (skipped["count"], skipped.get("failed")) == (0, None)
    checked = world.wait(check_mode=True)
    assert checked["warnings"] == [result["msg"]]


def test_nothing_at_all(world: World) -> None:
    assert "nothing to wait for. No task is finished. Give" in world.wait()["msg"]


def test_what_an_earlier_step_would_have_created_is_a_warning_in_check_mode(world: World) -> None:
    result = world.wait(check_mode=True, backup_set_ids=["7", "8"])
    assert result["missing_ids"] == ["7", "8"]
    assert result["warnings"] == ["Not found now: 7, 8. Without check mode, the module waits for them."]


# Expired tasks of backup sets


@pytest.mark.parametrize("sets", [["7"], ["7", "8"]])
@pytest.mark.parametrize("given", [{}, {"timeout": 50}, {"appear_timeout": 0}, {"check_mode": True}])
def test_an_expired_task_beside_newer_ones_of_other_sets(world: World, sets: list[str], given: dict[str, Any]) -> None:
    world.service.add_task(INSTANCE, task_id="dt-old", state="expired", backup_set_id="7", created=BEGINNING)
    day = 86_400_000
    world.service.add_task(INSTANCE, task_id="dt-new", backup_set_id="8", created=BEGINNING + day)
    result = world.wait(backup_set_ids=sets, **given)
    assert result["failed_task_ids"] == ["dt-old"]
    assert result["missing_ids"] == []
    if not given.get("check_mode"):
        assert (
            "dt-old of rm-bp1abc is expired at 10/10 tables, 100 %: its files are gone, create a new task"
            in result["msg"]
        )


def test_an_expired_task_has_a_successor_in_the_end(world: World) -> None:
    world.service.add_task(INSTANCE, state="expired", backup_set_id="7", created=BEGINNING)
    world.service.on_call(
        lambda call: (
            world.service.add_task(INSTANCE, task_id="dt-new", schedule=QUICK, backup_set_id="7")
            if len(world.service.calls) == 4
            else None
        )
    )
    result = world.wait(backup_set_ids=["7"])
    assert [task["task_id"] for task in result["download_tasks"]] == ["dt-new"]
    assert result["count_by_status"]["finished"] == 1


# The times that are asked for


@pytest.mark.parametrize(
    "refused_by",
    [
        "DBS.DownloadTask.InstanceParamNotSupport",
        "DBS.InternalError",
        "DBS.ParamIsInValid",
        "InvalidParameter",
        "InvalidParameter.StartTime",
        "InvalidParameterValue",
        "MissingParameter",
        "Param.NotFound",
        "SomethingElse",
    ],
)
@pytest.mark.parametrize("taken", ["any", "both", "none"])
@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
@pytest.mark.parametrize("seconds", [None, 5.0])
def test_times_as_the_service_may_read_them(
    world: World, bounds: Any, taken: Any, refused_by: str, seconds: float | None
) -> None:
    habits = world.service.habits
    habits.bounds, habits.bounds_taken, habits.bounds_refused_by = bounds, taken, refused_by
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    result = world.wait_with_losses(seconds) if seconds else world.wait()
    assert result["count_by_status"]["finished"] == 1
    bounded = [call for call in world.service.calls if "StartTime" in call.params]
    assert all("EndTime" in call.params for call in bounded)
    # A refusal is remembered. What is refused may be the size of the page just as well, so that it is asked without one.
    assert (len(bounded) <= 2) if taken == "none" else (len(bounded) == result["polls"] - 1)


def test_new_tasks_are_seen_though_the_clock_here_is_wrong(world: World) -> None:
    world.service.add_task(INSTANCE, created=BEGINNING)
    world.service.advance(180 * 86_400)
    world.service.on_call(
        lambda call: (
            world.service.add_task(INSTANCE, task_id="dt-late", schedule=QUICK)
            if len(world.service.calls) == 3
            else None
        )
    )
    assert world.wait(task_ids=["dt-late"])["count_by_status"]["finished"] == 1


# Outages


def test_an_internal_error_after_a_good_answer_is_an_outage(world: World) -> None:
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    world.service.inject(Fault("error", 2, after=2, status=200, code="DBS.InternalError"))
    world.service.inject(Fault("html", 1, status=404), Fault("not_json", 1), Fault("unavailable", 1))
    result = world.wait()
    assert result["count_by_status"]["finished"] == 1
    faults = [call.fault for call in world.service.calls if call.fault]
    assert faults == ["error", "error", "html", "not_json", "unavailable"]


@pytest.mark.parametrize("status", [200, 400, 403])
@pytest.mark.parametrize("code", ["DBS.SystemBusy", "Service.Busy", "SystemError", "NobodyKnowsIt", "DBS.Timeout", ""])
def test_a_refusal_of_what_was_answered_before_is_an_outage(world: World, code: str, status: int) -> None:
    """Also once it is known that the service takes the times."""
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    world.service.inject(Fault("error", 2, after=3, status=status, code=code))
    result = world.wait()
    assert result["count_by_status"]["finished"] == 1
    assert [call.fault for call in world.service.calls if call.fault] == ["error", "error"]


@pytest.mark.parametrize(
    "code",
    [
        "DBS.DownloadTask.InstanceParamNotSupport",
        "DBS.NotExists",
        "Forbidden.InstanceNotFound",
        "Forbidden.RAM",
        "InvalidAccessKeyId.NotFound",
        "InvalidParameter",
        "NoPermission",
        "NotAuthorized",
        "Param.NotFound",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
    ],
)
def test_what_no_waiting_cures_ends_it_at_once(world: World, code: str) -> None:
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=SLOW)
    world.service.inject(Fault("error", 99, after=3, status=403, code=code))
    result = world.wait()
    assert result["error"]["code"] == code
    assert len([call for call in world.service.calls if call.fault]) == 1


def test_an_internal_error_that_does_not_end(world: World) -> None:
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=SLOW)
    world.service.inject(Fault("error", 10_000, after=2, status=200, code="DBS.InternalError"))
    result = world.wait(outage_timeout=60)
    assert result["error"]["code"] == "DBS.InternalError"
    assert "The outage lasted 60 seconds" in result["msg"]
    assert result["pending_task_ids"] == ["dt-one"]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        (Fault("error", 99, status=200, code="DBS.InternalError"), 1),
        (Fault("html", 99, status=404), 1),
        (Fault("unavailable", 99), 3),
        (Fault("reset", 99), 3),
        (Fault("error", 99, status=403, code="Forbidden.RAM"), 1),
    ],
)
def test_a_first_answer_that_is_bad_ends_it(world: World, fault: Fault, calls: int, check_mode: bool) -> None:
    """It is asked as often as other modules ask, and not again after a pause."""
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=QUICK)
    world.service.inject(fault)
    result = world.wait(check_mode=check_mode, max_retries=2)
    assert result["failed"]
    assert result["error"]["action"] == "DescribeDownloadTask"
    assert len(world.service.calls) == calls
    assert world.now == 0.0


@pytest.mark.parametrize("check_mode", [False, True])
def test_nobody_listens(world: World, check_mode: bool) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        world.url = f"http://127.0.0.1:{other.getsockname()[1]}"
        result = world.wait(check_mode=check_mode, max_retries=2, outage_timeout=86400)
    assert result["error"]["kind"] == "connection"
    assert result["error"]["attempts"] == 3
    assert world.now == 0.0


@pytest.mark.parametrize("check_mode", [False, True])
def test_one_instance_of_two_does_not_answer(world: World, check_mode: bool) -> None:
    """An outage to live through, but in check mode, where it is the only answer."""
    for instance in (INSTANCE, OTHER):
        world.service.add_task(instance, schedule=QUICK)
    broken = Fault("unavailable", 1, after=1)
    world.service.inject(broken)
    result = world.wait(check_mode=check_mode, instance_name=[INSTANCE, OTHER], max_connections=1)
    if check_mode:
        assert result["error"]["code"] == "ServiceUnavailable"
    else:
        assert result["count_by_status"]["finished"] == 2


# Fields that are not there

FIELDS = [
    "TaskId",
    "RegionCode",
    "Format",
    "DbList",
    "BakSetId",
    "DownloadStatus",
    "ExportDataSize",
    "ImportDataSize",
    "BackupSetTime",
    "TargetType",
    "TargetPath",
    "Progress",
    "GmtCreate",
]


@pytest.mark.parametrize("value", ["absent", None, "", "odd", -1, 1e300, True, {}, ["x"]])
@pytest.mark.parametrize("field", FIELDS)
def test_a_task_without_a_field(world: World, field: str, value: Any) -> None:
    """It is waited for all the same, and what is known of it and of others is told."""
    tasks = [world.service.add_task(INSTANCE, task_id=f"dt-{name}", state="running") for name in ("one", "two")]

    def answer(ended: bool) -> None:
        rows = [task.describe(world.service.clock.now(), {}) for task in tasks]
        if ended:
            for row in rows:
                row["DownloadStatus"] = "failed"
        rows[0][field] = value
        if value == "absent":
            del rows[0][field]
        world.service.answer("DescribeDownloadTask", {"Success": "true", "Data": {"Content": {"List": rows}}})

    answer(ended=False)

    def end(seconds: float) -> None:
        answer(ended=True)
        World.sleep(world, seconds)

    world.sleep = end  # type: ignore[method-assign]
    result = world.wait(fail_fast=False, timeout=100)
    first, last = world.job.reports[0], world.job.reports[-1]
    nameless = field == "TaskId" and value in ("absent", None, "")
    # As news, and as how far it is.
    lines = TaskLines()
    for said in (list(lines.of(first, 1.0)), list(lines.of(first, 61.0))):
        assert any(line.startswith("dt-two of rm-bp1abc: running") for line in said)
        assert len(said) == (1 if nameless else 2)
    assert result["failed"]
    assert f"dt-two of {INSTANCE} is failed" in result["msg"]
    assert list(lines.last(last, 100.0))
    assert not list(lines.last(last, 100.0))
    if nameless:
        assert result["warnings"] == [
            f"Instance {INSTANCE} has a live download task without an ID, which cannot be waited for."
        ]
    else:
        assert result["count"] == 2


def test_a_task_that_does_not_change_is_parsed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is listed; one that changes, at each change."""
    parsed: list[str] = []

    def counted(raw: dict[str, Any], instance_name: str, region: str) -> dict[str, Any]:
        parsed.append(raw["TaskId"])
        return normalised(raw, instance_name, region)

    monkeypatch.setattr(task, "normalised", counted)
    world.service.add_task(INSTANCE, task_id="dt-still", schedule=[("queueing", 600.0), ("finished", None)])
    result = world.wait(task_ids=["dt-still"], poll_interval=10.0, poll_interval_max=10.0)
    assert result["download_tasks"][0]["download_status"] == "finished"
    assert result["polls"] > 10
    assert parsed == ["dt-still", "dt-still"]
