# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Which connection fetches which bytes: guided self-scheduling.

Each connection asks for one segment at a time, and reads it to its end, so that no byte is sent twice. Segments are a share of
what nobody has asked for yet: large at first, and smaller towards the end, so that all connections end at the same time. What a
slow connection would still need long for is taken from it as a whole. That is the only case in which bytes are sent for nothing,
and a slow connection has few under way.
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
    """Measures one connection, in bytes a second, while it has a segment."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget all: the connection is a new one."""
        self.measured = self._seconds = 0.0
        self._count = 0
        self.begin()

    def begin(self) -> None:
        """Count from now on: there was nothing to do before."""
        self._last = self._clock()

    def advance(self, count: int) -> None:
        self._seconds += self.seconds_idle
        self._last = self._clock()
        self._count += count
        if self._seconds >= tuning.RATE_SECONDS:
            rate = self._count / self._seconds
            self.measured = (self.measured + rate) / 2 if self.measured else rate
            self._seconds, self._count = 0.0, 0

    @property
    def seconds_idle(self) -> float:
        """Since the last byte, or the beginning."""
        return self._clock() - self._last

    @property
    def now(self) -> float:
        """What was measured, or less if nothing came for long; 0 as long as nothing was."""
        idle = self.seconds_idle
        return (
            min(self.measured, self._count / (self._seconds + idle))
            if idle > tuning.MAX_IDLE_SECONDS
            else self.measured
        )


class Source(t.Protocol):
    """The connection that a segment comes over, for the thread of another."""

    def bytes_ready(self) -> int:
        """How many bytes can be received at once."""

    def abort(self) -> None:
        """Have no more come."""


class Segment:
    """``position`` is where the next byte belongs that is claimed, ``stop`` where the first one is that is not meant.

    ``unclaimed``: bytes that came, and are not claimed yet. ``max_idle``: for how many seconds nothing may come of it before
    another connection may take it.
    """

    __slots__ = ("max_idle", "position", "rate", "source", "stop", "unclaimed")

    def __init__(self, start: int, stop: int, rate: Rate, max_idle: float, source: t.Optional[Source]) -> None:
        self.position = start
        self.stop = stop
        self.rate = rate
        self.max_idle = max_idle
        self.source = source
        self.unclaimed = 0

    @property
    def left(self) -> int:
        return self.stop - self.position

    @property
    def missing(self) -> int:
        return self.left - self.unclaimed

    @property
    def seconds_left(self) -> float:
        if self.rate.seconds_idle > self.max_idle:
            return math.inf
        return self.missing / self.rate.measured if self.rate.measured else 0.0


class SegmentScheduler:
    """For several threads."""

    def __init__(self, gaps: t.Iterable[Gap], connections: int) -> None:
        """Of the bytes in these gaps, from each start up to its stop, by so many connections at most."""
        # With the max_idle for each; the first are given out first, and lie at the end.
        self._gaps = [(start, stop, tuning.MAX_IDLE_SECONDS) for start, stop in gaps][::-1]
        self._active: list[Segment] = []
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self.connections = max(1, min(connections, -(-self.left // tuning.MIN_SHARE)))

    @property
    def left(self) -> int:
        """Bytes that nobody has claimed yet."""
        with self._lock:
            return self._unassigned + sum(segment.left for segment in self._active)

    @property
    def _unassigned(self) -> int:
        return sum(stop - start for start, stop, _unused in self._gaps)

    def take(self, rate: Rate, source: t.Optional[Source] = None, *, is_whole: bool = False) -> t.Optional[Segment]:
        """A segment for the connection of that rate, all there is if ``is_whole``; none if others do it sooner.

        ``wait`` and ask again as long as bytes are ``left``: whoever has them may fail.
        """
        with self._lock:
            rate.begin()
            if not self._gaps:
                self._reclaim_slowest(rate)
            size = self._unassigned if is_whole else self._size(rate)
            if not size:
                return None
            start, stop, max_idle = self._gaps.pop()
            # What remains of a gap is not to be shorter than a segment.
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
        """How many bytes a connection of that rate asks for next; none if others have all of it sooner."""
        unassigned, mine, is_alone = self._unassigned, rate.now, self.connections == 1
        if not mine:
            part = 1 if is_alone else tuning.FIRST_SEGMENT_SHARE / self.connections
            return min(unassigned, tuning.MAX_FIRST_SEGMENT, max(tuning.MIN_FIRST_SEGMENT, int(unassigned * part)))
        min_size = self._min_size(rate)
        known = [segment.rate.now for segment in self._active]
        others = sum(known)
        if others and min_size / mine > unassigned / others + tuning.RECONNECT_SECONDS:
            return 0
        # Who is not at work, or not measured yet, may soon be as quick as this one.
        all_rates = mine * (self.connections - sum(map(bool, known))) + others
        part = 1 if is_alone else tuning.SEGMENT_SHARE * mine / all_rates
        return min(unassigned, max(min_size, min(int(unassigned * part), int(mine * tuning.MAX_SEGMENT_SECONDS))))

    @staticmethod
    def _min_size(rate: Rate) -> int:
        return (
            max(tuning.MIN_SEGMENT, int(rate.now * tuning.MIN_SEGMENT_SECONDS))
            if rate.now
            else tuning.MIN_FIRST_SEGMENT
        )

    def _reclaim_slowest(self, rate: Rate) -> None:
        """Free the rest of the segment that would last longest, if that is worth it."""
        slowest = max((one for one in self._active if one.missing > 0), key=lambda one: one.seconds_left, default=None)
        if slowest is None:
            return
        needed = slowest.missing / rate.now if rate.now else 0.0
        if slowest.seconds_left > 2 * needed + tuning.RECONNECT_SECONDS:
            # Whoever has it next is waited for longer, as it may be the storage that nothing comes from.
            cut = slowest.position + slowest.unclaimed
            if slowest.source:
                cut += slowest.source.bytes_ready()
            if cut < slowest.stop:
                self._gaps.append((cut, slowest.stop, 2 * slowest.max_idle))
                slowest.stop = cut
                if slowest.source:
                    slowest.source.abort()
                self._changed.notify_all()

    def claim(self, segment: Segment, count: int) -> int:
        """How many of so many bytes that came at its position are still meant. They are claimed by this."""
        with self._lock:
            segment.rate.advance(count)
            count = min(count, segment.left)
            segment.position += count
            segment.unclaimed = 0
            return count

    def release(self, segment: Segment) -> None:
        """It is done with, or what is left of it is for anybody."""
        with self._lock:
            self._active.remove(segment)
            if segment.left:
                self._gaps.append((segment.position, segment.stop, segment.max_idle))
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Until there may be something to take, or so long."""
        with self._changed:
            self._changed.wait(seconds)
