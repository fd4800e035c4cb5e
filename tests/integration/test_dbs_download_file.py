# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetching files, by Ansible's own commands: the controller signs, the host fetches."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import threading
from typing import Any

import pytest
from downloads import journalled
from processes import until, users_of
from stand_in import Fault

DONE = "dt-a1b2c3d4e5f0"
SIZE = 12 << 20
ASKED = f"region=cn-hangzhou task_id={DONE}"


@pytest.fixture
def large(filled: Any) -> Any:
    """With a file that takes a while if it is slow."""
    (task,) = [task for task in filled.service.account.tasks() if task.task_id == DONE]
    filled.service.put_object(task, random.Random(5).randbytes(SIZE))
    filled.dest = filled.directory / "file"
    return filled


def fetch(world: Any, arguments: str, *options: str, check: bool | None = True, **environment: str) -> Any:
    output = world.ad_hoc(arguments, *options, module="dbs_download_file", check=check, **environment)
    return json.loads(output[output.index("=> {") + 3 :])


def test_the_examples(large: Any) -> None:
    for task in large.service.account.tasks():
        task.target_bucket = "my-backups"
    output = large.play_examples("dbs_download_file")
    assert "failed=0" in output
    # On a busy machine, a slow connection is replaced, and what was under way comes again.
    said = re.search(rf"has {SIZE} bytes, (\d+) of them transferred now", output)
    assert said
    assert int(said[1]) >= SIZE
    assert len(list((large.directory / "orders").iterdir())) == 1
    assert large.service.key.secret not in output
    assert "Signature=" not in output


def test_it_is_fetched_once(large: Any) -> None:
    # By one connection, nothing comes twice, however busy the machine is.
    assert fetch(large, f"{ASKED} dest={large.dest} connections=1")["bytes_transferred"] == SIZE
    again = fetch(large, f"{ASKED} dest={large.dest}")
    assert (again["changed"], again["bytes_transferred"]) == (False, 0)
    checked = fetch(large, f"{ASKED} dest={large.dest} force=true", "--check", "--diff")
    assert (checked["changed"], checked["bytes_to_transfer"]) == (True, SIZE)


def test_links_are_renewed_and_progress_is_printed(large: Any) -> None:
    large.service.habits.rate = 0.5e6
    large.service.habits.link_requests = 4
    fault = Fault("reset", action="GetObject", at=1 << 20, times=3, after=1)
    large.service.inject(fault)
    result = fetch(large, f"{ASKED} dest={large.dest} progress_interval=1", "-vvvvv")
    assert result["changed"] is True
    assert large.dest.stat().st_size == SIZE
    assert f"[localhost] {large.dest}: " in large.output
    assert " % of 12.6 MB, " in large.output
    assert len(large.service.calls_of("DescribeDownloadBackupSetStorageInfo")) >= 2
    for secret in ("Signature=", large.service.key.secret):
        assert secret not in large.output
    assert not list((large.directory / "host").glob("apsaradb.backup-*"))


def test_the_host_gets_no_keys(large: Any) -> None:
    """What is sent there has none in it."""
    output = large.ad_hoc(
        f"{ASKED} dest={large.dest} access_key_id={large.service.key.id} access_key_secret={large.service.key.secret}",
        "-vvv",
        module="dbs_download_file",
        ANSIBLE_KEEP_REMOTE_FILES="1",
        ALIBABA_CLOUD_ACCESS_KEY_ID="",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="",
    )
    assert "changed" in output
    payloads = list((large.directory / "host").rglob("AnsiballZ_dbs_download_file.py"))
    assert payloads
    for payload in payloads:
        assert large.service.key.secret not in payload.read_text()


def test_without_progress_and_asynchronously(large: Any) -> None:
    fetch(large, f"{ASKED} dest={large.dest} progress=false")
    assert " % of " not in large.output
    large.ad_hoc(f"{ASKED} dest={large.dest}2", "-B", "60", "-P", "1", module="dbs_download_file")
    assert (large.directory / "file2").stat().st_size == SIZE


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("region=cn-hangzhou dest=x", "one of the following is required: task_id, url, oss_path"),
        (f"{ASKED} dest=x connections=0", "connections 0 is out of range: give 1 to 64"),
        (f"{ASKED} dest=x nonsense=1", "nonsense"),
        ("region=cn-hangzhou task_id=12 dest=x", "task_id '12' is malformed"),
    ],
)
def test_bad_input(large: Any, arguments: str, words: str) -> None:
    assert words in fetch(large, arguments, check=False)["msg"]
    assert not large.service.calls


@pytest.mark.once
def test_what_the_service_says_of_a_task_without_files(large: Any) -> None:
    result = fetch(large, f"region=cn-hangzhou task_id=dt-none dest={large.dest}", check=False)
    assert result["error"]["kind"] == "location"
    assert "task 'dt-none' does not exist" in result["msg"]


REFUSED = {
    "status": 403,
    "code": "Forbidden.RAM",
    "message": "User not authorized to operate on the specified resource.",
}


@pytest.mark.once
@pytest.mark.parametrize("refused_by", ["an error", "the state of the task"])
def test_what_came_is_in_the_result_where_no_new_link_is_to_be_had(large: Any, refused_by: str) -> None:
    service, action = large.service, "DescribeDownloadBackupSetStorageInfo"
    service.inject(Fault("truncated", action="GetObject", at=1 << 20, after=1), Fault("expired", times=100))
    if refused_by == "an error":
        service.inject(Fault("error", action=action, after=1, times=100, **REFUSED))
    else:
        (task,) = [task for task in service.account.tasks() if task.task_id == DONE]
        service.on_call(lambda call: len(service.calls_of(action)) > 1 and task.follow([("expired", None)], 0))
    result = fetch(large, f"{ASKED} dest={large.dest} connections=1", check=False)
    last = service.calls_of(action)[-1]
    error = result["error"]
    assert error["code"] == ("Forbidden.RAM" if refused_by == "an error" else "DBS.DownloadTask.NotSupport")
    assert error["kind"] == ("service" if refused_by == "an error" else "location")
    assert error["request_id"] == last.request_id
    assert last.request_id in result["msg"]
    assert error["storage"]["code"] == "AccessDenied"
    assert f"Request has expired (HTTP 403, request ID {error['storage']['request_id']})" in result["msg"]
    assert result["bytes_transferred"] == 1 << 20
    assert result["size"] == SIZE
    assert (large.directory / "file.part.json").exists()
    assert not list((large.directory / "host").glob("apsaradb.backup-*"))
    if refused_by == "an error":
        service.faults.clear()
        assert fetch(large, f"{ASKED} dest={large.dest}")["bytes_resumed"] == 1 << 20


ACTION = "DescribeDownloadBackupSetStorageInfo"
INTERNAL = {"status": 200, "code": "DBS.InternalError", "message": "Something went wrong."}
# An internal error of the service, one of the gateway, a code that nobody knows, no answer, a page of a proxy.
OUTAGES = [
    Fault("error", action=ACTION, after=1, times=3, **INTERNAL),
    Fault("internal", action=ACTION, after=1, times=3),
    Fault("error", action=ACTION, after=1, times=3, status=400, code="Mystery"),
    Fault("reset", action=ACTION, after=1, times=3),
    Fault("html", action=ACTION, after=1, times=3, status=403),
]


@pytest.mark.once
def test_outages_when_new_links_are_needed(large: Any) -> None:
    """One after the other, however little one request is repeated."""
    for number, outage in enumerate(OUTAGES):
        truncated = Fault("truncated", action="GetObject", at=1 << 20, after=1 if number == 0 else 0)
        large.service.inject(truncated, Fault("expired"), outage)
    result = fetch(
        large, f"{ASKED} dest={large.dest} connections=1 max_retries=1 outage_timeout=86400 stall_timeout=86400"
    )
    assert result["size"] == large.dest.stat().st_size == SIZE
    assert result["bytes_transferred"] == SIZE
    # The first one, and of each outage those that failed, and the one that went well.
    assert len(large.service.calls_of(ACTION)) == 1 + 4 * len(OUTAGES)


@pytest.mark.once
def test_an_outage_that_does_not_end(large: Any) -> None:
    large.service.inject(Fault("truncated", action="GetObject", at=1 << 20, after=1), Fault("expired", times=100))
    large.service.inject(Fault("error", action=ACTION, after=1, times=1 << 30, **INTERNAL))
    result = fetch(large, f"{ASKED} dest={large.dest} connections=1 outage_timeout=2", check=False)
    calls = large.service.calls_of(ACTION)
    assert result["error"]["code"] == "DBS.InternalError"
    assert result["error"]["request_id"] in {call.request_id for call in calls[1:]}
    assert "raise outage_timeout to tolerate longer" in result["msg"]
    assert result["bytes_transferred"] == 1 << 20
    assert not list((large.directory / "host").glob("apsaradb.backup-*"))


@pytest.mark.once
def test_a_work_that_was_lost_begins_with_the_links_that_it_had(large: Any) -> None:
    """It asks for others if they have expired, as any work does."""
    service = large.service
    service.habits.rate = 1e5
    service.inject(Fault("error", action=ACTION, after=1, times=2, **INTERNAL))

    def kill() -> None:
        until(lambda: journalled(large.dest))
        service.inject(Fault("expired"))
        (work,) = users_of(large.dest.with_name("file.part"))
        os.kill(work, signal.SIGKILL)
        service.habits.rate = None

    thread = threading.Thread(target=kill)
    thread.start()
    result = fetch(large, f"{ASKED} dest={large.dest} connections=1 progress_interval=1")
    thread.join()
    assert result["bytes_resumed"] > 0
    assert result["size"] == large.dest.stat().st_size == SIZE
    assert len(service.calls_of(ACTION)) == 4


def test_ansible_is_killed_and_run_again(large: Any) -> None:
    large.service.habits.rate = 20e3
    command = ["ansible", "localhost", "-m", "apsaradb.backup.dbs_download_file", "-a", f"{ASKED} dest={large.dest}"]
    environment = {**os.environ, "PATH": large.path, **large.environment}
    process = subprocess.Popen(
        [*command, "-e", large.interpreter],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal = large.directory / "file.part.json"
    until(journal.exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    large.service.habits.rate = None

    def is_there() -> bool:
        result = fetch(large, f"{ASKED} dest={large.dest}", check=None)
        assert "FAILED!" not in large.output or "another run is writing it" in result["msg"]
        return "FAILED!" not in large.output

    until(is_there)
    # By this run, or by the work of the one before, if that came to its end meanwhile.
    assert large.dest.stat().st_size == SIZE


@pytest.mark.once
def test_a_link_of_ones_own_is_not_waited_for_when_it_is_expired(large: Any) -> None:
    link = large.ad_hoc(
        f"region=cn-hangzhou instance_name=rm-bp1a2b3c4d5e6f7g8 task_ids={DONE}", module="dbs_download_location_info"
    )
    (url,) = {found["url"] for found in json.loads(link[link.index("=> {") + 3 :])["locations"]}
    large.service.inject(Fault("expired", times=1000))
    arguments = {"url": url, "dest": str(large.dest), "stall_timeout": 86400}
    result = fetch(large, json.dumps(arguments), check=False)
    assert "Request has expired" in result["msg"]
    assert "get a new one" in result["msg"]


def test_aliases_of_file_options_reach_the_host(large: Any) -> None:
    result = fetch(large, f"{ASKED} dest={large.dest} attr=rubbish", check=False)
    assert "chattr failed" in result["msg"]
