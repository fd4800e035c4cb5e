# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmarks: each against its peer in the same run, on the stand-in of the service. Prints medians and ratios.

    python tests/bench/run.py [--only NAME]

Times depend on the machine and what else it does; ratios less so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TREE = ROOT / ".cache" / "collections"
INSTANCE = "rm-bp1bench00000001"


@dataclass(frozen=True)
class Service:
    url: str
    key_id: str
    key_secret: str


@contextmanager
def stand_in(*arguments: str) -> Iterator[Service]:
    """A stand-in in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        ready = Path(directory, "ready")
        command = [sys.executable, "-m", "stand_in", "--port", "0", "--ready-file", str(ready), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                while not ready.exists():
                    if process.poll() is not None:
                        raise SystemExit("the stand-in did not start")
                    time.sleep(0.05)
                assert process.stdout
                exports = dict(
                    line.removeprefix("export ").strip().split("=", 1)
                    for line in iter(process.stdout.readline, "Instances:\n")
                    if line.startswith("export ")
                )
                yield Service(
                    json.loads(ready.read_text())["url"],
                    exports["ALIBABA_CLOUD_ACCESS_KEY_ID"],
                    exports["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
                )
            finally:
                process.terminate()


@dataclass(frozen=True)
class Run:
    output: str
    wall: float
    cpu: float
    memory: float  # MiB, of the process


def run(command: list[str], environment: dict[str, str]) -> Run:
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)
        dummy, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        output.seek(0)
        printed = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{printed}")
    return Run(printed, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def goal(text: str, value: float, met: bool) -> None:
    print(f"  {text}: {value:.2f} x  {'(goal met)' if met else '(GOAL MISSED)'}")


def ad_hoc() -> None:
    """The ad-hoc query against ansible.builtin.ping on the same host."""
    runs = 15
    with stand_in() as service:
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": service.key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": service.key_secret,
        }
        ansible = shutil.which("ansible", path=os.path.dirname(sys.executable)) or "ansible"
        options = f"region=cn-hangzhou instance_name=rm-bp1demomysql0001 endpoint={service.url}"
        ping = [ansible, "localhost", "-m", "ansible.builtin.ping"]
        query = [ansible, "localhost", "-m", "apsaradb.backup.dbs_download_task_info", "-a", options]
        pairs = [(run(query, environment), run(ping, environment)) for dummy in range(runs + 1)][1:]
    ours, theirs = ([pair[side].wall for pair in pairs] for side in (0, 1))
    print(f"Ad-hoc query, {runs} pairs of runs")
    print(
        f"  dbs_download_task_info {statistics.median(ours):.3f} s, ansible.builtin.ping {statistics.median(theirs):.3f} s"
    )
    ratio = statistics.median(query / ping for query, ping in zip(ours, theirs))
    goal("query / ping, goal at most 1.15", ratio, ratio <= 1.15)


def listing() -> None:
    """10,000 tasks at 50 ms a request, against loops of the official client."""
    tasks, runs = 10_000, 5
    environment = {**os.environ, "PYTHONPATH": str(TREE)}
    with stand_in("--latency", "0.05", "--instance", INSTANCE, "--tasks", str(tasks)) as service:
        target = [service.url, service.key_id, service.key_secret, INSTANCE]

        def measure(script: str, times: int, *more: str) -> tuple[float, float, float]:
            """Seconds, CPU seconds of the process, MiB."""
            done = [run([sys.executable, str(HERE / script), *target, *more], environment) for dummy in range(times)]
            results = [json.loads(one.output.splitlines()[-1]) for one in done]
            assert all(count == tasks for count, seconds in results), results
            return (
                statistics.median(seconds for count, seconds in results),
                statistics.median(one.cpu for one in done),
                statistics.median(one.memory for one in done),
            )

        ours = measure("list_with_collection.py", runs)
        same = measure("list_with_sdk.py", 3, "100")
        plain = measure("list_with_sdk.py", 1, "0")
    print(f"Listing {tasks} tasks at 50 ms a request")
    for name, (seconds, cpu, memory) in (
        ("the collection, at most 8 connections", ours),
        ("the official client, pages of 100", same),
        ("the official client, the service's page size (10)", plain),
    ):
        print(f"  {name:50} {seconds:7.2f} s  {cpu:6.2f} s CPU  {memory:6.1f} MiB")
    goal("the official client as it is / ours, goal at least 8", plain[0] / ours[0], plain[0] / ours[0] >= 8)
    print(
        f"  the official client with pages of 100 / ours: {same[0] / ours[0]:.2f} x  (8 connections allow 7.1 x at most)"
    )
    goal("memory ours / official client, goal at most 1", ours[2] / same[2], ours[2] <= same[2])


BENCHMARKS = {"ad_hoc": ad_hoc, "listing": listing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=BENCHMARKS, help="one of them")
    only = parser.parse_args().only
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    for name, benchmark in BENCHMARKS.items():
        if only in (None, name):
            benchmark()


if __name__ == "__main__":
    main()
