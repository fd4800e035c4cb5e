# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.
"""The transfer of one object into a partial file: by several connections, whatever becomes of them.

``Transfer.probe`` asks what the object is, ``Transfer.run`` brings it. The threads of ``run`` have a connection each, and
receive, sum up and write; its own thread keeps the journal, passes on new links, drops slow connections, and ends it all.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.crc64 import crc64
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.errors import (
    ObjectChanged,
    Rejected,
    VerificationFailed,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.object_info import ObjectInfo
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.partial import Extent, PartialFile
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.ranges import (
    Body,
    Connection,
    Link,
    Passing,
    WrongPartError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.rejection import EXPIRED
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.schedule import (
    Clock,
    Rate,
    Schedule,
    Segment,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.system import buffer
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.connection import ConnectionOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    BackupError,
    BrokenAnswer,
    ConnectionFailed,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.retry import RetryPolicy

MIB = 1 << 20

#: What is received, summed up and written at a time, and what all connections together may have in memory.
_PIECE = 2 * MIB
_MEMORY = 16 * MIB
#: What was received is written after so many seconds at the latest.
_PIECE_SECONDS = 0.25
#: So many connections have data in hand at a time, and so many bytes in a row while others wait.
_TURNS = 2
_TURN = 8 * MIB
#: Each connection has so many bytes a second of a rate that is limited.
_LEAST_RATE = MIB // 16
#: So much is brought to the disk at a time, while more comes.
_SYNC_EVERY = 32 * MIB
_JOURNAL_SECONDS = 1.0
_TICK = 0.1
_FIRST_LOOK = 0.03
_GRACE = 2.0

_ALL_EXPIRED_HINT = (
    "{} new links in a row had expired before they were used: raise duration, and check the clocks of the controller and of"
    " this host"
)
#: An object that changes is begun anew so often, and one whose bytes are wrong so often.
_MAX_CHANGES = 3
#: What is wrong twice is not wrong by chance, and each time costs all bytes.
_MAX_VERIFICATIONS = 2

#: A connection is dropped for another if it is so old (the slow start of TCP takes up to two seconds over long ways) ...
_SLOW_SECONDS = 3.0
#: ... and has less than that share of the median rate: connections that share a line differ by two or three times anyway.
_SLOW_SHARE = 0.25
#: Where there are too few to have a median, one is dropped that has less than so many bytes a second for the same time, which
#: doubles with each drop. Lines that slow are rare; what holds a connection there is mostly its way.
_SLOW_RATE = MIB // 16
#: So often for each place: where the fourth is slow too, slow is what there is, and each drop costs what is under way.
_MAX_DROPS = 3


class TransferOptions(t.NamedTuple):
    """``connections`` at the most. ``limit_rate`` in bytes a second. ``retry.total_timeout``: how many seconds nothing may arrive."""

    connections: int = 8
    http: ConnectionOptions = ConnectionOptions()
    retry: RetryPolicy = RetryPolicy()
    limit_rate: t.Optional[int] = None
    sync: bool = True


class Waiting(t.Protocol):
    """Whoever waits for the transfer, and has links for it."""

    renews_links: bool

    def check(self) -> None:
        """Raises if nobody waits any more."""

    def report(self, facts: t.Mapping[str, t.Any]) -> None:
        """How far it is."""

    def ask_for_links(self) -> None:
        """Say that the link that it has does not do any more."""

    def take_links(self) -> t.Optional[list[str]]:
        """The new ones, once they are there."""


class Account:
    """What was done, over all objects and attempts.

    ``transferred``: bytes, without the one that only tells what the object is. ``resumed``: bytes that an earlier run had
    left; ``resumes``: how often it went on where something had broken.
    """

    def __init__(self) -> None:
        self.transferred = 0
        self.resumed = 0
        self.resumes = 0
        self.connections = 0
        self.attempts = 1


class Transfer:
    """Raises any BackupError from each of its methods."""

    def __init__(
        self,
        link: Link,
        options: TransferOptions,
        waiting: Waiting,
        account: Account,
        clock: Clock = time.monotonic,
    ) -> None:
        """``clock`` in seconds: what connections are called slow by."""
        self.clock = clock
        self._options = options
        self._waiting = waiting
        self._account = account
        self._links = _Links(link, waiting, options.retry.total_timeout)
        self._connection = Connection(options.http)
        self._asked = f"download {link.shown}"
        self._whole: t.Optional[Body] = None

    def probe(self) -> ObjectInfo:
        """What the object is, by one request."""

        def ask(link: Link) -> tuple[Link, Body]:
            link, body = self._connection.probe(link)
            if not body.is_whole:
                body.skip()
            return link, body

        return self._begin(ask)

    def _begin(self, ask: t.Callable[[Link], tuple[Link, Body]]) -> ObjectInfo:
        """What the object is by an answer, whose body is kept if it is all of the object."""
        failures = 0
        began = time.monotonic()
        while True:
            self._waiting.check()
            generation, link = self._links.current()
            try:
                link, body = ask(link)
            except Rejected as error:
                self._reject(generation, error)
                while self._links.is_missing:
                    self._tend_links()
                    time.sleep(_TICK)
                    self._waiting.check()
            except (ConnectionFailed, BrokenAnswer) as error:
                self._links.forget_redirection(generation)
                failures += 1
                retry = self._options.retry
                if is_final(error) or failures > retry.retries or time.monotonic() - began > retry.total_timeout:
                    raise self._named(error, failures, began) from None
                self._nap(retry.pause(failures - 1, getattr(error, "retry_after", None)))
            else:
                self._links.led_to(generation, link)
                self._whole = body if body.is_whole else None
                return body.info

    def run(self, partial: PartialFile, info: ObjectInfo) -> ObjectInfo:
        """Bring all of the object, and check it by its CRC-64. Returns what it is, which is not what was probed if it changed."""
        changes = verifications = restarts = 0
        retry = self._options.retry
        while True:
            try:
                if not info.is_identified and not self._whole:
                    # Its parts could be those of several objects, one after the other.
                    info = self._begin(self._connection.get_whole)
                self._bring(partial, info)
                self._verify(partial, info)
                return info
            except ObjectChanged as error:
                changes += 1
                if changes > _MAX_CHANGES:
                    raise self._named(error) from None
            except VerificationFailed as error:
                verifications += 1
                if verifications >= _MAX_VERIFICATIONS:
                    partial.forget()
                    raise self._named(error) from None
            except _WholeBroken as broken:
                restarts += 1
                if restarts > retry.retries:
                    raise self._named(broken.reason) from None
                self._nap(retry.pause(restarts - 1))
            partial.forget()
            self._account.attempts += 1
            info = self.probe()

    def close(self) -> None:
        self._connection.close()

    def _bring(self, partial: PartialFile, info: ObjectInfo) -> None:
        self._waiting.report({"phase": "checking"})
        whole, self._whole = self._whole, None
        if whole:
            partial.forget()
        there = partial.resume(info, self._waiting.check)
        if there:
            self._account.resumed += there
            self._account.resumes += 1
        gaps = partial.gaps()
        if gaps:
            crew = _Crew(self, partial, info, Schedule(gaps, 1 if whole else self._connections()), whole)
            crew.run(there)

    def _connections(self) -> int:
        """At the most. Where all together are slow, few do, and each would only be waited for."""
        options = self._options
        if options.limit_rate:
            return max(1, min(options.connections, options.limit_rate // _LEAST_RATE))
        return options.connections

    def _verify(self, partial: PartialFile, info: ObjectInfo) -> None:
        if partial.gaps():
            raise VerificationFailed("not all of it came")
        if info.crc64 is None:
            return
        found = partial.crc64()
        if found != info.crc64:
            raise VerificationFailed(
                f"what came is not what the storage has: its CRC-64 is {found}, not {info.crc64}",
                hint="Something on the way changes the data",
            )

    def _reject(self, generation: int, rejection: Rejected) -> None:
        try:
            self._links.reject(generation, rejection)
        except Rejected as error:
            raise self._named(error) from None

    def _tend_links(self) -> None:
        try:
            self._links.tend()
        except BackupError as error:
            raise self._named(error) from None

    def _nap(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self._waiting.check()
            time.sleep(min(_TICK, max(0.0, ends - time.monotonic())))

    def _named(self, error: BackupError, attempts: int = 0, began: float = 0.0) -> BackupError:
        error.asked = error.asked or self._asked
        error.attempts, error.elapsed = attempts, time.monotonic() - began
        return error


def is_final(error: BackupError) -> bool:
    """Whether it makes no sense to try again."""
    if isinstance(error, ConnectionFailed):
        return error.permanent
    if isinstance(error, Passing):
        return False
    return not isinstance(error, BrokenAnswer)


class _WholeBroken(Exception):
    """A server that gives no ranges stopped half-way: all has to come again."""

    def __init__(self, reason: BackupError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Links:
    """The link that is in use. For several threads, but ``tend`` for one.

    Where it was redirected, the place that it led to is asked from then on, and the link itself again once that place refuses
    or fails: what a link leads to may be short-lived.
    """

    def __init__(self, link: Link, waiting: Waiting, timeout: float) -> None:
        self._link = self._place = link
        self._waiting = waiting
        self._timeout = timeout
        self._generation = 0
        self._rejection: t.Optional[Rejected] = None
        self._asked_at: t.Optional[float] = None
        #: The codes for which links were asked that were of no use.
        self._useless: list[str] = []
        self._lock = threading.Lock()

    def current(self) -> tuple[int, Link]:
        with self._lock:
            return self._generation, self._place

    @property
    def is_missing(self) -> bool:
        return self._rejection is not None

    def led_to(self, generation: int, place: Link) -> None:
        """The link of that generation was redirected."""
        with self._lock:
            if generation == self._generation:
                self._place = place

    def forget_redirection(self, generation: int) -> bool:
        """Whether the place that this generation led to is given up, and its link asked again."""
        with self._lock:
            if generation == self._generation and self._place is not self._link:
                self._use(self._link)
            return generation != self._generation

    def reject(self, generation: int, rejection: Rejected) -> None:
        """Have ``tend`` find another link. Raises the rejection if none would do."""
        if self.forget_redirection(generation):
            return
        with self._lock:
            if generation != self._generation:
                return
            tried = self._useless.count(rejection.code)
            if tried >= rejection.new_links or len(self._useless) >= EXPIRED:
                if tried and rejection.new_links == EXPIRED:
                    rejection.hint = _ALL_EXPIRED_HINT.format(tried)
                raise rejection
            self._rejection = rejection

    def proved(self) -> None:
        """It was of use."""
        if self._useless:
            self._useless = []

    def tend(self) -> None:
        """Have a new link in place of one that was rejected, if it is there by now. Raises Rejected if none will come."""
        rejection = self._rejection
        if rejection is None:
            return
        if not self._waiting.renews_links:
            raise rejection
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._waiting.ask_for_links()
        urls = self._waiting.take_links()
        if urls is None:
            if now - self._asked_at > self._timeout:
                raise rejection
            return
        found = [link for link in map(Link, urls) if link.path == self._link.path]
        if not found:
            raise rejection
        with self._lock:
            self._link = found[0]
            self._use(self._link)
            self._useless.append(rejection.code)
            self._rejection = None
            self._asked_at = None

    def _use(self, place: Link) -> None:
        self._place = place
        self._generation += 1


class _Limit:
    """Holds all connections together at a rate, in bytes a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def delay(self, count: int) -> float:
        """Seconds to wait after so many bytes came."""
        with self._lock:
            now = time.monotonic()
            self._at = max(self._at, now - _PIECE_SECONDS) + count / self._rate
            return self._at - now


class Turns:
    """Lets so many threads have data in hand at a time, in the order in which they ask.

    More would only wait for each other, for the lock of Python and that of the file, and at some cost.
    """

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._waiting: collections.deque[threading.Lock] = collections.deque()
        self._lock = threading.Lock()
        self._marked = time.monotonic()
        self._used = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._mark()
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()

    def __exit__(self, *dummy: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._mark()
                self._free += 1

    @contextlib.contextmanager
    def put_off(self) -> t.Iterator[None]:
        """Let others have the turn meanwhile."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    @property
    def used(self) -> float:
        """For how many seconds turns were had, together."""
        with self._lock:
            self._mark()
            return self._used

    def _mark(self) -> None:
        now = time.monotonic()
        self._used += (self._count - self._free) * (now - self._marked)
        self._marked = now


class _Crew:
    """The threads of one attempt."""

    def __init__(
        self, transfer: Transfer, partial: PartialFile, info: ObjectInfo, schedule: Schedule, whole: t.Optional[Body]
    ) -> None:
        self.options = transfer._options
        self.links = transfer._links
        self.partial = partial
        self.info = info
        self.schedule = schedule
        self.clock = transfer.clock
        self.turns = Turns(_TURNS)
        self.limit = _Limit(self.options.limit_rate) if self.options.limit_rate else None
        self.progressed_at = time.monotonic()
        self.is_over = threading.Event()
        self._transfer = transfer
        self._waiting = transfer._waiting
        self._account = transfer._account
        self._error: t.Optional[BaseException] = None
        self._lock = threading.Lock()
        first = transfer._connection
        connections = [first, *(Connection(self.options.http) for dummy in range(schedule.connections - 1))]
        self._workers = [_Worker(self, connection) for connection in connections]
        self._workers[0].whole = whole
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._received_before = first.received
        limit = self.options.limit_rate
        # Not where all of it comes in one answer, nor where the limit may be what makes it slow.
        is_free = not whole and not (limit and limit < 2 * _SLOW_RATE * schedule.connections)
        self._slow_rate = _SLOW_RATE if is_free else 0

    def run(self, there: int) -> None:
        try:
            self._look_after(there)
        finally:
            self._end()
        error = self._error
        if isinstance(error, BackupError) and not self.partial.gaps():
            # What one gave up, others have brought meanwhile.
            return
        if error:
            raise error

    def _look_after(self, there: int) -> None:
        """Until all is there, or there is an error."""
        began = looked = time.monotonic()
        saved = self.clock()
        used = 0.0
        self._start(_TURNS)
        if self.options.sync:
            threading.Thread(target=self._sync_early, daemon=True).start()
        while not self.is_over.wait(_TICK if looked > began else _FIRST_LOOK):
            if self._is_complete():
                # Somebody may still wait before he tries again what others have brought meanwhile.
                return
            self._waiting.check()
            self._transfer._tend_links()
            now = time.monotonic()
            # More connections are of use only where the network is what they wait for, and not this machine.
            before, used = used, self.turns.used
            if used - before < (now - looked) * _TURNS / 2:
                self._start(len(self._workers))
            looked = now
            if self.clock() - saved >= _JOURNAL_SECONDS:
                saved = self.clock()
                self.partial.save()
                self._drop_slow()
            done = self.info.size - self.schedule.left
            rate = (done - there) / max(0.001, now - began)
            self._waiting.report({"phase": "transferring", "size": self.info.size, "done": done, "rate": rate})

    def _sync_early(self) -> None:
        """Have the disk busy while the network is, so that little is left to wait for in the end."""
        try:
            left = self.schedule.left
            while not self.is_over.wait(_TICK):
                if left - self.schedule.left >= _SYNC_EVERY:
                    left = self.schedule.left
                    self.partial.sync()
        except BackupError as error:
            self.fail(error)

    def _is_complete(self) -> bool:
        return not self.schedule.left and not self.partial.gaps()

    def _end(self) -> None:
        self.is_over.set()
        for worker in self._workers:
            worker.connection.abort()
        # Where all is there, nobody writes any more.
        patience = _TICK if self._is_complete() else self.options.http.connect_timeout + _GRACE
        ends = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        account = self._account
        account.connections = max(account.connections, sum(worker.connection.made > 0 for worker in self._workers))
        for worker in self._workers:
            # Before it is counted what they received, which closing them adds to.
            worker.connection.close()
        account.transferred += sum(worker.connection.received for worker in self._workers) - self._received_before
        account.resumes += sum(worker.resumes for worker in self._workers)
        are_alive = [thread.is_alive() for thread in self._threads]
        if are_alive and are_alive[0]:
            # It may be in the midst of connecting.
            self._transfer._connection = Connection(self.options.http)
        try:
            self.partial.save(close=not any(are_alive))
        except BackupError as error:
            # Not in place of what ended it.
            self._error = self._error or error

    def _start(self, count: int) -> None:
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

    def named(self, error: BackupError, attempts: int) -> BackupError:
        return self._transfer._named(error, attempts, self.progressed_at)

    def _drop_slow(self) -> None:
        """Give a connection that is far behind the others another chance on another way."""
        working = [worker for worker in self._workers if worker.is_receiving]
        for worker in working:
            if worker.rate.now >= self._slow_rate:
                worker.quick_at = self.clock()
        for worker in slow_ones(working) or slow_of_few(working, self._slow_rate, self.schedule.left):
            worker.drop()


class Dropping(t.Protocol):
    """What is known of a connection that may be dropped."""

    drops: int

    @property
    def rate(self) -> Rate:
        """Of what comes by it."""

    @property
    def seconds_connected(self) -> float:
        """Since it was made."""

    @property
    def seconds_slow(self) -> float:
        """Since it was made, or was last found to be quick."""


_Dropping = t.TypeVar("_Dropping", bound=Dropping)


def slow_ones(working: list[_Dropping]) -> list[_Dropping]:
    """Those to be dropped. Of two, nobody can say which one is usual."""
    if len(working) < 3:
        return []
    rates = [one.rate.now for one in working]
    usual = sorted(rates)[len(rates) // 2]
    return [
        one
        for one, rate in zip(working, rates)
        if one.drops < _MAX_DROPS and rate < _SLOW_SHARE * usual and one.seconds_connected > _SLOW_SECONDS
    ]


def slow_of_few(working: list[_Dropping], slow_rate: int, left: int) -> list[_Dropping]:
    """The one to be dropped where there is no median: the first that is slow, and has so many bytes left that it pays."""
    if len(working) > 2:
        return []
    found = []
    for one in working:
        patience, rate = _SLOW_SECONDS * 2**one.drops, one.rate.now
        # What would have come by then anyway is waited for.
        if rate < slow_rate and one.drops < _MAX_DROPS and one.seconds_slow > patience and left > rate * patience:
            found.append(one)
    return found[:1]


class _Worker:
    """A thread with a connection."""

    def __init__(self, crew: _Crew, connection: Connection) -> None:
        self.connection = connection
        self.whole: t.Optional[Body] = None
        self.rate = Rate(crew.clock)
        self.is_receiving = False
        self.resumes = 0
        self.drops = 0
        self._crew = crew
        self._is_dropped = False
        self._connected_at = self.quick_at = crew.clock()
        self._failures = 0
        self._failing_since = 0.0
        connections, rate = crew.schedule.connections, crew.options.limit_rate
        self._size = min(_PIECE, _MEMORY // connections)
        if rate:
            # Each connection has a piece before it is held back.
            self._size = min(self._size, max(256, rate // connections // 20))
        self._memory = buffer(self._size)

    @property
    def seconds_connected(self) -> float:
        return self._crew.clock() - self._connected_at

    @property
    def seconds_slow(self) -> float:
        return self._crew.clock() - max(self._connected_at, self.quick_at)

    def drop(self) -> None:
        self.drops += 1
        self._is_dropped = True
        self._connected_at = self._crew.clock()
        self.connection.abort()

    def run(self) -> None:
        crew = self._crew
        try:
            self._work()
        except BackupError as error:
            crew.fail(crew.named(error, self._failures))
        except BaseException as error:
            crew.fail(error)
        finally:
            crew.leave()

    def _work(self) -> None:
        crew = self._crew
        while not crew.is_over.is_set():
            segment = crew.schedule.take(self.rate, self.connection, is_whole=self.whole is not None)
            if segment is None:
                if not crew.schedule.left:
                    return
                crew.schedule.wait(_TICK / 2)
                continue
            pause = 0.0
            generation, link = crew.links.current()
            try:
                self._fetch(generation, link, segment)
            except Rejected as error:
                crew.links.reject(generation, error)
                self.resumes += 1
            except (ConnectionFailed, BrokenAnswer) as error:
                if self.whole and not crew.is_over.is_set():
                    raise _WholeBroken(error) from None
                if segment.left:
                    crew.links.forget_redirection(generation)
                    pause = self._pause_after(error)
            finally:
                self.is_receiving = False
                crew.schedule.give_back(segment)
            if pause:
                crew.is_over.wait(pause)
            while crew.links.is_missing and not crew.is_over.wait(_TICK / 2):
                pass

    def _pause_after(self, error: BackupError) -> float:
        """How long to wait before another try. Raises the error if there is to be none."""
        crew = self._crew
        if crew.is_over.is_set():
            return 0.0
        self.resumes += 1
        if self._is_dropped:
            self._is_dropped = False
            self.rate.reset()
            return 0.0
        if not self._failures:
            self._failing_since = time.monotonic()
        self._failures += 1
        retry = crew.options.retry
        if is_final(error) or not retry.retries or time.monotonic() - crew.progressed_at > retry.total_timeout:
            raise error
        if isinstance(error, WrongPartError) and self._failures > retry.retries and not self._others_progress:
            raise error
        return retry.pause(self._failures - 1, getattr(error, "retry_after", None))

    @property
    def _others_progress(self) -> bool:
        """Since this one began to fail."""
        return self._crew.progressed_at > self._failing_since

    def _fetch(self, generation: int, link: Link, segment: Segment) -> None:
        """All of the segment, or less if another takes over the rest of it."""
        crew, connection = self._crew, self.connection
        body = self.whole
        if body is None:
            made = connection.made
            found, body = connection.get(link, segment.position, segment.stop, crew.info)
            if found is not link:
                crew.links.led_to(generation, found)
            if connection.made != made:
                self._connected_at = crew.clock()
        self.is_receiving = True
        with crew.turns:
            self._keep(body, segment)

    def _keep(self, body: Body, segment: Segment) -> None:
        """What comes of the answer, in the file."""
        crew = self._crew
        extent: t.Optional[Extent] = None
        position = body.start
        is_open = True
        turn_ends = position + _TURN
        while is_open:
            view = self._view_for(position)
            count, failure = self._receive(body, view, segment)
            is_open = count > 0 and failure is None
            claimed = crew.schedule.claim(segment, count)
            if claimed:
                if extent is None or extent.known[0] >= crew.partial.extent_size:
                    extent = crew.partial.new_extent(position)
                piece = view[:claimed]
                length, value = extent.known
                value = crc64(piece, value)
                crew.partial.write(piece, position)
                extent.known = (length + claimed, value)
                position += claimed
                self._failures = 0
                crew.progressed_at = time.monotonic()
                crew.links.proved()
            if failure is not None:
                raise failure
            if crew.limit and count:
                pause = max(0.0, crew.limit.delay(count))
                with crew.turns.put_off():
                    crew.is_over.wait(pause)
            if claimed < count or not segment.left:
                if not body.is_over:
                    self.connection.close()
                return
            if crew.is_over.is_set():
                self.connection.close()
                return
            if position >= turn_ends:
                turn_ends = position + _TURN
                with crew.turns.put_off():
                    pass

    def _view_for(self, position: int) -> memoryview:
        """Memory for what comes next, which lies in its pages as it will in those of the file."""
        return self._memory[position % self._size :]

    def _receive(self, body: Body, view: memoryview, segment: Segment) -> tuple[int, t.Optional[ConnectionFailed]]:
        """How much came into the view, and what ended it, if it did not end well."""
        count = 0
        ends = time.monotonic() + _PIECE_SECONDS
        try:
            while count < len(view):
                came = body.receive(view[count:])
                if came:
                    count += came
                    segment.in_hand = count
                    continue
                seconds = ends - time.monotonic()
                if came == 0 or (count and seconds <= 0) or segment.missing <= 0 or self._crew.is_over.is_set():
                    break
                with self._crew.turns.put_off():
                    body.wait(seconds if seconds > 0 else _PIECE_SECONDS, len(view) - count)
        except ConnectionFailed as error:
            return count, error
        return count, None
