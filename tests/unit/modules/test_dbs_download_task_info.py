# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""dbs_download_task_info: its options, its result, and the message for each bad input."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.values import iso8601
from stand_in import Fault, StandIn, sample

INSTANCE = "rm-bp1abc"
BEGINNING = 1_663_321_957_000


def test_the_result(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(
        INSTANCE,
        task_id="dt-a1",
        state="running",
        created=BEGINNING,
        backup_set_time=BEGINNING - 1000,
        databases=["orders", "billing"],
        tables=8,
        target_type="OSS",
        target_path="restore/orders",
        extra={"Region": "new field"},
    )
    result = info(asked)
    result.pop("invocation", None)
    assert result == {
        "changed": False,
        "count": 1,
        "count_by_status": {"initializing": 0, "queueing": 0, "running": 1, "finished": 0, "failed": 0, "expired": 0},
        "count_by_instance": {INSTANCE: 1},
        "missing_task_ids": [],
        "download_tasks": [
            {
                "task_id": "dt-a1",
                "instance_name": INSTANCE,
                "region_code": "cn-hangzhou",
                "download_status": "running",
                "progress": "4/8",
                "progress_done": 4,
                "progress_total": 8,
                "progress_percent": 50.0,
                "format": "CSV",
                "db_list": ["orders", "billing"],
                "backup_set_id": "1482610001",
                "bak_set_id": "1482610001",
                "backup_set_time": BEGINNING - 1000,
                "backup_set_time_iso": "2022-09-16T09:52:36Z",
                "gmt_create": BEGINNING,
                "gmt_create_iso": "2022-09-16T09:52:37Z",
                "expires_at": None,
                "export_data_size": 0,
                "import_data_size": 0,
                "target_type": "OSS",
                "target_path": "restore/orders",
                "region": "new field",
            }
        ],
    }


def test_a_process_of_its_own_says_the_same(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, created=BEGINNING)
    assert info(asked) == info.process(asked)


def test_two_runs_are_the_same_to_the_byte(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    for number in range(50):
        service.add_task(INSTANCE, created=BEGINNING + number // 7)
        service.add_task("rm-bp1other", created=BEGINNING + number // 7)
    outputs = []
    for instances in ([INSTANCE, "rm-bp1other"], ["rm-bp1other", INSTANCE, INSTANCE]):
        info({**asked, "instance_name": instances, "page_size": 7})
        outputs.append(info.output.partition('"invocation"')[0])
    info({**asked, "instance_name": [INSTANCE, "rm-bp1other"], "page_size": 7})
    assert outputs[0] == info.output.partition('"invocation"')[0]
    assert len(outputs[0]) > 20_000


def test_the_sample_answer_of_the_documentation(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.answer("DescribeDownloadTask", sample("DescribeDownloadTask"))
    result = info(asked)
    assert result["count"] == 1
    assert result["download_tasks"][0]["download_status"] == "queueing"
    assert len(service.calls) == 1


def test_check_mode_asks_as_well(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE)
    result = info({**asked, "_ansible_check_mode": True})
    assert (result["count"], result["changed"]) == (1, False)


@pytest.mark.parametrize(
    "names",
    [
        {"region": "region_id", "instance_name": "instance_id"},
        {"region": "region_code", "instance_name": "db_instance_id"},
        {
            "region": "alicloud_region",
            "access_key_id": "alicloud_access_key",
            "access_key_secret": "alicloud_secret_key",
        },
        {"access_key_id": "access_key", "access_key_secret": "secret_key", "instance_name": "instance_names"},
    ],
)
def test_the_names_that_users_know(info: Any, asked: dict[str, Any], service: StandIn, names: dict[str, str]) -> None:
    service.add_task(INSTANCE)
    assert info({names.get(name, name): value for name, value in asked.items()})["count"] == 1


@pytest.mark.parametrize("variable", ["ALIBABA_CLOUD_REGION_ID", "ALICLOUD_REGION", "ALICLOUD_REGION_ID"])
def test_the_region_from_the_environment(
    info: Any, asked: dict[str, Any], service: StandIn, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    service.add_task(INSTANCE)
    del asked["region"]
    monkeypatch.setenv(variable, "cn-hangzhou")
    assert info(asked)["count"] == 1


def test_an_empty_variable_is_no_region(
    info: Any, asked: dict[str, Any], service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add_task(INSTANCE)
    monkeypatch.setenv("ALIBABA_CLOUD_REGION_ID", "")
    monkeypatch.setenv("ALICLOUD_REGION", "cn-hangzhou")
    assert info({**asked, "region": ""})["count"] == 1
    monkeypatch.delenv("ALICLOUD_REGION")
    del asked["region"]
    assert (
        "region is not set: give a region ID such as cn-hangzhou, or set one of the environment" in info(asked)["msg"]
    )


def test_an_alias_of_the_region_beside_the_environment(
    info: Any, asked: dict[str, Any], service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add_task(INSTANCE)
    monkeypatch.setenv("ALIBABA_CLOUD_REGION_ID", "eu-central-1")
    asked["region_id"] = asked.pop("region")
    result = info(asked)
    assert result["count"] == 1
    assert "warnings" not in result


def test_a_shortfall_is_a_warning(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    body = {"Success": "true", "Data": {"TotalElements": 35, "PageSize": 10, "Content": {"List": []}}}
    body["Data"]["Content"]["List"] = [{"TaskId": f"dt-{number}"} for number in range(10)]  # type: ignore[index]
    service.answer("DescribeDownloadTask", body)
    result = info(asked)
    assert result["count"] == 10
    assert "The service announced 35 download tasks of instance 'rm-bp1abc', but returned 10." in str(
        result["warnings"]
    )


def test_tasks_by_id(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    result = info({**asked, "task_ids": ["dt-one", "dt-two"]})
    assert [task["task_id"] for task in result["download_tasks"]] == ["dt-one"]
    assert result["missing_task_ids"] == ["dt-two"]


def test_filters(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-old", created=BEGINNING, state="failed")
    service.add_task(INSTANCE, task_id="dt-oss", created=BEGINNING + 60_000, target_type="OSS", format="Parquet")
    service.add_task(INSTANCE, task_id="dt-new", created=BEGINNING + 120_000, state="queueing")

    def ids(**options: Any) -> list[str]:
        return [task["task_id"] for task in info({**asked, **options})["download_tasks"]]

    assert ids() == ["dt-new", "dt-oss", "dt-old"]
    assert ids(order="asc") == ["dt-old", "dt-oss", "dt-new"]
    for name in ("status", "state", "states", "download_status"):
        assert ids(**{name: "QUEUING,Failed"}) == ["dt-new", "dt-old"]
    assert ids(order_direct="asc") == ids(order="asc")
    assert ids(target_type="oss") == ["dt-oss"]
    assert ids(format="parquet") == ["dt-oss"]
    assert ids(start_time="2022-09-16T17:53:37+08:00") == ["dt-new", "dt-oss"]
    assert ids(start_time=str(BEGINNING), end_time="2022-09-16T09:53:37Z") == ["dt-oss", "dt-old"]
    assert ids(limit=1) == ["dt-new"]


def test_a_query(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", created=BEGINNING)
    service.add_task(INSTANCE, task_id="dt-two", created=BEGINNING + 1, state="failed")
    result = info({**asked, "query": "download_tasks[?download_status=='failed'].task_id"})
    assert result["query_result"] == ["dt-two"]
    assert result["count"] == 2
    whole = info({**asked, "query": "@"})
    assert whole["query_result"]["download_tasks"] == whole["download_tasks"]


# Bad input: each is refused before anything is asked, in words that name the option, the value and what is allowed.


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("region", "hangzhou", "region 'hangzhou' is malformed: give a region ID such as cn-hangzhou."),
        ("region", "cn_hangzhou", "region 'cn_hangzhou' is malformed"),
        (
            "instance_name",
            "rm-bp1abc.mysql.rds.aliyuncs.com",
            "instance_name 'rm-bp1abc.mysql.rds.aliyuncs.com' is malformed: give the ID of an instance, such as rm-",
        ),
        ("instance_name", "my database", "instance_name 'my database' is malformed"),
        ("instance_name", "", "instance_name '' is malformed"),
        ("instance_name", [], "instance_name is empty: give the ID of at least one instance."),
        ("instance_name", ["rm-bp1abc", "None"], "instance_name 'None' is malformed"),
        ("task_ids", "1482610001", "task_ids '1482610001' is malformed: give the ID of a download task, such as dt-"),
        ("task_ids", "dt-qxntlvgu****", "task_ids 'dt-qxntlvgu****' is malformed"),
        ("backup_set_id", "14 82", "backup_set_id '14 82' is malformed: give the ID of a backup set"),
        (
            "datasource_id",
            "rm-bp1abc",
            "datasource_id 'rm-bp1abc' is malformed: give the ID of a data source: ds-<instance>_<region>.",
        ),
        ("cluster_name", "a/b", "cluster_name 'a/b' is malformed"),
        (
            "start_time",
            "yesterday",
            "start_time 'yesterday' is not a time: give milliseconds since 1970, ISO 8601 with a zone such as 2026-01-31T00:00:00Z,"
            " a date such as 2026-01-31, or a time before now such as -24h (s, m, h, d or w).",
        ),
        (
            "end_time",
            "2026-01-31T00:00:00",
            "end_time '2026-01-31T00:00:00' has no time zone: append Z for UTC, or an offset such as +08:00.",
        ),
        (
            "start_time",
            "1663321957",
            "start_time '1663321957' is too small for milliseconds since 1970: multiply seconds by 1000.",
        ),
        (
            "status",
            "done",
            "value of status must be one or more of: initializing, queueing, running, finished, failed, expired. Got no match for: done",
        ),
        ("target_type", "FTP", "value of target_type must be one or more of: URL, OSS. Got no match for: FTP"),
        (
            "format",
            "xml",
            "value of format must be one or more of: CSV, csv-with-header, SQL, Parquet, Bson, qp.xb. Got no match for: xml",
        ),
        ("task_type", "half", "value of task_type must be one of: full, pitr, got: half"),
        ("order", "up", "value of order must be one of: asc, desc, got: up"),
        ("page_size", 0, "page_size 0 is out of range: give 1 to 1000."),
        ("page_size", 1001, "page_size 1001 is out of range: give 1 to 1000."),
        ("current_page", 0, "current_page 0 is out of range"),
        ("limit", 0, "limit 0 is out of range: give 1 to 1000000."),
        ("limit", -1, "limit -1 is out of range"),
        ("query", "download_tasks[", "query 'download_tasks[' is not a JMESPath expression: "),
        (
            "endpoint",
            "http://dbs-api.cn-hangzhou.aliyuncs.com",
            "endpoint 'http://dbs-api.cn-hangzhou.aliyuncs.com' is not encrypted",
        ),
        ("endpoint", "https://a..b", "endpoint 'https://a..b' is not an address"),
        ("endpoint", "https://*", "endpoint 'https://*' is not an address"),
        ("endpoint", "https://" + "a" * 300, "is not an address"),
        ("instance_name", "rm-" + "a" * 100_000, "is malformed"),
        ("start_time", "99999999999999999999", "start_time '99999999999999999999' is too large for milliseconds"),
        ("start_time", "0001-01-01T00:00:00+08:00", "is before 1973"),
        ("query", "[" * 3000, "is not a JMESPath expression"),
        ("network", "private", "value of network must be one of: auto, public, vpc, got: private"),
        ("ca_path", "/proc/none/file", "ca_path '/proc/none/file' does not exist"),
        ("connect_timeout", 0, "connect_timeout 0.0 is out of range: give 0.1 to 300 seconds."),
        ("read_timeout", 9999, "read_timeout 9999.0 is out of range: give 0.1 to 3600 seconds."),
        ("max_retries", -1, "max_retries -1 is out of range: give 0 to 100."),
        ("request_timeout", 0, "request_timeout 0.0 is out of range: give 1 to 86400 seconds."),
        ("max_connections", 65, "max_connections 65 is out of range: give 1 to 64."),
    ],
)
def test_bad_input(info: Any, asked: dict[str, Any], service: StandIn, option: str, value: Any, said: str) -> None:
    result = info({**asked, option: value})
    assert said in result["msg"]
    assert not service.calls


def test_a_start_after_the_end(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    result = info({**asked, "start_time": "2026-02-01T00:00:00Z", "end_time": "2026-02-01T01:00:00+02:00"})
    assert "start_time '2026-02-01T00:00:00Z' is after end_time '2026-02-01T01:00:00+02:00'" in result["msg"]
    assert not service.calls


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("abs(download_tasks)", "query 'abs(download_tasks)' fails on the result: In function abs(), invalid type"),
        ("download_tasks[::0]", "query 'download_tasks[::0]' fails on the result: "),
        ("no_such(@)", "query 'no_such(@)' fails on the result: Unknown function: no_such()."),
    ],
)
def test_a_query_that_fails_on_the_data(
    info: Any, asked: dict[str, Any], service: StandIn, query: str, said: str
) -> None:
    service.add_instance(INSTANCE)
    assert said in info({**asked, "query": query})["msg"]


def test_an_unknown_region_without_endpoint(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    result = info({**asked, "endpoint": None, "region": "cn-nowhere"})
    assert "region 'cn-nowhere' is not known" in result["msg"]
    assert "cn-hangzhou" in result["msg"]
    assert "set endpoint" in result["msg"]
    assert result["error"] == {"kind": "configuration"}
    assert info({**asked, "region": "cn-nowhere"})["error"]["code"] == "Forbidden.InstanceNotFound"


def test_half_of_a_key_pair(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    result = info({**asked, "access_key_secret": None})
    assert "access_key_id is set, but access_key_secret is not" in result["msg"]
    assert not service.calls


def test_no_such_instance(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    result = info(asked)
    assert result["msg"] == (
        "Failed to list the download tasks of instance 'rm-bp1abc' in region 'cn-hangzhou': the service answered"
        " Forbidden.InstanceNotFound: The specified instance does not exist (HTTP 200, request ID"
        f" {service.calls[0].request_id}). Check instance_name and region: an instance is found in its own region only."
    )
    assert result["error"]["request_id"] == service.calls[0].request_id


def test_the_time_is_over(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.inject(Fault("slow", 9, seconds=3600))
    result = info({**asked, "read_timeout": 0.2})
    assert "did not answer within 0.2 seconds" in result["msg"]
    assert "raise read_timeout" in result["msg"]
    assert result["error"]["kind"] == "connection"


def test_nothing_secret_is_printed(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    key = service.add_key(token="a-secret-token", expires_in=900)
    for secret in (key.secret, "a-wrong-secret"):
        arguments = {**asked, "access_key_id": key.id, "access_key_secret": secret, "security_token": key.token}
        info({**arguments, "_ansible_verbosity": 4, "_ansible_debug": True})
        for hidden in (key.secret, "a-wrong-secret", "a-secret-token", key.id, "Signature="):
            assert hidden not in info.output


# How long files are there


def test_until_when_files_are_there(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    now = service.clock.now() // 1000 * 1000
    for number, (state, target) in enumerate(
        [("finished", "URL"), ("finished", "OSS"), ("running", "URL"), ("failed", "URL"), ("expired", "URL")]
    ):
        service.add_task(INSTANCE, task_id=f"dt-{number}", state=state, target_type=target, created=now)
    result = info(asked)
    expires = {task["task_id"]: task["expires_at"] for task in result["download_tasks"]}
    assert expires == {**dict.fromkeys(expires), "dt-0": iso8601(now + 3 * 86_400_000)}
    assert "warnings" not in result


def test_files_that_may_soon_be_gone(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    """Those with more than a day left are not named, nor are more than ten."""
    now = service.clock.now()
    service.add_task(INSTANCE, task_id="dt-fresh", created=now - 47 * 3_600_000)
    for number in range(12):
        service.add_task(INSTANCE, task_id=f"dt-old{number}", created=now - 49 * 3_600_000)
    (warning,) = map(str, info(asked)["warnings"])
    assert "Files of these tasks may be deleted in less than a day, or are deleted already: dt-old" in warning
    assert warning.count("dt-old") == 10
    assert "and 2 more. They are kept for three days after the task finished" in warning
    assert "dt-fresh" not in warning


@pytest.mark.parametrize("bounds", ["inclusive", "exclusive", "ignored"])
def test_times_are_inclusive_whatever_the_service_makes_of_them(
    info: Any, asked: dict[str, Any], service: StandIn, bounds: Any
) -> None:
    service.habits.bounds = bounds
    for name, created in (("early", -1), ("first", 0), ("last", 1000), ("late", 1001)):
        service.add_task(INSTANCE, task_id=f"dt-{name}", created=BEGINNING + created)
    times = {"start_time": str(BEGINNING), "end_time": str(BEGINNING + 1000)}
    for extra in ({}, {"limit": 2}, {"current_page": 1}, {"order": "asc"}):
        result = info({**asked, **times, **extra})
        assert {task["task_id"] for task in result["download_tasks"]} == {"dt-first", "dt-last"}
        assert (result["count"], result["count_by_instance"]) == (2, {INSTANCE: 2})
    assert info({**asked, **times, "limit": 1})["download_tasks"][0]["task_id"] == "dt-last"


def test_a_task_that_tells_no_time_is_kept(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    service.answer("DescribeDownloadTask", {"Success": "true", "Data": {"Content": {"List": [{"TaskId": "dt-one"}]}}})
    assert info({**asked, "start_time": "-1h", "end_time": "-1m"})["count"] == 1


def test_only_what_is_asked_for(info: Any, asked: dict[str, Any], service: StandIn) -> None:
    now = service.clock.now()
    service.add_task(INSTANCE, task_id="dt-new", created=now - 3_600_000)
    service.add_task(INSTANCE, task_id="dt-old", created=now - 25 * 3_600_000)
    query = {"query": "download_tasks[].task_id", "query_only": True}
    result = info({**asked, "start_time": "-24h", **query})
    result.pop("invocation", None)
    assert result == {"changed": False, "query_result": ["dt-new"]}
    assert "query_only needs query" in info({**asked, "query_only": True})["msg"]


@pytest.mark.parametrize("query_only", [False, True])
def test_a_query_that_finds_nothing(info: Any, asked: dict[str, Any], service: StandIn, query_only: bool) -> None:
    service.add_task(INSTANCE)
    result = info({**asked, "query": "download_task[].task_id", "query_only": query_only})
    assert (result["changed"], result["query_result"]) == (False, None)
    assert "query 'download_task[].task_id' finds nothing in the result and returns null" in str(result["warnings"])
    # An empty list is found.
    assert "warnings" not in info({**asked, "query": "download_tasks[?format=='x']", "query_only": query_only})
