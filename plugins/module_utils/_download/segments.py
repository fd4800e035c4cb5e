# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Guided self-scheduling of the bytes of an object on several connections.

Each connection requests one segment at a time, and reads it to its end, so that no byte is sent twice. A segment is a share of
the bytes that are not assigned yet: large at first, and smaller towards the end, so that all connections end at the same time.
The rest of a slow connection's segment is reassigned as a whole. Only then are bytes sent for nothing, and a slow connection
has few under way.
"""

from __future__ import annotations

import math
import threading
import time
import typing as t

from . import tuning

Gap = tuple[int, int]
Clock = t.Callable[[], float]


class Rate:
    """The rate of one connection in bytes per second, measured while it has a segment."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget all measurements, for a new connection."""
        self.measured = self._seconds = 0.0
        self._count = 0
        self.begin()

    def begin(self) -> None:
        """Begin to count time, as there was nothing to do before."""
        self._last = self._clock()

    def advance(self, count: int) -> None:
        """Count bytes that came."""
        self._seconds += self.seconds_idle
        self._last = self._clock()
        self._count += count
        if self._seconds >= tuning.RATE_SECONDS:
            rate = self._count / self._seconds
            # Half of it is history: one burst or pause changes little, and a lasting change shows after two or three windows.
            self.measured = (
                (self.measured + rate) / 2 if self.measured else rate
            )
            self._seconds, self._count = 0.0, 0

    @property
    def seconds_idle(self) -> float:
        """Seconds since the last byte, or the beginning."""
        return self._clock() - self._last

    @property
    def now(self) -> float:
        """The measured rate, or a lower one if nothing came for long; 0 before the first measurement."""
        idle = self.seconds_idle
        if idle <= tuning.MAX_IDLE_SECONDS:
            return self.measured
        return min(self.measured, self._count / (self._seconds + idle))


class Source(t.Protocol):
    """The connection of a segment, as other threads use it."""

    def bytes_ready(self) -> int:
        """Number of bytes that can be received at once."""

    def abort(self) -> None:
        """Make it fail, so that no more bytes come."""


class Segment:
    """A range that is assigned to a connection: from ``position``, the next byte to claim, up to ``stop``.

    ``unclaimed``: bytes received and not claimed yet. ``max_idle``: seconds without a byte after which another connection
    may have it.
    """

    __slots__ = ("max_idle", "position", "rate", "source", "stop", "unclaimed")

    def __init__(
        self,
        start: int,
        stop: int,
        rate: Rate,
        max_idle: float,
        source: t.Optional[Source],
    ) -> None:
        self.position = start
        self.stop = stop
        self.rate = rate
        self.max_idle = max_idle
        self.source = source
        self.unclaimed = 0

    @property
    def left(self) -> int:
        """Bytes to claim."""
        return self.stop - self.position

    @property
    def missing(self) -> int:
        """Bytes to receive."""
        return self.left - self.unclaimed

    @property
    def seconds_left(self) -> float:
        """Seconds until its end at the present rate; infinite if nothing comes, 0 if nothing was measured."""
        if self.rate.seconds_idle > self.max_idle:
            return math.inf
        if not self.rate.measured:
            return 0.0
        return self.missing / self.rate.measured


class SegmentScheduler:
    """The bytes to transfer, and the segments in work. For several threads."""

    def __init__(self, gaps: t.Iterable[Gap], connections: int) -> None:
        """``gaps``: ranges to transfer, each from a start up to a stop. ``connections``: the largest number of them."""
        # Each with its max_idle.
        self._gaps = [
            (start, stop, tuning.MAX_IDLE_SECONDS) for start, stop in gaps
        ]
        # The last one is assigned first, as a list is cheap at its end.
        self._gaps.reverse()
        self._active: list[Segment] = []
        #: Guards the gaps and all segments: a segment may be cut short by the thread of another connection.
        self._lock = threading.Lock()
        #: Wakes up workers that wait for a segment, as soon as there are bytes to assign again.
        self._changed = threading.Condition(self._lock)
        self.connections = max(
            1, min(connections, -(-self.left // tuning.MIN_SHARE))
        )

    @property
    def left(self) -> int:
        """Bytes that are not claimed yet."""
        with self._lock:
            return self._unassigned + sum(
                segment.left for segment in self._active
            )

    @property
    def _unassigned(self) -> int:
        return sum(stop - start for start, stop, _unused in self._gaps)

    def take(
        self,
        rate: Rate,
        source: t.Optional[Source] = None,
        *,
        is_whole: bool = False,
    ) -> t.Optional[Segment]:
        """Assign a segment to a connection of that rate, or all bytes if ``is_whole``. Returns None if others are sooner done.

        In that case ``wait``, and try again as long as bytes are ``left``: another connection may fail.
        """
        with self._lock:
            rate.begin()
            if not self._gaps:
                self._reclaim_slowest(rate)
            size = self._unassigned
            if not is_whole:
                size = self._size(rate)
            if not size:
                return None
            start, stop, max_idle = self._gaps.pop()
            # The rest of a gap must not be shorter than a segment.
            end = (start + size) // tuning.MIN_SEGMENT * tuning.MIN_SEGMENT
            if stop - end < self._min_size(rate):
                end = stop
            elif end <= start:
                end = start + size
            if end < stop:
                self._gaps.append((end, stop, max_idle))
            segment = Segment(start, end, rate, max_idle, source)
            self._active.append(segment)
            return segment

    def _size(self, rate: Rate) -> int:
        """Size of the next segment for a connection of that rate; 0 if others are sooner done."""
        unassigned, mine = self._unassigned, rate.now
        min_size = self._min_size(rate)
        if not mine:
            part = tuning.FIRST_SEGMENT_SHARE / self.connections
            max_size = tuning.MAX_FIRST_SEGMENT
        else:
            known = [segment.rate.now for segment in self._active]
            others = sum(known)
            seconds = min_size / mine - tuning.RECONNECT_SECONDS
            if others and seconds > unassigned / others:
                return 0
            # A connection that is idle, or not measured yet, may soon be as fast as this one.
            unknown = self.connections - sum(map(bool, known))
            part = tuning.SEGMENT_SHARE * mine / (mine * unknown + others)
            max_size = int(mine * tuning.MAX_SEGMENT_SECONDS)
        if self.connections == 1:
            # Nobody else needs a share.
            part = 1
        size = max(min_size, min(int(unassigned * part), max_size))
        return min(unassigned, size)

    @staticmethod
    def _min_size(rate: Rate) -> int:
        """Size of the shortest segment that is worth a request at that rate."""
        if not rate.now:
            return tuning.MIN_FIRST_SEGMENT
        return max(
            tuning.MIN_SEGMENT, int(rate.now * tuning.MIN_SEGMENT_SECONDS)
        )

    def _reclaim_slowest(self, rate: Rate) -> None:
        """Take back the rest of the segment that would last longest, if that saves time."""
        unfinished = [
            segment for segment in self._active if segment.missing > 0
        ]
        if not unfinished:
            return
        slowest = max(unfinished, key=lambda segment: segment.seconds_left)
        needed = 0.0
        if rate.now:
            needed = slowest.missing / rate.now
        # Twice as long, as rates change: bytes that are under way to both are paid for twice.
        if slowest.seconds_left <= 2 * needed + tuning.RECONNECT_SECONDS:
            return
        # What is received or in the socket already stays with the slow one.
        cut = slowest.position + slowest.unclaimed
        if slowest.source:
            cut += slowest.source.bytes_ready()
        if cut >= slowest.stop:
            return
        # The next connection may be idle for longer: perhaps it is the storage that sends nothing.
        self._gaps.append((cut, slowest.stop, 2 * slowest.max_idle))
        slowest.stop = cut
        # It may block in a read for a long time.
        if slowest.source:
            slowest.source.abort()
        self._changed.notify_all()

    def claim(self, segment: Segment, count: int) -> int:
        """Claim bytes that came at the position of a segment. Returns how many of them still belong to it."""
        with self._lock:
            segment.rate.advance(count)
            count = min(count, segment.left)
            segment.position += count
            segment.unclaimed = 0
            return count

    def release(self, segment: Segment) -> None:
        """End a segment. The rest of it can be assigned again."""
        with self._lock:
            self._active.remove(segment)
            if segment.left:
                self._gaps.append(
                    (segment.position, segment.stop, segment.max_idle)
                )
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for a segment to take, at most ``seconds``."""
        with self._changed:
            self._changed.wait(seconds)
