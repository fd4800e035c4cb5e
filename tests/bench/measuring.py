# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks share: running commands in turn, and saying whether a goal is met."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
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
    sent: int | None = None  # bytes of the file, by the server
    stored: float = 0.0  # MiB, that it has written to files


#: Starts a command from a process that is small: Linux counts what the starting process takes as the command's own.
START = """
import json, os, sys, time
began = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
# What leaves the command, as a job of Ansible does, becomes a child of this process (PR_SET_CHILD_SUBREAPER), and is counted too.
import ctypes
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
_, status, usage = os.wait4(process, 0)
wall = time.perf_counter() - began
usages = [usage]
while True:
    try:
        usages.append(os.wait4(-1, 0)[2])
    except ChildProcessError:
        break
with open(sys.argv[1], "w") as report:
    cpu = sum(one.ru_utime + one.ru_stime for one in usages)
    memory = max(one.ru_maxrss for one in usages) / 1024
    stored = sum(one.ru_oublock for one in usages) / 2048
    json.dump([os.waitstatus_to_exitcode(status), wall, cpu, memory, stored], report)
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
        code, wall, cpu, memory, stored = json.load(report)
        output.seek(0)
        printed = output.read()
    if code:
        raise CommandFailed(f"{' '.join(command)} ended with {code}:\n{printed}")
    return Run(printed, wall, cpu, memory, busy() - before, stored=stored)


def busy() -> float:
    """CPU seconds that the processors were not idle for since the start of the machine."""
    user, nice, system, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    interrupts = sum(rest[2:])
    return (user + nice + system + interrupts) / os.sysconf("SC_CLK_TCK")


class Rounds:
    """What was measured in rounds, of which each has all that is compared, one after the other.

    What else the machine does comes and goes: within a round it meets all alike, so ratios are those of one round.
    """

    def __init__(self, rounds: list[dict[str, Run]]) -> None:
        self._rounds = rounds

    def __contains__(self, name: str) -> bool:
        return any(name in one for one in self._rounds)

    def of(self, name: str) -> list[Run]:
        return [one[name] for one in self._rounds if name in one]

    def median(self, name: str, of: str = "wall") -> float:
        return statistics.median(getattr(one, of) for one in self.of(name))

    def each(self, value: Callable[[Mapping[str, Run]], float], *names: str) -> list[float]:
        """A value of each round that has all of these."""
        return [value(one) for one in self._rounds if all(name in one for name in names)]

    def ratios(self, name: str, other: str, of: str = "wall") -> list[float]:
        return self.each(lambda one: getattr(one[name], of) / getattr(one[other], of), name, other)


def alternate(measures: Mapping[str, Callable[[], Run | None]], rounds: int) -> Rounds:
    """Measure all in turn, so many times; None is of no account."""
    done = []
    for _unused in range(rounds):
        found = {name: measure() for name, measure in measures.items()}
        done.append({name: one for name, one in found.items() if one})
    return Rounds(done)


def spread(values: list[float], unit: str = " x") -> str:
    """The median, and the least and the most of several."""
    if not values:
        return "not measured"
    between = f" ({min(values):.2f}-{max(values):.2f}, {len(values)} pairs)" if len(values) > 1 else " (1 pair)"
    return f"{statistics.median(values):.2f}{unit}{between}"


def goal(
    text: str, values: list[float], *, at_most: float | None = None, at_least: float | None = None, unit: str = " x"
) -> None:
    """Say whether the median is within the limit, which nothing that was not measured is."""
    value = statistics.median(values) if values else math.nan
    met = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
    limits = [
        f"at most {at_most:g}" if at_most is not None else "",
        f"at least {at_least:g}" if at_least is not None else "",
    ]
    told = f"{text}, goal {' and '.join(filter(None, limits))}"
    print(f"  {told}: {spread(values, unit)}  {'OK' if met else 'MISSED'}", flush=True)
