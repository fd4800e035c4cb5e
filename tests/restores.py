# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores of generated exports into real servers, and what is in the tables afterwards."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ansible_collections.apsaradb.backup.plugins.module_utils._archive.members import open_members
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import postgresql_connection, tuning
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.engine import Grammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_driver import Login
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_grammar import MySQLGrammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_options import MySQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_server import MySQLServer
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.planning import PlanOptions, Selection
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_connection import PostgreSQLLogin
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_creation import PostgreSQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_grammar import PostgreSQLGrammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_server import PostgreSQLServer
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.progress import Progress
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.restoration import (
    Outcome,
    Request,
    Restoration,
)
from databases import PostgreSQL
from exports import Export, pack, unpack
from exports.in_servers import counted, in_mysql, in_postgresql

DRIVERS = ("psycopg", "psycopg2")


class MySQLTarget:
    """A MySQL or MariaDB server that tests restore into."""

    grammar: type[Grammar] = MySQLGrammar

    def __init__(self, server: Any, **options: Any) -> None:
        self.server = server
        self.options = options

    def connected(self) -> MySQLServer:
        login = Login(self.server.user, self.server.password, unix_socket=self.server.socket)
        return MySQLServer(MySQLOptions(login, **self.options))

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(statement, values or None)
            connection.commit()
            return list(cursor.fetchall())

    def sessions(self) -> list[int]:
        """The connections of restores, also of killed ones that the server has not seen yet."""
        found = self.query(
            "SELECT id FROM information_schema.processlist WHERE user = %s AND id <> connection_id()", self.server.user
        )
        return [number for (number,) in found]

    def lock_waits(self) -> list[tuple[Any, ...]]:
        """The transactions that wait for a lock of InnoDB, and their sessions."""
        # InnoDB looks again only after nobody has asked for 0.1 s: who asks more often gets the first answer for ever.
        time.sleep(0.15)
        return self.query(
            "SELECT trx_id, trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        )

    def check(self, export: Export) -> None:
        """Check that all tables have just the rows of the export."""
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            for facts in export.manifest():
                cursor.execute("USE `{}`".format(facts.database.replace("`", "``")))
                assert counted(in_mysql(cursor, export, facts)) == counted(facts.rows), facts.name


def login(server: PostgreSQL, **changes: Any) -> PostgreSQLLogin:
    made = PostgreSQLLogin(
        login_user=server.user,
        login_password=server.password or "",
        login_unix_socket=server.socket,
        login_port=server.port or 5432,
    )
    return dataclasses.replace(made, **changes)


def ask(server: PostgreSQL, query: str, database: str = "shop") -> list[tuple[Any, ...]]:
    return PostgreSQLTarget(server).query(query, database=database)


class PostgreSQLTarget:
    """A PostgreSQL server that tests restore into."""

    grammar: type[Grammar] = PostgreSQLGrammar

    def __init__(self, server: Any, **options: Any) -> None:
        self.server = server
        self.options = options

    def connected(self) -> PostgreSQLServer:
        return PostgreSQLServer(login(self.server), PostgreSQLOptions(**self.options))

    def query(self, statement: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        with closing(self.server.connect(dbname=database, autocommit=True)) as connection:
            cursor = connection.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def sessions(self) -> list[int]:
        found = self.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'apsaradb.backup'")
        return [number for (number,) in found]

    def check(self, export: Export) -> None:
        for database in export.databases:
            with closing(self.server.connect(dbname=database.name, autocommit=True)) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                for facts in export.manifest():
                    if facts.database == database.name:
                        assert counted(in_postgresql(connection, export, facts)) == counted(facts.rows), facts.name


def request(**options: Any) -> Request:
    """A request with the defaults of the modules."""
    selection = Selection(*(tuple(options.pop(name, ())) for name in ("databases", "tables", "exclude")))
    plan = PlanOptions(
        options.pop("piece_size", 2 << 20),
        options.pop("rename", {}),
        options.pop("defers_keys", None),
        {},
        options.pop("has_checksums", False),
    )
    facts = {"samples": 10, "null": None, "has_escapes": None, "on_existing": "error", "threads": 4, **options}
    return Request(selection, plan, **facts)


@contextmanager
def restoration(target: Any, source: Path, watch: Any = None, **options: Any) -> Iterator[Restoration]:
    def nothing(progress: Progress) -> None:
        pass

    server = target.connected()
    with (
        # Who watches sees each step, however fast it is.
        patch.object(tuning, "TICK", 0.0 if watch else tuning.TICK),
        closing(open_members(str(source))) as members,
        closing(server),
    ):
        yield Restoration(members, target.grammar(), server, request(**options), watch or nothing)


def restore(target: Any, source: Path, **options: Any) -> Outcome:
    with restoration(target, source, **options) as one:
        return one.run()


@dataclasses.dataclass
class PostgreSQLRestore:
    """A restore into PostgreSQL, which can be run several times, with other options meanwhile.

    ``server``: the one of the last run. ``request``: what ``request`` takes.
    """

    source: Path
    login: PostgreSQLLogin
    options: PostgreSQLOptions = dataclasses.field(default_factory=PostgreSQLOptions)
    driver: str = "psycopg"
    request: dict[str, Any] = dataclasses.field(default_factory=dict)
    grammar: type[Grammar] = PostgreSQLGrammar

    def connected(self) -> PostgreSQLServer:
        self.server = PostgreSQLServer(self.login, self.options)
        return self.server

    @contextmanager
    def restoration(self, watch: Any = None) -> Iterator[Restoration]:
        drivers = {self.driver: postgresql_connection._DRIVERS[self.driver]}
        options = {"piece_size": 64 << 10, "has_escapes": False, "threads": 3, **self.request}
        with (
            patch.object(postgresql_connection, "_DRIVERS", drivers),
            restoration(self, self.source, watch, **options) as one,
        ):
            yield one

    def run(self, watch: Any = None) -> Outcome:
        with self.restoration(watch) as one:
            return one.run()


def postgresql_restore(
    export: Export | Mapping[str, bytes], directory: Path, server: PostgreSQL, **changes: Any
) -> PostgreSQLRestore:
    """A restore of what is unpacked into the directory. ``changes``: options, driver, or of the request."""
    files = export.files() if isinstance(export, Export) else export
    own = {name: changes.pop(name) for name in ("options", "driver") if name in changes}
    return PostgreSQLRestore(unpack(files, directory / "source"), login(server), request=changes, **own)


def archive(export: Export, directory: Path, name: str = "backup.tar.gz", **how: Any) -> Path:
    """The export as an archive, or as a directory if the name has no ending."""
    path = directory / name
    if "." in name:
        path.write_bytes(pack(export.files(), name.partition(".")[2], **how))
    else:
        unpack(export.files(), path)
    return path


def arguments_of(server: Any, source: Path) -> dict[str, Any]:
    """Arguments of a module that restores into the server."""
    return {
        "src": str(source),
        "login_user": server.user,
        "login_password": server.password,
        "login_unix_socket": server.socket,
    }


class RestoreModule:
    """One of the modules on a server of its engine, by all that can be in its output."""

    def __init__(self, module: Any, server: Any) -> None:
        self.is_mysql = server.name in ("mysql", "mariadb")
        self.engine = "mysql" if self.is_mysql else "postgresql"
        self.server = server
        self.target: Any = (MySQLTarget if self.is_mysql else PostgreSQLTarget)(server)
        self._module = module(f"dbs_restore_{self.engine}")

    def __call__(self, source: Path, **options: Any) -> dict[str, Any]:
        arguments = {**arguments_of(self.server, source), "_ansible_verbosity": 4, **options}
        result: dict[str, Any] = self._module(arguments)
        assert "ss:w/rd" not in self._module.output
        return result

    @property
    def output(self) -> str:
        return str(self._module.output)

    def databases(self) -> set[str]:
        """The names of databases on the server."""
        statement = "SHOW DATABASES" if self.is_mysql else "SELECT datname FROM pg_database"
        return {name for (name,) in self.target.query(statement)}

    def states(self) -> set[str]:
        """The states of restores that the server knows."""
        if self.is_mysql:
            known = "apsaradb_restore" in self.databases()
            return (
                {state for (state,) in self.target.query("SELECT state FROM apsaradb_restore.restores")}
                if known
                else set()
            )
        if "shop" not in self.databases():
            return set()
        found = self.target.query("SELECT to_regclass('apsaradb_restore.restores') IS NOT NULL", database="shop")
        if not found[0][0]:
            return set()
        return {s for (s,) in self.target.query("SELECT state FROM apsaradb_restore.restores", database="shop")}
