# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vendor's way of restoring: unpack, and run one client for each file, as users are told to. Scripts for sh."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from databases import MariaDB, MySQL, PostgreSQL, Server
from databases.postgresql import BINARIES
from databases.programs import Programs, fetched

#: The packages with the clients of servers that have them apart.
PACKAGES = {MySQL: ("mysql-client-core", "usr/bin/mysql"), MariaDB: ("mariadb-client-core", "usr/bin/mariadb")}


def _no_data(programs: Programs) -> None:
    """A client has no data directory."""


def program(kind: type[Server]) -> list[str]:
    """How to run the client of a server, which is fetched unless it is there."""
    if kind is PostgreSQL:
        return kind.programs().command(f"{BINARIES}/psql")
    package, binary = PACKAGES[kind]
    name = f"{kind.name}-client"
    return fetched(name, [package], kind.release(), _no_data, "a client").command(binary)


def prepare(kind: type[Server]) -> None:
    """Fetch all that is needed."""
    kind.programs()
    program(kind)


def command(server: Server, directory: Path) -> list[str]:
    """The client with a login. The password is in a file."""
    if isinstance(server, PostgreSQL):
        password = server.password.replace("\\", r"\\").replace(":", r"\:")
        login = directory / "pgpass"
        login.write_text(f"*:*:*:{server.user}:{password}\n")
        login.chmod(0o600)
        # An error ends it: without that, what failed would count as fast.
        options = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", server.socket, "-U", server.user]
        return ["env", f"PGPASSFILE={login}", *program(PostgreSQL), *options]
    login = directory / "my.cnf"
    password = server.password.replace("\\", r"\\").replace('"', r"\"")
    login.write_text(
        f'[client]\nsocket={server.socket}\nuser={server.user}\npassword="{password}"\n'
        "loose-local-infile=1\ndefault-character-set=utf8mb4\n"
    )
    share = f"--character-sets-dir={server.programs().place}/root/usr/share/mysql/charsets"
    return [*program(type(server)), f"--defaults-file={login}", share]


def by_file(server: Server, root: Path, directory: Path, *, keys_first: bool = True) -> str:
    """A script that loads an unpacked export, with one client for each file."""
    client = shlex.join(command(server, directory))
    if isinstance(server, PostgreSQL):
        steps = [_in_postgresql(database, keys_first) for database in _below(root)]
    else:
        steps = [_in_mysql(database) for database in _below(root)]
    return "set -e\n" + "".join(f"{client} {arguments}\n" for one in steps for arguments in one)


def as_one(server: Server, database: str, file: Path, directory: Path) -> str:
    """A script that has one client run a file of SQL in a new database."""
    client = shlex.join(command(server, directory))
    if isinstance(server, PostgreSQL):
        create, use = f"-d postgres -c 'CREATE DATABASE \"{database}\"'", f"-d {database}"
    else:
        create, use = f"-e 'CREATE DATABASE `{database}` CHARACTER SET utf8mb4'", database
    return f"set -e\n{client} {create}\n{client} {use} < {shlex.quote(str(file))}\n"


def write_as_one(root: Path, target: Path) -> None:
    """Write all tables of an unpacked export of the format SQL into one file. Keys of PostgreSQL come after the data."""
    # Of MySQL the structures of tables, of PostgreSQL those of columns.
    order = ("*/*/structure.sql", "*/*/*/column_structure.sql", "**/data/*.sql")
    with open(target, "wb") as whole:
        for pattern in (*order, "*/*/*/constraint_structure.sql", "*/*/*/index_structure.sql"):
            for path in sorted(root.glob(pattern)):
                if (path.parent / "data").is_dir() or path.parent.name == "data":
                    whole.write(path.read_bytes() + b"\n")


def _in_mysql(database: Path) -> Iterator[str]:
    yield f"< {shlex.quote(str(database / 'structure.sql'))}"
    for table in _below(database):
        yield f"{shlex.quote(database.name)} < {shlex.quote(str(table / 'structure.sql'))}"
        for file in sorted((table / "data").iterdir()):
            load = (
                f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE `{database.name}`.`{table.name}` CHARACTER SET utf8mb4 "
                r"""FIELDS TERMINATED BY ',' ENCLOSED BY '"' LINES TERMINATED BY '\n'"""
            )
            yield f"-e {shlex.quote(load)}"


def _in_postgresql(database: Path, keys_first: bool) -> Iterator[str]:
    yield f"-d postgres -f {shlex.quote(str(database / 'structure.sql'))}"
    target = f"-d {shlex.quote(database.name)}"
    schemas = _below(database)
    # Each new database has a schema public, so creating it fails. The script of the vendor ignores that.
    yield from (f"{target} -v ON_ERROR_STOP=0 -f {shlex.quote(str(schema / 'structure.sql'))}" for schema in schemas)
    tables = [table for schema in schemas for table in _below(schema)]
    data = [
        f"{target} -c {shlex.quote(_copy(table, file))}"
        for table in tables
        for file in sorted((table / "data").iterdir())
    ]
    yield from _structures(target, tables, "column_structure.sql")
    if not keys_first:
        yield from data
    for name in ("constraint_structure.sql", "index_structure.sql", "inherit_structure.sql"):
        yield from _structures(target, tables, name)
    if keys_first:
        yield from data


def _structures(target: str, tables: list[Path], name: str) -> list[str]:
    return [f"{target} -f {shlex.quote(str(table / name))}" for table in tables if (table / name).exists()]


def _copy(table: Path, file: Path) -> str:
    return f"\\copy \"{table.parent.name}\".\"{table.name}\" from '{file}' delimiter ',' csv"


def _below(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir() and path.name != "data")
