# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.
"""Which connection fetches which bytes.

Each connection has one stretch, a run of bytes from ``position`` to ``stop``, and asks for it in ranges that are sized to
seconds. Who has nothing left takes over a part of the stretch that would last longest, shared by the rates of both; so a
slow connection ends with what it can do in time.
"""

from __future__ import annotations

import math
import threading
import time
import typing as t

MIB = 1 << 20

Gap = tuple[int, int]

#: Nobody is given less than this at the start.
MIN_SHARE = 2 * MIB
#: Nothing is taken over of a stretch that is done in so many seconds, or so short, unless nothing
#: came of it for so many: then it is taken over as a whole.
MIN_SECONDS = 0.25
MIN_TAKEN = MIB // 4
STALLED_SECONDS = 2.0
#: A range is what a connection can do in so many seconds, but at least so many bytes.
RANGE_SECONDS = 10.0
MIN_RANGE = 32 * MIB
#: Rates are of so many seconds, and one at which nothing comes for so many is falling.
RATE_SECONDS = 0.2
PATIENCE = 1.0


class Stretch:
    """``position`` is where the next byte belongs that is claimed, ``stop`` where the first one is that is not meant."""

    __slots__ = ("_advanced", "_marked", "_marked_position", "_rate", "position", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.position = start
        self.stop = stop
        self.begin(0.0)

    def begin(self, rate: float) -> None:
        """By a connection of that rate, in bytes a second, 0 if it is not known."""
        self._rate = rate
        self._marked = self._advanced = time.monotonic()
        self._marked_position = self.position

    @property
    def left(self) -> int:
        return self.stop - self.position

    @property
    def seconds_idle(self) -> float:
        """Since the last byte, or the beginning."""
        return time.monotonic() - self._advanced

    @property
    def rate(self) -> float:
        """Bytes a second, of late; 0 as long as it is not known."""
        idle = time.monotonic() - self._marked
        return min(self._rate, self._moved / idle) if idle > PATIENCE else self._rate

    @property
    def seconds_left(self) -> float:
        if self.rate:
            return self.left / self.rate
        return math.inf if time.monotonic() - self._marked > PATIENCE else 0.0

    def advance(self, count: int) -> None:
        self.position += count
        self._advanced = time.monotonic()
        passed = self._advanced - self._marked
        if passed >= RATE_SECONDS:
            rate = self._moved / passed
            self._rate = (self._rate + rate) / 2 if self._rate else rate
            self._marked += passed
            self._marked_position = self.position

    @property
    def _moved(self) -> int:
        return self.position - self._marked_position


class Schedule:
    """For several threads."""

    def __init__(self, gaps: t.Iterable[Gap], connections: int) -> None:
        """Of the bytes in these gaps, from each start up to its stop, shared by so many connections at the most."""
        gaps = list(gaps)
        total = sum(stop - start for start, stop in gaps)
        self.connections = max(1, min(connections, -(-total // MIN_SHARE)))
        share = max(MIN_SHARE, -(-total // self.connections))
        # The last are given out first, and in the order of the file.
        self._free = [Stretch(at, min(stop, at + share)) for start, stop in gaps for at in range(start, stop, share)]
        self._free.reverse()
        self._active: list[Stretch] = []
        self._lock = threading.Lock()
        self._given_back = threading.Condition(self._lock)

    @property
    def left(self) -> int:
        """Bytes that nobody has claimed yet."""
        with self._lock:
            return sum(stretch.left for stretch in (*self._free, *self._active))

    def take(self, rate: float) -> t.Optional[Stretch]:
        """A stretch for a connection of that rate, in bytes a second, 0 if it is not known; none if there is none to be had.

        ``wait`` and ask again as long as bytes are ``left``: whoever has them may give them back.
        """
        with self._lock:
            stretch = self._free.pop() if self._free else self._taken_over(rate)
            if stretch:
                stretch.begin(rate)
                self._active.append(stretch)
            return stretch

    def _taken_over(self, rate: float) -> t.Optional[Stretch]:
        slowest = max(self._active, key=lambda stretch: stretch.seconds_left, default=None)
        if slowest is None or not slowest.left or slowest.seconds_left < MIN_SECONDS:
            return None
        its_rate = slowest.rate
        kept = int(slowest.left * (its_rate / (rate + its_rate) if rate else 0.5))
        cut = slowest.position + kept
        if slowest.stop - cut < MIN_TAKEN:
            if slowest.seconds_idle < STALLED_SECONDS:
                return None
            cut = slowest.position
        taken = Stretch(cut, slowest.stop)
        slowest.stop = cut
        return taken

    def range_of(self, stretch: Stretch, rate: float) -> Gap:
        """What to ask for next of the stretch; nothing if start and stop are the same."""
        with self._lock:
            return stretch.position, min(stretch.stop, stretch.position + max(MIN_RANGE, int(rate * RANGE_SECONDS)))

    def claim(self, stretch: Stretch, count: int) -> int:
        """How many of so many bytes that came at its position are still meant. They are claimed by this."""
        with self._lock:
            count = min(count, stretch.left)
            stretch.advance(count)
            return count

    def give_back(self, stretch: Stretch) -> None:
        """It is done with, or what is left of it is for anybody."""
        with self._lock:
            self._active.remove(stretch)
            if stretch.left:
                self._free.append(stretch)
            self._given_back.notify_all()

    def wait(self, seconds: float) -> None:
        """Until somebody is done with a stretch, or so long."""
        with self._given_back:
            self._given_back.wait(seconds)
