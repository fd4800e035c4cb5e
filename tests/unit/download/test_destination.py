# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that a run writes beside the one that it fetches: their space and their names are checked before."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._download.object_info import ObjectInfo
from ansible_collections.apsaradb.backup.plugins.module_utils._download.partial_file import PartialFile
from ansible_collections.apsaradb.backup.plugins.module_utils._files import note as notes
from ansible_collections.apsaradb.backup.plugins.module_utils._files.note import Note
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_directory import JobDirectory
from downloads import Controller, journalled, process_of
from processes import can_mount, mounted, until
from stand_in import Fault, StandIn

MIB = 1 << 20
PAGE = 4096
SIZE = 6 * MIB
#: Bytes a second of a connection, at which nothing ends before a test has done what it does meanwhile.
HELD = 50e3

Result = dict[str, Any]


@pytest.fixture
def plain_disk(tmp_path: Path) -> Iterator[Path]:
    """One of 24 MiB that can set no blocks aside."""
    if not can_mount():
        pytest.skip("no right to mount")
    memory, place = tmp_path / "memory", tmp_path / "plain"
    memory.mkdir()
    place.mkdir()
    with mounted(memory, "size=32m"):
        image = memory / "image"
        with image.open("wb") as file:
            file.truncate(24 * MIB)
        subprocess.run(["mkfs.ext2", "-q", "-m", "0", str(image)], check=True)
        with mounted(place, "loop", "ext2", str(image)):
            yield place


def free(place: Path) -> int:
    system = os.statvfs(place)
    return system.f_bfree * system.f_frsize


def leave(place: Path, room: int) -> Path:
    """Fill a disk up to so many bytes."""
    other = place / "other"
    with other.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while (left := free(place) - room) > 0:
            file.write(bytes(min(left, MIB)))
    return other


# free space


def test_no_byte_comes_in_vain(fetch: Callable[..., Result], data: bytes, small_disk: Path) -> None:
    """Whatever is free: there is room for all, or it is said before."""
    outcomes = []
    for pages in range(-1, 12):
        other = leave(small_disk, SIZE + pages * PAGE)
        checked = fetch(small_disk / "file", _ansible_check_mode=True)
        result = fetch(small_disk / "file")
        outcomes.append(not result.get("failed"))
        if result.get("failed"):
            assert f"more bytes are needed, but only {SIZE + pages * PAGE} are free" in result["msg"]
            assert "bytes_transferred" not in result
            assert os.listdir(small_disk) == ["other"]
        else:
            assert (small_disk / "file").read_bytes() == data
            assert (result["resumes"], result["bytes_resumed"]) == (0, 0)
            (small_disk / "file").unlink()
        assert bool(checked.get("failed")) is bool(result.get("failed"))
        other.unlink()
    assert outcomes == sorted(outcomes)
    assert outcomes[1] is False
    assert outcomes[-1] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_came_is_kept_where_the_room_is_gone(
    fetch: Callable[..., Result],
    link: Callable[[], str],
    service: StandIn,
    data: bytes,
    small_disk: Path,
    number: signal.Signals,
) -> None:
    service.habits.rate = HELD
    process = process_of(link(), str(small_disk / "file"))
    # Once something is journalled, all room is taken, that of the journal's spare file included.
    until(lambda: journalled(small_disk / "file"))
    other = leave(small_disk, 0)
    before = journalled(small_disk / "file")
    # It is written again, as often as it takes.
    until(lambda: journalled(small_disk / "file") > before)
    assert free(small_disk) == 0
    process.send_signal(number)
    process.outputs()
    service.habits.rate = None
    result = fetch(small_disk / "file")
    assert (small_disk / "file").read_bytes() == data
    assert result["bytes_resumed"] > 0
    assert sorted(os.listdir(small_disk)) == ["file", "other"]
    other.unlink()


def test_what_came_is_kept_where_no_room_can_be_taken(
    fetch: Callable[..., Result], link: Callable[[], str], service: StandIn, data: bytes, plain_disk: Path
) -> None:
    service.habits.rate = HELD
    process = process_of(link(), str(plain_disk / "file"))
    journal = plain_disk / "file.part.json"
    until(lambda: journalled(plain_disk / "file"))
    other = leave(plain_disk, 0)
    failed = json.loads(process.outputs()[0])
    assert "No space left on device" in failed["msg"]
    assert json.loads(journal.read_text())["closed"]
    service.habits.rate = None
    other.unlink()
    result = fetch(plain_disk / "file")
    assert (plain_disk / "file").read_bytes() == data
    assert result["bytes_resumed"] > 0
    assert result["bytes_resumed"] + result["bytes_transferred"] == SIZE


def test_a_copy_of_what_was_there_has_its_room(
    fetch: Callable[..., Result], service: StandIn, data: bytes, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no hard links, as on some file systems."""

    def refused(*_unused: Any, **more: Any) -> None:
        raise OSError(errno.EPERM, "")

    (small_disk / "file").write_bytes(bytes(3 * MIB))
    leave(small_disk, SIZE + MIB)
    monkeypatch.setattr(os, "link", refused)
    failed = fetch(small_disk / "file", backup=True)
    assert f": {SIZE + 3 * MIB + 4 * PAGE} more bytes are needed" in failed["msg"]
    assert "bytes_transferred" not in failed
    assert sorted(os.listdir(small_disk)) == ["file", "other"]
    monkeypatch.undo()
    result = fetch(small_disk / "file", backup=True)
    assert os.stat(result["files"][0]["backup_file"]).st_size == 3 * MIB
    assert (small_disk / "file").read_bytes() == data


def test_notes_of_a_job_have_their_room(
    link: Callable[[], str], service: StandIn, data: bytes, tmp_path: Path, small_disk: Path
) -> None:
    """Links are asked for, and come, though the disk of the notes is full."""
    service.habits.rate = 0.3e6
    for after in (1, 0):
        service.inject(Fault("truncated", action="GetObject", at=MIB, after=after), Fault("expired"))
    controller = Controller(link, dest=f"{tmp_path}/file", connections=1, _ansible_remote_tmp=str(small_disk))
    job = {"seconds": 0.3, "directory": None, "renews_links": True}
    with controller.start(_links=[link()], _job=job) as process:
        assert process.stdout
        controller.directory = json.loads(process.stdout.read())["_job"]["directory"]
    leave(small_disk, 0)
    service.habits.rate = None
    result = controller.run()
    assert not result.get("failed"), result
    # The first ones it gives without being asked.
    assert controller.links == 1
    assert [transfer.code for transfer in service.transfers].count("AccessDenied") == 2
    assert (tmp_path / "file").read_bytes() == data


def test_links_that_were_taken_leave_their_room_to_the_next(small_disk: Path) -> None:
    directory = JobDirectory(str(small_disk))
    directory.reserve("links.json")
    for links in (["one"], ["two"]):
        directory.write("links.json", links)
        assert directory.read("links.json") == links
        directory.keep_room("links.json")
        leave(small_disk, 0)
    assert directory.read("links.json") is None


def test_a_journal_that_outgrows_its_room_says_less_and_nothing_wrong(small_disk: Path) -> None:
    info = ObjectInfo(SIZE, '"e"', None, "")
    partial = PartialFile(str(small_disk / "file"))
    partial.resume(info, lambda: None)
    partial.new_extent(0).known = (10, 0)
    partial.save()
    leave(small_disk, 0)
    for start in range(20, 20_000, 20):
        partial.new_extent(start).known = (10, 0)
    partial.save(close=True)
    partial.close()
    assert journalled(small_disk / "file") == 10
    assert sorted(os.listdir(small_disk)) == ["file.part", "file.part.json", "other"]


def test_the_spare_note_of_another_run_is_left_alone(tmp_path: Path) -> None:
    partial = PartialFile(str(tmp_path / "file"))
    partial.resume(ObjectInfo(SIZE, '"e"', None, ""), lambda: None)
    partial.close_journal()
    (tmp_path / "file.part.json~").write_text("of the next run")
    partial.close()
    assert (tmp_path / "file.part.json~").read_text() == "of the next run"


# names


@pytest.mark.parametrize("name", ["file.part", "file.part.json", "file.part.json~"])
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_directory_of_such_a_name_is_found_before_any_request(
    fetch: Callable[..., Result], service: StandIn, tmp_path: Path, name: str, check_mode: bool
) -> None:
    (tmp_path / name).mkdir()
    result = fetch(tmp_path / "file", _ansible_check_mode=check_mode)
    assert result["error"]["kind"] == "destination"
    assert f"Is a directory ({tmp_path}/{name})" in result["msg"]
    assert "Move it away" in result["msg"]
    assert not service.transfers


@pytest.mark.parametrize("name", ["file.part", "file.part.json", "file.part.json~"])
def test_what_else_has_such_a_name_is_replaced_or_refused(
    fetch: Callable[..., Result], service: StandIn, data: bytes, tmp_path: Path, name: str
) -> None:
    for make in (os.mkfifo, lambda path: os.symlink("precious", path)):
        (tmp_path / "precious").write_text("precious")
        make(tmp_path / name)
        before = len(service.transfers)
        result = fetch(tmp_path / "file", force=True)
        assert (tmp_path / "precious").read_text() == "precious"
        if result.get("failed"):
            assert "Too many levels of symbolic links" in result["msg"]
            assert len(service.transfers) == before
            (tmp_path / name).unlink()
        else:
            assert (tmp_path / "file").read_bytes() == data
        assert sorted(os.listdir(tmp_path)) == ["file", "precious"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["file", "file.part", "file.part.json", "file.part.json~"])
def test_a_file_of_another_user_that_cannot_be_replaced(
    fetch: Callable[..., Result], service: StandIn, tmp_path: Path, name: str
) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    for above in (tmp_path, *tmp_path.parents):
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)
    (place / name).write_text("of root")
    os.chmod(place / name, 0o666)
    fetch(tmp_path / "warm")  # Python loads what it takes, which the other user might not be able to read
    before = len(service.transfers)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        result = fetch(place / "file")
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert f"Operation not permitted ({place}/{name})" in result["msg"]
    assert len(service.transfers) == before
    assert (place / name).read_text() == "of root"


def test_a_file_that_is_mounted(
    fetch: Callable[..., Result], service: StandIn, tmp_path: Path, small_disk: Path
) -> None:
    """As containers have it: nothing can be put in its place."""
    (small_disk / "inner").write_text("mounted")
    (tmp_path / "file").touch()
    subprocess.run(["mount", "--bind", str(small_disk / "inner"), str(tmp_path / "file")], check=True)
    try:
        result = fetch(tmp_path / "file")
    finally:
        subprocess.run(["umount", str(tmp_path / "file")], check=True)
    assert f"Device or resource busy ({tmp_path}/file)" in result["msg"]
    assert not service.transfers


# the note itself


def test_a_note_keeps_its_blocks(tmp_path: Path) -> None:
    note = Note(str(tmp_path / "note"))
    note.begin('{"a": 1}', 2 * PAGE)
    numbers = set()
    for number in range(5):
        note.write(json.dumps({"a": number}))
        assert json.loads((tmp_path / "note").read_text()) == {"a": number}
        numbers |= {os.stat(tmp_path / name).st_ino for name in ("note", "note~")}
        assert all(os.stat(tmp_path / name).st_size == 2 * PAGE for name in ("note", "note~"))
    assert len(numbers) == 2
    note.write("x" * 3 * PAGE)
    note.write("y")
    assert (tmp_path / "note").read_text() == "y".ljust(3 * PAGE)
    note.close()
    assert os.listdir(tmp_path) == ["note"]


def test_a_note_where_names_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_unused: str) -> None:
        raise OSError(errno.EINVAL, "")

    monkeypatch.setattr(notes, "exchange", refused)
    note = Note(str(tmp_path / "note"))
    note.begin("1", PAGE)
    for text in ("2", "3"):
        note.write(text)
        assert (tmp_path / "note").read_text() == text.ljust(PAGE)
        assert sorted(os.listdir(tmp_path)) == ["note", "note~"]
    (tmp_path / "note").unlink()
    note.write("4")
    note.close()
    assert (tmp_path / "note").read_text().rstrip() == "4"


def test_what_gets_the_name_of_a_note_is_not_written_to(tmp_path: Path) -> None:
    note = Note(str(tmp_path / "note"))
    note.begin("1", PAGE)
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "note~").unlink()
    os.link(tmp_path / "precious", tmp_path / "note~")
    note.write("2")
    note.write("3")
    note.close()
    assert (tmp_path / "precious").read_text() == "precious"
