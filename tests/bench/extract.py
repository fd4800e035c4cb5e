# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark of unpacking, against tar and ansible.builtin.unarchive. It needs 3 GiB of disk under .cache."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import ROOT, TREE, Run, goal, run

MIB = 2**20
FILES = 16


def table(size: int) -> bytes:
    """Rows as an export has them, which gzip makes a third of."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for dummy in range(3000)]
    rows = bytearray()
    while len(rows) < size:
        names = " ".join(chance.choices(words, k=4))
        rows += b'"%d","%s","%.2f","2022-09-16 09:%02d:37"\n' % (
            len(rows),
            names.encode(),
            chance.random() * 1000,
            len(rows) % 60,
        )
    return bytes(rows[:size])


def make(path: Path) -> None:
    """One tar of a gigabyte. Its files are alike, but too large for gzip to notice; so one is compressed for all."""
    content = table(64 * MIB)
    packed = gzip.compress(content, 6)
    with open(path, "wb") as file:
        for number in range(FILES):
            entry = tarfile.TarInfo(f"root/orders/table{number}/data/0.csv")
            entry.size = len(content)
            file.write(gzip.compress(entry.tobuf()) + packed)
        file.write(gzip.compress(bytes(1024)))


def extraction(rounds: int = 5) -> None:
    """1 GiB of CSV out of a .tar.gz."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(TREE), "ANSIBLE_LOCALHOST_WARNING": "false"}
    ansible = shutil.which("ansible", path=os.path.dirname(sys.executable)) or "ansible"
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as directory:
        src, dest = Path(directory, "backup.tar.gz"), Path(directory, "dest")
        make(src)
        ours = f"src={src} dest={dest} progress_interval=86400"
        commands = {
            "tar": ["tar", "-xzf", str(src), "-C", str(dest)],
            "unarchive": module(ansible, "ansible.builtin.unarchive", f"src={src} dest={dest} remote_src=true"),
            "ours": module(ansible, "apsaradb.backup.dbs_download_extract", f"{ours} sync=false"),
            "durable": module(ansible, "apsaradb.backup.dbs_download_extract", ours),
        }

        def measure(command: list[str]) -> Run:
            shutil.rmtree(dest, ignore_errors=True)
            dest.mkdir()
            subprocess.run(["sync", "-f", directory], check=True)
            done = run(command, environment)
            assert sum(path.stat().st_size for path in dest.rglob("*.csv")) == FILES * 64 * MIB
            return done

        results = [{name: measure(command) for name, command in commands.items()} for dummy in range(rounds)]
        megabytes = src.stat().st_size // MIB

    def seconds(value: Callable[[dict[str, Run]], float]) -> float:
        return statistics.median(map(value, results))

    print(f"Unpacking 1 GiB of CSV from a .tar.gz of {megabytes} MiB, {rounds} rounds")
    print(
        f"  tar -xzf {seconds(lambda one: one['tar'].wall):.2f} s, unarchive {seconds(lambda one: one['unarchive'].wall):.2f} s"
    )
    print(
        f"  dbs_download_extract {seconds(lambda one: one['ours'].wall):.2f} s without sync,"
        f" {seconds(lambda one: one['durable'].wall):.2f} s with it"
    )
    by_tar = seconds(lambda one: one["ours"].wall / one["tar"].wall)
    goal("without sync / tar -xzf, goal at most 1", by_tar, by_tar <= 1)
    by_peer = seconds(lambda one: one["ours"].wall / one["unarchive"].wall)
    goal("without sync / unarchive, goal at most 0.7", by_peer, by_peer <= 0.7)
    print(
        f"  with sync / tar -xzf, which syncs nothing: {seconds(lambda one: one['durable'].wall / one['tar'].wall):.2f} x"
    )


def module(ansible: str, name: str, arguments: str) -> list[str]:
    return [ansible, "localhost", "-m", name, "-a", arguments]
