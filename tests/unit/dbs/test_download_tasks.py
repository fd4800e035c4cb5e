# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listing download tasks against the stand-in: complete, free of duplicates, with no call that is not needed."""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any, Callable

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.download_tasks import (
    DownloadTaskQuery,
    count_by_status,
    list_download_tasks,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.tuning import MAX_SWEEPS
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import ServiceError
from processes import LIMIT
from stand_in import Fault, StandIn, sample
from stand_in.registry import GatewayError

MakeClient = Callable[..., Client]
INSTANCE = "rm-bp1abc"
BEGINNING = 1_663_321_957_000


def fill(service: StandIn, number: int, instance: str = INSTANCE, **fields: Any) -> list[str]:
    """Tasks a second apart, the oldest first; their IDs."""
    return [service.add_task(instance, created=BEGINNING + second * 1000, **fields).task_id for second in range(number)]


def listed(client: Client, *instances: str, **query: Any) -> list[str]:
    tasks = list_download_tasks(client, instances or [INSTANCE], DownloadTaskQuery(region="cn-hangzhou", **query))
    return [task["task_id"] for task in tasks]


def pages(service: StandIn) -> list[int]:
    return sorted(int(call.params["CurrentPage"]) for call in service.calls)


@pytest.mark.parametrize(
    ("tasks", "size", "calls"),
    [(0, 10, 1), (1, 10, 1), (9, 10, 1), (10, 10, 1), (11, 10, 2), (95, 10, 10), (100, 10, 10)],
)
def test_all_pages_and_no_other(service: StandIn, client_of: MakeClient, tasks: int, size: int, calls: int) -> None:
    service.add_instance(INSTANCE)
    ids = fill(service, tasks)
    assert listed(client_of(service), page_size=size) == ids[::-1]
    assert pages(service) == list(range(1, calls + 1))


def test_pages_are_fetched_at_the_same_time(service: StandIn, client_of: MakeClient) -> None:
    fill(service, 90)
    together, waiting = threading.Barrier(8), threading.Event()

    def meet(call: Any) -> None:
        if call.params["CurrentPage"] != "1":
            together.wait(LIMIT)
            waiting.set()

    service.on_call(meet)
    assert len(listed(client_of(service, max_connections=8), page_size=10)) == 90
    assert waiting.is_set()
    assert service.connections <= 8


def test_a_small_answer_needs_one_connection(service: StandIn, client_of: MakeClient) -> None:
    fill(service, 3)
    listed(client_of(service))
    assert (len(service.calls), service.connections) == (1, 1)


@pytest.mark.parametrize("content", ["list", "array", "null", "null_list", "no_data"])
@pytest.mark.parametrize("totals", [True, False, "wrong"])
@pytest.mark.parametrize("paging", ["page", "number"])
@pytest.mark.parametrize("tasks", [0, 1, 20, 25])
def test_whatever_the_service_says_of_its_pages(
    service: StandIn, client_of: MakeClient, content: Any, totals: Any, paging: Any, tasks: int
) -> None:
    service.habits.content, service.habits.totals, service.habits.paging = content, totals, paging
    service.add_instance(INSTANCE)
    ids = fill(service, tasks)
    assert listed(client_of(service), page_size=10) == ids[::-1]
    assert len(service.calls) <= tasks // 10 + 2


def test_the_service_gives_smaller_pages_than_asked_for(service: StandIn, client_of: MakeClient) -> None:
    service.habits.page_size_max = 7
    ids = fill(service, 40)
    assert listed(client_of(service), page_size=1000) == ids[::-1]
    assert len(service.calls) == 6


def test_the_service_gives_smaller_pages_than_it_says(service: StandIn, client_of: MakeClient) -> None:
    """It repeats the size that was asked for."""
    ids = [f"dt-{number}" for number in range(12)]

    def page(call: Any) -> None:
        first = (int(call.params["CurrentPage"]) - 1) * 5
        rows = [{"TaskId": task_id, "GmtCreate": "1"} for task_id in ids[first : first + 5]]
        data = {"PageSize": 100, "TotalElements": 12, "Content": {"List": rows}}
        service.answer("DescribeDownloadTask", {"Success": "true", "Data": data})

    service.on_call(page)
    service.answer("DescribeDownloadTask", {})
    assert sorted(listed(client_of(service))) == sorted(ids)
    assert len(service.calls) == 3


def test_a_refused_page_size_is_left_to_the_service(service: StandIn, client_of: MakeClient) -> None:
    service.habits.page_size_max, service.habits.page_size_over = 50, "refuse"
    ids = fill(service, 25)
    assert listed(client_of(service)) == ids[::-1]
    assert "PageSize" not in service.calls[-1].params

    with pytest.raises(ServiceError, match=r"DBS\.ParamIsInValid"):
        listed(client_of(service), page_size=51)


@pytest.mark.parametrize(("status", "code"), [(200, "DBS.InternalError"), (400, "InvalidParameter.PageSize")])
def test_a_page_size_that_is_refused_in_other_words(
    service: StandIn, client_of: MakeClient, status: int, code: str
) -> None:
    ids = fill(service, 25)

    def refuse(call: Any) -> None:
        if "PageSize" in call.params:
            raise GatewayError(status, code, "The pageSize is too large.", Success="false")

    service.on_call(refuse)
    assert listed(client_of(service)) == ids[::-1]


def test_an_empty_page_among_others(service: StandIn, client_of: MakeClient) -> None:
    """It loses what was on it, and says so, but not what comes after it."""
    ids = [f"dt-{number}" for number in range(50)]
    warnings: list[str] = []

    def page(call: Any) -> None:
        number = int(call.params["CurrentPage"])
        rows = [{"TaskId": one} for one in ids[number * 10 - 10 : number * 10]] if number != 3 else []
        data = {"PageSize": 10, "TotalElements": 50, "Content": {"List": rows}}
        service.answer("DescribeDownloadTask", {"Success": "true", "Data": data})

    service.on_call(page)
    service.answer("DescribeDownloadTask", {})
    query = DownloadTaskQuery(region="cn-hangzhou")
    found = list_download_tasks(client_of(service, max_connections=1), [INSTANCE], query, warnings.append)
    assert {task["task_id"] for task in found} == set(ids) - set(ids[20:30])
    assert warnings == [f"The service announced 50 download tasks of instance '{INSTANCE}', but returned 40."]


def test_a_filter_by_state_hides_none_that_comes_later(service: StandIn, client_of: MakeClient) -> None:
    """Tasks leave the filtered list while as many come to it, so that its length tells nothing."""
    ids = fill(service, 60, state="failed")
    leaving = [service.add_task(INSTANCE, state="failed", created=BEGINNING - number - 1) for number in range(5)]
    lock = threading.Lock()

    def churn(call: Any) -> None:
        with lock:
            if call.params["CurrentPage"] != "1" and leaving:
                leaving.pop().follow([("running", None)], service.clock.now())
                service.add_task(INSTANCE, state="failed", created=BEGINNING + 1_000_000 + len(leaving))

    service.on_call(churn)
    for query in ({}, {"limit": 100_000}):
        assert set(ids) <= set(listed(client_of(service), page_size=10, states=frozenset({"failed"}), **query))


def test_ids_of_several_instances(service: StandIn, client_of: MakeClient) -> None:
    """Reading ends in all instances when all are found in any."""
    one, two = fill(service, 1000, "rm-bp1one"), fill(service, 1000, "rm-bp1two")
    wanted = {one[-1], two[-1]}
    assert set(listed(client_of(service), "rm-bp1one", "rm-bp1two", page_size=10, task_ids=frozenset(wanted))) == wanted
    assert len(service.calls) < 20


def test_the_sample_answer_of_the_documentation(service: StandIn, client_of: MakeClient) -> None:
    service.answer("DescribeDownloadTask", sample("DescribeDownloadTask"))
    assert listed(client_of(service)) == ["dt-qxntlvgu****"]
    assert len(service.calls) == 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("early", [False, True], ids=["concurrent", "one by one"])
def test_nothing_is_lost_or_repeated_while_tasks_are_added(
    service: StandIn, client_of: MakeClient, seed: int, early: bool
) -> None:
    """Some tasks with each request: whatever was there before the first answer is there, once."""
    ids = fill(service, 120)
    chance, created, lock = random.Random(seed), itertools.count(BEGINNING + 1_000_000), threading.Lock()

    def add(call: Any) -> None:
        with lock:
            for _unused in range(chance.randrange(4)):
                service.add_task(INSTANCE, created=next(created))

    service.on_call(add)
    query: dict[str, Any] = {"limit": 100_000} if early else {}
    found = listed(client_of(service), page_size=10, **query)
    assert len(found) == len(set(found))
    assert set(ids) <= set(found)
    assert len(service.calls) < 60


def test_nothing_is_lost_while_tasks_leave_the_list(service: StandIn, client_of: MakeClient) -> None:
    """A filtered list becomes shorter when tasks change their state; then later ones move to pages already read."""
    leaving = [service.add_task(INSTANCE, state="failed", created=BEGINNING - number) for number in range(5)]
    ids = fill(service, 60, state="failed")
    lock = threading.Lock()

    def leave(call: Any) -> None:
        with lock:
            if call.params["CurrentPage"] == "2" and leaving:
                leaving.pop().follow([("running", None)], service.clock.now())

    service.on_call(leave)
    found = listed(client_of(service, max_connections=1), page_size=10, states=frozenset({"failed"}))
    assert set(ids) <= set(found)
    assert len(found) == len(set(found))
    assert pages(service).count(1) > 1


@pytest.mark.parametrize(("is_once", "sweeps"), [(True, 2), (False, MAX_SWEEPS)])
def test_what_a_task_that_is_gone_moved_to_a_page_already_read(
    service: StandIn, client_of: MakeClient, is_once: bool, sweeps: int
) -> None:
    """All pages are read again until the count is right or nothing new comes, but not for ever."""
    ids = fill(service, 25)
    instance = service.account.find("cn-hangzhou", INSTANCE)
    assert instance
    later = itertools.count(BEGINNING + 1_000_000)

    def leave(call: Any) -> None:
        if call.params["CurrentPage"] == "2" and (instance.tasks[0].task_id == ids[0] or not is_once):
            instance.remove(instance.tasks[0])
            instance.remove(instance.tasks[0])
            service.add_task(INSTANCE, created=next(later))

    service.on_call(leave)
    found = listed(client_of(service, max_connections=1), page_size=10)
    assert set(ids) <= set(found)
    assert len(found) == len(set(found))
    assert pages(service).count(1) == sweeps > 1


def test_a_limit_stops_reading(service: StandIn, client_of: MakeClient) -> None:
    ids = fill(service, 100)
    assert listed(client_of(service), page_size=10, limit=15) == ids[:-16:-1]
    assert pages(service) == [1, 2]


def test_a_limit_counts_what_is_wanted(service: StandIn, client_of: MakeClient) -> None:
    for number in range(40):
        service.add_task(INSTANCE, created=BEGINNING + number, format="SQL" if number % 4 == 0 else "CSV")
    found = listed(client_of(service), page_size=10, limit=4, formats=frozenset({"sql"}))
    assert len(found) == 4
    assert pages(service) == [1, 2]


def test_the_oldest_first(service: StandIn, client_of: MakeClient) -> None:
    ids = fill(service, 25)
    assert listed(client_of(service), page_size=10, order="asc") == ids
    assert listed(client_of(service), page_size=10, order="asc", limit=12) == ids[:12]


def test_a_limit_is_that_of_all_instances_together(service: StandIn, client_of: MakeClient) -> None:
    one, two = fill(service, 10, "rm-bp1one"), fill(service, 10, "rm-bp1two")
    found = listed(client_of(service), "rm-bp1two", "rm-bp1one", limit=5)
    assert found == [one[9], two[9], one[8], two[8], one[7]]


def test_reading_ends_when_the_ids_are_found(service: StandIn, client_of: MakeClient) -> None:
    ids = fill(service, 100)
    assert listed(client_of(service), page_size=10, task_ids=frozenset({ids[-12], ids[-1]})) == [ids[-1], ids[-12]]
    assert pages(service) == [1, 2]


def test_ids_that_are_far_away_are_looked_for_at_the_same_time(service: StandIn, client_of: MakeClient) -> None:
    """One page at first, and then more and more, until all connections are in use."""
    ids = fill(service, 300)
    together = threading.Barrier(8)
    service.on_call(lambda call: 14 <= int(call.params["CurrentPage"]) <= 21 and together.wait(LIMIT) and None)
    client = client_of(service, max_connections=8)
    assert listed(client, page_size=10, task_ids=frozenset({ids[0]})) == [ids[0]]
    assert service.connections == 8


def test_one_page(service: StandIn, client_of: MakeClient) -> None:
    ids = fill(service, 30)
    assert listed(client_of(service), page_size=10, current_page=2) == ids[19:9:-1]
    assert pages(service) == [2]


def test_instances_are_asked_at_the_same_time(service: StandIn, client_of: MakeClient) -> None:
    names = [f"rm-bp1n{number}" for number in range(20)]
    expected = [task_id for name in names for task_id in fill(service, 1, name)]
    together = threading.Barrier(4)
    service.on_call(lambda call: together.wait(LIMIT) and None)
    assert sorted(listed(client_of(service, max_connections=4), *names, *names)) == sorted(expected)
    assert len(service.calls) == 20
    assert service.connections == 4


def test_an_instance_that_fails_is_named(service: StandIn, client_of: MakeClient) -> None:
    fill(service, 30)
    with pytest.raises(
        ServiceError, match="Failed to list the download tasks of instance 'rm-gone' in region 'cn-hangzhou'"
    ):
        listed(client_of(service), INSTANCE, "rm-gone", INSTANCE)


def test_an_error_is_not_kept_waiting_by_other_instances(service: StandIn, client_of: MakeClient) -> None:
    names = [f"rm-bp1n{number}" for number in range(7)]
    for name in names:
        fill(service, 1, name)

    def throttle(call: Any) -> None:
        if call.params["InstanceName"] != "rm-gone":
            raise GatewayError(400, "Throttling.User", "No.", headers={"x-acs-retry-after": "15000"})

    service.on_call(throttle)
    with pytest.raises(ServiceError, match="rm-gone"):
        listed(client_of(service), *names, "rm-gone")
    assert len(service.calls) <= 8, "after their pauses they would be asked again"


def test_a_page_that_fails_for_good_is_an_error(service: StandIn, client_of: MakeClient) -> None:
    fill(service, 100)
    service.inject(Fault("error", 99, after=3, status=403, code="Forbidden.RAM"))
    with pytest.raises(ServiceError, match=r"Forbidden\.RAM"):
        listed(client_of(service), page_size=10)


def test_faults_on_the_way_change_nothing(service: StandIn, client_of: MakeClient) -> None:
    ids = fill(service, 200)
    service.inject(
        Fault("reset", 2, after=1),
        Fault("truncated", 2, after=1),
        Fault("html", 2),
        Fault("throttled", 3, retry_after=20),
    )
    assert listed(client_of(service), page_size=10) == ids[::-1]


@pytest.mark.parametrize("state", ["initializing", "queueing", "running", "finished", "failed", "expired"])
@pytest.mark.parametrize("spelling", ["ue", "u"])
def test_each_state_in_each_spelling(service: StandIn, client_of: MakeClient, state: str, spelling: Any) -> None:
    service.habits.spelling = spelling
    states = ("initializing", "queueing", "running", "finished", "failed", "expired")
    ids = {name: service.add_task(INSTANCE, state=name, created=BEGINNING).task_id for name in states}
    client = client_of(service)
    assert listed(client, states=frozenset({state})) == [ids[state]]
    assert set(listed(client, states=frozenset({state, "failed"}))) == {ids[state], ids["failed"]}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"backup_set_id": "1"}, ("BackupSetId", "1")),
        ({"cluster_name": "shard-1"}, ("ClusterName", "shard-1")),
        ({"datasource_id": "ds-rm-bp1abc_cn-hangzhou"}, ("DatasourceId", "ds-rm-bp1abc_cn-hangzhou")),
        ({"task_type": "pitr"}, ("TaskType", "pitr")),
        ({"start_time": BEGINNING}, ("StartTime", str(BEGINNING - 1))),
        ({"end_time": BEGINNING}, ("EndTime", str(BEGINNING + 1))),
        ({"order_column": "gmt_create"}, ("OrderColumn", "gmt_create")),
        ({"states": frozenset({"failed"})}, ("State", "failed")),
        ({"page_size": 30}, ("PageSize", "30")),
        ({"current_page": 3}, ("CurrentPage", "3")),
    ],
)
def test_each_parameter_of_the_api(
    service: StandIn, client_of: MakeClient, query: dict[str, Any], parameter: tuple[str, str]
) -> None:
    service.add_instance(INSTANCE)
    listed(client_of(service), **query)
    assert parameter in service.calls[0].params.items()


def test_the_service_filters(service: StandIn, client_of: MakeClient) -> None:
    full = service.add_task(INSTANCE, created=BEGINNING, backup_set_id="1").task_id
    pitr = service.add_task(INSTANCE, created=BEGINNING + 5, task_type="pitr", backup_set_id="2").task_id
    client = client_of(service)
    assert listed(client, backup_set_id="1") == [full]
    assert listed(client, task_type="pitr") == [pitr]
    assert listed(client, start_time=BEGINNING + 1) == [pitr]
    assert listed(client, end_time=BEGINNING + 1) == [full]


def test_what_the_service_does_not_filter(service: StandIn, client_of: MakeClient) -> None:
    oss = service.add_task(INSTANCE, created=BEGINNING, target_type="OSS", format="Parquet").task_id
    service.add_task(INSTANCE, created=BEGINNING, format="csv")
    client = client_of(service)
    assert listed(client, target_types=frozenset({"oss"})) == [oss]
    assert listed(client, formats=frozenset({"parquet"})) == [oss]


def test_the_same_tasks_in_the_same_order_whatever_came_first(service: StandIn, client_of: MakeClient) -> None:
    names = [f"rm-bp1n{number}" for number in range(6)]
    for name in names:
        for _unused in range(30):
            service.add_task(name, created=BEGINNING)
    client = client_of(service)
    results = [
        list_download_tasks(client, order, DownloadTaskQuery(region="cn-hangzhou", page_size=7))
        for order in (names, names[::-1])
    ]
    assert results[0] == results[1]


def test_counts_know_every_state() -> None:
    tasks = [{"download_status": state} for state in ("running", "running", "archiving")]
    assert count_by_status(tasks) == {
        "initializing": 0,
        "queueing": 0,
        "running": 2,
        "finished": 0,
        "failed": 0,
        "expired": 0,
        "archiving": 1,
    }
