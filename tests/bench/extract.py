# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark of unpacking, against tar and ansible.builtin.unarchive. It needs 3 GiB of disk under .cache."""

from __future__ import annotations

import functools
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from measuring import ROOT, TREE, Run, alternate, goal, run, spread

MIB = 2**20
FILES = 16


def table(size: int) -> bytes:
    """Rows as an export has them, which gzip makes a third of."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _unused in range(3000)]
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
        ours = {"src": str(src), "dest": str(dest), "progress_interval": 86400}
        commands = {
            "tar": ["tar", "-xzf", str(src), "-C", str(dest)],
            "unarchive": module(ansible, "ansible.builtin.unarchive", src=str(src), dest=str(dest), remote_src=True),
            "ours": module(ansible, "apsaradb.backup.dbs_download_extract", **ours, sync=False),
            "durable": module(ansible, "apsaradb.backup.dbs_download_extract", **ours),
        }

        def measure(command: list[str]) -> Run:
            shutil.rmtree(dest, ignore_errors=True)
            dest.mkdir()
            subprocess.run(["sync", "-f", directory], check=True)
            done = run(command, environment)
            assert sum(path.stat().st_size for path in dest.rglob("*.csv")) == FILES * 64 * MIB
            return done

        measures = {name: functools.partial(measure, command) for name, command in commands.items()}
        results = alternate(measures, rounds)
        megabytes = src.stat().st_size // MIB

    seconds = {name: results.median(name) for name in commands}
    print(f"Unpacking 1 GiB of CSV from a .tar.gz of {megabytes} MiB, {rounds} rounds")
    print(f"  tar -xzf {seconds['tar']:.2f} s, unarchive {seconds['unarchive']:.2f} s")
    print(f"  dbs_download_extract {seconds['ours']:.2f} s without sync, {seconds['durable']:.2f} s with it")
    goal("without sync / tar -xzf", results.ratios("ours", "tar"), at_most=1)
    goal("without sync / unarchive", results.ratios("ours", "unarchive"), at_most=0.7)
    print(f"  with sync / tar -xzf, which syncs nothing: {spread(results.ratios('durable', 'tar'))}")


def module(ansible: str, name: str, **options: object) -> list[str]:
    return [ansible, "localhost", "-m", name, "-a", json.dumps(options)]
