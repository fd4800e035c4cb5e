# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which connection fetches which bytes, by a clock of the tests' own."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._download import tuning
from ansible_collections.apsaradb.backup.plugins.module_utils._download.segments import Rate, Segment, SegmentScheduler
from hypothesis import given
from hypothesis import strategies as st

MIB = 1 << 20


@given(st.integers(1, 200 * MIB), st.integers(1, 16), st.randoms(use_true_random=False))
def test_each_byte_is_claimed_once_whoever_gives_up(size: int, connections: int, chance: random.Random) -> None:
    now = [0.0]
    scheduler = SegmentScheduler([(0, size)], connections)
    assert 1 <= scheduler.connections <= connections
    claimed: list[tuple[int, int]] = []
    rates = [Rate(lambda: now[0]) for _unused in range(scheduler.connections)]
    held: list[Segment] = []
    while scheduler.left or held:
        now[0] += chance.choice([0.0, 0.1, 3.0])
        idle = [rate for rate in rates if all(segment.rate is not rate for segment in held)]
        if idle and (segment := scheduler.take(chance.choice(idle))):
            held.append(segment)
        if not held:
            continue
        segment = chance.choice(held)
        start = segment.position
        count = scheduler.claim(segment, chance.randrange(1, 8 * MIB))
        if count:
            claimed.append((start, start + count))
        if not segment.left or chance.random() < 0.2:
            held.remove(segment)
            scheduler.release(segment)
    claimed.sort()
    assert claimed[0][0] == 0
    assert claimed[-1][1] == size
    assert all(before[1] == after[0] for before, after in zip(claimed, claimed[1:]))


@dataclass
class Peer:
    """A simulated connection: its bytes a second, and from when to when nothing comes."""

    rate: float
    stalls: tuple[float, float] = (0.0, 0.0)
    segment: Segment | None = None
    begins: float = 0.0

    def count(self, now: float, step: float) -> int:
        return 0 if now < self.begins or self.stalls[0] <= now < self.stalls[1] else int(self.rate * step)


class Simulation:
    """A transfer in small steps of time. Counts requests, and what was under way when connections were closed."""

    def __init__(self, size: int, peers: list[Peer], latency: float, step: float = 0.005) -> None:
        self.now = 0.0
        self.requests = self.closed = self.wasted = 0
        self._peers = peers
        self._latency = latency
        self._step = step
        self._scheduler = SegmentScheduler([(0, size)], len(peers))
        self._rates = {id(peer): Rate(lambda: self.now) for peer in peers}

    def run(self, limit: float) -> Simulation:
        while self._scheduler.left and self.now < limit:
            for peer in self._peers:
                self._receive(peer)
            self.now += self._step
        return self

    def _receive(self, peer: Peer) -> None:
        segment, scheduler = peer.segment, self._scheduler
        if segment and not segment.left:
            self.closed += 1
            self.wasted += int(peer.rate * self._latency)
        elif segment and (count := peer.count(self.now, self._step)):
            scheduler.claim(segment, count)
        if segment and not segment.left:
            scheduler.release(segment)
            peer.segment = None
        if peer.segment is None:
            peer.segment = scheduler.take(self._rates[id(peer)])
            if peer.segment:
                self.requests += 1
                peer.begins = self.now + self._latency


def even(rate: float, count: int = 8) -> list[Peer]:
    return [Peer(rate) for _unused in range(count)]


SLOW = 3_000
GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("size", "peers", "latency", "most"),
    [
        pytest.param(2 * GIB, even(100e6), 0.05, 1.2, id="even, a long way"),
        pytest.param(64 * MIB, even(4e6), 0.005, 1.1, id="even"),
        pytest.param(512 * MIB, even(20e6, 16), 0.001, 1.1, id="even, many"),
        pytest.param(64 * MIB, [Peer(n * 1e6) for n in range(1, 9)], 0.02, 1.25, id="all different"),
        pytest.param(512 * MIB, [*even(20e6, 14), *even(2e6, 2)], 0.001, 1.35, id="two of sixteen slow"),
        pytest.param(64 * MIB, [*even(4e6, 7), Peer(4e5)], 0.02, 1.25, id="one of eight slow"),
        pytest.param(256 * MIB, [*even(4e6, 7), Peer(4e6, (2.0, 1e9))], 0.02, 1.4, id="one of eight dead"),
        pytest.param(9 * MIB, even(SLOW, 4), 0.05, 1.1, id="all very slow"),
    ],
)
def test_all_connections_end_at_the_same_time(size: int, peers: list[Peer], latency: float, most: float) -> None:
    """Against all of them at their full rate from beginning to end. At most 1 % is sent for nothing."""
    peers = [Peer(peer.rate, peer.stalls) for peer in peers]
    ideal = size / sum(peer.rate for peer in peers)
    step = 0.25 if ideal > 60 else 0.005
    done = Simulation(size, peers, latency, step).run(100 * ideal)
    assert done.now <= most * ideal
    assert done.wasted <= size / 100
    slow = [peer for peer in peers if peer.rate < max(one.rate for one in peers) / 2 or peer.stalls[1]]
    assert done.closed <= 2 * len(slow)
    assert done.requests <= 25 * len(peers)


@pytest.mark.parametrize("quick", [1, 3, 7])
def test_what_a_very_slow_connection_has_is_taken_over_whole(quick: int) -> None:
    """However short it is: it does not end with a tail."""
    done = Simulation(9 * MIB, [*even(1e6, quick), Peer(SLOW)], 0.05).run(120.0)
    assert done.now <= 9 * MIB / (quick * 1e6) * 1.1 + 2
    assert done.closed == 1


def test_a_storage_that_is_slow_to_answer_is_not_asked_again_and_again() -> None:
    """Who waits for the last segments takes them over once, as their connections may be dead, and then waits for longer."""
    done = Simulation(64 * MIB, even(4e6), 1.5).run(600.0)
    assert done.closed <= 8
    assert done.now < 600.0


def test_the_last_bytes_are_taken_over_from_one_who_is_stalled() -> None:
    done = Simulation(4 * MIB, [Peer(1e6), Peer(1e6, (2.0, 1e9))], 0.0).run(60.0)
    assert done.closed == 1
    assert done.now <= 2.1 + tuning.MAX_IDLE_SECONDS + 1


def claimed(scheduler: SegmentScheduler, now: list[float], rate: float) -> tuple[Segment, Rate]:
    """A connection's first segment, after a second at that rate."""
    measured = Rate(lambda: now[0])
    segment = scheduler.take(measured)
    assert segment
    now[0] += 1.0
    scheduler.claim(segment, int(rate))
    return segment, measured


def test_segments_are_sized_to_seconds_and_to_what_is_left() -> None:
    now = [0.0]
    scheduler = SegmentScheduler([(0, 1 << 40)], 2)
    first, rate = claimed(scheduler, now, 10e6)
    assert first.stop == tuning.MAX_FIRST_SEGMENT
    scheduler.claim(first, first.left)
    now[0] += 10.0
    second = scheduler.take(rate)
    assert second
    assert 0 <= rate.now * tuning.MAX_SEGMENT_SECONDS - second.left < tuning.MIN_SEGMENT
    assert second.stop % tuning.MIN_SEGMENT == 0


def test_one_connection_asks_for_no_halves() -> None:
    scheduler = SegmentScheduler([(0, 20 * MIB), (30 * MIB, 31 * MIB)], 1)
    segments = [scheduler.take(Rate()), scheduler.take(Rate())]
    assert [(one.position, one.stop) for one in segments if one] == [(0, 20 * MIB), (30 * MIB, 31 * MIB)]


def test_a_server_without_ranges_is_asked_for_all() -> None:
    segment = SegmentScheduler([(0, 100 * MIB)], 1).take(Rate(), is_whole=True)
    assert segment
    assert segment.left == 100 * MIB


def test_no_gap_is_left_that_is_shorter_than_a_segment() -> None:
    scheduler = SegmentScheduler([(0, 2 * tuning.MIN_FIRST_SEGMENT - 1)], 2)
    segment = scheduler.take(Rate())
    assert segment
    assert segment.left == 2 * tuning.MIN_FIRST_SEGMENT - 1


def test_a_new_connection_is_measured_anew() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    now[0] += 1.0
    rate.advance(1000)
    now[0] += 5.0  # nothing to do
    rate.begin()
    now[0] += 1.0
    rate.advance(3000)
    assert rate.now == 2000.0
    now[0] += 4.0
    rate.advance(0)
    assert rate.now == 1000.0
    now[0] += 4.0
    assert rate.now == 0.0
    rate.reset()
    assert rate.measured == 0.0


class Received:
    """A connection of which so many bytes lie in the socket."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.is_aborted = False

    def bytes_ready(self) -> int:
        return self.count

    def abort(self) -> None:
        self.is_aborted = True


def test_what_came_already_is_not_taken_over() -> None:
    """What is in memory and in the socket stays with the slow connection, and no more is sent to it."""
    now = [0.0]
    scheduler = SegmentScheduler([(0, 4 * MIB)], 2)
    slow = Received(30_000)
    segment = scheduler.take(Rate(lambda: now[0]), slow)
    assert segment
    scheduler.claim(segment, 10_000)
    segment.unclaimed = 20_000
    asked, quick = segment.stop, Rate(lambda: now[0])
    starts = []
    while rest := scheduler.take(quick):
        starts.append(rest.position)
        now[0] += tuning.MAX_IDLE_SECONDS
        scheduler.claim(rest, rest.left)
        scheduler.release(rest)
    assert asked > 60_000
    assert segment.stop == 60_000
    assert 60_000 in starts
    assert slow.is_aborted
    assert scheduler.claim(segment, 60_000) == 50_000
