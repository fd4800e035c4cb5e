# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark of restoring, against the vendor's way and the clients of the servers.

Each measurement has a server of its own, with its own defaults for what is written when, so that none meets what another has
left. It needs 4 GiB of disk in /tmp and under .cache, and 4 times as much as --memory says. Exits with 1 if anything
did not run; the others are measured all the same.

    python tests/bench/restore.py [--engine ENGINE] [--rows 20000] [--tables 20] [--rounds 1] [--memory 256,8192] [--only PART]
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import HERE, ROOT, CommandFailed, Rounds, goal, run, spread

sys.path.insert(0, str(HERE.parent))

import clients
from databases import ENGINES, MariaDB, MySQL, PostgreSQL, Server
from restoring import MIB, Bench, Restored, Size, community, without_keys

#: The goals of a whole archive: how many times as fast as the vendor's way.
WHOLE = {MySQL: 4.5, MariaDB: 6, PostgreSQL: 10}
DEFAULT = Size()
#: The memory of the servers for a table that is larger than it.
SMALL_POOL = {
    MySQL: {"innodb_buffer_pool_size": "32M"},
    MariaDB: {"innodb_buffer_pool_size": "32M"},
    PostgreSQL: {"shared_buffers": "64MB"},
}


def all_cpu(one: Restored) -> float:
    return one.cpu + one.server


def table(title: str, rounds: Rounds, names: Mapping[str, str]) -> None:
    print(title)
    for name, what in names.items():
        if name in rounds:
            wall, cpu, server, written = (rounds.median(name, of) for of in ("wall", "cpu", "server", "written"))
            print(
                f"  {what:58} {wall:7.1f} s  CPU {cpu:6.1f} s + server {server:6.1f} s  {written:6.0f} MiB written",
                flush=True,
            )


def limits(bench: Bench) -> None:
    """What the machine and the server can do at all: the disk, tar, and one client with one file, without keys."""
    rows = bench.size.rows
    tree = bench.directory / "bare"
    without_keys(bench.engine, rows).write(tree)
    (file,) = tree.rglob("data/*")
    size = file.stat().st_size / MIB
    archive = bench.backup("whole", rows, bench.size.tables)
    began = time.perf_counter()
    with (bench.directory / "zeros").open("wb") as zeros:
        for _unused in range(256):
            zeros.write(bytes(MIB))
        os.fsync(zeros.fileno())
    disk = 256 / (time.perf_counter() - began)
    unpacked = run(["tar", "-xzif", str(archive), "-O", "--to-command=cat >/dev/null"], bench.environment)
    commands = {
        "bare": lambda server, scratch: ["sh", "-e", "-c", clients.by_file(server, tree / "dt-export", scratch)]
    }
    rounds = bench.compared(commands, rows)
    title = f"{bench.kind.__name__}: {os.cpu_count()} cores; the disk writes {disk:.0f} MiB/s; tar reads the archive in {unpacked.wall:.1f} s"
    table(title, rounds, {"bare": f"one client, one file of {size:.0f} MiB, no keys"})


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
    else:
        bench.fail("the modules of the community", OSError("the package ansible could not be had"))
    rounds = bench.compared(commands, size.rows)
    megabytes = archive.stat().st_size // MIB
    table(f"{bench.kind.__name__}: {size.tables} + 1 tables, {size.rows} rows, {megabytes} MiB packed", rounds, names)
    goal("the vendor's way / ours", rounds.ratios("vendor", "ours"), at_least=WHOLE[bench.kind])
    cpu = rounds.each(lambda one: all_cpu(one["vendor"]) / all_cpu(one["ours"]), "vendor", "ours")
    print(f"  the vendor's way / ours, CPU seconds of client and server: {spread(cpu)}")
    for name in names:
        if name not in ("ours", "vendor") and name in rounds:
            print(f"  {names[name]} / ours: {spread(rounds.ratios(name, 'ours'))}")


def sql(bench: Bench) -> None:
    """The format SQL, one wide table."""
    size = bench.size
    archive = bench.backup("sql_wide", size.rows, 0, format="sql")
    file = archive.with_name("wide.sql")
    clients.write_as_one(bench.tree(archive), file)
    commands = {"ours": bench.ad_hoc(archive), "client": bench.as_sql(file)}
    names = {"ours": "ours", "client": "one client"}
    collections = community()
    if collections:
        commands["community"] = bench.by_collection(file, collections)
        names["community"] = "the module of the community"
    rounds = bench.compared(commands, size.rows)
    table(f"{bench.kind.__name__}: the format SQL, one table", rounds, names)
    goal("the module of the community / ours", rounds.ratios("community", "ours"), at_least=2)
    print(f"  one client / ours: {spread(rounds.ratios('client', 'ours'))}")


def wide(bench: Bench) -> None:
    """One table that is larger than the memory of the server."""
    rows = bench.size.rows
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
    if bench.kind is PostgreSQL:
        commands["later"] = bench.by_file(archive, keys_first=False)
        names["later"] = "tar, and a client for each file, keys after the data"
    options = SMALL_POOL[bench.kind]
    rounds = bench.compared(commands, rows, **options)
    megabytes = sum(path.stat().st_size for path in bench.tree(archive).rglob("data/*")) // MIB
    (pool,) = options.values()
    table(f"{bench.kind.__name__}: one table of {megabytes} MiB, {pool} of memory for the server", rounds, names)
    ratios, written = rounds.ratios("vendor", "ours"), rounds.ratios("ours", "vendor", "written")
    if bench.kind is PostgreSQL:
        goal("the vendor's way / ours", ratios, at_least=1.5)
        print(f"  {names['later']} / ours: {spread(rounds.ratios('later', 'ours'))}")
        print(f"  bytes written ours / the vendor's way: {spread(written)}")
    else:
        goal("the vendor's way / ours", ratios, at_least=3)
        goal("bytes written ours / the vendor's way", written, at_most=0.4)
    print(f"  1 connection / 4 connections: {spread(rounds.ratios('one', 'ours'))}")


def source(bench: Bench) -> None:
    """Straight from the archive, against tar and then the directory."""
    size = bench.size
    archive = bench.backup("whole", size.rows, size.tables)

    def unpacked(server: Server, scratch: Path) -> list[str]:
        inner = shlex.join(bench.ad_hoc(scratch / "tree")(server, scratch))
        return ["sh", "-ec", f"mkdir {scratch}/tree\ntar -xzif {archive} -C {scratch}/tree\n{inner}"]

    rounds = bench.compared({"archive": bench.ad_hoc(archive), "directory": unpacked}, size.rows)
    names = {"archive": "from the archive", "directory": "tar, and from the directory"}
    table(f"{bench.kind.__name__}: archive or directory", rounds, names)
    goal("tar and the directory / the archive", rounds.ratios("directory", "archive"), at_least=1)


def memory(bench: Bench) -> None:
    """The resident memory of the module, which must not depend on the size of the data, and what it writes itself."""
    for megabytes in bench.size.memory:
        archive, rows = bench.copies("memory", megabytes)
        try:
            done = bench.measured(bench.alone(archive), rows)
        finally:
            archive.unlink()
        print(f"{bench.kind.__name__}: {megabytes} MiB of data in {done.wall:.0f} s, server {done.server:.0f} CPU s")
        goal("memory of the module", [done.memory], at_most=150, unit=" MiB")
        # Besides the archive and the database, there is nothing on the disk.
        goal("written to files by the module", [done.stored], at_most=1, unit=" MiB")


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
            given = {name: getattr(server, name) for name in ("socket", "user", "password", "port")}
            given.update(engine=bench.engine, src=str(archive), threads=4)
            command = [sys.executable, str(HERE / "restore_parts.py"), json.dumps(given)]
            parts = json.loads(run(command, bench.environment).output.splitlines()[-1])
        shares.append(
            100 * parts["verify"] / sum(parts[name] for name in ("survey", "create", "load", "finish", "verify"))
        )
    told = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    print(f"{bench.kind.__name__}: seconds of the parts, of all connections together: {told}")
    goal("verification", shares, at_most=5, unit=" %")


PARTS = {part.__name__: part for part in (limits, whole, wide, sql, source, memory, again, verification)}


def restores(size: Size = DEFAULT, kinds: tuple[type[Server], ...] = ENGINES, only: str | None = None) -> None:
    """Restoring, into each kind of server. Exits with 1 in the end if anything failed."""
    failures: list[str] = []
    for kind in kinds:
        clients.prepare(kind)
        with tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="restore-") as directory:
            # Servers may run as another user, and none of them reads it.
            bench = Bench(kind, Path(directory), size)
            for name, part in PARTS.items():
                if only in (None, name):
                    try:
                        part(bench)
                    except (CommandFailed, AssertionError, OSError) as error:
                        bench.fail(name, error)
            failures += bench.failures
    if failures:
        sys.exit(f"Not measured: {', '.join(failures)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=DEFAULT.rows)
    parser.add_argument("--tables", type=int, default=DEFAULT.tables)
    parser.add_argument("--rounds", type=int, default=DEFAULT.rounds)
    parser.add_argument("--memory", default=",".join(map(str, DEFAULT.memory)), help="MiB of data, such as 256,8192")
    parser.add_argument("--engine", choices=[kind.name for kind in ENGINES])
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    kinds = tuple(kind for kind in ENGINES if given.engine in (None, kind.name))
    memory = tuple(map(int, given.memory.split(",")))
    restores(Size(given.rows, given.tables, given.rounds, memory), kinds, given.only)


if __name__ == "__main__":
    main()
