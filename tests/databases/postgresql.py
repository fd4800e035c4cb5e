# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL, which refuses to run as root: root has it run as nobody."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from databases.debian import output, own_release
from databases.programs import Programs
from databases.server import Account, Option, Server, by, give

if TYPE_CHECKING:
    import psycopg

BINARIES = "usr/lib/postgresql/*/bin"

#: initdb starts this as postgres: by the loader of its own C library, too.
WRAPPER = """#!/bin/sh
here=$(dirname "$0")
root=$here/../../../../..
exec {command} "$@"
"""

DATABASES = "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"


def link(source: str, target: str) -> None:
    """A link of a file, which takes no time and no room; a copy on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def within_reach(programs: Programs, directory: Path) -> Programs:
    """The programs at a place that nobody may enter: root's cache is for root alone."""
    if os.geteuid():
        return programs
    place = directory / "programs"
    if not place.exists():
        shutil.copytree(programs.place / "root", place / "root", symlinks=True, copy_function=link)
        place.chmod(0o755)
    return Programs(place)


class PostgreSQL(Server):
    name = "postgresql"
    own_database = "postgres"
    packages = ("postgresql",)
    #: Small and quick. What was committed outlives the death of the process: the system writes what it was given.
    defaults: ClassVar[dict[str, Option]] = {
        "fsync": "off",
        "shared_buffers": "32MB",
        "max_connections": 40,
        "jit": "off",
    }

    @classmethod
    def release(cls) -> str:
        return own_release()

    @staticmethod
    def account() -> Optional[Account]:
        return None if os.geteuid() else pwd.getpwnam("nobody")

    @property
    def socket(self) -> str:
        """The directory of the socket, as libpq has it."""
        return str(self.directory)

    def command(self) -> list[str]:
        options: dict[str, Option] = {
            "unix_socket_directories": self.directory,
            "listen_addresses": self.host or "",
            "port": self.port or 5432,
            **self.defaults,
        }
        if self.certificate:
            options.update(ssl="on", ssl_cert_file=self.pem, ssl_key_file=self.pem)
        options.update(self.options)
        programs = within_reach(self.programs(), self.directory)
        return [
            *(str(programs.find(f"{BINARIES}/postgres")), "-D", str(self.data)),
            *(f"--{name}={value}" for name, value in options.items()),
        ]

    def connect(self, **arguments: Any) -> psycopg.Connection[Any]:
        import psycopg

        return psycopg.connect(
            **{
                "host": self.socket,
                "port": self.port or 5432,
                "user": self.user,
                "password": self.password,
                "dbname": "postgres",
                **arguments,
            }
        )

    @staticmethod
    def dial(socket: str, account: str, database: str) -> psycopg.Connection[Any]:
        import psycopg

        return psycopg.connect(host=socket, user=account, dbname=database)

    def admit(self, account: str) -> None:
        from psycopg import sql

        rules = self.data / "pg_hba.conf"
        # The first rule that fits is the one that counts.
        rules.write_text(f"local all {account} trust\n{rules.read_text(encoding='utf-8')}", encoding="utf-8")
        with self.connect(autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [account]).fetchall():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(sql.Identifier(account)))
            connection.execute("SELECT pg_reload_conf()")

    def answers(self) -> bool:
        from psycopg import pq

        return pq.PGconn.ping(f"host={self.socket} port={self.port or 5432}".encode()) == pq.Ping.OK

    def reset(self) -> None:
        from psycopg import sql

        with self.connect(autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 600000) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            for (name,) in connection.execute(DATABASES).fetchall():
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @staticmethod
    def make_data(programs: Programs) -> None:
        server = programs.find(f"{BINARIES}/postgres")
        binary = server.rename(server.with_name("postgres.elf"))
        command = " ".join(f'"{part}"' for part in programs.command(f"{BINARIES}/{binary.name}"))
        server.write_text(WRAPPER.format(command=command.replace(f"{programs.place}/root", "$root")))
        server.chmod(0o755)
        account = PostgreSQL.account()
        with tempfile.TemporaryDirectory(prefix="apsaradb-", dir="/tmp") as made:
            directory = Path(made)
            password = directory / "password"
            password.write_text(Server.password)
            for path in (directory, password):
                give(path, account)
            data = directory / "data"
            initdb = within_reach(programs, directory).command(f"{BINARIES}/initdb")
            output(
                [
                    *("setpriv", *by(account)),
                    *initdb,
                    *("--auth=scram-sha-256", f"--username={Server.user}", f"--pwfile={password}"),
                    *("--encoding=UTF8", "--locale=C", "--no-sync", "-D", str(data)),
                ],
                cwd=directory,
            )
            # All of the loopback network, not only its first address.
            with open(data / "pg_hba.conf", "a", encoding="utf-8") as rules:
                rules.write("host all all 127.0.0.0/8 scram-sha-256\n")
            shutil.copytree(data, programs.data)
