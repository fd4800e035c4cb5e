# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database servers that tests use: see tests/databases/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import trustme
from databases import ENGINES, MariaDB, PostgreSQL, Server, UnavailableError
from databases.debian import NEEDED, NOT_NEEDED
from databases.programs import Programs, cache, fetched
from processes import Process, children, environment_for_modules, runs, until

ROOT = Path(__file__).resolve().parents[3]

#: What drivers raise for a login that is refused.
REFUSED = (pymysql.err.OperationalError, psycopg.OperationalError)

every_kind = pytest.mark.parametrize("kind", ENGINES, ids=lambda kind: kind.name)
Starter = Callable[..., Server]


def rows(server: Server, statement: str, **arguments: Any) -> list[tuple[Any, ...]]:
    """What a statement returns, over a connection of its own."""
    with server.connect(autocommit=True, **arguments) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def test_mysql_and_mariadb_are_what_they_are_called(mysql_server: Server) -> None:
    version = rows(mysql_server, "SELECT version()")[0][0]
    assert ("MariaDB" in version) == isinstance(mysql_server, MariaDB)
    assert int(version.split(".")[0]) >= 8


def test_postgresql_is_what_it_is_called(postgresql: PostgreSQL) -> None:
    assert rows(postgresql, "SELECT version()")[0][0].startswith("PostgreSQL ")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_a_server_without_databases(mysql_server: Server, turn: int) -> None:
    """Also after one that left a database, with a lock in a session that is still open."""
    assert ("shop",) not in rows(mysql_server, "SHOW DATABASES")
    rows(mysql_server, "CREATE DATABASE shop")
    rows(mysql_server, "CREATE TABLE shop.item (id int)")
    left = mysql_server.connect()
    left.cursor().execute("SELECT * FROM shop.item")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_postgresql_without_databases(postgresql: PostgreSQL, turn: int) -> None:
    rows(postgresql, 'CREATE DATABASE "sh""op"')
    postgresql.connect(dbname='sh"op').execute("SELECT 1")


@every_kind
def test_what_was_committed_outlives_the_kill_of_a_server(own_server: Starter, kind: type[Server]) -> None:
    server = own_server(kind)
    database = {"database": "shop"} if kind is not PostgreSQL else {"dbname": "shop"}
    rows(server, "CREATE DATABASE shop")
    rows(server, "CREATE TABLE item (id int PRIMARY KEY)", **database)
    rows(server, "INSERT INTO item VALUES (1), (2)", **database)
    connection = server.connect(**database)
    connection.cursor().execute("INSERT INTO item VALUES (3)")
    assert server.process
    running = [server.process.pid, *children(server.process.pid)]
    server.kill()
    assert not any(map(runs, running))
    with pytest.raises(REFUSED):
        server.connect(**database)
    server.start()
    assert rows(server, "SELECT id FROM item ORDER BY id", **database) == [(1,), (2,)]
    server.stop()
    server.start()
    assert rows(server, "SELECT id FROM item ORDER BY id", **database) == [(1,), (2,)]


@every_kind
def test_accounts_have_passwords_and_tcp_can_have_tls(own_server: Starter, kind: type[Server]) -> None:
    authority = trustme.CA()
    server = own_server(
        kind, port=True, certificate=authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.bytes()
    )
    over_tcp: dict[str, Any] = {"host": server.host, "port": server.port}
    if kind is PostgreSQL:
        over_tls = {**over_tcp, "sslmode": "require"}
        cipher = (
            "SELECT datname, cipher FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE pid = pg_backend_pid()"
        )
    else:
        over_tcp["unix_socket"] = None
        over_tls = {**over_tcp, "ssl": {"check_hostname": False}}
        cipher = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
    assert rows(server, cipher, **over_tls)[0][1]
    for way in ({}, over_tcp, over_tls):
        assert rows(server, "SELECT 1", **way) == [(1,)]
        with pytest.raises(REFUSED, match=r"(?i)denied|authentication failed"):
            server.connect(password="wrong", **way)
        with pytest.raises(REFUSED, match=r"(?i)denied|authentication failed"):
            server.connect(user="nobody", **way)


@every_kind
def test_servers_take_options(own_server: Starter, kind: type[Server]) -> None:
    option = {"max_connections": "17"}
    found = rows(
        own_server(kind, **option), "SHOW max_connections" if kind is PostgreSQL else "SELECT @@max_connections"
    )
    assert str(found[0][0]) == "17"


@every_kind
def test_a_server_that_does_not_start_says_why_and_leaves_nothing(kind: type[Server]) -> None:
    server = kind(no_such_option="1")
    why = rf"{kind.name} ended with exit code \d+ while it started:\n(.|\n)*no_such_option"
    with pytest.raises(AssertionError, match=why), server:
        pass
    assert not server.directory.exists()


@every_kind
def test_a_server_does_not_outlive_its_tests(kind: type[Server]) -> None:
    """Not even if these are killed."""
    script = (
        f"import os, sys\nfrom databases import {kind.__name__}\n"
        f"with {kind.__name__}() as server:\n    print(server.process.pid, server.directory, flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_for_modules(),
    ) as tests:
        assert tests.stdout
        pid, directory = tests.stdout.readline().split()
        assert runs(int(pid))
        tests.kill()
    until(lambda: not runs(int(pid)))
    shutil.rmtree(directory)


class Debian:
    """Commands in place of those of Debian, which note their calls."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = place / "calls"
        self.programs = place / "bin"
        self.programs.mkdir()
        self.calls.touch()
        self.has("apt-get", f'echo "$2" >>"{self.calls}"\n{self.APT}')
        self.has("dpkg", 'mkdir -p "$3/usr/sbin"; sleep 0.2; echo >"$3/usr/sbin/mysqld"')
        monkeypatch.setenv("PATH", f"{self.programs}:{os.environ['PATH']}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "the cache"))

    APT = """case $* in
        *indextargets*) . /etc/os-release; echo "http://mirror.invalid/ $VERSION_CODENAME";;
        *--simulate*) echo "Inst libc6 (2)"; echo "Inst mysql-server-core (9)"; echo "Inst perl (5)";;
        *download*) shift 2; for name in "$@"; do touch "$name.deb"; done
        esac"""

    def has(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def fetch(self, make_data: Callable[[Programs], None] = lambda programs: programs.data.mkdir()) -> Programs:
        return fetched("mysql", ["mysql-server-core"], "sid", make_data, "as a test")


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    return Debian(tmp_path, monkeypatch)


def test_programs_are_fetched_once(debian: Debian) -> None:
    first = debian.fetch()
    assert first.find("usr/sbin/*") == first.place / "root/usr/sbin/mysqld"
    assert first.data.is_dir()
    calls = debian.calls.read_text()
    assert debian.fetch().place == first.place
    assert debian.calls.read_text() == calls
    assert [path.name for path in cache().iterdir() if path.name != "lock"] == [first.place.name]


def test_two_processes_fetch_once(debian: Debian) -> None:
    script = (
        "from databases.programs import fetched\n"
        "fetched('mysql', ['mysql-server-core'], 'sid', lambda programs: programs.data.mkdir(), 'as a test')"
    )
    command = [sys.executable, "-c", script]
    fetching = [subprocess.Popen(command, env=environment_for_modules()) for _unused in range(3)]
    assert [process.wait() for process in fetching] == [0, 0, 0]
    assert debian.calls.read_text().split().count("update") == 1


def test_nothing_looks_whole_that_is_not(debian: Debian) -> None:
    (cache() / ".part-killed").mkdir(parents=True)

    def fails(programs: Programs) -> None:
        raise UnavailableError("no data")

    with pytest.raises(UnavailableError, match=r"^mysql cannot be had\. no data$"):
        debian.fetch(fails)
    assert [path.name for path in cache().iterdir()] == ["lock"]
    assert debian.fetch().data.is_dir()


@pytest.mark.parametrize(
    ("name", "script", "said"),
    [
        ("apt-get", "echo 'E: no network' >&2; exit 100", r"apt-get .* failed with exit code 100:\nE: no network"),
        ("dpkg", "echo damaged; exit 2", r"dpkg -x .* failed with exit code 2:\ndamaged"),
        ("apt-get", "echo http://mirror.invalid/ other", r"apt has no source of packages for \w+; it has:\nhttp"),
    ],
)
def test_what_cannot_be_fetched_is_an_error_that_says_why(debian: Debian, name: str, script: str, said: str) -> None:
    debian.has(name, script)
    with pytest.raises(UnavailableError, match=rf"^mysql cannot be had\. {said}"):
        debian.fetch()


def test_the_command_fails_with_the_reason(debian: Debian) -> None:
    debian.has("apt-get", "echo 'E: no network' >&2; exit 100")
    command = [sys.executable, "-m", "databases", "fetch", "mariadb"]
    done = subprocess.run(command, env=environment_for_modules(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("mariadb cannot be had. apt-get ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", [MariaDB, PostgreSQL])
def test_a_server_as_a_command(kind: type[Server], tmp_path: Path) -> None:
    """It is there when it says so, for an account without a password, and leaves nothing."""
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "databases"]
    with Process([*command, "run", kind.name, "--ready-file", str(ready)], env=environment_for_modules()) as server:
        until(lambda: server.poll() is not None or ready.exists())
        socket = ready.read_text().strip()
        query = [*command, "query", kind.name, "--socket", socket, "--database", kind.own_database]
        done = subprocess.run(
            [*query, "SELECT 1 AS one, 'abc' AS letters UNION SELECT 20, 'd' ORDER BY one"],
            env=environment_for_modules(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "one  letters\n1    abc\n20   d\n"
        server.terminate()
        server.outputs()
    assert not Path(socket).exists()


def test_packages_that_servers_run_without_are_left_out() -> None:
    kept = {"libc6", "zlib1g", "mysql-server-core", "mariadb-server-core", "postgresql-15", "libicu72", "libpq5"}
    names = kept | {"libperl5.36", "perl-base", "libllvm14", "libz3-4", "postgresql-common", "dpkg", "libjson-perl"}
    assert {name for name in names if NEEDED.fullmatch(name) and not NOT_NEEDED.fullmatch(name)} == kept
