# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The threads of a transfer, and their supervision."""

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
    """The workers of one attempt."""

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
        """``connection``: an open one for the first worker. ``whole_body``: a body on it with the whole object."""
        self.options = options
        self.links = links
        self.partial = partial
        self.info = info
        self.scheduler = scheduler
        self.clock = clock
        #: A connection for the next request, once the pool has run.
        self.connection = connection
        self.turns = FairSemaphore(tuning.TURNS)
        self.rate_limiter = (
            RateLimiter(self.options.limit_rate) if self.options.limit_rate else None
        )
        self.progressed_at = time.monotonic()
        self.is_over = threading.Event()
        self._observer = observer
        self._stats = stats
        self._error: t.Optional[BaseException] = None
        #: Guards ``_error`` and ``_running``, which all workers change.
        self._lock = threading.Lock()
        connections = [
            connection,
            *(
                Connection(self.options.http)
                for _unused in range(scheduler.connections - 1)
            ),
        ]
        self._workers = [Worker(self, connection) for connection in connections]
        self._workers[0].whole_body = whole_body
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._received_before = connection.received
        limit = self.options.limit_rate
        # A new connection would not help with a single response for all, nor where the limit is what makes it slow.
        is_free = not whole_body and not (
            limit and limit < 2 * tuning.SLOW_RATE * scheduler.connections
        )
        self._slow_rate = tuning.SLOW_RATE if is_free else 0

    def run(self, resumed: int) -> None:
        """Transfer all that is missing. ``resumed``: bytes that were there before."""
        try:
            self._supervise(resumed)
        finally:
            self._end()
        error = self._error
        if isinstance(error, BackupError) and not self.partial.gaps():
            # One worker gave up, and others transferred its segment meanwhile.
            return
        if error:
            raise error

    def _supervise(self, resumed: int) -> None:
        """Supervise the workers until all bytes are there, or there is an error."""
        began = looked = time.monotonic()
        saved = self.clock()
        busy = 0.0
        self._start_workers(tuning.TURNS)
        if self.options.sync:
            # A thread of its own, as fsync can take seconds. A daemon, as nothing can end it early.
            threading.Thread(target=self._sync_early, daemon=True).start()
        while not self.is_over.wait(tuning.TICK if looked > began else tuning.FIRST_TICK):
            if self._is_complete():
                # A worker may still wait for its next try at what others have transferred meanwhile.
                return
            self._observer.check()
            self.links.refresh()
            now = time.monotonic()
            # More connections help only if workers wait for the network, and not for this machine.
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
            self._observer.report(
                {
                    "phase": "transferring",
                    "size": self.info.size,
                    "done": done,
                    "rate": rate,
                }
            )

    def _sync_early(self) -> None:
        """Bring bytes to the disk while more come, so that little is left to wait for in the end."""
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
        # When all is there, no worker writes any more, and those that wait for a failed connection need not be waited for.
        timeout = (
            tuning.TICK
            if self._is_complete()
            else self.options.http.connect_timeout + tuning.END_SECONDS
        )
        ends = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        stats = self._stats
        stats.connections = max(
            stats.connections,
            sum(worker.connection.connections_made > 0 for worker in self._workers),
        )
        for worker in self._workers:
            # First, as closing them adds to the bytes received.
            worker.connection.close()
        stats.transferred += (
            sum(worker.connection.received for worker in self._workers)
            - self._received_before
        )
        stats.resumes += sum(worker.resumes for worker in self._workers)
        are_alive = [thread.is_alive() for thread in self._threads]
        if are_alive and are_alive[0]:
            # Its thread may still be opening it, and would use it together with us.
            self.connection = Connection(self.options.http)
        try:
            self.partial.save(close=not any(are_alive))
        except BackupError as error:
            # The error that ended the transfer says more.
            self._error = self._error or error

    def _start_workers(self, count: int) -> None:
        """Start workers until there are ``count``."""
        for worker in self._workers[len(self._threads) : count]:
            # A daemon: a connection that hangs must not keep the process from its end.
            thread = threading.Thread(target=worker.run, daemon=True)
            with self._lock:
                self._running += 1
            thread.start()
            self._threads.append(thread)

    def fail(self, error: BaseException) -> None:
        """End all workers. The first error is the one that counts."""
        with self._lock:
            if self._error is None and not self.is_over.is_set():
                self._error = error
        self.is_over.set()

    def leave(self) -> None:
        """Count a worker as ended. The last one ends the supervision."""
        with self._lock:
            self._running -= 1
            is_last = not self._running
        if is_last:
            self.is_over.set()

    def _drop_slow(self) -> None:
        """Replace slow connections: a new one may take another route, or reach another server."""
        working = [worker for worker in self._workers if worker.is_receiving]
        for worker in working:
            if worker.rate.now >= self._slow_rate:
                worker.quick_at = self.clock()
        for worker in slower_than_median(working) or slower_than_limit(
            working, self._slow_rate, self.scheduler.left
        ):
            worker.drop()
