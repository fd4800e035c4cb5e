# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""MySQL and MariaDB."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from databases.debian import output, own_release
from databases.programs import Programs
from databases.server import Option, Server

if TYPE_CHECKING:
    import pymysql

#: What a client is told while the server starts: there is no socket, or nobody answers there.
NOT_YET = {2002, 2003, 2013}

DATABASES = """
    SELECT schema_name FROM information_schema.schemata
    WHERE schema_name NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
"""


class _MySQL(Server):
    own_database = "mysql"
    #: Small and quick. What was committed outlives the death of the process: the system writes what it was given.
    defaults: ClassVar[dict[str, Option]] = {
        "skip_log_bin": None,
        "local_infile": 1,
        "innodb_buffer_pool_size": "64M",
        "innodb_flush_log_at_trx_commit": 2,
        "max_connections": 40,
        "performance_schema": "OFF",
    }

    @property
    def socket(self) -> str:
        return str(self.directory / "socket")

    def arguments(self) -> list[str]:
        options: dict[str, Option] = {"user": "root", "datadir": self.data, "socket": self.socket, **self.defaults}
        if self.port:
            options.update(bind_address=self.host, port=self.port)
        else:
            options.update(skip_networking=None)
        if self.certificate:
            options.update(ssl_cert=self.pem, ssl_key=self.pem)
        options.update(self.options)
        return [f"--{name}" if value is None else f"--{name}={value}" for name, value in options.items()]

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        import pymysql

        return pymysql.connect(
            **{
                "unix_socket": self.socket,
                "user": self.user,
                "password": self.password,
                "charset": "utf8mb4",
                **arguments,
            }
        )

    @staticmethod
    def dial(socket: str, account: str, database: str) -> pymysql.Connection[Any]:
        import pymysql

        return pymysql.connect(unix_socket=socket, user=account, database=database, charset="utf8mb4")

    def admit(self, account: str) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER IF NOT EXISTS %s@localhost", (account,))
            cursor.execute("GRANT ALL ON *.* TO %s@localhost WITH GRANT OPTION", (account,))

    def answers(self) -> bool:
        import pymysql

        try:
            self.connect().close()
        except pymysql.err.OperationalError as error:
            if error.args[0] in NOT_YET:
                return False
            raise
        return True

    def reset(self) -> None:
        import pymysql

        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE user = %s AND id <> connection_id()", (self.user,)
            )
            for (number,) in cursor.fetchall():
                with contextlib.suppress(pymysql.err.MySQLError):  # it has ended meanwhile
                    cursor.execute(f"KILL {number}")
            cursor.execute(DATABASES)
            for (name,) in cursor.fetchall():
                cursor.execute("DROP DATABASE `{}`".format(name.replace("`", "``")))


class MySQL(_MySQL):
    name = "mysql"
    packages = ("mysql-server-core",)
    defaults: ClassVar[dict[str, Option]] = {
        **_MySQL.defaults,
        "mysqlx": "OFF",
        # Debian's own directory for it is not there, and without it the server does not start.
        "secure_file_priv": "NULL",
        "innodb_redo_log_capacity": "8M",
    }

    @classmethod
    def release(cls) -> str:
        return "sid"  # no other has it

    def command(self) -> list[str]:
        programs = self.programs()
        root = programs.place / "root"
        options = [f"--basedir={root}/usr", f"--lc-messages-dir={root}/usr/share/mysql"]
        if not self.port:
            # Keys are for connections that are not local; it makes them at its first start.
            options += ["--auto-generate-certs=OFF", "--caching-sha2-password-auto-generate-rsa-keys=OFF"]
        return [*programs.command("usr/sbin/mysqld"), "--no-defaults", *options, *self.arguments()]

    @staticmethod
    def make_data(programs: Programs) -> None:
        root = programs.place / "root"
        statements = programs.place / "first.sql"
        statements.write_text(
            f"CREATE USER '{Server.user}'@'%' IDENTIFIED BY '{Server.password}';\n"
            f"GRANT ALL ON *.* TO '{Server.user}'@'%' WITH GRANT OPTION;\n"
        )
        output(
            [
                *programs.command("usr/sbin/mysqld"),
                *("--no-defaults", "--initialize-insecure", "--user=root", "--secure-file-priv=NULL", "--skip-log-bin"),
                *("--innodb-redo-log-capacity=8M", "--auto-generate-certs=OFF"),
                "--caching-sha2-password-auto-generate-rsa-keys=OFF",
                *(f"--basedir={root}/usr", f"--lc-messages-dir={root}/usr/share/mysql"),
                *(f"--datadir={programs.data}", f"--init-file={statements}"),
            ]
        )
        # The name of this one server.
        (programs.data / "auto.cnf").unlink()


class MariaDB(_MySQL):
    name = "mariadb"
    packages = ("mariadb-server-core",)
    defaults: ClassVar[dict[str, Option]] = {**_MySQL.defaults, "innodb_log_file_size": "8M"}

    @classmethod
    def release(cls) -> str:
        return own_release()

    def command(self) -> list[str]:
        programs = self.programs()
        share = programs.place / "root/usr/share/mysql"
        options = [f"--lc-messages-dir={share}", f"--character-sets-dir={share}/charsets"]
        options += [f"--plugin-dir={programs.place}/root/usr/lib/mysql/plugin"]
        return [*programs.command("usr/sbin/mariadbd"), "--no-defaults", *options, *self.arguments()]

    @staticmethod
    def make_data(programs: Programs) -> None:
        share = programs.place / "root/usr/share/mysql"
        # What mariadb-install-db does, without the tables of help and time zones.
        names = (
            "mysql_system_tables",
            "mysql_performance_tables",
            "mysql_system_tables_data",
            "maria_add_gis_sp_bootstrap",
        )
        statements = "".join(
            [
                "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n",
                *((share / f"{name}.sql").read_text(encoding="utf-8") for name in names),
                "\nFLUSH PRIVILEGES;\nDELETE FROM mysql.global_priv WHERE user = '';\nFLUSH PRIVILEGES;\n",
                f"CREATE USER '{Server.user}'@'%' IDENTIFIED BY '{Server.password}';\n",
                f"GRANT ALL ON *.* TO '{Server.user}'@'%' WITH GRANT OPTION;\n",
            ]
        )
        programs.data.mkdir()
        output(
            [
                *programs.command("usr/sbin/mariadbd"),
                *("--no-defaults", "--bootstrap", "--user=root", "--innodb-log-file-size=8M"),
                *(f"--datadir={programs.data}", f"--lc-messages-dir={share}", f"--character-sets-dir={share}/charsets"),
            ],
            input=statements,
        )
