# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Limits for threads: a rate in bytes per second, and turns."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
import typing as t

from . import tuning


class RateLimiter:
    """A limit in bytes per second for all connections together."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        #: When all bytes so far are to have come.
        self._due_at = time.monotonic()
        #: Guards ``_due_at``, which all connections move.
        self._lock = threading.Lock()

    def delay(self, count: int) -> float:
        """Seconds to wait after ``count`` bytes."""
        with self._lock:
            now = time.monotonic()
            # What was not used of the rate is lost, but for a moment: otherwise a pause would be followed by a burst.
            begins = max(self._due_at, now - tuning.BUFFER_SECONDS)
            self._due_at = begins + count / self._rate
            return self._due_at - now


class FairSemaphore:
    """A semaphore that serves threads in the order of their requests. That of Python may pass one over again and again."""

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._waiting: collections.deque[threading.Lock] = collections.deque()
        #: Guards all of these. Held for moments only, and never while a thread waits for its turn.
        self._lock = threading.Lock()
        self._updated_at = time.monotonic()
        self._busy_seconds = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._update()
                self._free -= 1
                return
            # A lock for each waiting thread: whoever leaves opens that of the first one in the queue, and no other wakes up.
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        ticket.acquire()

    def __exit__(self, *_unused: object) -> None:
        with self._lock:
            if self._waiting:
                # The turn is passed on, and never free in between: no thread can jump the queue.
                self._waiting.popleft().release()
            else:
                self._update()
                self._free += 1

    @contextlib.contextmanager
    def yielded(self) -> t.Iterator[None]:
        """Give the turn to others meanwhile."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    @property
    def busy_seconds(self) -> float:
        """Seconds for which turns were taken, summed over all."""
        with self._lock:
            self._update()
            return self._busy_seconds

    def _update(self) -> None:
        """Count the time up to now. Called with the lock, before the number of free turns changes."""
        now = time.monotonic()
        self._busy_seconds += (self._count - self._free) * (
            now - self._updated_at
        )
        self._updated_at = now
