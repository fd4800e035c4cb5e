# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A thread of a transfer, with a connection: it receives, computes checksums, and writes."""

from __future__ import annotations

import time
import typing as t

from .._base.errors import (
    BackupError,
    ConnectionFailedError,
    InvalidResponseError,
)
from .._files.crc64 import crc64
from .._files.system import buffer
from . import tuning
from .attempt import Attempt
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
from .segments import Rate, Segment


class Worker:
    """A thread with a connection."""

    def __init__(
        self,
        attempt: Attempt,
        connection: Connection,
        whole_body: t.Optional[Body] = None,
    ) -> None:
        """``whole_body``: a body on the connection with the whole object, which is received in place of segments."""
        self.connection = connection
        self.rate = Rate(attempt.clock)
        #: Read by the thread of the pool, as the counts below.
        self.is_receiving = False
        self.resumes = 0
        self.drops = 0
        self._attempt = attempt
        self._whole_body = whole_body
        #: Set by the thread of the pool: the next failure is its doing, and none of the connection.
        self._is_dropped = False
        self._connected_at = self.quick_at = attempt.clock()
        self._failures = 0
        self._failing_since = 0.0
        self._size = _buffer_size(
            attempt.scheduler.connections, attempt.options.limit_rate
        )
        self._memory = buffer(self._size)

    @property
    def seconds_connected(self) -> float:
        """Seconds since its connection was opened."""
        return self._attempt.clock() - self._connected_at

    @property
    def seconds_slow(self) -> float:
        """Seconds since its connection was opened, or was last found to be fast."""
        return self._attempt.clock() - max(self._connected_at, self.quick_at)

    def drop(self) -> None:
        """Give up a slow connection. Called by the thread of the pool: this one opens a new connection."""
        self.drops += 1
        # Before the failure that it explains.
        self._is_dropped = True
        self._connected_at = self._attempt.clock()
        self.connection.abort()

    def run(self) -> None:
        """Work until all is done, or there is an error that ends the attempt."""
        attempt = self._attempt
        try:
            self._work()
        except BackupError as error:
            elapsed = time.monotonic() - attempt.progressed_at
            attempt.fail(
                error.in_context(attempts=self._failures, elapsed=elapsed)
            )
        except BaseException as error:
            # A thread that ends without a word would leave the transfer waiting.
            attempt.fail(error)
        finally:
            attempt.leave()

    def _work(self) -> None:
        """Transfer one segment after the other, and repeat what fails."""
        attempt = self._attempt
        scheduler, is_over = attempt.scheduler, attempt.is_over
        while not is_over.is_set():
            segment = scheduler.take(
                self.rate,
                self.connection,
                is_whole=self._whole_body is not None,
            )
            if segment is None:
                if not scheduler.left:
                    return
                scheduler.wait(tuning.WORKER_TICK)
                continue
            pause = self._transfer(segment)
            # Not a plain sleep: the end of the transfer wakes it up. The segment is free for others by now.
            if pause:
                is_over.wait(pause)
            while attempt.links.is_missing and not is_over.wait(
                tuning.WORKER_TICK
            ):
                pass

    def _transfer(self, segment: Segment) -> float:
        """Transfer a segment, and release it. Returns the seconds to wait after a failure."""
        attempt = self._attempt
        # A failure counts for the link that the request was sent with, which may be replaced meanwhile.
        generation, link = attempt.links.current()
        try:
            self._fetch(generation, link, segment)
        except StorageRejectedError as error:
            attempt.links.reject(generation, error)
            self.resumes += 1
        except (ConnectionFailedError, InvalidResponseError) as error:
            if self._whole_body and not attempt.is_over.is_set():
                raise UnrangedDownloadInterruptedError(error) from None
            # If another worker took the rest, the connection was aborted on purpose.
            if segment.left:
                attempt.links.forget_redirection(generation)
                return self._pause_after(error)
        finally:
            self.is_receiving = False
            attempt.scheduler.release(segment)
        return 0.0

    def _pause_after(self, error: BackupError) -> float:
        """Seconds to wait before the next try. Raises the error if there is none."""
        attempt = self._attempt
        if attempt.is_over.is_set():
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
        retry = attempt.options.retry
        seconds_without_byte = time.monotonic() - attempt.progressed_at
        if (
            is_permanent(error)
            or not retry.retries
            or seconds_without_byte > attempt.options.stall_timeout
        ):
            raise error
        is_wrong_again = (
            isinstance(error, WrongPartError) and self._failures > retry.retries
        )
        # Others that receive parts show that the storage can give them, and that this worker has met a bad server.
        if is_wrong_again and not self._others_progress:
            raise error
        return retry.pause(
            self._failures - 1, getattr(error, "retry_after", None)
        )

    @property
    def _others_progress(self) -> bool:
        """Tell whether other workers received something since this one began to fail."""
        return self._attempt.progressed_at > self._failing_since

    def _fetch(self, generation: int, link: Link, segment: Segment) -> None:
        """Transfer a segment, or less if the rest of it is reassigned."""
        attempt, connection = self._attempt, self.connection
        body = self._whole_body
        if body is None:
            made = connection.connections_made
            found, body = connection.get(
                link, segment.position, segment.stop, attempt.info
            )
            if found is not link:
                attempt.links.on_redirect(generation, found)
            if connection.connections_made != made:
                self._connected_at = attempt.clock()
        self.is_receiving = True
        with attempt.turns:
            self._write_body(body, segment)

    def _write_body(self, body: Body, segment: Segment) -> None:
        """Write a body to the file, piece by piece."""
        attempt = self._attempt
        extent: t.Optional[Extent] = None
        position = body.start
        turn_ends = position + tuning.TURN_SIZE
        while True:
            view = self._view_for(position)
            count, failure = self._receive(body, view, segment)
            claimed = attempt.scheduler.claim(segment, count)
            if claimed:
                extent = self._store(view[:claimed], position, extent)
                position += claimed
            if failure is not None:
                raise failure
            if not count:
                break
            self._keep_rate(count)
            # Fewer than received: the segment was cut short meanwhile.
            if claimed < count or not segment.left or attempt.is_over.is_set():
                break
            if position >= turn_ends:
                turn_ends = position + tuning.TURN_SIZE
                with attempt.turns.yielded():
                    pass
        # The rest of the response is not needed, and a connection cannot skip it.
        if not body.is_over:
            self.connection.close()

    def _store(
        self, piece: memoryview, position: int, extent: t.Optional[Extent]
    ) -> Extent:
        """Write a piece, and add it to the extent, or to a new one if that is full. Returns the extent."""
        attempt = self._attempt
        if extent is None or extent.known[0] >= attempt.partial.extent_size:
            extent = attempt.partial.new_extent(position)
        # Checksum, write, and only then the extent: the journal never names bytes that are not in the file.
        length, value = extent.known
        value = crc64(piece, value)
        attempt.partial.write(piece, position)
        extent.known = (length + len(piece), value)
        self._failures = 0
        attempt.progressed_at = time.monotonic()
        attempt.links.mark_good()
        return extent

    def _keep_rate(self, count: int) -> None:
        """Wait if that many bytes are more than the limit of the rate allows."""
        attempt = self._attempt
        if attempt.rate_limiter is None:
            return
        pause = max(0.0, attempt.rate_limiter.delay(count))
        # Others may work meanwhile.
        with attempt.turns.yielded():
            attempt.is_over.wait(pause)

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
                if (
                    came == 0
                    or segment.missing <= 0
                    or self._attempt.is_over.is_set()
                ):
                    break
                seconds = ends - time.monotonic()
                if seconds <= 0:
                    if count:
                        break
                    # Without a byte there is nothing to write: wait on, but look at the segment now and then.
                    seconds = tuning.BUFFER_SECONDS
                # Nobody waits for the network with a turn.
                with self._attempt.turns.yielded():
                    body.wait(seconds, len(view) - count)
        except ConnectionFailedError as error:
            return count, error
        return count, None


def _buffer_size(connections: int, limit_rate: t.Optional[int]) -> int:
    """Return the size of the buffer of one of ``connections``, in bytes."""
    size = min(tuning.BUFFER_SIZE, tuning.MAX_BUFFERS // connections)
    if limit_rate:
        # A full buffer comes before the first pause: with large ones, a low rate would be a few bursts.
        share = limit_rate // connections // tuning.BUFFERS_PER_SECOND
        size = min(size, max(tuning.MIN_BUFFER_SIZE, share))
    return size
