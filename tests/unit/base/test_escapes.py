# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each text that the service gives, with what a terminal obeys, or does not show: results hold escapes in its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import printable
from ansible_collections.apsaradb.backup.plugins.module_utils._files.file_names import name_of, relative_name
from stand_in import StandIn

SEQUENCES = ["\x1b[2J", "\x9b31m", "a\r\nb", "\u202e", "\u3164", "\x00"]
TASK_FIELDS = [
    "TaskId",
    "RegionCode",
    "Format",
    "BakSetId",
    "DownloadStatus",
    "TargetType",
    "TargetPath",
    "Progress",
    "DbList",
]
BACKUP_FIELDS = ["BackupId", "BackupMode", "BackupMethod", "BackupType", "BackupStatus", "Engine", "EngineVersion"]


def texts_of(value: Any, *, lines: bool = False) -> list[str]:
    """All names and texts in it; of a diff, its lines."""
    if isinstance(value, dict):
        return [
            text for name, inner in value.items() for text in (name, *texts_of(inner, lines=name == "diff" or lines))
        ]
    if isinstance(value, list):
        return [text for inner in value for text in texts_of(inner)]
    if isinstance(value, str):
        return value.split("\n") if lines else [value]
    return []


def check(result: dict[str, Any], sequence: str, *, is_shown: bool = True) -> None:
    result.pop("invocation", None)
    texts = texts_of(json.loads(json.dumps(result)))
    assert [text for text in texts if printable(text) != text] == []
    if is_shown:
        assert [text for text in texts if printable(f"x{sequence}y").lower() in text.lower()]


def value(field: str, text: str) -> Any:
    return [text] if field == "DbList" else text


@pytest.mark.parametrize("sequence", SEQUENCES, ids=ascii)
@pytest.mark.parametrize("field", [*TASK_FIELDS, "Newer"])
def test_tasks(info: Any, task: Any, asked: dict[str, Any], service: StandIn, field: str, sequence: str) -> None:
    text = f"x{sequence}y"
    service.add_instance("rm-bp1abc")
    row = {"TaskId": "dt-one", "DownloadStatus": "running", field: value(field, text)}
    service.answer("CreateDownload", {"Success": "true", "Data": row})
    check(task({**asked, "backup_set_id": "1", "format": "CSV"}), sequence)
    service.answer(
        "DescribeDownloadTask", {"Success": "true", "Data": {"TotalElements": 1, "Content": {"List": [row]}}}
    )
    check(info(asked), sequence)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=ascii)
@pytest.mark.parametrize("field", [*BACKUP_FIELDS, "BackupStartTime", "IsAvail", "Newer"])
@pytest.mark.parametrize("instance", ["rm-bp1abc", "pc-bp1abc"])
def test_backup_sets(
    backups: Any, asked: dict[str, Any], service: StandIn, instance: str, field: str, sequence: str
) -> None:
    service.add_backup(instance, backup_id="7")
    row = {"BackupId": "7", "BackupStatus": "Success", "BackupStartTime": "2026-01-31T00:00:00Z"}
    row[field] = f"x{sequence}y"
    listed: dict[str, Any] = {"RequestId": "A", "TotalRecordCount": 1, "Items": {"Backup": [row]}}
    service.answer("DescribeBackups", listed)
    service.answer("DescribeBackupDataList", {"Success": "true", "Data": {"TotalElements": 1, "Content": [row]}})
    result = backups({**asked, "rds_endpoint": service.url, "instance_name": instance})
    check(result, sequence, is_shown=field not in ("BackupStartTime", "IsAvail"))


@pytest.mark.parametrize("sequence", SEQUENCES, ids=ascii)
def test_what_is_within_and_how_it_is_named(info: Any, asked: dict[str, Any], service: StandIn, sequence: str) -> None:
    text = f"x{sequence}y"
    row = {"TaskId": "dt-one", f"A{text}": 1, "Newer": {text: [{"a": text}]}}
    service.answer(
        "DescribeDownloadTask", {"Success": "true", "Data": {"TotalElements": 1, "Content": {"List": [row]}}}
    )
    check(info(asked), sequence)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=ascii)
def test_why_there_is_no_support(support: Any, asked: dict[str, Any], service: StandIn, sequence: str) -> None:
    refusal = {"Success": "false", "Code": "DBS.DownloadTask.NotSupport", "Message": f"x{sequence}y"}
    service.answer("DescribeDownloadSupport", refusal)
    check(support(asked), sequence, is_shown="\n" not in sequence)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=ascii)
def test_paths_and_times_of_locations(
    location_info: Any, asked: dict[str, Any], service: StandIn, sequence: str
) -> None:
    text = f"x{sequence}y"
    rows = [
        {"TaskId": "dt-one", "DownloadStatus": "finished", "TargetType": "OSS", "TargetPath": text},
        {"TaskId": "dt-two", "DownloadStatus": "finished", "TargetType": "URL"},
    ]
    service.answer("DescribeDownloadTask", {"Success": "true", "Data": {"TotalElements": 2, "Content": {"List": rows}}})
    link = {"PublicUrl": "http://127.0.0.1:1/a%1b?Signature=b", "ExpirationTime": text}
    service.answer("DescribeDownloadBackupSetStorageInfo", {"Success": "true", "Data": link})
    result = location_info({**asked, "task_ids": ["dt-one", "dt-two"], "bucket": "my-backups"})
    check(result, sequence)
    assert result["locations"][1]["url"] == link["PublicUrl"]


@pytest.mark.parametrize("sequence", SEQUENCES[:-1], ids=ascii)
def test_a_task_is_known_by_its_path(task: Any, asked: dict[str, Any], service: StandIn, sequence: str) -> None:
    """It is not created again because of what is shown in place of its path. Ansible itself takes no zero byte."""
    bucket = {"target_type": "OSS", "target_bucket": "my-backups", "target_oss_region": "cn-hangzhou"}
    options = {**asked, "backup_set_id": "1", "format": "CSV", **bucket, "target_path": f"x{sequence}y"}
    service.add_instance("rm-bp1abc")
    assert [task(options)["action"] for _unused in range(2)] == ["created", "none"]


@pytest.mark.parametrize("sequence", SEQUENCES, ids=ascii)
def test_names_of_files(sequence: str) -> None:
    for name in (name_of(f"/a/x{sequence}y"), relative_name(f"a/x{sequence}y")):
        assert printable(name) == name
        assert "x" in name
