# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The second pass: threads that load pieces, each by a session of its own, and finish tables.

The thread that reads the source hands pieces over. A table whose pieces are all loaded is finished and verified by
the next free thread, while others go on.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
import typing as t

from . import tuning
from .engine import Session
from .errors import DatabaseError
from .model import (
    Loaded,
    Piece,
    Plan,
    RestoreRecord,
    State,
    TablePlan,
    Verified,
)


@dataclasses.dataclass
class TableProgress:
    """How far a table is. ``pieces_left``: those of its ``pieces`` that are not loaded yet.

    ``steps_left``: those that come after them and before the end.
    """

    plan: TablePlan
    state: State
    pieces: int
    pieces_left: int
    steps_left: int = 0
    rows: int = 0
    warnings: int = 0
    seconds: float = 0.0
    #: Bytes that this run loaded.
    size: int = 0
    #: Rows that were counted in the table, by this run or by an earlier one.
    rows_found: t.Optional[int] = None
    verified: t.Optional[Verified] = None


class Loader:
    """Loads pieces by threads. To be closed in any case.

    Memory holds at most ``tuning.PIECES_AHEAD`` pieces for each thread, and the one that it loads.
    """

    def __init__(
        self,
        plan: Plan,
        tables: t.Sequence[TableProgress],
        connect: t.Callable[[], Session],
        threads: int,
    ) -> None:
        self._tables = {one.plan.number: one for one in tables}
        self._plan = plan
        self._connect = connect
        self._jobs: collections.deque[_Job] = collections.deque()
        #: Guards all that follows, and the jobs. Waited for by idle threads and by the reader.
        self._changed = threading.Condition()
        self._pieces_waiting = 0
        self._most_waiting = threads * tuning.PIECES_AHEAD
        self._unfinished = sum(
            one.state is not State.DONE for one in self._tables.values()
        )
        self._is_closed = False
        self._error: t.Optional[BaseException] = None
        self._sessions: list[Session] = []
        self._jobs.extend(
            _Job(tables=together)
            for together in _together(self._tables.values())
        )
        # Each has a connection, in which the server works as long as a statement takes. Daemons, as that cannot always be
        # ended: they must not keep a process that is told to stop.
        self._threads = [
            threading.Thread(target=self._work, daemon=True)
            for _unused in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        """Return whether all tables are done. Raises what ended a thread."""
        with self._changed:
            self._check()
            return not self._unfinished

    def add(
        self, pieces: t.Sequence[Piece], tick: t.Callable[[], t.Any]
    ) -> None:
        """Hand over pieces for one transaction. Waits until there is room for them."""
        with self._changed:
            while (
                self._pieces_waiting >= self._most_waiting and not self._error
            ):
                # It reports progress, and raises the error if the run is to end.
                self._changed.wait(tuning.TICK)
                tick()
            self._check()
            self._jobs.append(_Job(pieces=pieces))
            self._pieces_waiting += 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait a moment for the threads."""
        with self._changed:
            if self._unfinished and not self._error:
                self._changed.wait(tuning.TICK)

    def close(self) -> None:
        """End the threads, and what their sessions do."""
        with self._changed:
            self._is_closed = True
            is_busy = bool(self._unfinished)
            sessions = list(self._sessions)
            self._changed.notify_all()
        # Without the lock, which the threads need to end. A server can be busy with one statement for an hour.
        if is_busy:
            for session in sessions:
                session.cancel()
        for thread in self._threads:
            thread.join()

    def _check(self) -> None:
        if self._error:
            raise self._error

    def _work(self) -> None:
        session: t.Optional[Session] = None
        try:
            while True:
                job = self._next()
                if job is None:
                    return
                # Not before there is something to do: small restores need few connections.
                if session is None:
                    session = self._connect()
                    with self._changed:
                        self._sessions.append(session)
                        if self._is_closed:
                            # It was not there yet to be cancelled.
                            return
                if job.step is not None:
                    self._step(session, job.tables[0], job.step)
                elif job.tables:
                    self._finish(session, job.tables)
                else:
                    self._load(session, job.pieces)
        except BaseException as error:
            # Raised again by the thread that reads, which would wait forever otherwise.
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()
        finally:
            if session:
                session.close()

    def _next(self) -> t.Optional[_Job]:
        with self._changed:
            while not self._jobs:
                if self._is_closed or self._error or not self._unfinished:
                    return None
                self._changed.wait()
            if self._is_closed or self._error:
                return None
            job = self._jobs.popleft()
            if not job.tables:
                self._pieces_waiting -= 1
                self._changed.notify_all()
            return job

    def _load(self, session: Session, pieces: t.Sequence[Piece]) -> None:
        began = time.monotonic()
        loaded = self._load_again(session, pieces)
        seconds = (time.monotonic() - began) / len(pieces)
        with self._changed:
            finished = []
            for piece, one in zip(pieces, loaded):
                progress = self._tables[piece.key.table]
                progress.rows += one.rows
                progress.warnings += one.warnings
                progress.seconds += seconds
                progress.size += len(piece.data)
                progress.state = State.LOADING
                progress.pieces_left -= 1
                if not progress.pieces_left:
                    finished.append(progress)
            self._go_on_with(finished, session)
            self._changed.notify_all()

    def _load_again(
        self, session: Session, pieces: t.Sequence[Piece]
    ) -> list[Loaded]:
        """Load pieces, again where another transaction was in the way: the server undid all of it."""
        for attempt in range(tuning.MAX_ATTEMPTS):
            try:
                return session.load(pieces, self._plan)
            except DatabaseError as error:
                if not error.is_transient or attempt + 1 == tuning.MAX_ATTEMPTS:
                    raise
                time.sleep(tuning.RETRY_PAUSE * (attempt + 1))
        raise AssertionError("there is at least one attempt")

    def _go_on_with(
        self, tables: t.Sequence[TableProgress], session: Session
    ) -> None:
        """Add the jobs for tables whose pieces are loaded. For within the lock."""
        # Before pieces of other tables, so that keys are made while those are loaded.
        ready = []
        for progress in tables:
            steps = session.steps(progress.plan)
            progress.steps_left = len(steps)
            self._jobs.extendleft(
                _Job(tables=[progress], step=step) for step in steps[::-1]
            )
            if not steps:
                ready.append(progress)
        if ready:
            self._jobs.appendleft(_Job(tables=ready))

    def _step(
        self, session: Session, progress: TableProgress, step: int
    ) -> None:
        began = time.monotonic()
        progress.state = State.INDEXING
        session.step(progress.plan, self._plan, step)
        with self._changed:
            progress.seconds += time.monotonic() - began
            progress.steps_left -= 1
            if not progress.steps_left:
                self._jobs.appendleft(_Job(tables=[progress]))
                self._changed.notify_all()

    def _finish(
        self, session: Session, tables: t.Sequence[TableProgress]
    ) -> None:
        began = time.monotonic()
        plans = [progress.plan for progress in tables]
        for progress in tables:
            progress.state = State.INDEXING
        session.finish(plans, self._plan)
        for progress in tables:
            progress.state = State.VERIFYING
        verified = session.verify(plans, self._plan)
        seconds = (time.monotonic() - began) / len(tables)
        with self._changed:
            for progress, one in zip(tables, verified):
                progress.verified = one
                progress.rows_found = one.rows
                progress.state = State.DONE
                progress.seconds += seconds
            self._unfinished -= len(tables)
            self._changed.notify_all()


@dataclasses.dataclass(frozen=True)
class _Job:
    """Either pieces for one transaction, or tables to finish; with ``step``, only that step of the one table."""

    pieces: t.Sequence[Piece] = ()
    tables: t.Sequence[TableProgress] = ()
    step: t.Optional[int] = None


def _together(
    tables: t.Iterable[TableProgress],
) -> t.Iterator[list[TableProgress]]:
    """Yield tables of which no piece is left to load, small ones together."""
    small = []
    for progress in tables:
        if progress.state is State.DONE or progress.pieces_left:
            continue
        if progress.plan.source.size < tuning.BATCH_SIZE:
            small.append(progress)
        else:
            yield [progress]
    for begin in range(0, len(small), tuning.BATCH_TABLES):
        yield small[begin : begin + tuning.BATCH_TABLES]


def progress_of(
    plan: Plan, record: t.Optional[RestoreRecord]
) -> list[TableProgress]:
    """Return how far each table is, by what the server has recorded."""
    return [_progress_of(table, record) for table in plan.tables]


def _progress_of(
    table: TablePlan, record: t.Optional[RestoreRecord]
) -> TableProgress:
    pieces = sum(file.pieces for file in table.source.files)
    if record is None:
        return TableProgress(table, State.PLANNED, pieces, pieces)
    known = record.tables.get(table.number)
    done = [
        one for key, one in record.pieces.items() if key.table == table.number
    ]
    return TableProgress(
        table,
        known.state if known else State.PLANNED,
        pieces,
        pieces - len(done),
        rows=sum(one.rows for one in done),
        warnings=sum(one.warnings for one in done),
        rows_found=known.rows_found if known else None,
    )
