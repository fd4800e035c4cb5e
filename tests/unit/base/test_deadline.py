# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers whose head comes one byte at a time: each byte is in time, and all of them are not.

Each head would take its server a minute. How much of it could be sent says when the client gave up.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import ConnectionFailedError
from ansible_collections.apsaradb.backup.plugins.module_utils._base.http_options import HttpOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._base.retry import RetryPolicy
from ansible_collections.apsaradb.backup.plugins.module_utils._download.connection import Connection
from ansible_collections.apsaradb.backup.plugins.module_utils._download.link import Link
from ansible_collections.apsaradb.backup.plugins.module_utils._oss.objects import Bucket, object_links
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credential import Credential
from stand_in import Fault, StandIn, exports

SECONDS = 0.25
SIZE = 3 << 20


def slow(times: int = 1, *, action: str | None = None, after: int = 0) -> Fault:
    return Fault("slow_head", action=action, seconds=SECONDS, times=times, after=after)


def exported(service: StandIn) -> str:
    task = service.add_task("rm-a", task_id="dt-x")
    service.put_object(task, random.Random(1).randbytes(SIZE))
    return exports.link(service, task, 600, internal=False)


def assert_given_up(reply: Any) -> None:
    """Long before the end, which is some hundred bytes."""
    assert 0 < reply.head_sent < len(reply.head()) // 3


@pytest.fixture
def connection() -> Any:
    connection = Connection(HttpOptions(read_timeout=1.0))
    yield connection
    connection.close()


def test_the_head_of_a_range(service: StandIn, connection: Connection) -> None:
    link = Link(exported(service))
    info = connection.probe(link)[1].info
    service.inject(slow(action="GetObject"))
    with pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1 did not answer within 1 seconds"):
        connection.get(link, 0, SIZE, info)
    assert_given_up(service.transfers[-1].reply)
    body = connection.get(link, 0, 10, info)[1]
    body.skip()
    assert body.is_over
    assert service.transfers[-1].reply.sent == 10


def test_the_head_of_a_range_by_tls(
    tls_service: StandIn, authority: trustme.CA, tmp_path: Path, connection: Connection
) -> None:
    tls_service.habits.url_scheme = "https"
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    connection = Connection(HttpOptions(read_timeout=1.0, ca_path=str(tmp_path / "ca.pem")))
    tls_service.inject(slow(action="GetObject"))
    with pytest.raises(ConnectionFailedError, match="did not answer within 1 seconds"):
        connection.probe(Link(exported(tls_service)))
    assert_given_up(tls_service.transfers[-1].reply)


def test_what_is_said_of_a_refusal(service: StandIn, connection: Connection) -> None:
    """One after a slow head is not read either."""
    link = exported(service)
    service.inject(slow(action="GetObject"))
    with pytest.raises(ConnectionFailedError):
        connection.probe(Link(link.replace("dt-x", "dt-y")))
    assert_given_up(service.transfers[-1].reply)


def test_a_body_may_take_its_time(service: StandIn, connection: Connection) -> None:
    link = Link(exported(service))
    info = connection.probe(link)[1].info
    service.inject(Fault("crawl", rate=5.0))
    body = connection.get(link, 0, 10, info)[1]
    body.skip()
    assert body.is_over
    assert service.transfers[-1].reply.sent == 10


def test_a_transfer_goes_on(download: Any, service: StandIn, tmp_path: Path) -> None:
    url = exported(service)
    service.inject(slow(3, action="GetObject"))
    result = download({"url": url, "dest": f"{tmp_path}/file", "read_timeout": 1.0, "sync": False})
    assert (tmp_path / "file").stat().st_size == SIZE
    assert not result.get("failed")
    for transfer in service.transfers[:3]:
        assert_given_up(transfer.reply)


class Slow(threading.Thread):
    """Answers each connection with a head, one byte at a time, and counts them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.head = b"HTTP/1.1 200 Connection established\r\nVia: " + 500 * b"x" + b"\r\n\r\n"
        self.sent = 0
        self.start()

    def run(self) -> None:
        with self._listener.accept()[0] as peer:
            peer.recv(65536)
            while self.sent < len(self.head) and not self._ended.wait(SECONDS):
                try:
                    peer.sendall(self.head[self.sent : self.sent + 1])
                except OSError:
                    return
                self.sent += 1

    def end(self) -> None:
        self._ended.set()
        self._listener.close()


def test_the_head_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is waited for as long as for a connection, of which it is a part."""
    proxy = Slow()
    monkeypatch.setenv("https_proxy", proxy.url)
    connection = Connection(HttpOptions(connect_timeout=1.0))
    with pytest.raises(ConnectionFailedError, match=r"bucket\.example did not accept a connection within 1 seconds"):
        connection.probe(Link("https://bucket.example/x"))
    connection.close()
    assert 0 < proxy.sent < 100
    proxy.end()


def test_the_answer_of_the_service(service: StandIn, client_of: Callable[..., Client]) -> None:
    service.add_task("rm-a")
    client = client_of(service, retries=0, read_timeout=1.0)
    parameters = {"RegionCode": "cn-hangzhou", "InstanceName": "rm-a"}
    service.inject(slow())
    with pytest.raises(ConnectionFailedError, match="did not answer within 1 seconds"):
        client.call("DescribeDownloadTask", parameters, operation="list")
    assert_given_up(service.calls[-1].reply)
    assert client.call("DescribeDownloadTask", parameters, operation="list")["Data"]


def test_the_list_of_objects(service: StandIn) -> None:
    service.objects.put("mine", "a/b", b"x")
    service.inject(slow(action="ListObjectsV2"))
    connection = HttpOptions(read_timeout=1.0, retry=RetryPolicy(retries=0))
    bucket = Bucket("mine", "cn-hangzhou", private=False, endpoint=service.url)
    asked = {"credential": Credential(service.key.id, service.key.secret, ""), "duration": 300}
    with pytest.raises(ConnectionFailedError, match="did not answer within 1 seconds"):
        object_links(bucket, "a", connection=connection, **asked)
    assert_given_up(service.transfers[-1].reply)
    assert [name for name, _unused in object_links(bucket, "a", connection=connection, **asked)]
