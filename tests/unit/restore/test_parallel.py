# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs that are done by several connections, and how many statements a small table costs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import kills
import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.parallel import in_parallel
from exports import large
from restores import MySQLTarget, PostgreSQLTarget, archive, restore


class Connection:
    """``opened``: all that were made."""

    opened: list[Connection]

    def __init__(self) -> None:
        self.is_closed = False
        self.opened.append(self)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _no_connections() -> None:
    Connection.opened = []


@pytest.mark.parametrize("threads", [1, 3, 9])
def test_each_job_is_done_once(threads: int) -> None:
    done: list[int] = []
    # Nobody goes on before all have a job: each has a connection of its own.
    gate = threading.Barrier(min(threads, 5))
    users = set()

    def work(connection: Connection, job: int) -> None:
        if job < gate.parties:
            gate.wait(600)
            users.add(connection)
        done.append(job)

    in_parallel(work, range(5), Connection, threads)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert len(users) == len(Connection.opened) == min(threads, 5)
    assert all(one.is_closed for one in Connection.opened)


def test_an_error_ends_it() -> None:
    done = []

    def work(connection: Connection, job: int) -> None:
        if job == 2:
            raise ValueError("no")
        done.append(job)

    with pytest.raises(ValueError, match="no"):
        in_parallel(work, range(9), Connection, 1)
    assert done == [0, 1]
    assert all(one.is_closed for one in Connection.opened)


def test_a_connection_that_is_refused_ends_it() -> None:
    def refuse() -> Connection:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        in_parallel(lambda connection, job: None, range(9), refuse, 4)


def test_a_small_table_costs_few_statements(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)

    def statements(tables: int) -> int:
        export = large.export("mysql", 1, small_tables=tables, small_rows=3, database=f"shop{tables}")
        source = archive(export, tmp_path, f"{tables}.tar")
        before = asked()
        restore(target, source)
        return asked() - before

    def asked() -> int:
        return int(target.query("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])

    # What a restore costs by itself is in both.
    assert (statements(30) - statements(10)) / 20 < 22


def test_a_small_table_of_postgresql_costs_few_statements(postgresql: Any, tmp_path: Path) -> None:
    target = PostgreSQLTarget(postgresql)

    def statements(tables: int) -> int:
        export = large.export("postgresql", 1, small_tables=tables, small_rows=3, database=f"shop{tables}")
        # In a process of its own, which counts them, and the commits.
        return kills.run(target, archive(export, tmp_path, f"{tables}.tar")).statements

    assert (statements(30) - statements(10)) / 20 < 15
