# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A thread of a transfer, with a connection: it receives, computes checksums, and writes."""

from __future__ import annotations

import threading
import time
import typing as t

from .._base.errors import BackupError, ConnectionFailedError, InvalidResponseError
from .._files.crc64 import crc64
from .._files.system import buffer
from . import tuning
from .body import Body
from .connection import Connection
from .errors import (
    StorageRejectedError,
    UnrangedDownloadInterruptedError,
    WrongPartError,
    is_permanent,
)
from .journal import Extent
from .link import Link
from .links import Links
from .object_info import ObjectInfo
from .pacing import FairSemaphore, RateLimiter
from .partial_file import PartialFile
from .segments import Clock, Rate, Segment, SegmentScheduler
from .types import TransferOptions


class Pool(t.Protocol):
    """The state that workers share."""

    options: TransferOptions
    links: Links
    partial: PartialFile
    info: ObjectInfo
    scheduler: SegmentScheduler
    clock: Clock
    turns: FairSemaphore
    rate_limiter: t.Optional[RateLimiter]
    is_over: threading.Event
    progressed_at: float

    def fail(self, error: BaseException) -> None:
        """End the transfer with this error."""

    def leave(self) -> None:
        """Count this thread as ended."""


class Worker:
    """A thread with a connection."""

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self.connection = connection
        self.whole_body: t.Optional[Body] = None
        self.rate = Rate(pool.clock)
        self.is_receiving = False
        self.resumes = 0
        self.drops = 0
        self._pool = pool
        self._is_dropped = False
        self._connected_at = self.quick_at = pool.clock()
        self._failures = 0
        self._failing_since = 0.0
        connections, rate = pool.scheduler.connections, pool.options.limit_rate
        self._size = min(tuning.BUFFER_SIZE, tuning.MAX_BUFFERS // connections)
        if rate:
            # A full buffer comes before the first pause: with large ones, a low rate would be a few bursts.
            self._size = min(self._size, max(256, rate // connections // 20))
        self._memory = buffer(self._size)

    @property
    def seconds_connected(self) -> float:
        """Seconds since its connection was opened."""
        return self._pool.clock() - self._connected_at

    @property
    def seconds_slow(self) -> float:
        """Seconds since its connection was opened, or was last found to be fast."""
        return self._pool.clock() - max(self._connected_at, self.quick_at)

    def drop(self) -> None:
        """Give up a slow connection. Called by the thread of the pool: this one opens a new connection."""
        self.drops += 1
        self._is_dropped = True
        self._connected_at = self._pool.clock()
        self.connection.abort()

    def run(self) -> None:
        """Work until all is done, or there is an error for the pool."""
        pool = self._pool
        try:
            self._work()
        except BackupError as error:
            error.attempts, error.elapsed = (
                self._failures,
                time.monotonic() - pool.progressed_at,
            )
            pool.fail(error)
        except BaseException as error:
            # A thread that ends without a word would leave the transfer waiting.
            pool.fail(error)
        finally:
            pool.leave()

    def _work(self) -> None:
        """Transfer one segment after the other, and repeat what fails."""
        pool = self._pool
        while not pool.is_over.is_set():
            segment = pool.scheduler.take(
                self.rate, self.connection, is_whole=self.whole_body is not None
            )
            if segment is None:
                if not pool.scheduler.left:
                    return
                pool.scheduler.wait(tuning.TICK / 2)
                continue
            # A failure counts for the link that the request was sent with, which may be replaced meanwhile.
            pause = 0.0
            generation, link = pool.links.current()
            try:
                self._fetch(generation, link, segment)
            except StorageRejectedError as error:
                pool.links.reject(generation, error)
                self.resumes += 1
            except (ConnectionFailedError, InvalidResponseError) as error:
                if self.whole_body and not pool.is_over.is_set():
                    raise UnrangedDownloadInterruptedError(error) from None
                # If another worker took the rest, the connection was aborted on purpose.
                if segment.left:
                    pool.links.forget_redirection(generation)
                    pause = self._pause_after(error)
            finally:
                self.is_receiving = False
                pool.scheduler.release(segment)
            # Not a plain sleep: the end of the transfer wakes it up. The segment is free for others by now.
            if pause:
                pool.is_over.wait(pause)
            while pool.links.is_missing and not pool.is_over.wait(tuning.TICK / 2):
                pass

    def _pause_after(self, error: BackupError) -> float:
        """Seconds to wait before the next try. Raises the error if there is none."""
        pool = self._pool
        if pool.is_over.is_set():
            return 0.0
        self.resumes += 1
        # Given up by the pool, which is no failure.
        if self._is_dropped:
            self._is_dropped = False
            self.rate.reset()
            return 0.0
        if not self._failures:
            self._failing_since = time.monotonic()
        self._failures += 1
        retry = pool.options.retry
        if (
            is_permanent(error)
            or not retry.retries
            or time.monotonic() - pool.progressed_at > retry.total_timeout
        ):
            raise error
        if (
            isinstance(error, WrongPartError)
            and self._failures > retry.retries
            and not self._others_progress
        ):
            raise error
        return retry.pause(self._failures - 1, getattr(error, "retry_after", None))

    @property
    def _others_progress(self) -> bool:
        """Tell whether other workers received something since this one began to fail."""
        return self._pool.progressed_at > self._failing_since

    def _fetch(self, generation: int, link: Link, segment: Segment) -> None:
        """Transfer a segment, or less if the rest of it is reassigned."""
        pool, connection = self._pool, self.connection
        body = self.whole_body
        if body is None:
            made = connection.connections_made
            found, body = connection.get(link, segment.position, segment.stop, pool.info)
            if found is not link:
                pool.links.on_redirect(generation, found)
            if connection.connections_made != made:
                self._connected_at = pool.clock()
        self.is_receiving = True
        with pool.turns:
            self._write_body(body, segment)

    def _write_body(self, body: Body, segment: Segment) -> None:
        """Write a body to the file, piece by piece."""
        pool = self._pool
        extent: t.Optional[Extent] = None
        position = body.start
        is_open = True
        turn_ends = position + tuning.TURN_SIZE
        while is_open:
            view = self._view_for(position)
            count, failure = self._receive(body, view, segment)
            is_open = count > 0 and failure is None
            claimed = pool.scheduler.claim(segment, count)
            if claimed:
                if extent is None or extent.known[0] >= pool.partial.extent_size:
                    extent = pool.partial.new_extent(position)
                piece = view[:claimed]
                # Checksum, write, and only then the extent: the journal never names bytes that are not in the file.
                length, value = extent.known
                value = crc64(piece, value)
                pool.partial.write(piece, position)
                extent.known = (length + claimed, value)
                position += claimed
                self._failures = 0
                pool.progressed_at = time.monotonic()
                pool.links.mark_good()
            if failure is not None:
                raise failure
            if pool.rate_limiter and count:
                pause = max(0.0, pool.rate_limiter.delay(count))
                # Others may work meanwhile.
                with pool.turns.yielded():
                    pool.is_over.wait(pause)
            # Fewer than received: the segment was cut short meanwhile.
            if claimed < count or not segment.left:
                # The rest of the response is not needed, and a connection cannot skip it.
                if not body.is_over:
                    self.connection.close()
                return
            if pool.is_over.is_set():
                self.connection.close()
                return
            if position >= turn_ends:
                turn_ends = position + tuning.TURN_SIZE
                with pool.turns.yielded():
                    pass

    def _view_for(self, position: int) -> memoryview:
        """Memory for the next piece, at the same place in its page as in the file's: some processors copy faster then."""
        return self._memory[position % self._size :]

    def _receive(
        self, body: Body, view: memoryview, segment: Segment
    ) -> tuple[int, t.Optional[ConnectionFailedError]]:
        """Receive a piece into the view. Returns its size, and the error that ended it, if there was one: what came before counts."""
        count = 0
        ends = time.monotonic() + tuning.BUFFER_SECONDS
        try:
            while count < len(view):
                came = body.receive(view[count:])
                if came:
                    count += came
                    segment.unclaimed = count
                    continue
                seconds = ends - time.monotonic()
                if (
                    came == 0
                    or (count and seconds <= 0)
                    or segment.missing <= 0
                    or self._pool.is_over.is_set()
                ):
                    break
                # Nobody waits for the network with a turn.
                with self._pool.turns.yielded():
                    body.wait(
                        seconds if seconds > 0 else tuning.BUFFER_SECONDS,
                        len(view) - count,
                    )
        except ConnectionFailedError as error:
            return count, error
        return count, None
