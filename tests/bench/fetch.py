# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmarks of the download, on nginx, against what else downloads. They need 12 GiB of memory, and of disk under .cache.

The rows take turns, and ratios are those of one turn. A run begins with no file at the destination, nothing left to write to the
disk, and memory that was just given up: what a virtual machine does not use its host may have taken back. What the server sent
is what it handed to the network, as a share of the file: more than 100 % comes twice, and is paid for.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trustme
from measuring import HERE, ROOT, TREE, CommandFailed, Rounds, Run, alternate, goal, run, spread
from stand_in.crc64 import crc64

MIB = 2**20
GIB = 2**30
MODULE = "apsaradb.backup.dbs_download_file"
#: The commands of each Debian package that is wanted.
PACKAGES = {"nginx": "nginx-light", "curl": "curl", "wget": "wget", "aria2c": "aria2", "axel": "axel"}
#: A program can be where only root looks.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"

#: How the rows call the option sync.
SYNC = {"no sync": False, "sync": True}

#: What each server of nginx is told.
SERVERS = {
    "http": "",
    "https": "ssl_certificate server.pem; ssl_certificate_key server.pem;",
    "20m": "limit_rate 20m; sendfile_max_chunk 512k;",
    "100m": "limit_rate 100m; sendfile_max_chunk 512k;",
    "one_slow": "limit_rate $rate; sendfile_max_chunk 512k;",
}


def version(name: str) -> str:
    """The version of a command as it tells it; empty if it is not installed."""
    path = shutil.which(name, path=PATH)
    if not path:
        return ""
    option = "-v" if name == "nginx" else "--version"
    asked = subprocess.run([path, option], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return asked.stdout.split("\n")[0].split(" (")[0]


@functools.cache
def peers() -> dict[str, str]:
    """The versions of the peers that are installed, printed when first asked for."""
    found = {name: version(name) for name in PACKAGES}
    print(
        f"Downloads: {platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores for server and client"
    )
    for name, told in found.items():
        print(f"  {told or f'{name} is not installed, and left out: apt-get install {PACKAGES[name]} (Debian)'}")
    return found


@dataclass(frozen=True)
class File:
    """A file on the disk, and in the page cache, that differs in every MiB."""

    path: Path
    size: int
    crc64: int

    @classmethod
    def make(cls, path: Path, size: int) -> File:
        block = bytearray(os.urandom(MIB))
        value = 0
        with path.open("wb") as stream:
            for number in range(size // MIB):
                block[:8] = number.to_bytes(8, "big")
                value = crc64(bytes(block), value)
                stream.write(block)
        os.sync()
        return cls(path, size, value)

    def is_at(self, path: Path) -> bool:
        value = 0
        with path.open("rb") as stream:
            while block := stream.read(MIB):
                value = crc64(block, value)
        return (path.stat().st_size, value) == (self.size, self.crc64)


class Nginx:
    """nginx on free ports of 127.0.0.1, which serves files with the headers of OSS at these URLs:

    http, https: as fast as it can; 20m, 100m: so many MiB/s on each connection; one_slow: 20 MiB/s, and 2 MiB/s on one
    connection in eight.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = directory / "ca.pem"
        (directory / "bucket").mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
        sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in SERVERS}
        self.ports = {name: one.getsockname()[1] for name, one in sockets.items()}
        for one in sockets.values():
            one.close()

    def configuration(self, files: list[File]) -> str:
        # The last three digits of a number tell its rest modulo 8.
        slow = "|".join(
            [*(f"{number:03}" for number in range(0, 1000, 8)), "^[08]", *(f"^{n}" for n in range(16, 100, 8))]
        )
        locations = "".join(
            f"location = /bucket/{file.path.name} {{ add_header x-oss-hash-crc64ecma {file.crc64}; }}\n"
            for file in files
        )
        servers = "".join(
            f"server {{ listen 127.0.0.1:{self.ports[name]}{' ssl' if name == 'https' else ''}; {more}\n{locations}}}\n"
            for name, more in SERVERS.items()
        )
        temporary = "".join(
            f"{kind}_temp_path temporary;\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return (
            f"{'user root;' if os.geteuid() == 0 else ''}\n"
            "daemon off; worker_processes 2; pid nginx.pid; error_log nginx.log; events {}\n"
            # Relative to the directory that -p names, which may have blanks in its name.
            "http { root .; log_format sent '$body_bytes_sent'; access_log sent.log sent;\n"
            "sendfile on; keepalive_timeout 60;\n"
            f'map $connection $rate {{ default 20m; "~(?:{slow})$" 2m; }}\n'
            f"{temporary}{servers}}}\n"
        )

    @contextmanager
    def serve(self, *sizes: int) -> Iterator[list[File]]:
        """Serve files of these sizes."""
        files = [File.make(self.directory / "bucket" / f"{size // MIB}.bin", size) for size in sizes]
        configuration = self.directory / "nginx.conf"
        configuration.write_text(self.configuration(files))
        command = [shutil.which("nginx", path=PATH) or "nginx", "-p", str(self.directory), "-c", str(configuration)]
        command += ["-e", str(self.directory / "nginx.log")]
        with subprocess.Popen(command) as process:
            try:
                while not (self.directory / "nginx.pid").exists():
                    if process.poll() is not None:
                        raise SystemExit(f"nginx did not start:\n{(self.directory / 'nginx.log').read_text()}")
                    time.sleep(0.05)
                yield files
            finally:
                process.terminate()

    def sent(self) -> int:
        """Bytes of files that were sent since this was asked last. nginx notes them once a request is over."""
        log = self.directory / "sent.log"
        size = -1
        while size != (size := log.stat().st_size):
            time.sleep(0.1)
        count = sum(map(int, log.read_text().split()))
        os.truncate(log, 0)
        return count

    def url(self, server: str, file: File) -> str:
        scheme = "https" if server == "https" else "http"
        return f"{scheme}://127.0.0.1:{self.ports[server]}/bucket/{file.path.name}"


@dataclass(frozen=True)
class Row:
    """A command that brings the file to the destination."""

    name: str
    command: list[str]
    given: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    runs: int = 3
    #: Seconds that it surely does other things first.
    prepares: float = 0.0
    is_peer: bool = False


class Bench:
    """A file that is served, where downloads put it, and who does."""

    def __init__(self, nginx: Nginx, file: File, server: str) -> None:
        self.file = file
        self.to = nginx.directory / "downloaded" / "file"
        self.to.parent.mkdir(exist_ok=True)
        self.url = nginx.url(server, file)
        self.authority = str(nginx.authority)
        self._nginx = nginx
        self._held = self.to.with_name("held")
        self._fastest = float("inf")

    def tools(self, *wanted: str, runs: int = 3) -> list[Row]:
        """The rows of the tools that are installed, by how they are called."""
        command, directory, name = {}, str(self.to.parent), self.to.name
        command["cp"] = ["cp", str(self.file.path), str(self.to)]
        command["cp + fsync"] = ["sh", "-c", 'cp "$0" "$1" && sync "$1"', str(self.file.path), str(self.to)]
        command["curl"] = ["curl", "-sSf", "--cacert", self.authority, "-o", str(self.to), self.url]
        command["wget"] = ["wget", "-nv", f"--ca-certificate={self.authority}", "-O", str(self.to), self.url]
        command["aria2c -x16"] = ["aria2c", "--no-conf", "-q", "-x16", "-s16", "--file-allocation=falloc"]
        command["aria2c -x16"] += [f"--ca-certificate={self.authority}", "-d", directory, "-o", name, self.url]
        for connections in (8, 16):  # -k: axel takes no certificate for an address
            command[f"axel -n{connections}"] = ["axel", "-q", "-k", f"-n{connections}", "-o", str(self.to), self.url]
        command["OSS SDK"] = [sys.executable, str(HERE / "fetch_with_sdk.py"), self.url, str(self.to)]
        environment = {"SSL_CERT_FILE": self.authority, "REQUESTS_CA_BUNDLE": self.authority}
        there = [one for one in wanted if peers().get(command[one][0], "not one of the packages'")]
        return [Row(one, command[one], environment=environment, runs=runs, is_peer=True) for one in there]

    def arguments(self, **options: object) -> str:
        return json.dumps({"url": self.url, "dest": str(self.to), **options})

    def ours(self, name: str, runs: int = 3, **options: object) -> Row:
        """The module as a process, as Ansible runs it."""
        command = [sys.executable, "-m", f"ansible_collections.{MODULE.replace('backup.', 'backup.plugins.modules.')}"]
        given = f'{{"ANSIBLE_MODULE_ARGS": {self.arguments(ca_path=self.authority, **options)}}}'
        return Row(name, command, given, {"PYTHONPATH": str(TREE)}, runs)

    def task(self, name: str, module: str, runs: int = 5, **options: object) -> Row:
        """Ansible with one task."""
        ansible = shutil.which("ansible", path=os.path.dirname(sys.executable)) or "ansible"
        command = [ansible, "localhost", "-m", module, "-a", self.arguments(**options)]
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(TREE), "SSL_CERT_FILE": self.authority}
        return Row(name, command, environment=environment, runs=runs, prepares=0.3)

    def settle(self) -> None:
        """See to it that a run begins as all others do: the disk idle, and memory at hand that writing is fast to.

        Memory that the host of a virtual machine has to give back first takes up to ten times as long to write to. It
        takes what is free within a second, so a file holds it until ``give_up``.
        """
        self.to.unlink(missing_ok=True)
        os.sync()
        for number in range(8):
            self.give_up()
            seconds = _seconds_to_write(self._held, self.file.size * 3 // 2)
            self._fastest = min(self._fastest, seconds)
            if number and seconds < 1.2 * self._fastest:
                break

    def give_up(self) -> None:
        """Have the memory free."""
        self._held.unlink(missing_ok=True)

    def run(self, row: Row) -> Run:
        self._nginx.sent()
        later = threading.Timer(row.prepares, self.give_up)
        later.start()
        if not row.prepares:
            later.join()
        done = run(row.command, {**os.environ, **row.environment}, row.given)
        later.join()
        return replace(done, sent=self._nginx.sent())

    def measure(self, rows: list[Row], keep: bool = False) -> Rounds:
        """Run the rows in turn, see that the file arrives, and print what each can do; keep: with the file there as it is."""
        left = {row.name: row.runs for row in rows}
        seen: set[str] = set()

        def once(row: Row) -> Run | None:
            left[row.name] -= 1
            if left[row.name] < 0:
                return None
            if not keep:
                self.settle()
            try:
                done = self.run(row)
            except CommandFailed as failed:
                if not row.is_peer:
                    raise
                print(f"  a run that does not count: {failed}")
                return None
            if row.name not in seen and not self.file.is_at(self.to):
                raise SystemExit(f"{row.name}: what is at {self.to} is not the file that was served")
            seen.add(row.name)
            return done

        measures = {row.name: functools.partial(once, row) for row in rows}
        rounds = alternate(measures, max(row.runs for row in rows))
        self.to.unlink(missing_ok=True)
        for row in rows:
            if row.name in rounds:
                self.tell(row.name, rounds)
        return rounds

    def tell(self, name: str, rounds: Rounds) -> None:
        """Print the medians of a row."""
        done = rounds.of(name)
        wall, cpu, machine = (rounds.median(name, of) for of in ("wall", "cpu", "machine"))
        memory = max(one.memory for one in done)
        print(
            f"  {name:26} {wall:6.2f} s (best {min(one.wall for one in done):5.2f})"
            f" {self.file.size / wall / MIB:6.0f} MiB/s"
            f" {cpu / self.file.size * GIB:5.2f} s CPU/GiB, the machine's {machine / self.file.size * GIB:5.2f}"
            f" {memory:6.1f} MiB",
            end="",
        )
        sent = [100 * one.sent / self.file.size for one in done if one.sent]
        if sent:
            print(f"; sent {statistics.median(sent):.2f} % (at most {max(sent):.2f})", end="")
        if done[0].output.strip().startswith("{"):
            results = [json.loads(one.output) for one in done]
            print(f"; elapsed {statistics.median(result['elapsed'] for result in results):.2f} s", end="")
            if "connections" in results[0]:
                print(f", {max(result['connections'] for result in results)} connections", end="")
        print(f"; {len(done)} run{'s' * (len(done) > 1)}", flush=True)


def _seconds_to_write(path: Path, size: int) -> float:
    """How long a new file takes."""
    piece = bytes(128 * 1024)
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        for _unused in range(size // len(piece)):
            file.write(piece)
    return time.perf_counter() - began


@contextmanager
def serving(title: str, *sizes: int) -> Iterator[tuple[Nginx, list[File]]]:
    """nginx with files of these sizes, under a title."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="fetch-") as directory:
        nginx = Nginx(Path(directory))
        with nginx.serve(*sizes) as files:
            print(title)
            yield nginx, files


def section(benchmark: Callable[..., None]) -> Callable[..., None]:
    """A benchmark that needs nginx."""

    @functools.wraps(benchmark)
    def told(*sizes: int) -> None:
        if peers()["nginx"]:
            benchmark(*sizes)
        else:
            print(f"The download benchmark {benchmark.__name__} needs nginx, and is left out")

    return told


def at_most(rounds: Rounds, ours: str, other: str, limit: float, of: str = "wall") -> None:
    """The goal that ours takes at most so many times what the other takes, if that is installed."""
    if other in rounds:
        goal(f"{of} {ours} / {other}", rounds.ratios(ours, other, of), at_most=limit)


def at_least(rounds: Rounds, ours: str, other: str, limit: float) -> None:
    """The goal that ours is so many times as fast as the other, if that is installed."""
    if other in rounds:
        goal(f"wall {other} / {ours}", rounds.ratios(other, ours), at_least=limit)


def sent_once(rounds: Rounds, size: int, *names: str) -> None:
    """The goal that the server sends hardly more than the file has."""
    for name in names:
        goal(f"sent for {name} / size", [(one.sent or 0) / size for one in rounds.of(name)], at_most=1.01)


@section
def unthrottled(size: int = 2 * GIB) -> None:
    """As fast as the machine can, against everything."""
    with serving(f"Download of {size // MIB} MiB, nothing held back", size) as (nginx, (file,)):
        for server, tools, least_curl, least_task in (("http", ["cp"], 2.0, 3.5), ("https", [], 1.3, 2.5)):
            print(f" by {server}")
            bench = Bench(nginx, file, server)
            rows = [*bench.tools(*tools, "curl", runs=5), bench.ours("ours, no sync", 5, sync=False)]
            rows += [*bench.tools("cp + fsync"), bench.ours("ours, sync")]
            rows += [bench.task("task get_url", "ansible.builtin.get_url")]
            rows += [bench.task("task ours, no sync", MODULE, ca_path=bench.authority, sync=False)]
            rows += [bench.task("task ours, sync", MODULE, runs=3, ca_path=bench.authority)]
            rows += bench.tools("wget", "aria2c -x16", "axel -n8", "axel -n16", "OSS SDK", runs=1)
            rounds = bench.measure(rows)
            at_least(rounds, "ours, no sync", "curl", least_curl)
            at_most(rounds, "ours, no sync", "cp", 1.4)
            limit = rounds.median("ours, no sync", "machine") / (os.cpu_count() or 1)
            print(f"  what server and client take, on all processors alike: {limit:.2f} s, no transfer takes less")
            at_most(rounds, "ours, no sync", "curl", 1, "cpu")
            for sync in SYNC:
                at_least(rounds, f"task ours, {sync}", "task get_url", least_task)
            disk = rounds.ratios("ours, sync", "cp + fsync")
            print(f"  get_url syncs nothing; ours, sync / cp + fsync: {spread(disk)}")
            sent_once(rounds, size, "ours, no sync", "ours, sync")


@section
def throttled(size: int = 512 * MIB) -> None:
    """Connections that are held back, all alike or one in eight more so."""
    with serving(f"Download of {size // MIB} MiB, 20 MiB/s on a connection", size) as (nginx, (file,)):
        bench = Bench(nginx, file, "20m")
        rows = [*bench.tools("aria2c -x16"), bench.ours("ours, 16", connections=16)]
        rows += [*bench.tools("curl", runs=2), *bench.tools("axel -n16"), bench.ours("ours")]
        rounds = bench.measure(rows)
        capped = size / MIB / (16 * 20)
        goal(
            "rate of ours, 16 / 320 MiB/s",
            rounds.each(lambda one: capped / one["ours, 16"].wall, "ours, 16"),
            at_least=0.85,
        )
        reported = [json.loads(one.output)["rate"] / MIB / (16 * 20) for one in rounds.of("ours, 16")]
        print(f"  as the module reports it, without the start of its process: {spread(reported)}")
        at_least(rounds, "ours, 16", "curl", 12)
        at_least(rounds, "ours, 16", "aria2c -x16", 1)
        sent_once(rounds, size, "ours, 16", "ours")
        print(" one connection in eight at 2 MiB/s")
        bench = Bench(nginx, file, "one_slow")
        rows = [*bench.tools("aria2c -x16"), bench.ours("ours, 16", connections=16)]
        rounds = bench.measure([*rows, *bench.tools("axel -n16", runs=1), bench.ours("ours")])
        at_least(rounds, "ours, 16", "aria2c -x16", 4)
        sent_once(rounds, size, "ours, 16", "ours")


@section
def memory(*sizes: int) -> None:
    """What a large file takes more than a small one."""
    peaks = []
    with serving("Memory", *(sizes or (256 * MIB, 4 * GIB))) as (nginx, files):
        for file in files:
            # Held back, so that both are brought by as many connections.
            bench = Bench(nginx, file, "100m")
            name = f"ours, {file.size // MIB} MiB"
            peaks.append(bench.measure([bench.ours(name, runs=1, sync=False)]).median(name, "memory"))
    goal("peak / 64 MB", [max(peaks) * MIB / 64e6], at_most=1)
    more = abs(peaks[1] - peaks[0]) * MIB / 1e6
    print(f"  difference {more:.1f} MB, goal below 5  {'OK' if more < 5 else 'MISSED'}")


@section
def durable(size: int = 2 * GIB) -> None:
    """What it costs that the file is on the disk before it appears."""
    with serving(f"Download of {size // MIB} MiB over 4 connections of 100 MiB/s", size) as (nginx, (file,)):
        bench = Bench(nginx, file, "100m")
        rounds = bench.measure([bench.ours(f"ours, {sync}", connections=4, sync=SYNC[sync]) for sync in SYNC])
        at_most(rounds, "ours, sync", "ours, no sync", 1.1)


#: A module that does nothing, and a loop that reads a file for its CRC-64: what the module has to stand beside.
EMPTY = """
from ansible.module_utils.basic import AnsibleModule

AnsibleModule(argument_spec={}).exit_json(elapsed=0)
"""
READ = """
import sys
import time
from stand_in.crc64 import crc64

began = time.perf_counter()
value = 0
with open(sys.argv[1], "rb", buffering=0) as stream:
    while block := stream.read(2**20):
        value = crc64(block, value)
print(f'{{"elapsed": {time.perf_counter() - began}}}')
"""


@section
def present(size: int = 2 * GIB) -> None:
    """The file is already there, which its CRC-64 tells."""
    with serving(f"{size // MIB} MiB that are already there", size) as (nginx, (file,)):
        bench = Bench(nginx, file, "http")
        shutil.copy(file.path, bench.to)
        read, empty, ours = "CRC-64 by blocks of 1 MiB", "a module that does nothing", "ours"
        rows = [
            Row("cat", ["sh", "-c", 'cat "$0" >/dev/null', str(bench.to)]),
            Row(read, [sys.executable, "-c", READ, str(bench.to)], environment={"PYTHONPATH": str(HERE.parent)}),
            Row(empty, [sys.executable, "-c", EMPTY], '{"ANSIBLE_MODULE_ARGS": {}}'),
            bench.ours(ours),
        ]
        rounds = bench.measure(rows, keep=True)
    if any(json.loads(one.output)["changed"] for one in rounds.of(ours)):
        raise SystemExit("the file was there, and yet the module changed it")
    ratios = rounds.each(
        lambda one: one[ours].wall / (json.loads(one[read].output)["elapsed"] + one[empty].wall),
        *(row.name for row in rows),
    )
    goal(f"seconds {ours} / ({read} + {empty})", ratios, at_most=1)
