# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark of restoring, against the vendor's way and the clients of the servers.

Each measurement has a server of its own, with its own defaults for what is written when, so that none meets what another has
left. It needs 3 GiB of disk in /tmp and under .cache.

    python tests/bench/restore.py [--engine ENGINE] [--rows 20000] [--tables 20] [--rounds 1] [--only PART]
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from measuring import HERE, ROOT, TREE, CommandFailed, Rounds, Run, alternate, goal, run, spread

sys.path.insert(0, str(HERE.parent))

import clients
import extract
from databases import ENGINES, MariaDB, MySQL, PostgreSQL, Server
from exports import large, pack_tree
from processes import children

MIB = 2**20
DATABASE = "shop"
#: As much as rows of 300 bytes need to be larger than the memory of the server.
POOL = "128M"
#: What the servers have by default. Those of tests write nothing through to the disk.
DEFAULTS: Mapping[type[Server], Mapping[str, str]] = {
    MySQL: {
        "innodb_buffer_pool_size": POOL,
        "innodb_flush_log_at_trx_commit": "1",
        "innodb_redo_log_capacity": "100M",
    },
    MariaDB: {
        "innodb_buffer_pool_size": POOL,
        "innodb_flush_log_at_trx_commit": "1",
        "innodb_log_file_size": "96M",
    },
    PostgreSQL: {"shared_buffers": "128MB", "fsync": "on"},
}
#: The goals of a whole archive: how many times as fast as the vendor's way.
WHOLE = {MySQL: 4.5, MariaDB: 6, PostgreSQL: 10}


@dataclass(frozen=True)
class Size:
    """How much is restored. ``rows``: of the wide table. ``tables``: small ones, of 500 rows."""

    rows: int = 500_000
    tables: int = 200
    rounds: int = 3


@dataclass(frozen=True)
class Restored(Run):
    """CPU seconds of the server, and MiB that it has written until the command ended; what it has in memory is not among them."""

    server: float = 0.0
    written: float = 0.0


def used_by(server: Server) -> tuple[float, float]:
    """CPU seconds of a server with its processes, also those that have ended, and MiB that it has written."""
    assert server.process
    ticks = written = 0
    # Of processes that have ended, the first one has the sums.
    for pid in (server.process.pid, *children(server.process.pid)):
        with contextlib.suppress(OSError):
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, after_name[11:15]))
            facts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
            written += int(facts["write_bytes"])
    return ticks / os.sysconf("SC_CLK_TCK"), written / MIB


class Bench:
    """One kind of server, and backups for it below a directory."""

    def __init__(self, kind: type[Server], directory: Path, size: Size) -> None:
        self.kind = kind
        self.size = size
        self._directory = directory
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{TREE}:{HERE.parent}",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }

    @property
    def engine(self) -> str:
        return "postgresql" if self.kind is PostgreSQL else "mysql"

    def backup(self, name: str, rows: int, tables: int, **dialect: str) -> Path:
        """An archive; its tree is beside it, as tar has made it."""
        tree, archive = self._directory / name, self._directory / f"{name}.tar.gz"
        if not archive.exists():
            large.export(self.engine, rows, small_tables=tables, **dialect).write(tree)
            pack_tree(tree, archive)
        return archive

    def tree(self, archive: Path) -> Path:
        """The directory with the databases of a backup."""
        return archive.with_name(archive.name.partition(".")[0]) / "dt-export"

    @contextlib.contextmanager
    def server(self) -> Iterator[Server]:
        with self.kind(**DEFAULTS[self.kind]) as server:
            yield server

    def measured(self, command: Callable[[Server, Path], list[str]], rows: int) -> Restored:
        """Run a command against a new server."""
        with self.server() as server, tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            before = used_by(server)
            done = run(command(server, Path(scratch)), self.environment)
            cpu, written = (after - earlier for after, earlier in zip(used_by(server), before))
            name = '"public"."orders"' if self.kind is PostgreSQL else f"`{DATABASE}`.`orders`"
            arguments = {"dbname" if self.kind is PostgreSQL else "database": DATABASE}
            with contextlib.closing(server.connect(**arguments)) as connection:
                cursor = connection.cursor()
                cursor.execute(f"SELECT COUNT(*) FROM {name}")
                (found,) = cursor.fetchone()
            assert found == rows, f"{found} of {rows} rows are in the table"
        facts = {field.name: getattr(done, field.name) for field in fields(Run)}
        return Restored(**facts, server=cpu, written=written)

    def arguments(self, server: Server, src: Path, **options: Any) -> dict[str, Any]:
        login = {"login_unix_socket": server.socket, "login_user": server.user, "login_password": server.password}
        return {"src": str(src), **login, **options}

    def ad_hoc(self, src: Path, **options_of_module: Any) -> Callable[[Server, Path], list[str]]:
        """The module, as a user runs it."""

        def command(server: Server, scratch: Path) -> list[str]:
            options = {**self.arguments(server, src, **options_of_module), "progress": False}
            return extract.module(_ansible(), f"apsaradb.backup.dbs_restore_{self.engine}", **options)

        self.environment["ANSIBLE_COLLECTIONS_PATH"] = str(TREE)
        return command

    def alone(self, src: Path, **options: Any) -> Callable[[Server, Path], list[str]]:
        """The module without Ansible around it, whose memory would hide what the module has."""

        def command(server: Server, scratch: Path) -> list[str]:
            given = scratch / "arguments.json"
            given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": self.arguments(server, src, **options)}))
            module = f"ansible_collections.apsaradb.backup.plugins.modules.dbs_restore_{self.engine}"
            return [sys.executable, "-m", module, str(given)]

        return command

    def by_file(self, archive: Path, *, keys_first: bool = True) -> Callable[[Server, Path], list[str]]:
        """What users are told to do: unpack, and one client for each file."""
        tree = self.tree(archive)

        def command(server: Server, scratch: Path) -> list[str]:
            # The names of files are in the statements: those of the tree beside the archive, where tar puts the same.
            script = clients.by_file(server, tree, scratch, keys_first=keys_first)
            return _script(scratch, f"tar -xzif {archive} -C {tree.parent}\n{script}")

        return command

    def as_sql(self, whole: Path) -> Callable[[Server, Path], list[str]]:
        """One client that is fed with a file of SQL."""
        return lambda server, scratch: ["sh", "-c", clients.as_one(server, DATABASE, whole, scratch)]

    def by_collection(self, whole: Path, collections: Path) -> Callable[[Server, Path], list[str]]:
        """The module of the community for a file of SQL, with the same client."""

        def command(server: Server, scratch: Path) -> list[str]:
            program = scratch / Path(clients.program(self.kind)[-1]).name
            program.write_text(f'#!/bin/sh\nexec {" ".join(clients.program(self.kind))} "$@"\n')
            program.chmod(0o755)
            self.environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
            options = {"name": DATABASE, "target": str(whole), "login_unix_socket": server.socket}
            login = {"login_user": server.user, "login_password": server.password}
            if self.kind is PostgreSQL:
                create = [
                    "-m",
                    "community.postgresql.postgresql_db",
                    "-a",
                    json.dumps({"name": DATABASE, **login, "login_unix_socket": server.socket}),
                ]
                steps = [create]
                name, state = "community.postgresql.postgresql_db", "restore"
            else:
                steps, name, state = [], "community.mysql.mysql_db", "import"
            steps.append(["-m", name, "-a", json.dumps({**options, **login, "state": state})])
            lines = [
                shlex.join([_ansible(), "localhost", "-e", f"ansible_python_interpreter={sys.executable}", *step])
                for step in steps
            ]
            return ["env", f"PATH={scratch}:{os.environ['PATH']}", "sh", "-ec", "\n".join(lines)]

        return command


def _script(scratch: Path, text: str) -> list[str]:
    """In a file: of hundreds of tables, it is longer than an argument may be."""
    script = scratch / "script"
    script.write_text(text)
    return ["sh", "-e", str(script)]


def _ansible() -> str:
    return shutil.which("ansible", path=os.path.dirname(sys.executable)) or "ansible"


def community() -> Path | None:
    """Where the collections of the community are; None if they cannot be had. They come with the package ansible."""
    place = ROOT / ".cache" / "peers"
    if not (place / "ansible_collections").exists():
        with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as scratch:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, "ansible"]
            if subprocess.run(command, check=False).returncode:
                return None
            (wheel,) = Path(scratch).glob("ansible-*.whl")
            # Modules of community.mysql are in ansible.mysql now, and are found by their old names.
            names = ("community/mysql", "ansible/mysql", "community/postgresql")
            wanted = tuple(f"ansible_collections/{name}/" for name in names)
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(place, [name for name in packed.namelist() if name.startswith(wanted)])
    return place


def table(title: str, rounds: Rounds, names: Mapping[str, str]) -> None:
    print(title)
    for name, what in names.items():
        if name in rounds:
            wall, cpu, server, written = (rounds.median(name, of) for of in ("wall", "cpu", "server", "written"))
            print(
                f"  {what:58} {wall:7.1f} s  CPU {cpu:6.1f} s + server {server:6.1f} s  {written:6.0f} MiB written",
                flush=True,
            )


def compared(bench: Bench, commands: Mapping[str, Callable[[Server, Path], list[str]]], rows: int) -> Rounds:
    measures = {name: functools.partial(bench.measured, command, rows) for name, command in commands.items()}
    return alternate(measures, bench.size.rounds)


def whole(bench: Bench) -> None:
    """The archive with one wide table and many small ones."""
    size = bench.size
    archive = bench.backup("whole", size.rows, size.tables)
    commands = {"ours": bench.ad_hoc(archive), "vendor": bench.by_file(archive)}
    names = {"ours": f"dbs_restore_{bench.engine}", "vendor": "tar, and a client for each file, keys in place"}
    if bench.kind is PostgreSQL:
        commands["later"] = bench.by_file(archive, keys_first=False)
        names["later"] = "tar, and a client for each file, keys after the data"
    as_sql = bench.backup("sql", size.rows, size.tables, format="sql")
    file = as_sql.with_name("whole.sql")
    clients.write_as_one(bench.tree(as_sql), file)
    commands["client"] = bench.as_sql(file)
    names["client"] = "one client, fed with SQL"
    collections = community()
    if collections:
        commands["community"] = bench.by_collection(file, collections)
        names["community"] = "the module of the community, with the same SQL"
    rounds = compared(bench, commands, size.rows)
    megabytes = archive.stat().st_size // MIB
    table(f"{bench.kind.__name__}: {size.tables} + 1 tables, {size.rows} rows, {megabytes} MiB packed", rounds, names)
    goal("the vendor's way / ours", rounds.ratios("vendor", "ours"), at_least=WHOLE[bench.kind])
    for name in names:
        if name not in ("ours", "vendor") and name in rounds:
            print(f"  {names[name]} / ours: {spread(rounds.ratios(name, 'ours'))}")
    if not collections:
        print("  the modules of the community are left out: the package ansible could not be had")


def sql(bench: Bench) -> None:
    """The format SQL, one wide table."""
    size = bench.size
    archive = bench.backup("sql_wide", size.rows, 0, format="sql")
    file = archive.with_name("wide.sql")
    clients.write_as_one(bench.tree(archive), file)
    rounds = compared(bench, {"ours": bench.ad_hoc(archive), "client": bench.as_sql(file)}, size.rows)
    table(f"{bench.kind.__name__}: the format SQL, one table", rounds, {"ours": "ours", "client": "one client"})
    goal("one client / ours", rounds.ratios("client", "ours"), at_least=2)


def wide(bench: Bench) -> None:
    """One table that is larger than the memory of the server."""
    rows = 2 * bench.size.rows
    archive = bench.backup("wide", rows, 0)
    commands = {
        "ours": bench.ad_hoc(archive),
        "one": bench.ad_hoc(archive, parallel=1),
        "vendor": bench.by_file(archive),
    }
    names = {
        "ours": "ours, 4 connections",
        "one": "ours, 1 connection",
        "vendor": "tar, and a client for each file, keys in place",
    }
    rounds = compared(bench, commands, rows)
    table(f"{bench.kind.__name__}: one table of {rows} rows, {POOL} of memory for the server", rounds, names)
    goal("the vendor's way / ours", rounds.ratios("vendor", "ours"), at_least=3)
    goal("bytes written ours / the vendor's way", rounds.ratios("ours", "vendor", "written"), at_most=0.4)
    one = rounds.ratios("one", "ours")
    if bench.kind is PostgreSQL:
        goal("1 connection / 4 connections", one, at_least=1.5)
    else:
        print(f"  1 connection / 4 connections: {spread(one)}")


def source(bench: Bench) -> None:
    """Straight from the archive, against tar and then the directory."""
    size = bench.size
    archive = bench.backup("whole", size.rows, size.tables)

    def unpacked(server: Server, scratch: Path) -> list[str]:
        inner = shlex.join(bench.ad_hoc(scratch / "tree")(server, scratch))
        return ["sh", "-ec", f"mkdir {scratch}/tree\ntar -xzif {archive} -C {scratch}/tree\n{inner}"]

    rounds = compared(bench, {"archive": bench.ad_hoc(archive), "directory": unpacked}, size.rows)
    names = {"archive": "from the archive", "directory": "tar, and from the directory"}
    table(f"{bench.kind.__name__}: archive or directory", rounds, names)
    goal("tar and the directory / the archive", rounds.ratios("directory", "archive"), at_least=1)


def memory(bench: Bench) -> None:
    """The resident memory of the module, which must not depend on the size of the data."""
    for factor in (1, 4):
        rows = factor * bench.size.rows
        archive = bench.backup(f"memory{factor}", rows, 0)
        found = bench.measured(bench.alone(archive), rows).memory
        data = sum(path.stat().st_size for path in bench.tree(archive).rglob("data/*")) // MIB
        print(f"{bench.kind.__name__}: {data} MiB of data")
        goal("memory of the module", [found], at_most=150, unit=" MiB")


def again(bench: Bench) -> None:
    """A second run of what is restored."""
    archive = bench.backup("whole", bench.size.rows, bench.size.tables)
    with bench.server() as server, tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        command = bench.alone(archive)(server, Path(scratch))
        first = run(command, bench.environment)
        seconds = []
        for _unused in range(max(3, bench.size.rounds)):
            done = run(command, bench.environment)
            assert not json.loads(done.output.splitlines()[-1])["changed"], done.output
            seconds.append(done.wall)
    print(f"{bench.kind.__name__}: the same archive again, {first.wall:.1f} s the first time")
    goal("the module", seconds, at_most=2, unit=" s")


def verification(bench: Bench) -> None:
    """How much of the time of its connections a restore spends on the verification."""
    archive = bench.backup("whole", bench.size.rows, bench.size.tables)
    shares = []
    for _unused in range(bench.size.rounds):
        with bench.server() as server:
            given = {name: getattr(server, name) for name in ("socket", "user", "password")}
            given.update(engine=bench.engine, src=str(archive), threads=4)
            command = [sys.executable, str(HERE / "restore_parts.py"), json.dumps(given)]
            parts = json.loads(run(command, bench.environment).output.splitlines()[-1])
        shares.append(
            100 * parts["verify"] / sum(parts[name] for name in ("survey", "create", "load", "finish", "verify"))
        )
    told = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    print(f"{bench.kind.__name__}: seconds of the parts, of all connections together: {told}")
    goal("verification", shares, at_most=5, unit=" %")


PARTS = {part.__name__: part for part in (whole, wide, sql, source, memory, again, verification)}


def restores(size: Size = Size(), kinds: tuple[type[Server], ...] = ENGINES, only: str | None = None) -> None:
    """Restoring, into each kind of server."""
    for kind in kinds:
        clients.prepare(kind)
        with tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="restore-") as directory:
            # Servers may run as another user, and none of them reads it.
            bench = Bench(kind, Path(directory), size)
            for name, part in PARTS.items():
                if only in (None, name):
                    try:
                        part(bench)
                    except CommandFailed as error:
                        print(f"{kind.__name__}: {name} failed: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Size()
    parser.add_argument("--rows", type=int, default=default.rows)
    parser.add_argument("--tables", type=int, default=default.tables)
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--engine", choices=[kind.name for kind in ENGINES])
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    kinds = tuple(kind for kind in ENGINES if given.engine in (None, kind.name))
    restores(Size(given.rows, given.tables, given.rounds), kinds, given.only)


if __name__ == "__main__":
    main()
