# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One attempt to transfer what is missing of an object: the state that its threads share, and its end."""

from __future__ import annotations

import threading
import time
import typing as t

from . import tuning
from .links import Links
from .object_info import ObjectInfo
from .pacing import FairSemaphore, RateLimiter
from .partial_file import PartialFile
from .segments import Clock, SegmentScheduler
from .types import TransferOptions


class Attempt:
    """The shared state of the workers. For several threads."""

    def __init__(
        self,
        options: TransferOptions,
        links: Links,
        partial: PartialFile,
        info: ObjectInfo,
        scheduler: SegmentScheduler,
        clock: Clock,
    ) -> None:
        """``clock``: the time in seconds by which connections are slow."""
        self.options = options
        self.links = links
        self.partial = partial
        self.info = info
        self.scheduler = scheduler
        self.clock = clock
        #: A turn is needed to handle data, but not to wait for the network.
        self.turns = FairSemaphore(tuning.TURNS)
        self.rate_limiter: t.Optional[RateLimiter] = None
        if options.limit_rate:
            self.rate_limiter = RateLimiter(options.limit_rate)
        #: When bytes were last written. Not guarded: whichever thread sets it last, the time is right.
        self.progressed_at = time.monotonic()
        #: Set by whoever ends the attempt, for whatever reason. Threads wait by it, so that the end wakes them up.
        self.is_over = threading.Event()
        self.error: t.Optional[BaseException] = None
        self._running = 0
        #: Guards ``error`` and ``_running``, which all workers change.
        self._lock = threading.Lock()

    @property
    def is_complete(self) -> bool:
        """Tell whether all bytes are in the file."""
        return not self.scheduler.left and not self.partial.gaps()

    def enter(self) -> None:
        """Count a worker that is about to start."""
        with self._lock:
            self._running += 1

    def leave(self) -> None:
        """Count a worker as ended. The last one ends the attempt."""
        with self._lock:
            self._running -= 1
            is_last = not self._running
        if is_last:
            self.is_over.set()

    def fail(self, error: BaseException) -> None:
        """End the attempt. The first error is the one that counts: connections that are aborted at the end make more."""
        with self._lock:
            if self.error is None and not self.is_over.is_set():
                self.error = error
        self.is_over.set()
