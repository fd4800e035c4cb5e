# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the files of download tasks are, against the stand-in and its storage side."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Callable

import pytest
import requests
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError, MissingLibraryError
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.locations import (
    NO_SUCH_TASK,
    LocationNotFoundError,
    request_link,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_location_info import (
    LOCATION_SPEC,
    LocationRequest,
    locate,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import completed
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client
from processes import LIMIT
from stand_in import Fault, StandIn

INSTANCE = "rm-bp1abc"
LINKS = "DescribeDownloadBackupSetStorageInfo"
LISTS = "DescribeDownloadTask"

Locate = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def located(asked: dict[str, Any], warnings: list[str]) -> Locate:
    """The function, called with the options of the stand-in."""

    def call(*terms: Any, **options: Any) -> list[dict[str, Any]]:
        defaults = {name: option.get("default") for name, option in LOCATION_SPEC.items()}
        given = {**defaults, **asked, "instance_name": [INSTANCE], "force_https": False, **options}
        return locate(LocationRequest.parse(completed(given), terms), warnings.append)

    return call


def test_the_link_of_a_task_leads_to_its_files(located: Locate, service: StandIn) -> None:
    task = service.add_task(INSTANCE, task_id="dt-one")
    (found,) = located("dt-one")
    answer = requests.get(found["url"], timeout=LIMIT)
    assert answer.content == service.objects_of(task)[0].read()
    assert found["url"] == found["public_url"] != found["private_url"]
    assert found["target_type"] == "URL"
    assert found["oss_path"] is None


def test_as_few_calls_as_possible(located: Locate, service: StandIn) -> None:
    ids = [service.add_task(INSTANCE).task_id for number in range(20)]
    terms = [*ids[::-1], ids[3]]
    assert [found["task_id"] for found in located(*terms)] == terms
    assert len(service.calls_of(LISTS)) == 1
    assert len(service.calls_of(LINKS)) == 20


def test_what_the_info_module_returned_needs_no_list(
    located: Locate, service: StandIn, info: Any, asked: dict[str, Any]
) -> None:
    service.add_task(INSTANCE, task_id="dt-url")
    service.add_task(INSTANCE, task_id="dt-oss", target_type="OSS", target_path="restore/orders")
    tasks = info(asked)["download_tasks"]
    before = len(service.calls)
    found = located(*tasks, instance_name=None)
    assert {one["task_id"]: one["oss_path"] for one in found} == {"dt-url": None, "dt-oss": "restore/orders"}
    assert [call.action for call in service.calls[before:]] == [LINKS]


def test_an_id_alone_is_asked_for_at_once(located: Locate, service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    assert located("dt-one", instance_name=None)[0]["url"]
    assert [call.action for call in service.calls] == [LINKS]


def test_no_terms_no_calls(located: Locate, service: StandIn) -> None:
    assert located() == []
    assert not service.calls


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_the_expiry_in_either_unit(located: Locate, service: StandIn, unit: Any) -> None:
    service.habits.expiration = unit
    service.add_task(INSTANCE, task_id="dt-one")
    expires = datetime.strptime(located("dt-one", duration=600)[0]["expiration_time"], "%Y-%m-%dT%H:%M:%SZ")
    left = expires.replace(tzinfo=timezone.utc).timestamp() - service.clock.now() / 1000
    assert 590 < left <= 600
    assert service.calls_of(LINKS)[0].params["Duration"] == "600"


def test_https_unless_told_otherwise(located: Locate, service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    # Nothing is encrypted that leads to this host, and is followed as it is.
    assert located("dt-one", force_https=True)[0]["url"].startswith(f"{service.url}/")
    service.habits.storage_host = "real"
    assert located("dt-one", force_https=True)[0]["url"].startswith("https://")
    assert located("dt-one", force_https=False)[0]["url"].startswith("http://")


@pytest.mark.parametrize(
    ("options", "which"),
    [
        ({}, "public_url"),
        ({"network": "public"}, "public_url"),
        ({"network": "vpc"}, "private_url"),
    ],
)
def test_the_network(located: Locate, service: StandIn, options: dict[str, str], which: str) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    (found,) = located("dt-one", **options)
    assert found["url"] == found[which]


def test_the_cluster(located: Locate, service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    located("dt-one", cluster_name="shard-1")
    assert service.calls_of(LINKS)[0].params["ClusterName"] == "shard-1"


def test_a_path_in_a_bucket(located: Locate, service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-oss", target_type="OSS", target_path="/restore/orders")
    assert located("dt-oss", bucket="my-backups")[0]["oss_path"] == "oss://my-backups/restore/orders"
    assert located("dt-oss")[0]["oss_path"] == "/restore/orders"
    assert not service.calls_of(LINKS)


def test_links_to_the_objects_of_a_path(located: Locate, service: StandIn) -> None:
    task = service.add_task(
        INSTANCE,
        task_id="dt-oss",
        target_type="OSS",
        target_path="restore/orders",
        target_bucket="my-backups",
        databases=["one", "two"],
    )
    (found,) = located("dt-oss", bucket="my-backups", presign=True, oss_endpoint=service.url, duration=300)
    assert len(found["urls"]) == 2
    contents = [requests.get(url, timeout=LIMIT).content for url in found["urls"]]
    assert contents == [stored.read() for stored in service.objects_of(task)]


def test_a_bucket_that_does_not_exist(located: Locate, service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-oss", target_type="OSS", target_path="restore", target_bucket="my-backups")
    with pytest.raises(BackupError) as caught:
        located("dt-oss", bucket="another-bucket", presign=True, oss_endpoint=service.url)
    assert "Failed to list the objects under 'restore/' in the bucket 'another-bucket'" in str(caught.value)
    assert "NoSuchBucket" in str(caught.value)


def test_a_storage_that_is_out_of_reach(located: Locate, service: StandIn, nobody: str) -> None:
    service.add_task(INSTANCE, task_id="dt-oss", target_type="OSS", target_path="restore", target_bucket="my-backups")
    with pytest.raises(
        BackupError, match=r"in the bucket 'my-backups': .* refused the connection\. Check oss_endpoint"
    ):
        located("dt-oss", bucket="my-backups", presign=True, oss_endpoint=f"http://{nobody}")


def test_presigning_without_the_package(located: Locate, service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "alibabacloud_oss_v2", None)
    service.add_task(INSTANCE, task_id="dt-oss", target_type="OSS", target_path="restore", target_bucket="my-backups")
    with pytest.raises(MissingLibraryError, match="alibabacloud-oss-v2"):
        located("dt-oss", bucket="my-backups", presign=True)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", "task 'dt-one' is running, not finished. Wait for it."),
        ("failed", "task 'dt-one' is failed, not finished. Retry it."),
        ("expired", "task 'dt-one' is expired, not finished. Its files are gone: create a new task."),
    ],
)
def test_a_task_without_files(located: Locate, service: StandIn, warnings: list[str], state: str, said: str) -> None:
    service.add_task(INSTANCE, task_id="dt-one", state=state)
    service.add_task(INSTANCE, task_id="dt-two")
    with pytest.raises(BackupError) as caught:
        located("dt-one", "dt-two")
    assert str(caught.value) == f"Failed to locate the files of task 'dt-one' in region 'cn-hangzhou': {said}"
    assert [found["task_id"] for found in located("dt-one", "dt-two", on_unfinished="skip")] == ["dt-two"]
    assert not warnings
    assert [found["task_id"] for found in located("dt-one", "dt-two", on_unfinished="warn")] == ["dt-two"]
    assert warnings == [f"Skipped: {said}"]
    assert len(service.calls_of(LINKS)) <= 3


@pytest.mark.parametrize("instance_name", [[INSTANCE], None])
def test_a_task_that_does_not_exist(located: Locate, service: StandIn, warnings: list[str], instance_name: Any) -> None:
    service.add_task(INSTANCE, task_id="dt-two")
    with pytest.raises(BackupError, match="task 'dt-gone' does not exist") as caught:
        located("dt-gone", "dt-two", instance_name=instance_name)
    found = located("dt-gone", "dt-two", instance_name=instance_name, on_missing="warn")
    assert [one["task_id"] for one in found] == ["dt-two"]
    # Where the task itself is asked for, it is the service that says so.
    asked = [call for call in service.calls_of(LINKS) if call.code == "DBS.DownloadTask.CannotFind"]
    said = f" (DBS.DownloadTask.CannotFind, request ID {asked[-1].request_id})" if asked else ""
    assert bool(said) == (instance_name is None)
    assert warnings == [f"Skipped: task 'dt-gone' does not exist{said}. Check its ID, the instance and the region."]
    assert caught.value.to_dict().get("request_id") == (asked[0].request_id if asked else None)


@pytest.mark.parametrize(("status", "code"), [(404, "DBS.NotExists"), (200, "DBS.NotExists"), (404, NO_SUCH_TASK[0])])
def test_every_code_for_a_task_that_does_not_exist(
    located: Locate, service: StandIn, warnings: list[str], status: int, code: str
) -> None:
    service.inject(Fault("error", 99, action=LINKS, status=status, code=code))
    assert located("dt-gone", instance_name=None, on_missing="skip") == []
    assert located("dt-gone", instance_name=None, on_missing="warn") == []
    assert len(warnings) == 1
    assert warnings[0].startswith(f"Skipped: task 'dt-gone' does not exist ({code}, request ID ")
    with pytest.raises(BackupError, match="task 'dt-gone' does not exist"):
        located("dt-gone", instance_name=None)


def test_the_service_says_that_it_is_not_finished(located: Locate, service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one", state="running")
    assert located("dt-one", instance_name=None, on_unfinished="skip") == []
    with pytest.raises(BackupError, match="task 'dt-one' has no link: The download task dt-one is not finished"):
        located("dt-one", instance_name=None)


def test_no_link_is_no_answer(located: Locate, service: StandIn) -> None:
    service.habits.oss_location = "null"
    service.add_task(INSTANCE, task_id="dt-oss", target_type="OSS", target_path="restore")
    with pytest.raises(BackupError, match="returned no link for task 'dt-oss'"):
        located("dt-oss", instance_name=None)


def test_other_errors_are_errors(located: Locate, service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    service.inject(Fault("error", 1, action=LINKS, status=403, code="NoPermission"))
    with pytest.raises(BackupError) as caught:
        located("dt-one", on_missing="skip", on_unfinished="skip")
    assert "Grant the caller the RAM action dbs:DescribeDownloadBackupSetStorageInfo" in str(caught.value)


@pytest.mark.parametrize(
    ("terms", "options", "said"),
    [
        (["dt-one"], {"duration": 299}, "duration 299 is out of range: give 300 to 86400 seconds."),
        (["dt-one"], {"duration": 86401}, "duration 86401 is out of range"),
        (["dt one"], {}, "task_ids 'dt one' is malformed"),
        ([{"id": "dt-one"}], {}, "a term is neither the ID of a task"),
        ([123], {}, "a term is neither the ID of a task"),
        (["dt-one"], {"presign": True}, "presign needs bucket"),
        (["dt-one"], {"bucket": "My_Bucket"}, "bucket 'My_Bucket' is malformed"),
        (
            [{"task_id": "dt-one", "region_code": "eu-west-1"}],
            {},
            "task 'dt-one' is in region 'eu-west-1', but region is 'cn-hangzhou': use the task's region.",
        ),
    ],
)
def test_bad_input(located: Locate, service: StandIn, terms: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BackupError) as caught:
        located(*terms, **options)
    assert said in str(caught.value)
    assert not service.calls


def test_a_link_does_not_show(client_of: Callable[..., Client], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    link = request_link(client_of(service), "cn-hangzhou", "dt-one")
    assert "Signature" in str(link.public_url)
    assert "Signature" not in repr(link)


def test_the_module(service: StandIn, asked: dict[str, Any], location_info: Any) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    service.add_task(INSTANCE, task_id="dt-oss", target_type="OSS", target_path="restore")
    service.add_task(INSTANCE, task_id="dt-bad", state="failed")
    arguments = {**asked, "task_ids": ["dt-oss", "dt-one"], "bucket": "my-backups"}
    result = location_info({**arguments, "_ansible_check_mode": True})
    assert result["changed"] is False
    assert [found["oss_path"] for found in result["locations"]] == ["oss://my-backups/restore", None]
    failed = location_info({**arguments, "task_ids": "dt-bad"})
    assert failed["error"]["kind"] == "location"
    warned = location_info({**arguments, "task_ids": ["dt-bad"], "on_unfinished": "warn"})
    assert warned["locations"] == []
    assert "dt-bad" in str(warned["warnings"])


def test_an_expired_task_of_which_only_the_id_is_known(client_of: Callable[..., Client], service: StandIn) -> None:
    service.add_task(INSTANCE, task_id="dt-old", state="expired")
    with pytest.raises(LocationNotFoundError, match="If it has expired, its files are gone: create a new task"):
        request_link(client_of(service), "cn-hangzhou", "dt-old")
