# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks share: running a command, and saying whether a goal is met."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TREE = ROOT / ".cache" / "collections"


@dataclass(frozen=True)
class Run:
    output: str
    wall: float
    cpu: float
    memory: float  # MiB, of the process
    machine: float = 0.0  # CPU seconds of all there is on the machine


#: Starts a command from a process that is small: Linux counts what the starting process takes as the command's own.
START = """
import json, os, sys, time
began = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(process, 0)
wall = time.perf_counter() - began
with open(sys.argv[1], "w") as report:
    json.dump([os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], report)
"""


class CommandFailed(SystemExit):
    pass


def run(command: list[str], environment: dict[str, str], given: str = "") -> Run:
    """Run a command, with that on its standard input. Raises CommandFailed."""
    before = busy()
    with tempfile.TemporaryFile("w+") as output, tempfile.NamedTemporaryFile("r") as report:
        start = [sys.executable, "-I", "-S", "-c", START, report.name, *command]
        subprocess.run(
            start,
            input=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
            text=True,
            check=True,
        )
        code, wall, cpu, memory = json.load(report)
        output.seek(0)
        printed = output.read()
    if code:
        raise CommandFailed(f"{' '.join(command)} ended with {code}:\n{printed}")
    return Run(printed, wall, cpu, memory, busy() - before)


def busy() -> float:
    """CPU seconds that the processors were not idle for since the start of the machine."""
    user, nice, system, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    interrupts = sum(rest[2:])
    return (user + nice + system + interrupts) / os.sysconf("SC_CLK_TCK")


def goal(text: str, value: float, met: bool) -> None:
    print(f"  {text}: {value:.2f} x  {'(goal met)' if met else '(GOAL MISSED)'}", flush=True)
