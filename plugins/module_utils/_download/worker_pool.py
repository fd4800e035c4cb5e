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
from .attempt import Attempt
from .body import Body
from .connection import Connection
from .slow_connections import slower_than_limit, slower_than_median
from .types import TransferObserver, TransferStats
from .worker import Worker


class WorkerPool:
    """The workers of one attempt."""

    def __init__(
        self,
        attempt: Attempt,
        observer: TransferObserver,
        stats: TransferStats,
        connection: Connection,
        whole_body: t.Optional[Body] = None,
    ) -> None:
        """``connection``: an open one for the first worker. ``whole_body``: a body on it with the whole object."""
        #: A connection for the next request, once the pool has run.
        self.connection = connection
        self._attempt = attempt
        self._observer = observer
        self._stats = stats
        self._workers = [Worker(attempt, connection, whole_body)]
        while len(self._workers) < attempt.scheduler.connections:
            self._workers.append(
                Worker(attempt, Connection(attempt.options.http))
            )
        self._threads: list[threading.Thread] = []
        self._received_before = connection.received
        self._slow_rate = tuning.SLOW_RATE
        limit = attempt.options.limit_rate
        # A new connection would not help with a single response for all, nor where the limit is what makes it slow.
        if whole_body or (
            limit and limit < 2 * self._slow_rate * len(self._workers)
        ):
            self._slow_rate = 0

    def run(self, resumed: int) -> None:
        """Transfer all that is missing. ``resumed``: bytes that were there before."""
        attempt = self._attempt
        try:
            self._supervise(resumed)
        finally:
            self._end()
        error = attempt.error
        if isinstance(error, BackupError) and not attempt.partial.gaps():
            # One worker gave up, and others transferred its segment meanwhile.
            return
        if error:
            raise error

    def _supervise(self, resumed: int) -> None:
        """Supervise the workers until all bytes are there, or there is an error."""
        attempt = self._attempt
        began = time.monotonic()
        saved_at = attempt.clock()
        self._start_workers(tuning.TURNS)
        if attempt.options.sync:
            # A thread of its own, as fsync can take seconds. It ends by ``is_over``. A daemon, as nothing can end fsync.
            threading.Thread(target=self._sync_early, daemon=True).start()
        looked_at, busy = began, 0.0
        tick = tuning.FIRST_TICK
        while not attempt.is_over.wait(tick):
            tick = tuning.TICK
            if attempt.is_complete:
                # A worker may still wait for its next try at what others have transferred meanwhile.
                return
            self._observer.check()
            attempt.links.refresh()
            now = time.monotonic()
            # More connections help only if workers wait for the network, and not for this machine.
            busy_before, busy = busy, attempt.turns.busy_seconds
            if busy - busy_before < (now - looked_at) * tuning.TURNS / 2:
                self._start_workers(len(self._workers))
            looked_at = now
            if attempt.clock() - saved_at >= tuning.JOURNAL_SECONDS:
                saved_at = attempt.clock()
                attempt.partial.save()
                self._drop_slow()
            self._report(resumed, now - began)

    def _report(self, resumed: int, elapsed: float) -> None:
        """Report the progress. ``elapsed``: seconds since the start of this attempt, ``resumed``: bytes before it."""
        size = self._attempt.info.size
        done = size - self._attempt.scheduler.left
        # The first report can come at once.
        rate = (done - resumed) / max(0.001, elapsed)
        self._observer.report(
            {"phase": "transferring", "size": size, "done": done, "rate": rate}
        )

    def _sync_early(self) -> None:
        """Bring bytes to the disk while more come, so that little is left to wait for in the end."""
        attempt = self._attempt
        try:
            left = attempt.scheduler.left
            while not attempt.is_over.wait(tuning.TICK):
                if left - attempt.scheduler.left >= tuning.SYNC_SIZE:
                    left = attempt.scheduler.left
                    attempt.partial.sync()
        except BackupError as error:
            attempt.fail(error)

    def _start_workers(self, count: int) -> None:
        """Start workers until there are ``count``."""
        for worker in self._workers[len(self._threads) : count]:
            # A daemon: a connection that hangs must not keep the process from its end. ``_end`` waits for it as far as it can.
            thread = threading.Thread(target=worker.run, daemon=True)
            # Before it starts: it may end at once, and must not be taken for the last one.
            self._attempt.enter()
            thread.start()
            self._threads.append(thread)

    def _drop_slow(self) -> None:
        """Replace slow connections: a new one may take another route, or reach another server."""
        attempt = self._attempt
        working = [worker for worker in self._workers if worker.is_receiving]
        for worker in working:
            if worker.rate.now >= self._slow_rate:
                worker.quick_at = attempt.clock()
        slow = slower_than_median(working)
        if not slow:
            slow = slower_than_limit(
                working, self._slow_rate, attempt.scheduler.left
            )
        for worker in slow:
            worker.drop()

    def _end(self) -> None:
        """End all workers, count what they did, and write the journal."""
        attempt = self._attempt
        attempt.is_over.set()
        for worker in self._workers:
            worker.connection.abort()
        self._join()
        self._count()
        are_alive = [thread.is_alive() for thread in self._threads]
        if are_alive and are_alive[0]:
            # Its thread may still be opening it, and would use it together with us.
            self.connection = Connection(attempt.options.http)
        try:
            # Not closed while a thread may still write: a later run would trust the file as it is.
            attempt.partial.save(close=not any(are_alive))
        except BackupError as error:
            # The error that ended the transfer says more.
            attempt.error = attempt.error or error

    def _join(self) -> None:
        """Wait for the threads, but not for ever."""
        # A connection that is being opened cannot be aborted.
        timeout = (
            self._attempt.options.http.connect_timeout + tuning.END_SECONDS
        )
        # When all is there, no worker writes any more, and those that wait for a failed connection need not be waited for.
        if self._attempt.is_complete:
            timeout = tuning.TICK
        ends = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _count(self) -> None:
        """Add the workers' connections, bytes and resumptions to the statistics."""
        stats = self._stats
        connections = [worker.connection for worker in self._workers]
        used = sum(
            connection.connections_made > 0 for connection in connections
        )
        stats.connections = max(stats.connections, used)
        for connection in connections:
            # First, as closing them adds to the bytes received.
            connection.close()
        received = sum(connection.received for connection in connections)
        stats.transferred += received - self._received_before
        stats.resumes += sum(worker.resumes for worker in self._workers)
