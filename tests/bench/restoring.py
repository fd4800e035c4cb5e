# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmark of restoring runs: servers, backups for them, the modules, and their peers."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from measuring import HERE, ROOT, TREE, CommandFailed, Rounds, Run, alternate, run

sys.path.insert(0, str(HERE.parent))

import clients
import extract
from databases import MariaDB, MySQL, PostgreSQL, Server
from exports import Export, large, pack_tree
from processes import children

MIB = 2**20
#: About 64 MiB.
COPIED_ROWS = 220_000
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


@dataclass(frozen=True)
class Size:
    """How much is restored. ``rows``: of the wide table. ``tables``: small ones, of 500 rows.

    ``memory``: MiB of the backups that the memory of the module is measured with.
    """

    rows: int = 500_000
    tables: int = 200
    rounds: int = 3
    memory: tuple[int, ...] = (256, 1024)


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


Command = Callable[[Server, Path], list[str]]


class Bench:
    """One kind of server, and backups for it below a directory. ``failures``: what did not run, and why."""

    def __init__(self, kind: type[Server], directory: Path, size: Size) -> None:
        self.failures: list[str] = []
        self.kind = kind
        self.size = size
        self.directory = directory
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
        tree, archive = self.directory / name, self.directory / f"{name}.tar.gz"
        if not archive.exists():
            large.export(self.engine, rows, small_tables=tables, **dialect).write(tree)
            pack_tree(tree, archive)
        return archive

    def tree(self, archive: Path) -> Path:
        """The directory with the databases of a backup."""
        return archive.with_name(archive.name.partition(".")[0]) / "dt-export"

    def copies(self, name: str, megabytes: int) -> tuple[Path, int]:
        """An archive of about that much data, of one table without keys, and its rows.

        All of its data files are alike, and compressed once: it is made as fast as the disk writes.
        """
        archive = self.directory / f"{name}.tar.gz"
        number = 0
        with archive.open("wb") as file:
            for path, content in without_keys(self.engine, COPIED_ROWS).files().items():
                if "/data/" not in path:
                    file.write(_packed(path, content))
                    continue
                body = gzip.compress(content, 1)
                while number * len(content) < megabytes * MIB:
                    file.write(_packed(path.replace("/data/0.", f"/data/{number}."), content, body))
                    number += 1
            # Two empty blocks end a tar.
            file.write(gzip.compress(bytes(2 * tarfile.BLOCKSIZE)))
        return archive, number * COPIED_ROWS

    @contextlib.contextmanager
    def server(self, **options: str) -> Iterator[Server]:
        with self.kind(**{**DEFAULTS[self.kind], **options}) as server:
            yield server

    def compared(self, commands: Mapping[str, Command], rows: int, **options: str) -> Rounds:
        """Run all in turn. One that fails is left out from then on, and the others go on."""
        failed: set[str] = set()

        def measure(name: str, command: Command) -> Restored | None:
            if name in failed:
                return None
            try:
                return self.measured(command, rows, **options)
            except (CommandFailed, AssertionError, OSError) as error:
                failed.add(name)
                self.fail(name, error)
                return None

        measures = {name: functools.partial(measure, name, command) for name, command in commands.items()}
        return alternate(measures, self.size.rounds)

    def fail(self, name: str, error: BaseException) -> None:
        self.failures.append(f"{self.kind.__name__}: {name}")
        print(f"{self.kind.__name__}: {name} FAILED: {str(error)[-600:]}", flush=True)

    def measured(self, command: Command, rows: int, **options: str) -> Restored:
        """Run a command against a new server with these options."""
        with self.server(**options) as server, tempfile.TemporaryDirectory(dir=self.directory) as scratch:
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

    def ad_hoc(self, src: Path, **options_of_module: Any) -> Command:
        """The module, as a user runs it."""

        def command(server: Server, scratch: Path) -> list[str]:
            options = {**self.arguments(server, src, **options_of_module), "progress": False}
            return extract.module(_ansible(), f"apsaradb.backup.dbs_restore_{self.engine}", **options)

        self.environment["ANSIBLE_COLLECTIONS_PATH"] = str(TREE)
        return command

    def alone(self, src: Path, **options: Any) -> Command:
        """The module without Ansible around it, whose memory would hide what the module has."""

        def command(server: Server, scratch: Path) -> list[str]:
            given = scratch / "arguments.json"
            given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": self.arguments(server, src, **options)}))
            module = f"ansible_collections.apsaradb.backup.plugins.modules.dbs_restore_{self.engine}"
            return [sys.executable, "-m", module, str(given)]

        return command

    def by_file(self, archive: Path, *, keys_first: bool = True) -> Command:
        """What users are told to do: unpack, and one client for each file."""
        tree = self.tree(archive)

        def command(server: Server, scratch: Path) -> list[str]:
            # The names of files are in the statements: those of the tree beside the archive, where tar puts the same.
            script = clients.by_file(server, tree, scratch, keys_first=keys_first)
            return _script(scratch, f"tar -xzif {archive} -C {tree.parent}\n{script}")

        return command

    def as_sql(self, whole: Path) -> Command:
        """One client that is fed with a file of SQL."""
        return lambda server, scratch: ["sh", "-c", clients.as_one(server, DATABASE, whole, scratch)]

    def by_collection(self, whole: Path, collections: Path) -> Command:
        """The module of the community for a file of SQL, with the same client."""

        def command(server: Server, scratch: Path) -> list[str]:
            # Some versions of the module look for the client of MariaDB by its new name.
            for name in ("psql",) if self.kind is PostgreSQL else ("mysql", "mariadb"):
                program = scratch / name
                program.write_text(f'#!/bin/sh\nexec {shlex.join(clients.program(self.kind))} "$@"\n')
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
                # Its name of today, as the old one is only a reference to it.
                steps, name, state = [], "ansible.mysql.mysql_db", "import"
                options["encoding"] = "utf8mb4"
            steps.append(["-m", name, "-a", json.dumps({**options, **login, "state": state})])
            lines = [
                shlex.join([_ansible(), "localhost", "-e", f"ansible_python_interpreter={sys.executable}", *step])
                for step in steps
            ]
            return ["env", f"PATH={scratch}:{os.environ['PATH']}", "sh", "-ec", "\n".join(lines)]

        return command


def without_keys(engine: str, rows: int) -> Export:
    """The wide table in one file, without keys and what needs one."""
    export = large.export(engine, rows, parts=1)
    (table,) = export.databases[0].tables
    table.keys, table.constraints, table.indexes, table.serial = [], [], [], ""
    table.columns[0] = dataclasses.replace(table.columns[0], options="NOT NULL")
    return export


def _packed(path: str, content: bytes, body: bytes | None = None) -> bytes:
    """A file of a tar in members of gzip: its header, and its content, which may be compressed already."""
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    padding = bytes(-len(content) % tarfile.BLOCKSIZE)
    return gzip.compress(entry.tobuf()) + (body or gzip.compress(content, 1)) + gzip.compress(padding)


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
