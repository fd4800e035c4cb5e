# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a transfer: sums, the partial file, ranges over HTTP."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import trustme
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    ConfigurationError,
    ConnectionFailedError,
    InvalidResponseError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.http_options import HttpOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._download.attempt import Attempt
from ansible_collections.apsaradb.backup.plugins.module_utils._download.connection import Connection
from ansible_collections.apsaradb.backup.plugins.module_utils._download.errors import (
    ObjectChangedError,
    StorageRejectedError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._download.journal import left_by_earlier_run
from ansible_collections.apsaradb.backup.plugins.module_utils._download.link import Link
from ansible_collections.apsaradb.backup.plugins.module_utils._download.object_info import ObjectInfo
from ansible_collections.apsaradb.backup.plugins.module_utils._download.pacing import FairSemaphore
from ansible_collections.apsaradb.backup.plugins.module_utils._download.partial_file import PartialFile
from ansible_collections.apsaradb.backup.plugins.module_utils._download.response import redirection_target
from ansible_collections.apsaradb.backup.plugins.module_utils._download.types import TransferOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._files import crc64 as sums
from ansible_collections.apsaradb.backup.plugins.module_utils._files.crc64 import combined, crc64, crc64_of_file
from ansible_collections.apsaradb.backup.plugins.module_utils._files.errors import (
    DestinationBusyError,
    DestinationError,
)
from downloads import Renewing, transferred
from hypothesis import given
from hypothesis import strategies as st
from processes import can_mount, mounted, until
from stand_in import Fault, StandIn, exports
from stand_in.crc64 import crc64 as stand_in_crc64

SIZE = 5_000_000


# sums


IMPLEMENTATIONS: dict[str, Callable[[], Any]] = {
    "fastcrc": sums._of_fastcrc,
    "liblzma": sums._of_liblzma,
    "table": lambda: sums._by_table,
}


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_sum_is_that_of_the_storage(name: str) -> None:
    """By each way there is to compute it, of all kinds of memory, at once and in parts."""
    implementation = IMPLEMENTATIONS[name]()
    assert implementation, f"{name} cannot be used here"
    check = bytearray(b"123456789")
    page = mmap.mmap(-1, 9)
    page[:] = check
    for data in (bytes(check), check, memoryview(check), memoryview(page), memoryview(b"-123456789-")[1:-1].tobytes()):
        assert implementation(data, 0) == 0x995DC9BBDF1939FA
    assert implementation(memoryview(check)[5:], implementation(memoryview(check)[:5], 0)) == 0x995DC9BBDF1939FA
    assert implementation(b"", 42) == implementation(memoryview(check)[:0], 42) == 42
    data = random.Random(1).randbytes(70_001)
    assert implementation(data[3:], implementation(data[:3], 0)) == stand_in_crc64(data)


def test_the_fastest_way_to_the_sum_is_taken() -> None:
    assert sums._implementation() is sums._of_fastcrc()


def test_there_are_other_ways_to_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastcrc.crc64", None)
    assert sums._of_fastcrc() is None
    assert sums._implementation.__wrapped__()(b"123456789", 0) == 0x995DC9BBDF1939FA


@given(st.binary(max_size=300), st.data())
def test_sums_of_parts_make_the_sum_of_all(data: bytes, draw: st.DataObject) -> None:
    cut = draw.draw(st.integers(0, len(data)))
    whole = crc64(data)
    assert crc64(data[cut:], crc64(data[:cut])) == whole
    assert combined(crc64(data[:cut]), crc64(memoryview(bytearray(data[cut:]))), len(data) - cut) == whole
    assert sums._by_table(data, 0) == whole
    assert all(find()(memoryview(bytearray(data)), 0) == whole for find in IMPLEMENTATIONS.values())


def test_the_sum_of_a_large_file_is_computed_in_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(1).randbytes(3_000_001)
    (tmp_path / "file").write_bytes(data)
    monkeypatch.setattr(sums.tuning, "MIN_SHARE", 1 << 20)
    assert crc64_of_file(str(tmp_path / "file")) == crc64(data)
    (tmp_path / "empty").write_bytes(b"")
    assert crc64_of_file(str(tmp_path / "empty")) == 0


class Enough(Exception):
    pass


def test_a_sum_is_given_up_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in shares that do not begin at a multiple of anything, and all others with it."""
    monkeypatch.setattr(sums.tuning, "CHECK_EVERY", 1 << 20)
    monkeypatch.setattr(sums.tuning, "MIN_SHARE", 40_000_001)
    monkeypatch.setattr(sums.os, "cpu_count", lambda: 3)
    with open(tmp_path / "file", "wb") as file:
        file.truncate(120_000_000)
    checks: list[None] = []
    crc64_of_file(str(tmp_path / "file"), lambda: checks.append(None))
    assert len(checks) == 3 * 39

    def give_up() -> None:
        checks.append(None)
        if len(checks) >= 5:
            raise Enough

    checks.clear()
    with pytest.raises(Enough):
        crc64_of_file(str(tmp_path / "file"), give_up)
    assert len(checks) <= 4 + 3


# the partial file


def content(size: int = SIZE) -> tuple[bytes, ObjectInfo]:
    data = random.Random(size).randbytes(size)
    return data, ObjectInfo(size, '"AB-1"', crc64(data), "")


@pytest.fixture
def dest(tmp_path: Path) -> str:
    return str(tmp_path / "file")


def fill(partial: PartialFile, data: bytes, start: int, stop: int) -> None:
    extent = partial.new_extent(start)
    partial.write(memoryview(data)[start:stop], start)
    extent.known = (stop - start, crc64(data[start:stop]))


def nothing() -> None:
    pass


def test_what_is_there_is_resumed(dest: str) -> None:
    data, info = content()
    partial = PartialFile(dest)
    assert partial.resume(info, nothing) == 0
    assert partial.gaps() == [(0, SIZE)]
    fill(partial, data, 1_000_000, 2_000_000)
    fill(partial, data, 3_000_000, 4_000_000)
    partial.save()
    partial.close()
    assert left_by_earlier_run(dest, info) == 2_000_000
    partial = PartialFile(dest)
    assert partial.resume(info, nothing) == 2_000_000
    assert partial.gaps() == [(0, 1_000_000), (2_000_000, 3_000_000), (4_000_000, SIZE)]
    for start, stop in partial.gaps():
        fill(partial, data, start, stop)
    assert partial.gaps() == []
    assert partial.crc64() == info.crc64
    assert os.stat(partial.path).st_mode & 0o777 == 0o600
    assert os.stat(partial.journal).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("close", [False, True])
def test_what_was_damaged_is_not_believed(dest: str, close: bool) -> None:
    data, info = content()
    partial = PartialFile(dest)
    partial.resume(info, nothing)
    fill(partial, data, 0, 2_000_000)
    fill(partial, data, 3_000_000, 4_000_000)
    partial.save(close=close)
    partial.close()
    with open(partial.path, "r+b") as file:
        file.seek(1_234_567)
        file.write(b"damage")
    partial = PartialFile(dest)
    assert partial.resume(info, nothing) == 1_000_000
    assert partial.gaps() == [(0, 3_000_000), (4_000_000, SIZE)]


def test_a_closed_file_is_not_read_again(dest: str) -> None:
    data, info = content()
    partial = PartialFile(dest)
    partial.resume(info, nothing)
    fill(partial, data, 0, SIZE)
    partial._extents[0].known = (SIZE, 12345)  # which reading would find to be wrong
    partial.save(close=True)
    partial.close()
    assert PartialFile(dest).resume(info, nothing) == SIZE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda journal: journal.update(version=2),
        lambda journal: journal.update(object=[SIZE, '"CD-1"', 1, ""]),
        lambda journal: journal.update(extents=[[0, SIZE + 1, 5]]),
        lambda journal: journal.update(extents=[[0, 100, 5], [50, 100, 5]]),
        lambda journal: journal.update(extents=[[-5, 100, 5]]),
        lambda journal: journal.update(extents="x"),
        lambda journal: journal.update(extents=[[0, float("inf"), 5]]),
        lambda journal: journal.pop("extents"),
    ],
)
def test_a_journal_that_does_not_fit_is_discarded(dest: str, spoil: object) -> None:
    data, info = content()
    partial = PartialFile(dest)
    partial.resume(info, nothing)
    fill(partial, data, 0, 1_000_000)
    partial.save(close=True)
    partial.close()
    journal = json.loads(Path(partial.journal).read_text())
    spoil(journal)  # type: ignore[operator]
    Path(partial.journal).write_text(json.dumps(journal))
    assert left_by_earlier_run(dest, info) == 0
    partial = PartialFile(dest)
    assert partial.resume(info, nothing) == 0
    assert partial.gaps() == [(0, SIZE)]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00\xff", "[" * 100_000])
def test_a_journal_that_is_none_is_discarded(dest: str, text: str) -> None:
    _unused, info = content()
    Path(f"{dest}.part.json").write_bytes(text.encode("latin-1"))
    Path(f"{dest}.part").write_bytes(b"of another program")
    partial = PartialFile(dest)
    assert partial.resume(info, nothing) == 0
    assert os.fstat(partial.file).st_size == SIZE


def test_a_journal_that_is_a_pipe_is_not_waited_for(dest: str) -> None:
    os.mkfifo(f"{dest}.part.json")
    partial = PartialFile(dest)
    assert partial.resume(content()[1], nothing) == 0
    partial.save()
    assert os.path.isfile(partial.journal)


def left(dest: str) -> ObjectInfo:
    """Half an object, as a run left it that was ended."""
    data, info = content()
    partial = PartialFile(dest)
    partial.resume(info, nothing)
    fill(partial, data, 0, 2_000_000)
    partial.save(close=True)
    partial.close()
    return info


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o755, 0o700])
@pytest.mark.parametrize("foreign", ["", ".json"])
def test_files_of_others_are_believed_where_nobody_else_may_put_any(
    dest: str, tmp_path: Path, mode: int, foreign: str
) -> None:
    info = left(dest)
    os.chown(f"{dest}.part{foreign}", 65534, 65534)
    os.chmod(tmp_path, mode)
    is_shared = bool(mode & 0o022)
    partial = PartialFile(dest)
    assert partial.resume(info, nothing) == (0 if is_shared else 2_000_000)
    partial.save(close=True)
    for path in (partial.path, partial.journal):
        assert not is_shared or os.stat(path).st_uid == 0
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_second_name_of_a_file_is_not_written_to(dest: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    os.link(tmp_path / "precious", f"{dest}.part")
    partial = PartialFile(dest)
    partial.resume(content()[1], nothing)
    assert (tmp_path / "precious").read_text() == "precious"
    assert os.stat(partial.path).st_size == SIZE


def test_what_is_discarded_twice_may_be_of_another_run_by_then(dest: str) -> None:
    partial = PartialFile(dest)
    partial.delete()
    another = PartialFile(dest)
    partial.delete()
    assert os.path.exists(another.path)


@pytest.mark.skipif(not can_mount(), reason="no right to mount")
def test_a_file_system_that_does_not_say_how_large_it_is(tmp_path: Path) -> None:
    with mounted(tmp_path, "", "ramfs"):
        partial = PartialFile(str(tmp_path / "file"))
        assert partial.resume(content()[1], nothing) == 0
        assert os.fstat(partial.file).st_size == SIZE
        partial.close()


def test_the_first_error_of_an_attempt_counts() -> None:
    """Later ones may be of connections that were aborted for it."""
    unused: Any = None
    attempt = Attempt(TransferOptions(), unused, unused, unused, unused, time.monotonic)
    first, second = Enough(), Enough()
    for error in (first, second):
        attempt.fail(error)
    assert attempt.error is first
    assert attempt.is_over.is_set()


def test_no_error_counts_after_the_end_of_an_attempt() -> None:
    unused: Any = None
    attempt = Attempt(TransferOptions(), unused, unused, unused, unused, time.monotonic)
    attempt.enter()
    attempt.leave()
    attempt.fail(Enough())
    assert attempt.error is None


def test_only_one_writes(dest: str) -> None:
    partial = PartialFile(dest)
    with pytest.raises(DestinationBusyError, match=r"Failed to write .*file: another run is writing it\. Wait"):
        PartialFile(dest)
    partial.close()
    PartialFile(dest).delete()
    assert not os.path.exists(f"{dest}.part")


def test_links_are_not_followed(dest: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    os.symlink("precious", f"{dest}.part")
    with pytest.raises(DestinationError, match=r"\.part"):
        PartialFile(dest)
    os.unlink(f"{dest}.part")
    for name in ("json", "json~"):
        os.symlink("precious", f"{dest}.part.{name}")
    partial = PartialFile(dest)
    partial.resume(content()[1], nothing)
    partial.save()
    assert (tmp_path / "precious").read_text() == "precious"


# ranges over HTTP


@pytest.fixture
def stored(service: StandIn) -> tuple[str, bytes]:
    """The link to an object, and its bytes."""
    data = content()[0]
    task = service.add_task("rm-a", task_id="dt-x")
    service.put_object(task, data)
    return exports.link(service, task, 600, internal=False), data


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection(HttpOptions(read_timeout=600.0))
    yield connection
    connection.close()


def received(connection: Connection, link: Link, start: int, stop: int, info: ObjectInfo, piece: int = 65536) -> bytes:
    _unused, body = connection.get(link, start, stop, info)
    view, whole = memoryview(bytearray(piece)), b""
    while not body.is_over:
        count = body.receive(view)
        if count is None:
            body.wait(1.0, piece)
        else:
            whole += view[:count]
    return whole


# What comes with the head of an answer may be more than is asked for at a time.
@pytest.mark.parametrize("piece", [1000, 65536])
def test_ranges_over_one_connection(
    service: StandIn, connection: Connection, stored: tuple[str, bytes], piece: int
) -> None:
    link, data = Link(stored[0]), stored[1]
    found, body = connection.probe(link)
    assert found is link
    assert body.info[:3] == (SIZE, body.info.etag, crc64(data))
    body.skip()
    for start, stop in ((0, 1), (0, SIZE), (4_999_999, SIZE), (77, 1_000_077)):
        assert received(connection, link, start, stop, body.info, piece) == data[start:stop]
    assert connection.connections_made == service.connections == 1
    assert connection.received == SIZE + 1_000_003
    assert service.transfers[-1].headers["if-match"] == body.info.etag


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault("whole"), InvalidResponseError, "the whole object instead of a range"),
        (Fault("wrong_range"), InvalidResponseError, "a range that was not requested"),
        (Fault("changed"), ObjectChangedError, "the object was changed"),
        (Fault("html", action="GetObject"), InvalidResponseError, "HTTP 502"),
        (Fault("html", action="GetObject", status=200), InvalidResponseError, "a page instead of the object"),
        (Fault("expired"), StorageRejectedError, "AccessDenied: Request has expired"),
        (Fault("unavailable", action="GetObject"), InvalidResponseError, "ServiceUnavailable"),
        (Fault("truncated", action="GetObject", at=10), ConnectionFailedError, "90 bytes before the end"),
        (Fault("reset", action="GetObject", at=10), ConnectionFailedError, "the connection to .* failed"),
    ],
)
def test_what_is_no_such_range(
    service: StandIn, connection: Connection, stored: tuple[str, bytes], fault: Fault, error: type, words: str
) -> None:
    link = Link(stored[0])
    info = connection.probe(link)[1].info
    service.inject(fault)
    with pytest.raises(error, match=words):
        received(connection, link, 100, 200, info)
    if error not in (ObjectChangedError,):
        assert received(connection, link, 100, 200, info) == stored[1][100:200]


def test_a_server_that_goes_silent(service: StandIn, stored: tuple[str, bytes]) -> None:
    connection = Connection(HttpOptions(read_timeout=1.0))
    link = Link(stored[0])
    info = connection.probe(link)[1].info
    service.inject(Fault("stall", at=10, seconds=3600.0))
    with pytest.raises(ConnectionFailedError, match="sent nothing for 1 second"):
        received(connection, link, 100, 200, info)
    connection.close()


def test_an_object_of_another_size(service: StandIn, connection: Connection, stored: tuple[str, bytes]) -> None:
    link = Link(stored[0])
    info = connection.probe(link)[1].info
    service.put_object(service.account.tasks()[0], b"short")
    with pytest.raises(ObjectChangedError):
        received(connection, link, 4_000_000, SIZE, info)


def test_an_empty_object(service: StandIn, connection: Connection) -> None:
    task = service.add_task("rm-a", task_id="dt-x")
    service.put_object(task, b"")
    body = connection.probe(Link(exports.link(service, task, 600, internal=False)))[1]
    assert (body.is_whole, body.info.size, body.info.crc64) == (True, 0, 0)


@pytest.mark.parametrize(
    "url",
    [
        *("", "ftp://host/x", "http:///x", "//host", "http://host:99999/", "no link", "http://me:word@[::1/x"),
        *(
            "http://me:word@a\u2100b/x",
            "http://ho st/x",
            "http://h\xf6st/x",
            "http://me:word\xf6@host/x",
            "http://[x]/",
        ),
    ],
)
def test_what_is_no_link(url: str) -> None:
    with pytest.raises(ConfigurationError, match="url is malformed") as caught:
        Link(url)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a b?c=d e", "/a%20b?c=d%20e"),
        ("/a%20b?Signature=a%2Bb+/=", "/a%20b?Signature=a%2Bb+/="),
        ("/\u674e\u96f7.gz\n", "/%E6%9D%8E%E9%9B%B7.gz"),
        ('/a\x7f\x00"<>', "/a%7F%00%22%3C%3E"),
        ("?a", "/?a"),
    ],
)
def test_what_an_address_must_not_hold_is_encoded(connection: Connection, path: str, sent: str) -> None:
    server = Canned(answer("206 Partial Content", *PART, body=b"x"))
    connection.probe(Link(f" {server.url}{path}"))
    assert server.asked[0].startswith(f"GET {sent} HTTP/1.1\r\n")


def test_what_is_shown_of_a_link() -> None:
    link = Link("https://user:secret@host:8443/a%20b?Signature=secret")
    assert link.printable == "host:8443/a b"
    assert link.target == "/a%20b?Signature=secret"


class Canned(threading.Thread):
    """A server that answers each connection with given bytes, and keeps what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__(daemon=True)
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self.start()

    def run(self) -> None:
        for answer in self._answers:
            with self._listener.accept()[0] as peer:
                self.asked.append(peer.recv(65536).decode("latin-1"))
                peer.sendall(answer)
                self.sent(peer)
        self._listener.close()

    def sent(self, peer: socket.socket) -> None:
        """End the connection."""


class Patient(Canned):
    """A server that leaves it to its client to end the connection."""

    def __init__(self, *answers: bytes) -> None:
        self.is_over = threading.Event()
        super().__init__(*answers)

    def sent(self, peer: socket.socket) -> None:
        with contextlib.suppress(ConnectionResetError):
            peer.recv(1)
        self.is_over.set()


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


PART = ("Content-Range: bytes 0-0/9", "Content-Length: 1")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer("206 Partial Content", "Content-Length: 1", body=b"x"), "a part without a valid Content-Range"),
        (answer("206 Partial Content", "Content-Range: bytes 0-0/9", body=b"x"), "a part of a wrong length"),
        (answer("206 Partial Content", *PART, "Content-Encoding: gzip", body=b"x"), "a part of a wrong length"),
        (
            answer("206 Partial Content", "Content-Range: bytes 3-3/9", PART[1], body=b"x"),
            "a range that was not requested",
        ),
        (
            answer("206 Partial Content", "Content-Range: bytes 0-0/*", PART[1], body=b"x"),
            "a part without a valid Content-Range",
        ),
        (answer("200 OK", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), "an object without its length"),
        (answer("302 Found", "Location: ftp://x/", "Content-Length: 0"), "a redirect without a valid address"),
        (b"SSH-2.0-OpenSSH\r\n", "the connection to .* failed"),
        (b"", "the connection to .* failed"),
        (answer("404 Not Found", "Content-Length: 0"), r"an error without a code \(HTTP 404"),
    ],
)
def test_answers_that_are_none_of_an_object(connection: Connection, reply: bytes, words: str) -> None:
    with pytest.raises((InvalidResponseError, ConnectionFailedError, StorageRejectedError), match=words):
        connection.probe(Link(Canned(reply).url + "/x"))


@pytest.mark.parametrize(
    "reply",
    [
        answer("206 Partial Content", "Content-Length: 1", body=b"x"),
        answer("206 Partial Content", "Content-Range: bytes 3-3/9", PART[1], body=b"x"),
        answer("200 OK", "Content-Type: text/html", "Content-Length: 1000000", body=b"<html>"),
        answer("302 Found", "Location: ftp://x/", "Content-Length: 0"),
    ],
    ids=["no range", "another range", "a page", "a redirect without a valid address"],
)
def test_a_connection_whose_server_makes_no_sense_is_ended(connection: Connection, reply: bytes) -> None:
    server = Patient(reply)
    with pytest.raises(InvalidResponseError):
        connection.probe(Link(server.url + "/x"))
    server.is_over.wait()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (("Last-Modified: Mon", "Date: Mon"), {"last_modified": ""}),  # it can change within that second
        (("Last-Modified: Mon", "Date: Tue"), {"last_modified": "Mon"}),
        (("Content-MD5: x",), {"md5": ""}),  # of the part, perhaps
        (("Content-MD5: x", "x-oss-request-id: y"), {"md5": "x"}),
        (("x-oss-version-id: v",), {"version_id": "v"}),
    ],
)
def test_what_is_said_of_an_object(connection: Connection, headers: tuple[str, ...], said: dict[str, str]) -> None:
    server = Canned(answer("206 Partial Content", *PART, *headers, body=b"x"))
    info = connection.probe(Link(server.url + "/x"))[1].info
    assert {name: getattr(info, name) for name in said} == said


def test_a_part_of_which_nothing_is_said_is_not_taken(connection: Connection) -> None:
    server = Canned(answer("206 Partial Content", *PART, 'ETag: "e"', body=b"x"))
    with pytest.raises(InvalidResponseError, match="the first response had x-oss-hash-crc64ecma, this one has ETag"):
        connection.get(Link(server.url + "/x"), 0, 1, ObjectInfo(9, "", 5, ""))


def test_redirections_are_followed(connection: Connection) -> None:
    last = Canned(answer("206 Partial Content", *PART, body=b"x"))
    first = Canned(answer("302 Found", f"Location: {last.url}/y", "Content-Length: 0"))
    link, body = connection.probe(Link(first.url.replace("http://", "http://user:secret@") + "/x"))
    assert (link.path, body.info.size) == ("/y", 9)
    assert "Authorization: Basic dXNlcjpzZWNyZXQ=" in first.asked[0]
    assert "Authorization" not in last.asked[0]


def test_a_redirection_must_not_leave_tls() -> None:
    link = Link("https://host/x")
    with pytest.raises(ConfigurationError, match="redirects from https to http"):
        redirection_target(type("Response", (), {"headers": {"Location": "http://host/y"}, "status": 302})(), link)


def test_nobody_there(connection: Connection, nobody: str) -> None:
    with pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1 refused the connection"):
        connection.probe(Link(f"http://{nobody}/x"))
    with pytest.raises(ConnectionFailedError, match="could not be resolved"):
        connection.probe(Link("http://no-such-host.invalid/x"))
    with pytest.raises(ConnectionFailedError, match="does not speak TLS"):
        connection.probe(Link(Canned(b"HTTP/1.1 400 Bad Request\r\n\r\n").url.replace("http", "https")))


def test_a_proxy_is_taken_from_the_environment(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Canned(answer("206 Partial Content", *PART, body=b"x"))
    monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://me:word@"))
    body = connection.probe(Link("http://bucket.example/x?Signature=s"))[1]
    assert body.info.size == 9
    assert proxy.asked[0].startswith("GET http://bucket.example/x?Signature=s HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic bWU6d29yZA==" in proxy.asked[0]
    monkeypatch.setenv("https_proxy", Canned(answer("407 Proxy Authentication Required", "Content-Length: 0")).url)
    with pytest.raises(ConnectionFailedError, match=r"the proxy for bucket\.example could not be used"):
        connection.probe(Link("https://bucket.example/x"))
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="other proxies are not supported"):
        connection.probe(Link("https://bucket.example/x"))


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault("truncated", action="GetObject", at=1_000_003, after=1),
        Fault("reset", action="GetObject", at=1_000_003, after=1),
        Fault("stall", at=1_000_003, seconds=3600.0, after=1),
    ],
    ids=lambda fault: fault.kind if fault else "none",
)
def test_a_transfer_by_tls(tls_service: StandIn, authority: trustme.CA, tmp_path: Path, fault: Fault | None) -> None:
    data = random.Random(2).randbytes(SIZE)
    link, http = by_tls(tls_service, authority, tmp_path, data)
    http = http._replace(read_timeout=1.0 if fault and fault.kind == "stall" else 600.0)
    if fault:
        tls_service.inject(fault)
    account = transferred(link, tmp_path / "file", connections=2, http=http)
    assert (tmp_path / "file.part").read_bytes() == data
    assert account.transferred == SIZE
    assert bool(account.resumes) == bool(fault)


def by_tls(service: StandIn, authority: trustme.CA, directory: Path, data: bytes) -> tuple[str, HttpOptions]:
    """A link to the data, and what it takes to trust the server."""
    task = service.add_task("rm-a", task_id="dt-x")
    service.put_object(task, data)
    service.habits.url_scheme = "https"
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    link = exports.link(service, task, 600, internal=False)
    return link, HttpOptions(read_timeout=600.0, ca_path=str(directory / "ca.pem"))


def test_an_aborted_connection_does_not_fall_back_from_tls(
    tls_service: StandIn, authority: trustme.CA, tmp_path: Path
) -> None:
    data = random.Random(2).randbytes(SIZE)
    url, http = by_tls(tls_service, authority, tmp_path, data)
    connection = Connection(http)
    link, probed = connection.probe(Link(url))
    probed.skip()
    _unused, body = connection.get(link, 1000, SIZE, probed.info)
    # The head has been read, and all of the body waits at the socket, as that of a worker that waits for its turn.
    time.sleep(0.2)
    connection.abort()
    view = memoryview(bytearray(SIZE))
    came = 0
    with contextlib.suppress(ConnectionFailedError):
        while count := body.receive(view[came:]):
            came += count
    assert not body.is_over
    assert bytes(view[:came]) == data[1000 : 1000 + came]
    connection.close()


# how many connections


@pytest.mark.parametrize(("limit", "connections"), [("network", 4), ("machine", 2)])
def test_connections_are_made_for_the_network_only(
    service: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, connections: int
) -> None:
    data = random.Random(1).randbytes(8 << 20)
    task = service.add_task("rm-a", task_id="dt-x")
    service.put_object(task, data)
    if limit == "network":
        # Nothing of the object comes before all connections are there.
        service.habits.rate = lambda number: (
            until(lambda: service.connections == connections) if len(service.transfers) > 1 else None
        )
    else:
        monkeypatch.setattr(FairSemaphore, "busy_seconds", property(lambda turns: 2 * time.monotonic()))
    account = transferred(exports.link(service, task, 600, internal=False), tmp_path / "file", connections=4)
    assert (tmp_path / "file.part").read_bytes() == data
    assert account.connections == service.connections == connections


def test_a_redirected_link_is_renewed(service: StandIn, dest: str, stored: tuple[str, bytes]) -> None:
    task = service.add_task("rm-a", task_id="dt-y")
    service.put_object(task, b"not this")
    link = exports.link(service, task, 600, internal=False)
    redirect = {"action": "GetObject", "location": stored[0]}
    service.inject(Fault("redirect", **redirect), Fault("expired", after=1), Fault("redirect", **redirect))
    waiting = Renewing(lambda: link)
    transferred(link, dest, waiting, connections=1)
    assert Path(f"{dest}.part").read_bytes() == stored[1]
    # What it led to is over: it is asked again itself, before anybody is asked for another.
    assert waiting.asked == 0
    assert len(service.transfers) == 5


def test_a_redirected_link_that_has_expired_itself_is_renewed(
    service: StandIn, dest: str, stored: tuple[str, bytes]
) -> None:
    task = service.add_task("rm-a", task_id="dt-y")
    service.put_object(task, b"not this")
    link = exports.link(service, task, 600, internal=False)
    redirect = {"action": "GetObject", "location": stored[0]}
    service.inject(Fault("redirect", **redirect), Fault("expired", times=2, after=1), Fault("redirect", **redirect))
    waiting = Renewing(lambda: link)
    transferred(link, dest, waiting, connections=1)
    assert Path(f"{dest}.part").read_bytes() == stored[1]
    assert waiting.asked == 1
    # A redirection holds for as long as its link.
    assert len(service.transfers) == 6


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html", action="GetObject", status=503, retry_after=3600, after=1),
        Fault("stall", seconds=3600.0, at=1_500_000, after=1),
        Fault("stall", seconds=3600.0, at=2_097_152 - 1000, after=1),
    ],
    ids=["asked to wait", "stalled", "stalled at the end"],
)
def test_nobody_is_waited_for_once_all_is_there(
    service: StandIn, dest: str, stored: tuple[str, bytes], fault: Fault
) -> None:
    """It would take an hour."""
    service.habits.rate = 4e6
    service.inject(fault)
    http = HttpOptions(read_timeout=7200.0)
    transferred(stored[0], dest, clock=time.monotonic, connections=2, http=http)
    assert Path(f"{dest}.part").read_bytes() == stored[1]


def test_the_first_byte_is_asked_for_again(service: StandIn, dest: str, stored: tuple[str, bytes]) -> None:
    service.inject(Fault("truncated", action="GetObject", at=0, times=2))
    transferred(stored[0], dest)
    assert Path(f"{dest}.part").read_bytes() == stored[1]


def test_turns_are_had_in_order() -> None:
    turns = FairSemaphore(1)
    order = []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
        with turns.yielded():
            pass
        assert order == [0, 1, 2, 3, 4]
        used = turns.busy_seconds
        time.sleep(0.01)
        assert turns.busy_seconds >= used + 0.01
    used = turns.busy_seconds
    time.sleep(0.01)
    assert turns.busy_seconds == used
