# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that fetches files: what a user sees of it, and what comes of all that can go wrong."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.retry import RetryPolicy
from ansible_collections.apsaradb.backup.plugins.module_utils._files.crc64 import crc64
from ansible_collections.apsaradb.backup.plugins.module_utils._files.file_names import name_of, relative_name
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_directory import JobDirectory
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.tuning import ORPHAN_TIMEOUT
from downloads import Controller, Result, journal_of, journalled, process_of
from processes import LIMIT, can_mount, children, mounted, until
from stand_in import Fault, StandIn, exports
from stand_in.model import Task

MIB = 1 << 20
SIZE = 20 * MIB
NAME = "dt-x_1482610001.tar.gz"


def leftovers(path: Path) -> list[str]:
    return sorted(found.name for found in path.iterdir())


def broken_off(fault: Fault) -> tuple[Fault, Fault]:
    """For a run over one connection: the first MiB comes, and then only this."""
    return Fault("truncated", action="GetObject", at=MIB, after=1), fault


# what a user gets


def test_the_file_is_there(fetch: Callable[..., Result], data: bytes, tmp_path: Path, service: StandIn) -> None:
    result = fetch()
    assert (tmp_path / "file").read_bytes() == data
    assert leftovers(tmp_path) == ["file"]
    assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o600
    assert result["changed"] is True
    assert result["dest"] == str(tmp_path / "file")
    assert result["size"] == SIZE
    assert result["bytes_transferred"] == SIZE
    assert 1 <= result["connections"] == service.connections <= 8
    assert (result["resumes"], result["bytes_resumed"], result["attempts"]) == (0, 0, 1)
    assert result["rate"] > 0
    assert result["network"] == "public"
    (file,) = result["files"]
    assert file["crc64"] == str(crc64(data))
    assert file["verified_by"] == "crc64"
    assert all(not transfer.range or transfer.status == 206 for transfer in service.transfers)


def test_once_there_it_is_not_fetched_again(fetch: Callable[..., Result], service: StandIn) -> None:
    fetch()
    before = len(service.transfers)
    result = fetch()
    assert result["changed"] is False
    assert result["bytes_transferred"] == 0
    assert len(service.transfers) == before + 1
    assert fetch(force=True)["bytes_transferred"] == SIZE


def test_with_a_checksum_that_is_there_nobody_is_asked(
    fetch: Callable[..., Result], service: StandIn, data: bytes
) -> None:
    checksum = "sha256:" + hashlib.sha256(data).hexdigest()
    assert fetch(checksum=checksum)["files"][0]["verified_by"] == "crc64, checksum"
    before = len(service.transfers)
    result = fetch(checksum=checksum)
    assert result["changed"] is False
    assert result["files"][0]["verified_by"] == "checksum"
    assert len(service.transfers) == before


def test_what_is_there_and_is_not_it_is_replaced(fetch: Callable[..., Result], data: bytes, tmp_path: Path) -> None:
    for before in (b"short", data[:-1] + b"x"):
        (tmp_path / "file").write_bytes(before)
        (tmp_path / "file").chmod(0o640)
        result = fetch(backup=True)
        assert result["changed"] is True
        assert (tmp_path / "file").read_bytes() == data
        assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o640
        backup = Path(result["files"][0]["backup_file"])
        assert backup.read_bytes() == before
        assert result["files"][0]["size_before"] == len(before)


def test_what_was_there_stays_until_then(fetch: Callable[..., Result], service: StandIn, tmp_path: Path) -> None:
    """By one connection: of several, a request could still be on its way while the next run makes its own."""
    (tmp_path / "file").write_bytes(b"precious")
    service.inject(Fault("unavailable", action="GetObject", times=100, after=1))
    assert fetch(max_retries=0, connections=1)["failed"]
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert leftovers(tmp_path) == ["file", "file.part", "file.part.json"]
    service.faults.clear()
    service.inject(Fault("unavailable", action="GetObject", times=100, after=1))
    assert fetch(max_retries=0, keep_partial=False, connections=1)["failed"]
    assert leftovers(tmp_path) == ["file"]


def test_attributes_are_set(fetch: Callable[..., Result], tmp_path: Path) -> None:
    result = fetch(mode="0640", group="daemon" if os.getuid() == 0 else str(os.getgid()))
    status = os.stat(tmp_path / "file")
    assert status.st_mode & 0o777 == 0o640
    assert result["mode"] == "0640"
    assert fetch(mode="0640")["changed"] is False
    changed = fetch(mode="0600")
    assert changed["changed"] is True
    assert changed["bytes_transferred"] == 0
    assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o600


def test_attributes_that_cannot_be_set_do_not_undo_what_was_done(
    fetch: Callable[..., Result], data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"before")
    result = fetch(attributes="+\xe4", backup=True)
    assert result["failed"]
    assert f"Failed to set the attributes of {tmp_path}/file" in result["msg"]
    assert result["changed"] is True
    assert Path(result["files"][0]["backup_file"]).read_bytes() == b"before"
    assert (tmp_path / "file").read_bytes() == data


def test_a_backup_of_a_long_name(fetch: Callable[..., Result], data: bytes, tmp_path: Path) -> None:
    dest = tmp_path / ("\xe4" * 120)
    dest.write_bytes(b"before")
    first = fetch(dest=str(dest), backup=True)["files"][0]["backup_file"]
    second = fetch(dest=str(dest), backup=True, force=True)["files"][0]["backup_file"]
    assert (Path(first).read_bytes(), Path(second).read_bytes()) == (b"before", data)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_backup_where_there_can_be_no_second_name(fetch: Callable[..., Result], data: bytes) -> None:
    """Of what belongs to another, Linux allows none."""
    with tempfile.TemporaryDirectory() as directory:
        dest = Path(directory, "file")
        dest.write_bytes(b"before")
        os.chmod(dest, 0o644)
        os.chown(directory, 65534, 65534)
        fetch()  # Python loads what it takes, which the other user might not be able to read
        with another_user():
            result = fetch(dest=str(dest), backup=True)
        backup = Path(result["files"][0]["backup_file"])
        assert backup.read_bytes() == b"before"
        assert backup.stat().st_uid == dest.stat().st_uid == 65534
        assert dest.read_bytes() == data
        assert sorted(os.listdir(directory)) == sorted(["file", backup.name])


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_attributes_are_checked_before_anything_is_fetched(fetch: Callable[..., Result], service: StandIn) -> None:
    for wrong in ({"owner": "no-such-user"}, {"group": "no-such-group"}, {"mode": "rubbish"}):
        result = fetch(**wrong)
        assert result["failed"]
        assert "Check owner, group, mode" in result["msg"]
        assert result["error"]["kind"] == "configuration"
    assert not service.transfers


def test_into_a_directory(fetch: Callable[..., Result], tmp_path: Path) -> None:
    assert fetch(dest=str(tmp_path))["dest"] == str(tmp_path / NAME)
    assert fetch(dest=f"{tmp_path}/new/")["dest"] == f"{tmp_path}/new/{NAME}"
    assert leftovers(tmp_path / "new") == [NAME]
    assert os.stat(tmp_path / "new").st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("/a/b.tar.gz", "b.tar.gz"),
        ("/a/b.tar.gz/", "b.tar.gz"),
        ("/a/..", "backup"),
        ("/", "backup"),
        ("/a/x\ny\x1b[31m.gz", "x_y_[31m.gz"),
        ("/a/..\\..\\x", ".._.._x"),
        ("/a/李雷.tar.gz", "李雷.tar.gz"),
        ("/a/" + "ä" * 200, "ä" * 120),
    ],
)
def test_names_of_objects_are_made_safe(key: str, name: str) -> None:
    assert name_of(key) == name


def test_relative_names_lead_down_only() -> None:
    assert relative_name("../../etc//./passwd") == "etc/passwd"
    assert relative_name("a/b.tar.gz") == "a/b.tar.gz"
    assert relative_name("..") == "backup"


def test_several_files_keep_their_paths(download: Any, service: StandIn, tmp_path: Path) -> None:
    task = service.add_task("rm-a", target_type="OSS", target_bucket="mine", target_path="x", databases=["a", "b", "c"])
    stored = service.objects_of(task)
    links = [
        f"{service.url}/mine/{key}?{exports.urlencode(exports.presign('v1', service.link_key, exports.Resource('mine', key), 'cn-hangzhou', time.time(), 600))}"
        for key in exports.keys_of(task)
    ]
    arguments = {"oss_path": "oss://mine/x", "dest": f"{tmp_path}/out", "_links": links}
    result = download({**arguments, "_names": ["a.gz", "deep/b.gz", "deep/../c.gz"]})
    assert result["changed"] is True
    assert result["dest"] == f"{tmp_path}/out"
    for name, one in zip(("a.gz", "deep/b.gz", "deep/c.gz"), stored):
        assert (tmp_path / "out" / name).read_bytes() == one.read()
    assert result["bytes_total"] == sum(one.size for one in stored)
    assert [
        file["changed"] for file in download({**arguments, "_names": ["a.gz", "deep/b.gz", "deep/c.gz"]})["files"]
    ] == [False] * 3
    same = download({**arguments, "_names": ["a", "b", "b"]})
    assert "two of the files would be" in same["msg"]
    (tmp_path / "file").write_text("")
    assert "give a directory" in download({**arguments, "dest": f"{tmp_path}/file"})["msg"]
    assert "checksum is set, but there are 3 files" in download({**arguments, "checksum": "md5:" + "0" * 32})["msg"]


@pytest.mark.parametrize("size", [0, 1, 255, MIB + 1, 5 * MIB])
def test_small_files(fetch: Callable[..., Result], service: StandIn, export: Task, tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    service.put_object(export, content)
    result = fetch()
    assert (tmp_path / "file").read_bytes() == content
    assert result["connections"] <= 3
    assert fetch()["changed"] is False


@pytest.mark.parametrize("connections", [1, 2, 3, 16])
def test_connections_are_honoured(fetch: Callable[..., Result], service: StandIn, connections: int) -> None:
    """All of them, where none brings anything before the last one is there."""
    expected = min(connections, SIZE // (2 * MIB))

    def wait_for_all(number: int) -> None:
        if len(service.transfers) > 1:
            until(lambda: service.connections == expected)

    service.habits.rate = wait_for_all
    assert fetch(connections=connections)["connections"] == service.connections == expected


def test_the_rate_is_limited(fetch: Callable[..., Result]) -> None:
    assert fetch(limit_rate="40M")["elapsed"] > 0.8 * SIZE / (40 * MIB)


def test_check_mode_says_what_would_come(fetch: Callable[..., Result], service: StandIn, tmp_path: Path) -> None:
    result = fetch(_ansible_check_mode=True, _ansible_diff=True, dest=f"{tmp_path}/new/")
    assert result["changed"] is True
    assert result["bytes_to_transfer"] == result["size"] == SIZE
    assert result["diff"][0]["after"].startswith(f"size: {SIZE}\ncrc64: ")
    assert result["network"] == "public"
    assert len(service.transfers) == 1
    assert leftovers(tmp_path) == []
    fetch()
    assert fetch(_ansible_check_mode=True)["changed"] is False


def test_check_mode_knows_what_an_earlier_run_left(
    fetch: Callable[..., Result], service: StandIn, tmp_path: Path
) -> None:
    service.inject(*broken_off(Fault("unavailable", action="GetObject", times=100)))
    assert fetch(max_retries=0, connections=1)["failed"]
    service.faults.clear()
    result = fetch(_ansible_check_mode=True)
    assert result["bytes_to_transfer"] == SIZE - MIB
    assert fetch()["bytes_transferred"] == result["bytes_to_transfer"]


def test_a_storage_without_sums(fetch: Callable[..., Result], service: StandIn, data: bytes) -> None:
    service.habits.object_crc = False
    result = fetch()
    assert result["files"][0]["verified_by"] == "size"
    assert "was verified by its size only" in str(result["warnings"])
    assert fetch()["changed"] is True
    checksum = "sha1:" + hashlib.sha1(data, usedforsecurity=False).hexdigest()
    assert fetch(checksum=checksum)["changed"] is False


def test_a_wrong_checksum_costs_no_second_transfer(
    fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    right, wrong = "sha256:" + hashlib.sha256(data).hexdigest(), "sha256:" + "0" * 64
    failed = fetch(checksum=wrong)
    assert failed["error"]["kind"] == "verification"
    assert f"the sha256 of the file is {right[7:]}, not {wrong[7:]} as given in checksum" in failed["msg"]
    assert leftovers(tmp_path) == ["file.part", "file.part.json"]
    result = fetch(checksum=right)
    assert result["bytes_transferred"] == 0
    assert (tmp_path / "file").read_bytes() == data
    again = fetch(checksum=wrong)
    assert "bytes_transferred" not in again
    assert right[7:] in again["msg"]
    assert leftovers(tmp_path) == ["file"]
    service.habits.object_crc = False
    assert fetch(checksum=wrong, force=True)["failed"]
    assert leftovers(tmp_path) == ["file"]


def test_the_difference_is_of_the_content_or_of_attributes(fetch: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")
    (diff,) = fetch(_ansible_diff=True, mode="0640")["diff"]
    assert (diff["before"], diff["after"].splitlines()[0]) == ("size: 6\n", f"size: {SIZE}")
    (diff,) = fetch(_ansible_diff=True, mode="0600")["diff"]
    assert (diff["before"], diff["after"]) == ("mode: 0640\n", "mode: 0600\n")


def test_a_low_rate_is_kept(fetch: Callable[..., Result], service: StandIn, export: Task) -> None:
    service.put_object(export, bytes(8192))
    result = fetch(limit_rate="8K")
    assert result["elapsed"] > 0.6
    assert result["connections"] == 1


# bad input


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"connections": 0}, "connections 0 is out of range: give 1 to 64"),
        ({"connections": 65}, "connections 65 is out of range"),
        ({"dest": ""}, "dest is empty: give the path"),
        ({"limit_rate": "fast"}, "limit_rate 'fast' is not allowed: give bytes per second"),
        ({"limit_rate": "10"}, "limit_rate '10' is not allowed"),
        ({"checksum": "abc"}, "checksum 'abc' is malformed: give algorithm:digest with one of"),
        ({"checksum": "crc32:abc"}, "checksum 'crc32:abc' is malformed"),
        ({"checksum": "md5:abc"}, "a digest of md5 has 32 digits, not 3"),
        ({"progress_interval": 0}, "progress_interval 0.0 is out of range"),
        ({"read_timeout": 0}, "read_timeout 0.0 is out of range"),
        ({"ca_path": "/proc/none", "validate_certs": False}, "ca_path would have no effect"),
        ({"url": "ftp://host/x"}, "url is malformed"),
        ({"url": None, "task_id": "x"}, "task_id"),
        ({"url": None, "task_id": "dt-x"}, "call it by its full name"),
        ({"url": None, "oss_path": "/x"}, "oss_path '/x' is malformed: give oss://bucket/path"),
        ({"url": None}, "one of the following is required"),
        ({"task_id": "dt-x"}, "mutually exclusive"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    fetch: Callable[..., Result], service: StandIn, wrong: dict[str, Any], words: str
) -> None:
    result = fetch(**wrong)
    assert result["failed"]
    assert words in result["msg"]
    assert not service.transfers


def test_destinations_that_cannot_be(fetch: Callable[..., Result], service: StandIn, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/null")
    for dest, words in (
        (
            f"{tmp_path}/none/file",
            f"No such file or directory ({tmp_path}/none). Create the directory {tmp_path}/none first.",
        ),
        (f"{tmp_path}/plain/file", "Not a directory"),
        (f"{tmp_path}/fifo", "exists, and is not a file"),
        (f"{tmp_path}/link", "exists, and is not a file"),
    ):
        result = fetch(dest=dest)
        assert words in result["msg"], result["msg"]
        assert result["error"]["kind"] == "destination"
    assert not service.transfers


@pytest.mark.skipif(os.geteuid() != 0, reason="others are told that they have no right to")
@pytest.mark.parametrize(
    ("dest", "path", "words"),
    [
        ("/proc/file", "/proc/file.part", "Nobody can create files in /proc: use another directory."),
        ("/proc/new/", "/proc/new", "Nobody can create files in /proc: use another directory."),
        ("/sys/file", "/sys/file.part", "Root cannot write there: use another directory"),
    ],
)
def test_places_where_nothing_can_be_created(fetch: Callable[..., Result], dest: str, path: str, words: str) -> None:
    """Though they are there, and look as if one might."""
    result = fetch(dest)
    assert result["error"]["kind"] == "destination"
    assert f"({path}). {words}" in result["msg"] or "Read-only file system" in result["msg"]


def test_a_partial_file_that_somebody_takes_away(
    fetch: Callable[..., Result], service: StandIn, tmp_path: Path
) -> None:
    def take_away(number: int) -> None:
        if len(service.transfers) > 1:
            (tmp_path / "file.part").unlink(missing_ok=True)

    service.habits.rate = take_away
    result = fetch(connections=1)
    assert f"({tmp_path}/file.part). Another process has moved or deleted it: run it again." in result["msg"]


@pytest.fixture
def broken_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that takes what is written to it, and cannot bring more than some of it to the disk."""
    if not can_mount() or not shutil.which("mkfs.ext4"):
        pytest.skip("no right to mount, or no mkfs.ext4")
    memory, place = tmp_path / "memory", tmp_path / "broken"
    memory.mkdir()
    place.mkdir()
    with mounted(memory, "size=16m"):
        image = memory / "image"
        with image.open("wb") as file:
            file.truncate(256 * MIB)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        with mounted(place, "loop", "ext4", str(image)):
            yield place


# each row of what other tools get wrong


def test_a_reset_in_mid_way(fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path) -> None:
    service.inject(Fault("reset", action="GetObject", at=500_000, times=6, after=1))
    result = fetch()
    assert (tmp_path / "file").read_bytes() == data
    assert result["resumes"] == 6
    assert result["bytes_transferred"] == SIZE


def test_unavailable_three_times_at_the_start(fetch: Callable[..., Result], service: StandIn, tmp_path: Path) -> None:
    service.inject(Fault("unavailable", action="GetObject", times=3))
    assert fetch()["changed"] is True
    assert leftovers(tmp_path) == ["file"]


def test_a_link_that_expires_and_then_a_reset(
    link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.habits.link_requests = 3
    service.inject(Fault("reset", action="GetObject", at=3 * MIB // 2, times=3, after=1))
    controller = Controller(link, dest=f"{tmp_path}/file")
    result = controller.run()
    assert result["changed"] is True
    assert (tmp_path / "file").read_bytes() == data
    assert controller.links >= 1
    assert controller.runs <= controller.links + 1
    assert not os.listdir(f"{tmp_path}/file.tmp")


def test_a_link_that_is_not_renewed(
    fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.inject(*broken_off(Fault("expired", times=1000)))
    result = fetch(connections=1)
    assert "the storage answered AccessDenied: Request has expired (HTTP 403, request ID" in result["msg"]
    assert "get a new one; the downloaded part is kept, and the next run continues from it" in result["msg"]
    assert result["error"] == {
        "kind": "storage",
        "code": "AccessDenied",
        "message": "Request has expired.",
        "http_status": 403,
        "request_id": result["error"]["request_id"],
    }
    service.faults.clear()
    result = fetch()
    assert result["bytes_resumed"] == MIB
    assert result["bytes_transferred"] == SIZE - MIB
    assert (tmp_path / "file").read_bytes() == data


def test_a_failure_has_no_fields_that_say_nothing(
    fetch: Callable[..., Result], service: StandIn, tmp_path: Path
) -> None:
    service.inject(Fault("expired", times=1000))
    result = fetch()
    told = set(result) - {"failed", "msg", "error", "invocation"}
    assert {"changed", "dest", "network"} <= told <= {"changed", "dest", "network", "attempts", "elapsed"}
    service.faults.clear()
    service.inject(Fault("expired", times=1000, after=1))
    result = fetch()
    assert result["files"] == [
        {"changed": False, "dest": f"{tmp_path}/file"}
        | {name: result["files"][0][name] for name in ("size", "crc64", "etag")}
    ]
    assert result["size"] == SIZE
    assert None not in result.values()


def test_links_that_are_of_no_use(link: Callable[[], str], service: StandIn, tmp_path: Path) -> None:
    service.inject(Fault("expired", times=1000))
    controller = Controller(link, dest=f"{tmp_path}/file")
    result = controller.run()
    assert "Request has expired" in result["msg"]
    assert controller.links == 5


def test_an_object_replaced_in_mid_way(fetch: Callable[..., Result], service: StandIn, tmp_path: Path) -> None:
    service.inject(Fault("changed", after=5))
    result = fetch()
    assert result["attempts"] == 2
    (stored,) = (service.objects.get(one.bucket, one.key) for one in service.transfers[-1:])
    assert stored
    assert (tmp_path / "file").read_bytes() == stored.read()
    service.inject(*[Fault("changed", after=5) for _unused in range(10)])
    failed = fetch(force=True)
    assert failed["error"]["kind"] == "object"
    assert "the object was changed during the download" in failed["msg"]


def test_one_flipped_bit(fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path) -> None:
    service.inject(Fault("flipped", after=3))
    result = fetch()
    assert (tmp_path / "file").read_bytes() == data
    assert result["attempts"] == 2
    assert result["bytes_transferred"] == 2 * SIZE
    service.inject(*[Fault("flipped", after=3) for _unused in range(10)])
    failed = fetch(force=True, dest=f"{tmp_path}/other")
    assert failed["error"]["kind"] == "verification"
    assert "its CRC-64 is" in failed["msg"]
    assert not (tmp_path / "other").exists()


def test_a_server_that_ignores_ranges(
    fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.inject(Fault("whole", times=1000))
    result = fetch()
    assert (tmp_path / "file").read_bytes() == data
    assert result["connections"] == 1
    assert result["bytes_transferred"] == SIZE
    assert len(service.transfers) == 1


def test_a_server_that_ignores_ranges_and_breaks_off(
    fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.inject(Fault("whole", times=2, at=5 * MIB), Fault("whole", times=1000))
    result = fetch()
    assert (tmp_path / "file").read_bytes() == data
    assert result["attempts"] == 3
    assert result["bytes_transferred"] == SIZE + 10 * MIB


def test_a_head_is_never_needed(fetch: Callable[..., Result], service: StandIn) -> None:
    fetch()
    fetch()
    fetch(_ansible_check_mode=True)
    assert {transfer.action for transfer in service.transfers} == {"GetObject"}


def test_a_full_disk(fetch: Callable[..., Result], service: StandIn, small_disk: Path) -> None:
    result = fetch(dest=f"{small_disk}/file")
    assert "No space left on device" in result["msg"]
    assert "more bytes are needed, but only" in result["msg"]
    assert "Free some space in" in result["msg"]
    assert len(service.transfers) == 1
    assert os.statvfs(small_disk).f_bfree * 4096 > 11 * MIB
    assert os.listdir(small_disk) == []
    checked = fetch(dest=f"{small_disk}/file", _ansible_check_mode=True)
    assert "more bytes are needed, but only" in checked["msg"]


def test_a_disk_that_fills_meanwhile_and_has_room_later(
    fetch: Callable[..., Result], service: StandIn, export: Task, small_disk: Path
) -> None:
    content = random.Random(3).randbytes(8 * MIB)
    service.put_object(export, content)
    (small_disk / "other").write_bytes(bytes(6 * MIB))
    assert "No space left" in fetch(dest=f"{small_disk}/file")["msg"]
    (small_disk / "other").unlink()
    fetch(dest=f"{small_disk}/file")
    assert (small_disk / "file").read_bytes() == content


@pytest.mark.parametrize("size", [20 * MIB, 60 * MIB])
def test_a_disk_that_fails_to_keep_what_it_took(
    fetch: Callable[..., Result], service: StandIn, export: Task, broken_disk: Path, size: int
) -> None:
    """The system says so once, and thinks then that all is well. Of what is large, much is brought to the disk early."""
    content = random.Random(3).randbytes(size)
    service.put_object(export, content)
    service.habits.rate = 20e6
    result = fetch(dest=f"{broken_disk}/file", sync=True)
    assert result["error"]["kind"] == "destination"
    assert "it is unknown what is on the disk" in result["msg"]
    assert set(leftovers(broken_disk)) == {"file.part", "lost+found"}
    subprocess.run(["mount", "-o", "remount,size=200m", str(broken_disk.with_name("memory"))], check=True)
    assert fetch(dest=f"{broken_disk}/file", sync=True)["bytes_resumed"] == 0
    assert (broken_disk / "file").read_bytes() == content


def test_a_read_only_destination(fetch: Callable[..., Result], service: StandIn, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = fetch(dest=f"{small_disk}/file")
    assert result["error"]["kind"] == "destination"
    assert "Read-only file system" in result["msg"]
    assert "on a writable file system" in result["msg"]
    assert not service.transfers


#: Slow enough for whatever a test does meanwhile; thereafter, the rate is set to None.
HELD = 20e3


def test_killed_and_run_again(
    fetch: Callable[..., Result], link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.habits.rate = HELD
    process = process_of(link(), f"{tmp_path}/file")
    until(lambda: journalled(tmp_path / "file"))
    process.kill()
    process.outputs()
    assert os.stat(tmp_path / "file.part").st_mode & 0o777 == 0o600
    assert not (tmp_path / "file").exists()
    service.habits.rate = None
    result = fetch()
    assert (tmp_path / "file").read_bytes() == data
    assert result["bytes_resumed"] > 0
    assert result["bytes_resumed"] + result["bytes_transferred"] == SIZE
    assert result["resumes"] == 1


def test_a_damaged_partial_file_with_a_good_journal(
    fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.inject(*broken_off(Fault("unavailable", action="GetObject", times=100)))
    assert fetch(max_retries=0, connections=1)["failed"]
    service.faults.clear()
    journal = json.loads((tmp_path / "file.part.json").read_text())
    start, length, _unused = max(journal["extents"], key=lambda extent: extent[1])
    with open(tmp_path / "file.part", "r+b") as file:
        file.seek(start + length // 2)
        file.write(b"damage")
    result = fetch()
    assert (tmp_path / "file").read_bytes() == data
    assert result["bytes_resumed"] < MIB
    assert result["bytes_transferred"] == SIZE - result["bytes_resumed"]


def test_the_partial_file_is_for_its_owner_only(link: Callable[[], str], service: StandIn, tmp_path: Path) -> None:
    service.habits.rate = HELD
    with process_of(link(), f"{tmp_path}/file", mode="0644") as process:
        until((tmp_path / "file.part").exists)
        assert os.stat(tmp_path / "file.part").st_mode & 0o777 == 0o600
        service.habits.rate = None
        process.outputs()
    assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o644


# the rest of what can go wrong


@pytest.mark.parametrize(
    "fault",
    [
        Fault("truncated", action="GetObject", times=5, after=1),
        Fault("stall", seconds=3600.0, times=2, after=1),
        Fault("whole", times=3, after=2),
        Fault("wrong_range", times=3, after=2),
        Fault("html", action="GetObject", times=3, after=1),
        Fault("html", action="GetObject", status=200, times=3),
        Fault("internal", action="GetObject", times=3),
        Fault("reset", action="GetObject", times=5),
    ],
    ids=lambda fault: fault.kind,
)
def test_what_passes(fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path, fault: Fault) -> None:
    service.inject(fault)
    result = fetch(read_timeout=1.0 if fault.kind == "stall" else 600.0)
    assert result["changed"] is True
    assert (tmp_path / "file").read_bytes() == data


def test_what_does_not_pass(
    fetch: Callable[..., Result], service: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "pause", lambda policy, repetition, given=None: 0.1)
    service.inject(Fault("unavailable", action="GetObject", times=10**9, after=1))
    began = time.monotonic()
    result = fetch(stall_timeout=2, outage_timeout=2)
    assert time.monotonic() - began > 1.5
    assert result["msg"].startswith("Failed to download 127.0.0.1:")
    assert "the storage answered ServiceUnavailable" in result["msg"]
    assert "Gave up after" in result["msg"]
    assert "bytes_transferred" not in result


def test_an_object_that_is_gone(fetch: Callable[..., Result], service: StandIn, export: Task) -> None:
    url = exports.link(service, export, 600, internal=False)
    service.objects.delete(exports.bucket_of(export), exports.keys_of(export)[0])
    result = fetch(url=url)
    assert result["error"]["code"] == "NoSuchKey"
    assert result["msg"].startswith("Failed to download 127.0.0.1:")
    assert "create a new task" in result["msg"]
    assert len(service.transfers) == 1


def test_a_slow_connection_is_dropped_and_its_range_taken_over(fetch: Callable[..., Result], service: StandIn) -> None:
    """It would take days."""
    service.habits.rate = lambda number: 50.0 if number == 3 else 10e6
    result = fetch(clock=time.monotonic)
    assert result["bytes_transferred"] < SIZE + 4 * MIB


def test_two_runs_at_once(link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path) -> None:
    service.habits.rate = HELD
    with process_of(link(), f"{tmp_path}/file") as first:
        until((tmp_path / "file.part").exists)
        with process_of(link(), f"{tmp_path}/file") as second:
            failed = json.loads(second.outputs()[0])
        assert "another run is writing it. Wait for it, or stop it." in failed["msg"]
        service.habits.rate = None
        assert json.loads(first.outputs()[0])["changed"] is True
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_lost(
    fetch: Callable[..., Result], link: Callable[[], str], service: StandIn, tmp_path: Path, number: signal.Signals
) -> None:
    service.habits.rate = HELD
    process = process_of(link(), f"{tmp_path}/file")
    until(lambda: journalled(tmp_path / "file"))
    process.send_signal(number)
    result = json.loads(process.outputs()[0])
    assert (
        result["msg"]
        == f"Interrupted by {number.name}. The downloaded part is kept, and the next run continues from it."
    )
    assert 0 < result["bytes_transferred"] < SIZE
    service.habits.rate = None
    assert fetch()["bytes_transferred"] <= SIZE - result["bytes_transferred"] + 8 * 65536


def test_it_ends_when_ansible_is_gone(link: Callable[[], str], service: StandIn, tmp_path: Path) -> None:
    service.habits.rate = HELD
    process = process_of(link(), f"{tmp_path}/file")
    until((tmp_path / "file.part.json").exists)
    assert process.stdout
    process.stdout.close()
    assert process.wait(LIMIT) != 0
    assert json.loads((tmp_path / "file.part.json").read_text())["closed"]


# what goes on between the action plugin and the module


def test_a_job_goes_on_between_its_followers(
    link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.habits.rate = HELD
    controller = Controller(link, dest=f"{tmp_path}/file")
    state = controller.follow(0.0)
    directory = state["directory"]
    assert os.stat(directory).st_mode & 0o777 == 0o700
    until(lambda: journalled(tmp_path / "file"))
    until(lambda: controller.follow(0.0)["progress"].get("done"))
    state = controller.follow(0.0)
    assert state["progress"]["dest"] == f"{tmp_path}/file"
    assert 0 < state["progress"]["done"] < SIZE
    until(lambda: controller.follow(0.0)["progress"]["done"] > state["progress"]["done"])
    service.habits.rate = None
    result = controller.run()
    assert result["changed"] is True
    assert (tmp_path / "file").read_bytes() == data
    assert not os.path.exists(directory)


@pytest.mark.parametrize("is_read", [False, True])
def test_the_result_of_a_job_is_there_for_as_long_as_one_may_ask(
    link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path, is_read: bool
) -> None:
    service.habits.rate = HELD
    controller = Controller(link, dest=f"{tmp_path}/file")
    directory = controller.follow(0.0)["directory"]
    service.habits.rate = None
    until((tmp_path / "file").exists)
    assert (tmp_path / "file").read_bytes() == data
    controller.set_clock_ahead(ORPHAN_TIMEOUT / 2)
    time.sleep(0.5)  # in which it looks whether it is still followed
    assert os.path.exists(directory)
    if is_read:
        assert controller.run()["changed"] is True
    else:
        controller.set_clock_ahead(2 * ORPHAN_TIMEOUT)
    until(lambda: not os.listdir(f"{tmp_path}/file.tmp"))


def test_a_job_that_nobody_follows_ends(link: Callable[[], str], service: StandIn, tmp_path: Path) -> None:
    service.habits.rate = HELD
    controller = Controller(link, dest=f"{tmp_path}/file")
    controller.follow(0.0)
    until((tmp_path / "file.part.json").exists)
    controller.set_clock_ahead(2 * ORPHAN_TIMEOUT)
    until(lambda: not os.listdir(f"{tmp_path}/file.tmp"))
    until(lambda: journal_of(tmp_path / "file").get("closed"))


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_set_ends_no_job(
    link: Callable[[], str], service: StandIn, tmp_path: Path, seconds: float
) -> None:
    service.habits.rate = HELD
    controller = Controller(link, dest=f"{tmp_path}/file")
    directory = controller.follow(0.0)["directory"]
    then = time.time() + seconds
    os.utime(f"{directory}/followed", (then, then))
    time.sleep(0.5)  # in which it looks whether it is still followed
    assert os.path.exists(directory)
    service.habits.rate = None
    assert controller.run()["changed"] is True


def test_a_job_is_stopped(link: Callable[[], str], service: StandIn, tmp_path: Path) -> None:
    service.habits.rate = HELD
    controller = Controller(link, dest=f"{tmp_path}/file")
    directory = controller.follow(0.0)["directory"]
    until((tmp_path / "file.part.json").exists)
    with controller.start(_job={"seconds": 0, "directory": directory, "stop": True}) as process:
        result = json.loads(process.outputs()[0])
    assert result["error"]["kind"] == "interruption"
    assert "Ansible stopped it" in result["msg"]
    assert not os.path.exists(directory)
    assert json.loads((tmp_path / "file.part.json").read_text())["closed"]


def test_the_follower_of_a_job_is_killed_or_left(link: Callable[[], str], service: StandIn, tmp_path: Path) -> None:
    service.habits.rate = HELD
    for number in (signal.SIGTERM, None):
        controller = Controller(link, dest=f"{tmp_path}/file")
        process = controller.start(_links=[link()])
        until((tmp_path / "file.part").exists)
        if number:
            process.send_signal(number)
        assert process.stdout
        if number is None:
            process.stdout.close()
        process.wait(LIMIT)
        until(lambda: not os.listdir(f"{tmp_path}/file.tmp"))
        if process.stdout and number:
            process.stdout.close()


def test_a_job_that_is_killed_is_begun_again(
    link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path
) -> None:
    service.habits.rate = HELD
    controller = Controller(link, dest=f"{tmp_path}/file")
    process = controller.start(_links=[link()])
    until(lambda: journalled(tmp_path / "file"))
    (job,) = children(process.pid)
    os.kill(job, signal.SIGKILL)
    state = json.loads(process.outputs()[0])["_job"]
    assert (state["directory"], state["notes"]) == (None, {})
    service.habits.rate = None
    assert controller.run()["bytes_resumed"] > 0
    assert (tmp_path / "file").read_bytes() == data


def test_a_job_goes_on_where_its_notes_have_no_room(
    link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path, small_disk: Path
) -> None:
    service.habits.rate = HELD
    controller = Controller(link, dest=f"{tmp_path}/file")
    with controller.start(_links=[link()], _ansible_remote_tmp=str(small_disk)) as process:
        until((tmp_path / "file.part.json").exists)
        with pytest.raises(OSError, match="No space left"):
            (small_disk / "other").write_bytes(bytes(16 * MIB))
        service.habits.rate = None
        result = json.loads(process.outputs()[0])
    assert result["changed"] is True
    assert (tmp_path / "file").read_bytes() == data
    assert os.listdir(small_disk) == ["other"]


def test_a_job_of_a_user_without_a_home(
    link: Callable[[], str], data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").touch()
    (tmp_path / "system").mkdir()
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/system")
    controller = Controller(link, dest=f"{tmp_path}/file")
    with controller.start(_links=[link()], _ansible_remote_tmp=f"{tmp_path}/other/tmp") as process:
        result = json.loads(process.outputs()[0])
    assert result["changed"] is True
    assert (tmp_path / "file").read_bytes() == data
    assert os.listdir(tmp_path / "system") == []


def test_the_room_of_a_result_is_kept_from_whoever_fills_the_disk(small_disk: Path) -> None:
    directory = JobDirectory(str(small_disk))
    directory.reserve("result.json")
    result = Filling({"changed": True}, (small_disk / "other").open("wb", buffering=0))
    directory.write("result.json", result)
    assert result.has_filled
    assert directory.read("result.json") == {"changed": True}
    assert (small_disk / "result.json").stat().st_size == len('{"changed": true}')


class Filling(dict[str, Any]):
    """Fills a disk while it is written to it."""

    def __init__(self, content: dict[str, Any], other: io.FileIO) -> None:
        super().__init__(content)
        self.has_filled = False
        self._other = other

    def items(self) -> Any:
        try:
            while True:
                self._other.write(bytes(4096))
        except OSError as error:
            self.has_filled = error.errno == errno.ENOSPC
        return super().items()


def test_a_job_whose_notes_have_no_room_at_the_start(
    link: Callable[[], str], service: StandIn, tmp_path: Path, small_disk: Path
) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "other").write_bytes(bytes(16 * MIB))
    controller = Controller(link, dest=f"{tmp_path}/file")
    with controller.start(_links=[link()], _ansible_remote_tmp=str(small_disk)) as process:
        result = json.loads(process.outputs()[0])
    assert result["error"]["kind"] == "destination"
    assert f"No space left on device ({small_disk}/apsaradb.backup-" in result["msg"]
    assert "with free space that this user can write to" in result["msg"]
    assert not service.transfers


def test_nothing_of_a_link_is_shown(link: Callable[[], str], tmp_path: Path, service: StandIn) -> None:
    url = link().replace("dt-x", "dt-y", 1)
    with process_of(url, f"{tmp_path}/file", _ansible_verbosity=5, _ansible_debug=True) as process:
        output = process.outputs()[0]
    assert "SignatureDoesNotMatch" in output or "NoSuch" in output
    for secret in (url, url.partition("?")[2], url.partition("Signature=")[2].partition("&")[0]):
        assert secret not in output
