# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each operation that lists or tells something, and each answer of another shape: an error, never an empty result."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._base.http_options import HttpOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._base.retry import RetryPolicy
from ansible_collections.apsaradb.backup.plugins.module_utils._oss import objects as _oss
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credential import Credential
from stand_in import StandIn

Body = dict[str, Any]

#: Operation: the module that calls it, the instance, the path of its list, and the path of its total.
LISTS: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "DescribeDownloadTask": ("info", "rm-bp1abc", ("Data", "Content", "List"), ("Data", "TotalElements")),
    "DescribeBackups": ("backups", "rm-bp1abc", ("Items", "Backup"), ("TotalRecordCount",)),
    "DescribeBackupDataList": ("backups", "pc-bp1abc", ("Data", "Content"), ("Data", "TotalElements")),
}
ROW = {"TaskId": "dt-one", "BackupId": "7"}


def body(operation: str, rows: Any, total: Any = 0) -> Body:
    """A good answer, but for what stands where the rows and the total belong; `...` leaves one out."""
    _unused, _unused, path, total_path = LISTS[operation]
    answer: Body = {"RequestId": "A", "Success": "true"}
    for place, value in ((path, rows), (total_path, total)):
        holder = answer
        for name in place[:-1]:
            holder = holder.setdefault(name, {})
        if value is not ...:
            holder[place[-1]] = value
    return answer


def emptied(operation: str, value: Any) -> Body:
    """An answer in which the object that holds the list is something else."""
    return {"RequestId": "A", "Success": "true", LISTS[operation][2][0]: value}


def xml(operation: str, rows: str) -> bytes:
    return f"<?xml version='1.0'?><{operation}Response><RequestId>A</RequestId>{rows}</{operation}Response>".encode()


MALFORMED: dict[str, Callable[[str], Any]] = {
    "nothing but an ID": lambda operation: {"RequestId": "A"},
    "no body to speak of": lambda operation: {},
    "no list, though there are some": lambda operation: body(operation, ..., 3),
    "null, though there are some": lambda operation: body(operation, None, 3),
    "no rows, though there are some": lambda operation: body(operation, [], 3),
    "the same, as text": lambda operation: body(operation, [], "3"),
    "one object": lambda operation: body(operation, ROW, 1),
    "an empty object": lambda operation: body(operation, {}, 1),
    "text": lambda operation: body(operation, "oops"),
    "empty text": lambda operation: body(operation, ""),
    "a number": lambda operation: body(operation, 5),
    "false": lambda operation: body(operation, False),
    "rows that are text": lambda operation: body(operation, ["dt-one"], 1),
    "rows that are lists": lambda operation: body(operation, [[ROW]], 1),
    "rows among which is nothing": lambda operation: body(operation, [ROW, None], 2),
    "another name": lambda operation: body(operation, {"Rows": [ROW]}, ...),
    "text in place of what holds the list": lambda operation: emptied(operation, "oops"),
    "empty text in place of it": lambda operation: emptied(operation, ""),
    "another name of what holds it": lambda operation: {"RequestId": "A", "Success": "true", "Result": [ROW]},
    "the older wrapper": lambda operation: {f"{operation}Response": body(operation, [ROW], 1)},
    "the older wrapper, with an ID": lambda operation: {
        "RequestId": "A",
        f"{operation}Response": body(operation, [ROW], 1),
    },
    "the older wrapper, with success": lambda operation: {
        "Success": "true",
        f"{operation}Response": body(operation, [ROW], 1),
    },
    "XML": lambda operation: xml(operation, "<Items/><Data/>"),
    "XML with rows": lambda operation: xml(
        operation,
        "<Success>true</Success><Data><Content/></Data><Items><Backup><BackupId>7</BackupId></Backup></Items>",
    ),
    "XML that says no more than success": lambda operation: xml(operation, "<Success>true</Success>"),
    "one object in place of what holds the list": lambda operation: emptied(operation, ROW),
    "one object, though there are none": lambda operation: body(operation, ROW, 0),
    "one object, and no total": lambda operation: (
        body(operation, ..., ...) | emptied(operation, {"Content": ROW, **ROW})
    ),
    "a total that is no number": lambda operation: body(operation, [], "many"),
    "a total below zero": lambda operation: body(operation, [], -1),
    "an array": lambda operation: json.dumps([ROW]).encode(),
}


@pytest.fixture
def run(
    service: StandIn, asked: dict[str, Any], request: pytest.FixtureRequest
) -> Callable[[str, Any], dict[str, Any]]:
    """A function that has the module list, with the answer that it is given."""

    def ask(operation: str, answer: Any) -> dict[str, Any]:
        fixture, instance, *_unused = LISTS[operation]
        service.answer(operation, answer)
        rds = {"rds_endpoint": service.url} if fixture == "backups" else {}
        result: dict[str, Any] = request.getfixturevalue(fixture)({**asked, **rds, "instance_name": instance})
        assert len(service.calls) == 1
        return result

    return ask


@pytest.mark.parametrize("shape", MALFORMED)
@pytest.mark.parametrize("operation", LISTS)
def test_what_is_no_list(run: Any, operation: str, shape: str) -> None:
    result = run(operation, MALFORMED[shape](operation))
    assert result.get("failed"), result
    assert result["error"]["kind"] == "answer"
    assert result["error"]["action"] == operation
    assert "the response has no" in result["msg"] or "an unexpected body" in result["msg"]
    assert "Failed to list the " in result["msg"]


@pytest.mark.parametrize(
    ("operation", "data"),
    [
        ("DescribeDownloadTask", {"Content": ROW}),
        ("DescribeDownloadTask", {"Extra": {"List": [ROW]}}),
        ("DescribeDownloadTask", {"Extra": [ROW]}),
        *(
            (operation, {"TotalPages": 3, "Content": []})
            for operation in ("DescribeDownloadTask", "DescribeBackupDataList")
        ),
        ("DescribeDownloadTask", {"TotalPages": "3", "Content": {"List": []}}),
        ("DescribeBackupDataList", {"TotalElements": 0, "Items": [ROW]}),
    ],
    ids=str,
)
def test_what_holds_something_elsewhere(run: Any, operation: str, data: Any) -> None:
    result = run(operation, {"Success": "true", "Data": data})
    assert result.get("failed"), result
    assert result["error"]["kind"] == "answer"


@pytest.mark.parametrize("row", [{}, {"BackupStatus": "Success"}, {"BackupId": ""}], ids=str)
@pytest.mark.parametrize("operation", ["DescribeBackups", "DescribeBackupDataList"])
def test_a_backup_set_without_an_id(run: Any, operation: str, row: Any) -> None:
    result = run(operation, body(operation, [row], 1))
    assert result.get("failed"), result
    assert "the response has no ID of a backup set" in result["msg"]


@pytest.mark.parametrize("rows", [[], None, ...], ids=["empty", "null", "absent"])
@pytest.mark.parametrize("total", [0, "0"])
@pytest.mark.parametrize("operation", LISTS)
def test_what_is_empty(run: Any, operation: str, rows: Any, total: Any) -> None:
    """The service says that there are none."""
    assert run(operation, body(operation, rows, total))["count"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"Success": "true"},
        {"Success": "true", "Data": None},
        {"Success": "true", "Data": {}},
        {"Success": "true", "Data": {"PageNumber": 1, "Extra": {"a": 1}}},
        {"Success": "true", "Data": {"Content": None}},
        {"Success": "true", "Data": {"Content": {}}},
        {"Success": "true", "Data": {"Content": {"List": None}, "TotalElements": "0"}},
        {"Success": "true", "Data": {"Content": []}},
    ],
    ids=json.dumps,
)
def test_no_download_tasks(run: Any, answer: Any) -> None:
    """Of this operation it is documented that each level may be null or absent where there is nothing."""
    assert run("DescribeDownloadTask", answer)["count"] == 0


def test_a_later_page_may_be_empty(info: Any, service: StandIn, asked: dict[str, Any]) -> None:
    service.add_task("rm-bp1abc")
    assert info({**asked, "current_page": 2})["count"] == 0


TIME, LATER = "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (..., ...),
        ("", ...),
        (..., TIME),
        (TIME, ""),
        (None, TIME),
        ("soon", TIME),
        (TIME, "2026-02-30"),
        ("oops", "oops"),
        (LATER, TIME),
        ("2026-01-31T00:00:00", LATER),
        (0, 0),
        ({}, {}),
        (False, TIME),
    ],
    ids=str,
)
def test_what_says_nothing_of_times(
    backups: Any, service: StandIn, asked: dict[str, Any], begin: Any, end: Any
) -> None:
    service.add_backup("rm-bp1abc")
    given = {"RecoveryBeginTime": begin, "RecoveryEndTime": end}
    answer = {name: value for name, value in given.items() if value is not ...}
    service.answer("DescribeLocalAvailableRecoveryTime", {"RequestId": "A", **answer})
    result = backups({**asked, "rds_endpoint": service.url, "recoverable": True})
    assert result["error"]["kind"] == "answer"
    assert "the response has no window of time" in result["msg"]


@pytest.mark.parametrize("data", [..., None, "", "maybe", 1, {}, {"Supported": "true"}, ["true"]], ids=repr)
def test_what_says_nothing_about_support(support: Any, service: StandIn, asked: dict[str, Any], data: Any) -> None:
    service.answer("DescribeDownloadSupport", {"RequestId": "A", **({} if data is ... else {"Data": data})})
    result = support(asked)
    assert result["error"] == {**result["error"], "kind": "answer", "action": "DescribeDownloadSupport"}
    assert "the response has no true or false" in result["msg"]


@pytest.mark.parametrize(
    "answer", [{"RequestId": "A"}, {"Data": "http://x/y"}, {"Data": ["http://x/y"]}, {"Data": {"Result": {}}}]
)
def test_what_is_no_link(location_info: Any, service: StandIn, asked: dict[str, Any], answer: Body) -> None:
    """Nor is it a task without one, which could be skipped."""
    service.add_task("rm-bp1abc", task_id="dt-one")
    service.answer("DescribeDownloadBackupSetStorageInfo", answer)
    result = location_info({**asked, "task_ids": "dt-one", "on_unfinished": "skip"})
    assert result["error"]["kind"] == "answer"
    assert "the response has no link" in result["msg"]


@pytest.mark.parametrize("request_id", [{}, {"RequestId": ""}, {"RequestId": None}], ids=str)
def test_a_refusal_without_a_request_id(
    info: Any, location_info: Any, task: Any, service: StandIn, asked: dict[str, Any], request_id: Body
) -> None:
    """The message says that there is none, in place of what support asks for."""
    service.habits.request_id_header = False

    def refuse(operation: str, code: str) -> None:
        service.answer(operation, {"Success": "false", "Code": code, "Message": "No.", **request_id})

    refuse("DescribeDownloadTask", "DBS.ParamIsInValid")
    result = info({**asked, "page_size": 10})
    assert "the service answered DBS.ParamIsInValid: No (HTTP 200, request ID not given)." in result["msg"]
    assert result["error"]["request_id"] == ""
    refuse("DescribeDownloadBackupSetStorageInfo", "DBS.DownloadTask.CannotFind")
    service.add_task("rm-bp1abc", task_id="dt-one", state="running")
    service.answer("DescribeDownloadTask", body("DescribeDownloadTask", [{**ROW, "DownloadStatus": "finished"}], 1))
    result = location_info({**asked, "task_ids": "dt-one"})
    assert "task 'dt-one' does not exist (DBS.DownloadTask.CannotFind, request ID not given)." in result["msg"]
    service.answer("DescribeDownloadTask", body("DescribeDownloadTask", [], 0))
    refuse("CreateDownload", "DBS.DownloadTask.OnlyOneRunningOrFailedTask")
    result = task({**asked, "backup_set_id": "1", "format": "CSV", "confirm_timeout": 0})
    refused = "the service refused it (DBS.DownloadTask.OnlyOneRunningOrFailedTask, request ID not given)"
    assert refused in result["msg"]


OBJECTS: dict[str, str] = {
    "no list at all": "<Result><KeyCount>0</KeyCount></Result>",
    "an empty document": "<ListBucketResult/>",
    "no objects, though there are some": "<ListBucketResult><Name>my-backups</Name><KeyCount>2</KeyCount></ListBucketResult>",
    "more, but not where": (
        "<ListBucketResult><Name>my-backups</Name><IsTruncated>true</IsTruncated><KeyCount>1</KeyCount>"
        "<Contents><Key>a/b</Key></Contents></ListBucketResult>"
    ),
    "a page": "<html><head><title>Login</title></head><body/></html>",
    "no XML": "oops",
    "JSON": '{"Name": "my-backups"}',
}


@pytest.mark.parametrize("shape", OBJECTS)
def test_what_is_no_list_of_objects(service: StandIn, shape: str) -> None:
    service.objects.add_bucket("my-backups")
    service.answer("ListObjectsV2", OBJECTS[shape].encode())
    with pytest.raises(BackupError) as caught:
        _oss.object_links(
            _oss.Bucket("my-backups", "cn-hangzhou", private=False, endpoint=service.url),
            "a",
            credential=Credential(service.key.id, service.key.secret, ""),
            duration=300,
            connection=HttpOptions(retry=RetryPolicy(retries=0)),
        )
    assert str(caught.value).startswith(
        f"Failed to list the objects under 'a/' in the bucket 'my-backups' at {service.url.removeprefix('http://')}: "
        "the response has no list of objects"
    )
