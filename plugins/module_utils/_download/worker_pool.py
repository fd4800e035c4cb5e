# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The threads of a transfer: each has a connection, and receives, sums up and writes."""

from __future__ import annotations

import threading
import time
import typing as t

from .._base.errors import BackupError
from . import tuning
from .body import Body
from .connection import Connection
from .links import Links
from .object_info import ObjectInfo
from .pacing import FairSemaphore, RateLimiter
from .partial_file import PartialFile
from .segments import Clock, SegmentScheduler
from .slow_connections import slower_than_limit, slower_than_median
from .types import TransferObserver, TransferOptions, TransferStats
from .worker import Worker


class WorkerPool:
    """The threads of one attempt."""

    def __init__(
        self,
        options: TransferOptions,
        links: Links,
        observer: TransferObserver,
        stats: TransferStats,
        clock: Clock,
        connection: Connection,
        partial: PartialFile,
        info: ObjectInfo,
        scheduler: SegmentScheduler,
        whole_body: t.Optional[Body],
    ) -> None:
        """``connection``: an open one, which the first worker uses. ``whole_body``: an answer to it that has all of the object."""
        self.options = options
        self.links = links
        self.partial = partial
        self.info = info
        self.scheduler = scheduler
        self.clock = clock
        #: Open, or ready to be opened, once the pool has run.
        self.connection = connection
        self.turns = FairSemaphore(tuning.TURNS)
        self.rate_limiter = RateLimiter(self.options.limit_rate) if self.options.limit_rate else None
        self.progressed_at = time.monotonic()
        self.is_over = threading.Event()
        self._observer = observer
        self._stats = stats
        self._error: t.Optional[BaseException] = None
        self._lock = threading.Lock()
        connections = [connection, *(Connection(self.options.http) for _unused in range(scheduler.connections - 1))]
        self._workers = [Worker(self, connection) for connection in connections]
        self._workers[0].whole_body = whole_body
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._received_before = connection.received
        limit = self.options.limit_rate
        # Not where all of it comes in one answer, nor where the limit may be what makes it slow.
        is_free = not whole_body and not (limit and limit < 2 * tuning.SLOW_RATE * scheduler.connections)
        self._slow_rate = tuning.SLOW_RATE if is_free else 0

    def run(self, resumed: int) -> None:
        try:
            self._supervise(resumed)
        finally:
            self._end()
        error = self._error
        if isinstance(error, BackupError) and not self.partial.gaps():
            # What one gave up, others have brought meanwhile.
            return
        if error:
            raise error

    def _supervise(self, resumed: int) -> None:
        """Until all is there, or there is an error."""
        began = looked = time.monotonic()
        saved = self.clock()
        busy = 0.0
        self._start_workers(tuning.TURNS)
        if self.options.sync:
            threading.Thread(target=self._sync_early, daemon=True).start()
        while not self.is_over.wait(tuning.TICK if looked > began else tuning.FIRST_TICK):
            if self._is_complete():
                # Somebody may still wait before he tries again what others have brought meanwhile.
                return
            self._observer.check()
            self.links.refresh()
            now = time.monotonic()
            # More connections are of use only where the network is what they wait for, and not this machine.
            before, busy = busy, self.turns.busy_seconds
            if busy - before < (now - looked) * tuning.TURNS / 2:
                self._start_workers(len(self._workers))
            looked = now
            if self.clock() - saved >= tuning.JOURNAL_SECONDS:
                saved = self.clock()
                self.partial.save()
                self._drop_slow()
            done = self.info.size - self.scheduler.left
            rate = (done - resumed) / max(0.001, now - began)
            self._observer.report({"phase": "transferring", "size": self.info.size, "done": done, "rate": rate})

    def _sync_early(self) -> None:
        """Have the disk busy while the network is, so that little is left to wait for in the end."""
        try:
            left = self.scheduler.left
            while not self.is_over.wait(tuning.TICK):
                if left - self.scheduler.left >= tuning.SYNC_SIZE:
                    left = self.scheduler.left
                    self.partial.sync()
        except BackupError as error:
            self.fail(error)

    def _is_complete(self) -> bool:
        return not self.scheduler.left and not self.partial.gaps()

    def _end(self) -> None:
        self.is_over.set()
        for worker in self._workers:
            worker.connection.abort()
        # Where all is there, nobody writes any more.
        timeout = tuning.TICK if self._is_complete() else self.options.http.connect_timeout + tuning.END_SECONDS
        ends = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        stats = self._stats
        stats.connections = max(
            stats.connections, sum(worker.connection.connections_made > 0 for worker in self._workers)
        )
        for worker in self._workers:
            # Before it is counted what they received, which closing them adds to.
            worker.connection.close()
        stats.transferred += sum(worker.connection.received for worker in self._workers) - self._received_before
        stats.resumes += sum(worker.resumes for worker in self._workers)
        are_alive = [thread.is_alive() for thread in self._threads]
        if are_alive and are_alive[0]:
            # It may be in the midst of connecting.
            self.connection = Connection(self.options.http)
        try:
            self.partial.save(close=not any(are_alive))
        except BackupError as error:
            # Not in place of what ended it.
            self._error = self._error or error

    def _start_workers(self, count: int) -> None:
        """Have so many workers at work."""
        for worker in self._workers[len(self._threads) : count]:
            thread = threading.Thread(target=worker.run, daemon=True)
            with self._lock:
                self._running += 1
            thread.start()
            self._threads.append(thread)

    def fail(self, error: BaseException) -> None:
        """End all for the first reason."""
        with self._lock:
            if self._error is None and not self.is_over.is_set():
                self._error = error
        self.is_over.set()

    def leave(self) -> None:
        with self._lock:
            self._running -= 1
            is_last = not self._running
        if is_last:
            self.is_over.set()

    def _drop_slow(self) -> None:
        """Give a connection that is far behind the others another chance on another way."""
        working = [worker for worker in self._workers if worker.is_receiving]
        for worker in working:
            if worker.rate.now >= self._slow_rate:
                worker.quick_at = self.clock()
        for worker in slower_than_median(working) or slower_than_limit(working, self._slow_rate, self.scheduler.left):
            worker.drop()
