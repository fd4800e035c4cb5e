# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many bytes the storage sends for a transfer, as each of them can cost money, and what becomes of slow connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from ansible_collections.apsaradb.backup.plugins.module_utils._base.http_options import HttpOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._download import tuning
from ansible_collections.apsaradb.backup.plugins.module_utils._download.connection import Connection
from ansible_collections.apsaradb.backup.plugins.module_utils._download.errors import VerificationError
from ansible_collections.apsaradb.backup.plugins.module_utils._download.link import Link
from ansible_collections.apsaradb.backup.plugins.module_utils._download.segments import Rate
from ansible_collections.apsaradb.backup.plugins.module_utils._download.slow_connections import (
    slower_than_limit,
    slower_than_median,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._download.types import TransferStats
from downloads import transferred
from processes import until
from stand_in import Fault, StandIn, exports
from stand_in.objects import StoredObject

MIB = 1 << 20
SIZE = 16 * MIB
#: Not divisible by anything, so that no range ends where another might by chance.
ODD = SIZE + 12_345


def put(service: StandIn, size: int) -> tuple[str, StoredObject]:
    task = service.add_task("rm-a", task_id="dt-x")
    stored = service.put_object(task, size)
    return exports.link(service, task, 600, internal=False), stored


def brought(service: StandIn, directory: Path, size: int = ODD, **options: Any) -> TransferStats:
    """Transfer an object of that size, and see that it is there."""
    link, stored = put(service, size)
    account = transferred(link, directory / "file", sync=False, **options)
    assert (directory / "file.part").read_bytes() == stored.read()
    return account


def sent(service: StandIn) -> int:
    """Bytes of objects, by all requests."""
    return sum(transfer.sent for transfer in service.transfers)


#: By so much are the clocks of the transfer and of the storage slower, so that nothing is slow only because this machine is busy.
SLOWNESS = 5


def slowly() -> float:
    return time.monotonic() / SLOWNESS


@pytest.mark.parametrize("connections", [1, 2, 8])
@pytest.mark.parametrize("rate", [None, 4e6], ids=["as fast as it can", "even"])
def test_no_byte_is_sent_twice(service: StandIn, tmp_path: Path, rate: float | None, connections: int) -> None:
    """One byte more is sent to whoever asks what the object is, and is not counted."""
    service.habits.rate = rate
    account = brought(service, tmp_path, clock=slowly, connections=connections)
    assert sent(service) - 1 == account.transferred == ODD


def test_no_byte_is_sent_twice_by_tls(tls_service: StandIn, authority: trustme.CA, tmp_path: Path) -> None:
    tls_service.habits.url_scheme = "https"
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    http = HttpOptions(ca_path=str(tmp_path / "ca.pem"))
    account = brought(tls_service, tmp_path, clock=slowly, http=http)
    assert sent(tls_service) - 1 == account.transferred == ODD


def test_few_bytes_are_sent_twice_by_connections_that_differ(service: StandIn, tmp_path: Path) -> None:
    """Only those under way on a slow connection when its segment is taken over."""
    service.habits.rate = lambda number: (1e5 if number % 8 == 3 else 1e6 * (2 + number % 8)) / SLOWNESS
    account = brought(service, tmp_path, clock=slowly)
    assert ODD <= account.transferred < sent(service) <= 1.01 * ODD


@pytest.mark.parametrize("after", [1, 4])
def test_what_a_crawling_connection_has_is_fetched_by_others(service: StandIn, tmp_path: Path, after: int) -> None:
    """At its rate, its first segment alone would last for half an hour."""
    service.habits.rate = 4e6 / SLOWNESS
    service.inject(Fault("crawl", rate=1000.0 / SLOWNESS, after=after))
    brought(service, tmp_path, 9 * MIB, clock=slowly, connections=4)
    crawling = next(transfer for transfer in service.transfers if transfer.fault)
    others = [transfer for transfer in service.transfers if not transfer.fault]
    assert crawling.sent < 200_000
    assert sum(transfer.sent for transfer in others) > 9 * MIB - 200_000
    assert sent(service) <= 1.01 * 9 * MIB


def test_what_is_thrown_away_counts(service: StandIn) -> None:
    """A response that is given up, with bytes that nobody has read yet."""
    link = Link(put(service, 40_000)[0])
    connection = Connection(HttpOptions())
    probed = connection.probe(link)[1]
    probed.skip()
    for read in (0, 1000):
        body = connection.get(link, 0, 40_000, probed.info)[1]
        if read:
            body.receive(memoryview(bytearray(read)))
        until(lambda: service.transfers[-1].reply.is_over)
        connection.close()
    assert connection.received == sent(service) == 80_001


# slow connections


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are soon found to be slow."""
    monkeypatch.setattr(tuning, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(tuning, "JOURNAL_SECONDS", 0.1)


def begun_early(service: StandIn, size: int) -> int:
    """How many connections were made while a quarter of the object had not been asked for."""
    asked, connections = 0, set()
    for transfer in service.transfers:
        if asked < 0.75 * size:
            connections.add(transfer.connection)
        first, last = transfer.range.removeprefix("bytes=").split("-")
        asked += int(last) + 1 - int(first)
    return len(connections)


@pytest.mark.usefixtures("impatient")
def test_a_slow_connection_is_replaced(service: StandIn, tmp_path: Path) -> None:
    # Until then, the others have time; they are five times as quick.
    service.habits.rate = lambda number: 1e5 if number == 3 else 4e6 if service.connections > 4 else 5e5
    brought(service, tmp_path, 32 * MIB, clock=time.monotonic, connections=4)
    assert begun_early(service, 32 * MIB) > 4


@dataclass
class Worker:
    value: float
    drops: int = 0
    seconds_connected: float = 4.0
    seconds_slow: float = 4.0

    @property
    def rate(self) -> Rate:
        rate = Rate(lambda: 0.0)
        rate.measured = self.value
        return rate


QUICK = [Worker(10.0), Worker(9.0), Worker(8.0)]


@pytest.mark.parametrize(
    ("workers", "dropped"),
    [
        ([*QUICK, Worker(2.0)], 1),
        ([*QUICK, Worker(9.0), Worker(2.0), Worker(0.0)], 2),
        ([*QUICK, Worker(2.5)], 0),
        ([*QUICK, Worker(2.0, seconds_connected=3.0)], 0),
        ([*QUICK, Worker(2.0, drops=2)], 1),
        ([*QUICK, Worker(2.0, drops=3)], 0),
        ([*QUICK[:2], Worker(2.0)], 1),
        ([QUICK[0], Worker(2.0)], 0),
        ([Worker(1.0), Worker(1.0), Worker(1.0)], 0),
    ],
)
def test_connections_are_dropped_that_are_far_behind(workers: list[Worker], dropped: int) -> None:
    """Once they had time, and three times at most."""
    assert slower_than_median(workers) == workers[len(workers) - dropped :]


KIB = 1024
SLOW = Worker(3 * KIB)


@pytest.mark.parametrize(
    ("workers", "left", "dropped"),
    [
        ([SLOW], MIB, 1),
        ([SLOW, Worker(10 * MIB)], MIB, 1),
        # One after the other.
        ([SLOW, Worker(2 * KIB)], MIB, 1),
        ([SLOW, SLOW, SLOW], MIB, 0),
        ([Worker(64 * KIB)], MIB, 0),
        ([Worker(0.0)], 1, 1),
        # What is left would come in that time.
        ([SLOW], 9 * KIB, 0),
        ([SLOW], 10 * KIB, 1),
        # Each time it is waited for longer, and only so often.
        ([Worker(3 * KIB, seconds_slow=3.0)], MIB, 0),
        ([Worker(3 * KIB, drops=1, seconds_slow=6.0)], MIB, 0),
        ([Worker(3 * KIB, drops=1, seconds_slow=6.1)], MIB, 1),
        ([Worker(3 * KIB, drops=2, seconds_slow=12.1)], MIB, 1),
        ([Worker(3 * KIB, drops=3, seconds_slow=1e9)], MIB, 0),
    ],
)
def test_of_few_connections_one_is_dropped_that_is_very_slow(workers: list[Worker], left: int, dropped: int) -> None:
    assert slower_than_limit(workers, 64 * KIB, left) == workers[:dropped]


class Crawl:
    """The first connection is slow, and only what comes by it has the clock go on: a second for each piece of 150 bytes."""

    def __init__(self, service: StandIn, others: Callable[[], float | None] = lambda: None) -> None:
        self.now = 0.0
        self.others = others
        service.habits.rate = self.rate

    def rate(self, number: int) -> float | None:
        if number > 1:
            return self.others()
        self.now += 1.0
        return 3e3


@pytest.mark.parametrize(
    ("size", "connections"), [(MIB // 2, 8), (MIB // 2, 1), (4 * MIB, 1)], ids=["small", "small, one", "large, one"]
)
def test_a_slow_connection_that_has_no_others_is_replaced(
    service: StandIn, tmp_path: Path, size: int, connections: int
) -> None:
    """It would take minutes."""
    crawl = Crawl(service)
    account = brought(service, tmp_path, size, clock=lambda: crawl.now, connections=connections)
    assert service.connections == 2
    assert (account.connections, account.resumes) == (1, 1)
    assert sent(service) < 1.5 * size


def test_one_of_two_connections_that_is_slow_is_replaced(service: StandIn, tmp_path: Path) -> None:
    """Long before the other one has nothing to do but to take its segment."""
    crawl = Crawl(service, lambda: 5e4 if service.connections < 3 else None)
    brought(service, tmp_path, 4 * MIB, clock=lambda: crawl.now, connections=2)
    assert begun_early(service, 4 * MIB) == 3


@pytest.mark.parametrize("reason", ["the limit", "one answer", "little is left"])
def test_a_slow_connection_is_kept_where_another_would_not_be_quicker(
    service: StandIn, tmp_path: Path, reason: str
) -> None:
    crawl = Crawl(service)
    size = 300 if reason == "little is left" else 10_500
    if reason == "one answer":
        service.inject(Fault("whole", times=100))
    limit = {"limit_rate": 64 * KIB} if reason == "the limit" else {}
    account = brought(service, tmp_path, size, clock=lambda: crawl.now, **limit)
    assert service.connections == account.connections == account.attempts == 1
    assert crawl.now > (0 if reason == "little is left" else 60)


# wrong bytes


@pytest.mark.parametrize("times", [1, 2, 99])
def test_an_object_that_comes_wrong_is_fetched_twice_at_most(service: StandIn, tmp_path: Path, times: int) -> None:
    """By one connection, the first byte of every object that is flipped comes after the one that is asked for first."""
    for _unused in range(times):
        service.inject(Fault("flipped", after=1, at=0))
    if times == 1:
        assert brought(service, tmp_path, MIB, connections=1).attempts == 2
    else:
        with pytest.raises(VerificationError, match="its CRC-64 is"):
            brought(service, tmp_path, MIB, connections=1)
    assert sent(service) == 2 * (MIB + 1)
