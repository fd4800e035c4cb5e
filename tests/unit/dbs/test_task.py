# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.task import (
    TaskCache,
    canonical_state,
    databases,
    normalised,
    progress,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.times import given_milliseconds, milliseconds
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.values import (
    integer,
    iso8601,
    snake_case,
)
from hypothesis import given
from hypothesis import strategies as st
from stand_in import sample

RAW = {
    "TaskId": "dt-qxntlvgu0001",
    "RegionCode": "cn-hangzhou",
    "Format": "csv",
    "DbList": "[orders, billing]",
    "BakSetId": 1482610001,
    "DownloadStatus": "Queuing",
    "ExportDataSize": "1024",
    "ImportDataSize": 512,
    "BackupSetTime": "1663162216000",
    "TargetType": "URL",
    "TargetPath": "test_db/path",
    "Progress": "3/8",
    "GmtCreate": "1663321957123",
}


def test_every_field_is_typed_and_named_in_snake_case() -> None:
    assert normalised(RAW, "rm-bp1abc", "cn-hangzhou") == {
        "task_id": "dt-qxntlvgu0001",
        "instance_name": "rm-bp1abc",
        "region_code": "cn-hangzhou",
        "format": "csv",
        "db_list": ["orders", "billing"],
        "backup_set_id": "1482610001",
        "bak_set_id": "1482610001",
        "download_status": "queueing",
        "export_data_size": 1024,
        "import_data_size": 512,
        "backup_set_time": 1663162216000,
        "backup_set_time_iso": "2022-09-14T13:30:16Z",
        "target_type": "URL",
        "target_path": "test_db/path",
        "progress": "3/8",
        "progress_done": 3,
        "progress_total": 8,
        "progress_percent": 37.5,
        "gmt_create": 1663321957123,
        "gmt_create_iso": "2022-09-16T09:52:37Z",
        "expires_at": None,
    }


def test_a_task_without_fields_has_all_of_them_nonetheless() -> None:
    empty = normalised({}, "rm-bp1abc", "cn-hangzhou")
    assert empty.keys() == normalised(RAW, "rm-bp1abc", "cn-hangzhou").keys()
    assert empty["region_code"] == "cn-hangzhou"
    assert empty["db_list"] == []
    assert empty["gmt_create"] is None
    assert empty["gmt_create_iso"] is None


def test_fields_newer_than_the_collection_are_kept() -> None:
    task = normalised({**RAW, "ExportOSSBucket": {"Name": "b"}, "Retries": "2"}, "rm-bp1abc", "cn-hangzhou")
    assert task["export_oss_bucket"] == {"Name": "b"}
    assert task["retries"] == "2"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Initializing", "initializing"),
        ("queueing", "queueing"),
        ("queuing", "queueing"),
        ("QUEUING", "queueing"),
        (" Finished ", "finished"),
        ("Archiving", "archiving"),
        (None, ""),
    ],
)
def test_states_have_one_spelling(text: str | None, state: str) -> None:
    assert canonical_state(text) == state


@pytest.mark.parametrize(
    ("text", "done", "total", "percent"),
    [
        ("0/0", 0, 0, None),
        ("0/7", 0, 7, 0.0),
        ("1/3", 1, 3, 33.3),
        ("7/7", 7, 7, 100.0),
        ("", None, None, None),
        (None, None, None, None),
        ("half", None, None, None),
    ],
)
def test_progress(text: str | None, done: int | None, total: int | None, percent: float | None) -> None:
    assert progress(text) == {"progress_done": done, "progress_total": total, "progress_percent": percent}


@pytest.mark.parametrize(
    ("text", "names"),
    [("[a,b]", ["a", "b"]), ("[a, b]", ["a", "b"]), ("a", ["a"]), ("[]", []), ("", []), (None, []), (["a"], ["a"])],
)
def test_databases(text: object, names: list[str]) -> None:
    assert databases(text) == names


@pytest.mark.parametrize(
    ("value", "number"),
    [("12", 12), (12, 12), (12.0, 12), ("-3", -3), ("", None), ("x", None), (None, None), (True, None), ([], None)],
)
def test_integer(value: object, number: int | None) -> None:
    assert integer(value) == number


@pytest.mark.parametrize(
    ("name", "snake"),
    [("TaskId", "task_id"), ("GmtCreate", "gmt_create"), ("DBInstanceID", "db_instance_id"), ("DbList", "db_list")],
)
def test_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


@pytest.mark.parametrize(
    "text",
    [
        "1769817600000",
        " 1769817600000 ",
        "2026-01-31T00:00:00Z",
        "2026-01-31t00:00:00z",
        "2026-01-31T00:00Z",
        "2026-01-31T08:00:00+08:00",
        "2026-01-31 08:00:00+0800",
        "2026-01-30T19:00-05",
        "20260131T000000Z",
        "2026-01-31T00:00:00,0004Z",
        "2026-01-31T00:00:00.000000000Z",
    ],
)
def test_one_instant_in_many_notations(text: str) -> None:
    assert milliseconds(text) == 1769817600000


NOW = 1_769_817_600_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-45s", NOW - 45_000),
        ("-90m", NOW - 5_400_000),
        ("-24h", NOW - 86_400_000),
        (" -7d ", NOW - 7 * 86_400_000),
        ("-2w", NOW - 14 * 86_400_000),
        ("-0s", NOW),
        ("2026-01-31", NOW),
        ("2026-01-31T00:00:00Z", NOW),
        ("1769817600000", NOW),
    ],
)
def test_times_as_users_write_them(text: str, expected: int) -> None:
    assert given_milliseconds(text, NOW) == expected


def test_a_date_as_an_end() -> None:
    assert given_milliseconds("2026-01-31", NOW, is_end=True) == NOW + 86_400_000 - 1
    assert given_milliseconds("-24h", NOW, is_end=True) == NOW - 86_400_000


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("24h", "or a time before now such as -24h"),
        ("-24", "or a time before now such as -24h"),
        ("-1y", "or a time before now such as -24h"),
        ("+1h", "or a time before now such as -24h"),
        ("-1.5h", "or a time before now such as -24h"),
        ("-99999w", "is before 1973"),
        ("2026-02-30", "a date such as 2026-01-31"),
        ("2026-01-31T00:00:00", "has no time zone"),
        ("20260131", "multiply seconds by 1000"),
    ],
)
def test_times_of_users_that_cannot_be_understood(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        given_milliseconds(text, NOW)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))
def test_every_zoned_time_is_understood(parse_time: datetime) -> None:
    seconds = parse_time.utcoffset().total_seconds()  # type: ignore[union-attr]
    if seconds % 60:  # ISO 8601 has no offsets with seconds
        parse_time = parse_time.astimezone(timezone.utc)
    assert abs(milliseconds(parse_time.isoformat()) - parse_time.timestamp() * 1000) <= 0.5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday", "is not a time"),
        ("2026-01-31", "is not a time"),
        ("2026-02-30T00:00:00Z", "is not a time"),
        ("", "is not a time"),
        ("2026-01-31T00:00:00", "has no time zone"),
        ("1769817600", "multiply seconds by 1000"),
    ],
)
def test_times_that_cannot_be_understood(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        milliseconds(text)


def test_iso8601_of_what_is_no_time() -> None:
    assert iso8601(None) is None
    assert iso8601(10**20) is None


def test_the_documented_sample_is_what_the_module_returns() -> None:
    """The sample in RETURN has exactly the fields that a task has, of the same types."""
    import yaml
    from ansible_collections.apsaradb.backup.plugins.modules import dbs_download_task_info

    documented = yaml.safe_load(dbs_download_task_info.RETURN)["download_tasks"]
    task = normalised(RAW, "rm-bp1abc", "cn-hangzhou")
    finished = normalised({**RAW, "DownloadStatus": "finished"}, "rm-bp1abc", "cn-hangzhou")
    kinds = {"str": str, "int": int, "float": float, "list": list}
    assert documented["contains"].keys() == task.keys()
    for shown in documented["sample"]:
        assert {name: type(value) for name, value in shown.items()} == {
            name: type(value) for name, value in task.items()
        }
    for name, field in documented["contains"].items():
        assert isinstance(field["sample"], kinds[field["type"]]), name
        assert isinstance(finished[name], kinds[field["type"]]), name


def test_the_sample_answer_of_the_documentation_is_one_task() -> None:
    (raw,) = json.loads(sample("DescribeDownloadTask"))["Data"]["Content"]["List"]
    task = normalised(raw, "rm-bp1abc", "cn-hangzhou")
    assert task["download_status"] == "queueing"
    assert task["progress_percent"] is None
    assert task["db_list"] == ["dbtest"]


def test_a_task_that_is_listed_as_before_is_not_parsed_again() -> None:
    cache = TaskCache()
    first = cache.normalised(dict(RAW), "rm-bp1abc", "cn-hangzhou")
    assert first == normalised(RAW, "rm-bp1abc", "cn-hangzhou")
    assert cache.normalised(dict(RAW), "rm-bp1abc", "cn-hangzhou") is first


@pytest.mark.parametrize("name", [*RAW, "NewField"])
def test_a_task_that_changed_is_parsed_again(name: str) -> None:
    """Whatever it is that changed, and also where a field is gone."""
    cache = TaskCache()
    cache.normalised(RAW, "rm-bp1abc", "cn-hangzhou")
    gone = {key: value for key, value in RAW.items() if key != name}
    for changed in ({**RAW, name: "2"}, gone, RAW):
        assert cache.normalised(changed, "rm-bp1abc", "cn-hangzhou") == normalised(changed, "rm-bp1abc", "cn-hangzhou")


def test_tasks_of_two_instances_are_two() -> None:
    cache = TaskCache()
    tasks = [cache.normalised(RAW, name, "cn-hangzhou") for name in ("rm-bp1abc", "rm-bp1other")]
    assert [task["instance_name"] for task in tasks] == ["rm-bp1abc", "rm-bp1other"]
