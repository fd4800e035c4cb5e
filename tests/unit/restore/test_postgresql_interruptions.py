# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores into PostgreSQL that are interrupted: no row is lost, and none is there twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable

import psycopg
import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import postgresql_connection, tuning
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import (
    DatabaseConnectionError,
    DatabaseError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import Piece, PieceKey, Plan, State
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_session import PostgreSQLSession
from databases import PostgreSQL, Server
from exports import Column, Database, Export, Table, postgresql
from processes import until
from restores import DRIVERS, PostgreSQLRestore, ask, postgresql_restore

ROWS = [(number, f"n {number}") for number in range(1, 3001)]
KEY = ['ALTER TABLE ONLY {table} ADD PRIMARY KEY ("id")']
ALL = "SELECT count(*), count(DISTINCT id), sum(id) FROM public.{}"
FIRST_PIECES = 'SELECT count(*) FROM apsaradb_restore.pieces WHERE "table" = 0'


@pytest.fixture(autouse=True)
def _no_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each piece in a transaction of its own, also of small tables."""
    monkeypatch.setattr(tuning, "BATCH_SIZE", 1)


def tables() -> Export:
    columns = [Column("id", "integer", "NOT NULL"), Column("name", "text")]
    made = [Table(name, list(columns), ROWS, constraints=KEY) for name in ("first", "second")]
    return Export("postgresql", [Database("shop", made)], postgresql.DEFAULTS)


def prepared(made: PostgreSQLRestore) -> Plan:
    """Make the tables, as a run does before it loads, and return the plan."""
    with made.restoration() as restoration:
        made.server.open()
        plan = restoration._plan(restoration._request.options)
        made.server.begin(plan)
        record = made.server.find(plan.restore_id)
        assert record
        made.server.create(plan, record)
        return plan


@contextmanager
def blocked(made: PostgreSQLRestore, server: PostgreSQL) -> Iterator[list[BaseException]]:
    """Run a restore that has loaded the first table, and waits for a lock of the second one.

    Gives the list to which its error will be added. It has to be ended within.
    """
    made.request["threads"] = 2
    prepared(made)
    first = pieces(made)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            made.run()
        except BackupError as error:
            errors.append(error)

    with suppress(psycopg.OperationalError), server.connect(dbname="shop") as locking:
        locking.execute("LOCK TABLE public.second IN SHARE MODE")
        thread = threading.Thread(target=run)
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.second'::regclass"
        until(lambda: ask(server, waiting)[0][0] >= 1 and ask(server, FIRST_PIECES)[0][0] == first)
        yield errors
        thread.join()


def pieces(made: PostgreSQLRestore) -> int:
    """The pieces of the first table."""
    with made.restoration() as restoration:
        return restoration._plan(restoration._request.options).tables[0].source.files[0].pieces


def assert_complete(server: PostgreSQL) -> None:
    for name in ("first", "second"):
        assert ask(server, ALL.format(name)) == [(len(ROWS), len(ROWS), sum(id for id, _name in ROWS))]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_lost_connection(postgresql: PostgreSQL, tmp_path: Path, driver: str) -> None:
    made = postgresql_restore(tables(), tmp_path, postgresql, piece_size=8192, driver=driver)
    with blocked(made, postgresql) as errors:
        ask(
            postgresql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'apsaradb.backup'",
        )
    # Whichever of the sessions sees it first: not all of them are at a table.
    assert isinstance(errors[0], DatabaseConnectionError)
    assert "the connection to PostgreSQL at" in str(errors[0])
    outcome = made.run()
    assert outcome.state is State.DONE
    assert outcome.resumed_from >= pieces(made)
    assert_complete(postgresql)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_is_killed(own_server: Callable[..., Server], tmp_path: Path, driver: str) -> None:
    server = own_server(PostgreSQL)
    assert isinstance(server, PostgreSQL)
    made = postgresql_restore(tables(), tmp_path, server, piece_size=8192, driver=driver)
    with blocked(made, server) as errors:
        # What was committed a moment ago need not be on the disk yet.
        ask(server, "CHECKPOINT")
        server.kill()
    assert isinstance(errors[0], DatabaseConnectionError)
    with pytest.raises(DatabaseConnectionError):
        made.run()
    server.start()
    assert made.run().resumed_from >= pieces(made)
    assert_complete(server)


def test_a_server_that_is_killed_behind_the_end(own_server: Callable[..., Server], tmp_path: Path) -> None:
    """All is on the disk when the restore says that it is done."""
    # The server writes by itself as seldom as it can.
    server = own_server(PostgreSQL, wal_writer_delay="10s")
    assert isinstance(server, PostgreSQL)
    made = postgresql_restore(tables(), tmp_path, server)
    made.run()
    server.kill()
    server.start()
    assert_complete(server)
    assert not made.run().changed


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_run_that_is_ended(postgresql: PostgreSQL, tmp_path: Path, driver: str) -> None:
    """Its sessions end, with what the server does for them."""
    made = postgresql_restore(tables(), tmp_path, postgresql, piece_size=8192, driver=driver)
    prepared(made)

    class EndError(BackupError):
        pass

    def end(progress: Any) -> None:
        if progress.phase == "loading":
            raise EndError("ended")

    with postgresql.connect(dbname="shop") as locking:
        locking.execute("LOCK TABLE public.second IN SHARE MODE")
        with pytest.raises(EndError):
            made.run(end)
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apsaradb.backup'"
        until(lambda: ask(postgresql, left) == [(0,)])
    assert made.run().state is State.DONE
    assert_complete(postgresql)


@pytest.fixture
def session(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[PostgreSQLSession, Plan]]:
    made = postgresql_restore(tables(), tmp_path, postgresql)
    plan = prepared(made)
    session = PostgreSQLSession(made.login, made.options)
    yield session, plan
    session.close()


def piece(plan: Plan, table: int) -> Piece:
    one = plan.tables[table]
    data = b"".join(f"{id},{name}\n".encode() for id, name in ROWS)
    return Piece(PieceKey(table, 0, 0), one, one.source.files[0], 1, len(ROWS), data)


def waits(server: PostgreSQL) -> bool:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'apsaradb.backup' AND wait_event_type = 'Lock'"
    return bool(ask(server, waiting))


def test_a_session_of_a_killed_run_that_is_still_at_work(
    postgresql: PostgreSQL, session: tuple[PostgreSQLSession, Plan]
) -> None:
    loader, plan = session
    loaded: list[Any] = []
    with postgresql.connect(dbname="shop") as other:
        other.execute("INSERT INTO public.first SELECT n, 'n ' || n FROM generate_series(1, 3000) n")
        other.execute(
            "INSERT INTO apsaradb_restore.pieces VALUES (%s, 0, 0, 0, 3000)",
            (plan.restore_id,),
        )
        thread = threading.Thread(target=lambda: loaded.extend(loader.load([piece(plan, 0)], plan)))
        thread.start()
        until(lambda: waits(postgresql))
        other.commit()
        thread.join()
    assert [one.rows for one in loaded] == [3000]
    assert ask(postgresql, ALL.format("first"))[0][0] == 3000


def test_a_deadlock_can_be_repeated(postgresql: PostgreSQL, session: tuple[PostgreSQLSession, Plan]) -> None:
    loader, plan = session
    both = [piece(plan, 0), piece(plan, 1)]
    errors: list[BaseException] = []

    def load() -> None:
        try:
            loader.load(both, plan)
        except DatabaseError as error:
            errors.append(error)

    with postgresql.connect(dbname="shop") as other:
        # The session finds the deadlock first.
        other.execute("SET deadlock_timeout = '1h'")
        other.execute("LOCK TABLE public.second IN SHARE MODE")
        thread = threading.Thread(target=load)
        thread.start()
        until(lambda: waits(postgresql))
        other.execute("LOCK TABLE public.first IN SHARE MODE")
        thread.join()
    assert [(error.code, error.is_transient) for error in errors if isinstance(error, DatabaseError)] == [
        ("40P01", True)
    ]
    assert [one.rows for one in loader.load(both, plan)] == [3000, 3000]
    assert_complete(postgresql)


def test_a_lock_that_is_not_given(
    postgresql: PostgreSQL, session: tuple[PostgreSQLSession, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    loader, plan = session
    monkeypatch.setitem(postgresql_connection._SETTINGS, "lock_timeout", "1ms")
    with postgresql.connect(dbname="shop") as other:
        other.execute("LOCK TABLE public.first IN SHARE MODE")
        with pytest.raises(DatabaseError) as raised:
            loader.load([piece(plan, 0)], plan)
    assert raised.value.code == "55P03"
    assert raised.value.is_transient
    assert "load records 1 to 3000 of dt-export/shop/public/first/data/0.csv" in str(raised.value)


def test_a_piece_is_loaded_once(postgresql: PostgreSQL, session: tuple[PostgreSQLSession, Plan]) -> None:
    loader, plan = session
    for _again in range(3):
        assert [one.rows for one in loader.load([piece(plan, 0)], plan)] == [3000]
        loader.finish(plan.tables[:1], plan)
        assert [one.rows for one in loader.verify(plan.tables[:1], plan)] == [3000]
    assert ask(postgresql, "SELECT count(*) FROM pg_index WHERE indrelid = 'public.first'::regclass") == [(1,)]


def test_a_session_that_is_canceled_does_nothing_more(session: tuple[PostgreSQLSession, Plan]) -> None:
    loader, plan = session
    loader.load([piece(plan, 0)], plan)
    loader.cancel()
    with pytest.raises(DatabaseConnectionError):
        loader.load([piece(plan, 1)], plan)


NAMED = [
    'ALTER TABLE ONLY {table} ADD CONSTRAINT "by id" PRIMARY KEY ("id")',
    'ALTER TABLE ONLY {table} ADD CONSTRAINT "by both" UNIQUE ("name", "id")',
]
CONSTRAINTS = "SELECT conname, contype::text FROM pg_constraint WHERE conrelid = 'public.first'::regclass ORDER BY 1"
INDEXES = (
    "SELECT indexrelid::regclass::text FROM pg_index "
    "WHERE indrelid = 'public.first'::regclass AND indisvalid ORDER BY 1"
)


@pytest.fixture
def indexed(postgresql: PostgreSQL, tmp_path: Path) -> PostgreSQLRestore:
    """A restore whose first table has three keys, which are made after the data."""
    export = tables()
    table = export.database("shop").table("first")
    table.constraints, table.indexes = NAMED, ['CREATE INDEX "by name" ON {table} USING btree ("name")']
    return postgresql_restore(export, tmp_path, postgresql, defers_keys=True)


def assert_indexed(server: PostgreSQL) -> None:
    assert ask(server, CONSTRAINTS) == [("by both", "u"), ("by id", "p")]
    assert ask(server, INDEXES) == [('"by both"',), ('"by id"',), ('"by name"',)]
    assert_complete(server)


def test_indexes_of_one_table_are_made_at_the_same_time(postgresql: PostgreSQL, indexed: PostgreSQLRestore) -> None:
    prepared(indexed)
    making = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareLock' AND relation = 'public.first'::regclass"
    )
    thread = threading.Thread(target=indexed.run)
    with postgresql.connect(dbname="shop") as other:
        # It lets others load, but not make an index.
        other.execute("LOCK TABLE public.first IN ROW EXCLUSIVE MODE")
        thread.start()
        until(lambda: ask(postgresql, making) == [(3,)])
    thread.join()
    assert_indexed(postgresql)
    assert not indexed.run().changed


@pytest.mark.parametrize("commits", [True, False])
def test_an_index_that_a_killed_run_makes_late(
    postgresql: PostgreSQL, indexed: PostgreSQLRestore, commits: bool
) -> None:
    plan = prepared(indexed)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    thread = threading.Thread(target=indexed.run)
    with postgresql.connect(dbname="shop") as other:
        other.execute("INSERT INTO apsaradb_restore.objects VALUES (%s, 'index 0 0')", (plan.restore_id,))
        thread.start()
        until(lambda: ask(postgresql, waiting) == [(1,)])
        other.execute('CREATE UNIQUE INDEX "by id" ON public.first (id)')
        if not commits:
            other.rollback()
    thread.join()
    assert_indexed(postgresql)


def test_an_index_that_is_no_key_yet(postgresql: PostgreSQL, indexed: PostgreSQLRestore) -> None:
    """A run is killed between its index and the key."""
    plan = prepared(indexed)
    session = PostgreSQLSession(indexed.login, indexed.options)
    table = plan.tables[0]
    try:
        session.load([piece(plan, 0)], plan)
        for step in session.steps(table)[1:]:
            session.step(table, plan, step)
    finally:
        session.close()
    assert ask(postgresql, CONSTRAINTS) == []
    assert indexed.run().state is State.DONE
    assert_indexed(postgresql)
