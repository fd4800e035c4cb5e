# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Transfer of one object into a partial file by several connections.

``Transfer.probe`` identifies the object, ``Transfer.run`` transfers it. Each thread of ``run`` has a connection, receives,
computes checksums and writes; its own thread writes the journal, renews links, replaces slow connections, and ends all.
"""

from __future__ import annotations

import time
import typing as t

from .._base.errors import (
    BackupError,
    ConnectionFailedError,
    InvalidResponseError,
)
from . import tuning
from .attempt import Attempt
from .body import Body
from .connection import Connection
from .errors import (
    ObjectChangedError,
    StorageRejectedError,
    UnrangedDownloadInterruptedError,
    VerificationError,
    is_permanent,
)
from .link import Link
from .links import Links
from .object_info import ObjectInfo
from .partial_file import PartialFile
from .segments import Clock, SegmentScheduler
from .types import TransferObserver, TransferOptions, TransferStats
from .worker_pool import WorkerPool


class Transfer:
    """The transfer of one object. Each of its methods can raise any BackupError."""

    def __init__(
        self,
        link: Link,
        options: TransferOptions,
        observer: TransferObserver,
        stats: TransferStats,
        clock: Clock = time.monotonic,
    ) -> None:
        """``clock``: the time in seconds by which connections are slow."""
        self.clock = clock
        self._options = options
        self._observer = observer
        self._stats = stats
        self._links = Links(link, observer, options.outage_timeout)
        self._connection = Connection(options.http)
        self._operation = f"download {link.printable}"
        self._whole_body: t.Optional[Body] = None

    def probe(self) -> ObjectInfo:
        """Identify the object by one request."""

        def request(link: Link) -> tuple[Link, Body]:
            link, body = self._connection.probe(link)
            if not body.is_whole:
                body.skip()
            return link, body

        return self._identify(request)

    def _identify(
        self, request: t.Callable[[Link], tuple[Link, Body]]
    ) -> ObjectInfo:
        """Identify the object by a request, which is repeated if need be. A body with the whole object is kept for ``run``."""
        # Counted for the whole method, as nothing arrives in between that would prove that the storage works.
        failures = 0
        began = time.monotonic()
        self._whole_body = None
        while True:
            self._observer.check()
            generation, link = self._links.current()
            try:
                link, body = request(link)
            except StorageRejectedError as error:
                self._reject(generation, error)
                # There are no workers yet, so this thread waits for the new link itself.
                while self._links.is_missing:
                    self._refresh_links()
                    time.sleep(tuning.TICK)
                    self._observer.check()
            except (ConnectionFailedError, InvalidResponseError) as error:
                self._links.forget_redirection(generation)
                failures += 1
                retry = self._options.retry
                elapsed = time.monotonic() - began
                if (
                    is_permanent(error)
                    or failures > retry.retries
                    or elapsed > self._options.stall_timeout
                ):
                    raise error.in_context(
                        self._operation, attempts=failures, elapsed=elapsed
                    ) from None
                asked = getattr(error, "retry_after", None)
                self._pause(retry.pause(failures - 1, asked))
            else:
                self._links.on_redirect(generation, link)
                if body.is_whole:
                    self._whole_body = body
                return body.info

    def run(self, partial: PartialFile, info: ObjectInfo) -> ObjectInfo:
        """Transfer all of the object, and verify its CRC-64. Returns the object, which is another one than the probed if it changed."""
        changes = verifications = restarts = 0
        retry = self._options.retry
        while True:
            try:
                if not info.is_identified and not self._whole_body:
                    # Nothing tells this object from another, so parts of several responses could be of several objects.
                    info = self._identify(self._connection.get_whole)
                self._transfer_missing(partial, info)
                self._verify(partial, info)
                return info
            except ObjectChangedError as error:
                changes += 1
                if changes > tuning.MAX_CHANGES:
                    raise error.in_context(self._operation) from None
            except VerificationError as error:
                verifications += 1
                # The next run must not continue with bytes that are wrong.
                if verifications >= tuning.MAX_VERIFICATIONS:
                    partial.reset()
                    raise error.in_context(self._operation) from None
            except UnrangedDownloadInterruptedError as interruption:
                restarts += 1
                if restarts > retry.retries:
                    raise interruption.reason.in_context(
                        self._operation
                    ) from None
                self._pause(retry.pause(restarts - 1))
            partial.reset()
            self._stats.attempts += 1
            info = self.probe()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _transfer_missing(self, partial: PartialFile, info: ObjectInfo) -> None:
        """Transfer what an earlier run has not left."""
        self._observer.report({"phase": "checking"})
        # For one use: after an interruption, it has to be requested again.
        whole_body = self._whole_body
        self._whole_body = None
        if whole_body:
            partial.reset()
        resumed = partial.resume(info, self._observer.check)
        if resumed:
            self._stats.resumed += resumed
            self._stats.resumes += 1
        gaps = partial.gaps()
        if not gaps:
            return
        connections = 1 if whole_body else self._max_connections()
        scheduler = SegmentScheduler(gaps, connections)
        attempt = Attempt(
            self._options, self._links, partial, info, scheduler, self.clock
        )
        pool = WorkerPool(
            attempt, self._observer, self._stats, self._connection, whole_body
        )
        try:
            pool.run(resumed)
        except BackupError as error:
            error.in_context(self._operation)
            raise
        finally:
            # The one that it was given may be lost.
            self._connection = pool.connection

    def _max_connections(self) -> int:
        """The largest number of connections. A low limit of the rate needs few, and the last one would only be waited for."""
        options = self._options
        if not options.limit_rate:
            return options.connections
        return max(
            1, min(options.connections, options.limit_rate // tuning.MIN_RATE)
        )

    def _verify(self, partial: PartialFile, info: ObjectInfo) -> None:
        """Compare the CRC-64 of what came with that of the storage. Raises VerificationError."""
        if partial.gaps():
            raise VerificationError("the download is incomplete")
        # Not every storage gives one; then the lengths of the parts are all there is.
        if info.crc64 is None:
            return
        found = partial.crc64()
        if found != info.crc64:
            raise VerificationError(
                f"the downloaded data differs from the object: its CRC-64 is {found}, not {info.crc64}",
                hint="Something on the network path changes the data",
            )

    def _reject(self, generation: int, rejection: StorageRejectedError) -> None:
        """Have the link replaced. Raises the rejection if no link would do."""
        try:
            self._links.reject(generation, rejection)
        except StorageRejectedError as error:
            raise error.in_context(self._operation) from None

    def _refresh_links(self) -> None:
        """Use a new link once it is there. Raises the rejection if none will come."""
        try:
            self._links.refresh()
        except BackupError as error:
            raise error.in_context(self._operation) from None

    def _pause(self, seconds: float) -> None:
        """Sleep, and end at once if nobody waits for the transfer any more."""
        ends = time.monotonic() + seconds
        left = seconds
        while left > 0:
            self._observer.check()
            time.sleep(min(tuning.TICK, left))
            left = ends - time.monotonic()
