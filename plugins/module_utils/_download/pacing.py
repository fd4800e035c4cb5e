# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Holds threads back: by a rate in bytes per second, and by turns."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
import typing as t

from . import tuning


class RateLimiter:
    """Holds all connections together at a rate, in bytes a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._due_at = time.monotonic()
        self._lock = threading.Lock()

    def delay(self, count: int) -> float:
        """Seconds to wait after so many bytes came."""
        with self._lock:
            now = time.monotonic()
            self._due_at = max(self._due_at, now - tuning.BUFFER_SECONDS) + count / self._rate
            return self._due_at - now


class FairSemaphore:
    """Lets so many threads have data in hand at a time, in the order in which they ask.

    More would only wait for each other, for the lock of Python and that of the file, and at some cost.
    """

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._waiting: collections.deque[threading.Lock] = collections.deque()
        self._lock = threading.Lock()
        self._updated_at = time.monotonic()
        self._busy_seconds = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._update()
                self._free -= 1
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        ticket.acquire()

    def __exit__(self, *_unused: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._update()
                self._free += 1

    @contextlib.contextmanager
    def yielded(self) -> t.Iterator[None]:
        """Let others have the turn meanwhile."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    @property
    def busy_seconds(self) -> float:
        """For how many seconds turns were had, together."""
        with self._lock:
            self._update()
            return self._busy_seconds

    def _update(self) -> None:
        now = time.monotonic()
        self._busy_seconds += (self._count - self._free) * (now - self._updated_at)
        self._updated_at = now
