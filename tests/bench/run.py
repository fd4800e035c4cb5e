# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmarks: each against its peer in the same run, on the stand-in of the service. Prints medians, and ratios of
runs that followed each other, with their spread.

    python tests/bench/run.py [--only NAME]

Times depend on the machine and what else it does; ratios less so.
"""

from __future__ import annotations

import argparse
import functools
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
from dataclasses import dataclass, replace
from pathlib import Path

from measuring import HERE, ROOT, TREE, Run, alternate, goal, run, spread

sys.path.insert(0, str(HERE.parent))

import extract
import fetch
import restore
from stand_in import StandIn

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


#: What any module must cost that makes a request by the same library.
ONE_GET = """
import requests
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(argument_spec={"url": {"type": "str"}})
requests.get(module.params["url"])
module.exit_json(changed=False)
"""


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
        with tempfile.TemporaryDirectory() as library:
            Path(library, "one_get.py").write_text(ONE_GET)
            commands = {
                "query": ["-m", "apsaradb.backup.dbs_download_task_info", "-a", options],
                "floor": ["-M", library, "-m", "one_get", "-a", f"url={service.url}"],
                "ping": ["-m", "ansible.builtin.ping"],
            }
            measures = {
                name: functools.partial(run, [ansible, "localhost", *command], environment)
                for name, command in commands.items()
            }
            alternate(measures, 1)
            rounds = alternate(measures, runs)
    print(f"Ad-hoc query, {runs} rounds")
    for name, what in (
        ("query", "dbs_download_task_info"),
        ("floor", "a module with nothing but one GET by requests"),
        ("ping", "ansible.builtin.ping"),
    ):
        print(f"  {what:46} {rounds.median(name):.3f} s, {rounds.median(name, 'cpu'):.3f} s CPU")
    print(f"  CPU one GET by requests / ping: {spread(rounds.ratios('floor', 'ping', 'cpu'))}")
    # Of CPU: what else the machine does changes it less than the time.
    goal("CPU query / ping", rounds.ratios("query", "ping", "cpu"), at_most=1.12)


def listing() -> None:
    """10,000 tasks at 50 ms a request, against loops of the official client."""
    tasks = 10_000
    environment = {**os.environ, "PYTHONPATH": str(TREE)}
    with stand_in("--latency", "0.05", "--instance", INSTANCE, "--tasks", str(tasks)) as service:
        target = [service.url, service.key_id, service.key_secret, INSTANCE]

        def measure(script: str, *more: str) -> Run:
            """Its seconds are those that the listing takes, without the start of the process."""
            done = run([sys.executable, str(HERE / script), *target, *more], environment)
            count, seconds = json.loads(done.output.splitlines()[-1])
            assert count == tasks, done.output
            return replace(done, wall=seconds)

        ours = "the collection, at most 8 connections"
        same = "the official client, pages of 100"
        plain = "the official client, the service's page size (10)"
        measures = {
            ours: functools.partial(measure, "list_with_collection.py"),
            same: functools.partial(measure, "list_with_sdk.py", "100"),
            plain: functools.partial(measure, "list_with_sdk.py", "0"),
        }
        rounds = alternate(measures, 3)
    print(f"Listing {tasks} tasks at 50 ms a request")
    for name in measures:
        seconds, cpu, memory = (rounds.median(name, of) for of in ("wall", "cpu", "memory"))
        print(f"  {name:50} {seconds:7.2f} s  {cpu:6.2f} s CPU  {memory:6.1f} MiB")
    goal("the official client as it is / ours", rounds.ratios(plain, ours), at_least=8)
    allowed = "(8 connections allow 7.1 x at most)"
    print(f"  the official client with pages of 100 / ours: {spread(rounds.ratios(same, ours))}  {allowed}")
    goal("memory ours / official client", rounds.ratios(ours, same, "memory"), at_most=1)


LOOP = """
- hosts: localhost
  gather_facts: false
  tasks:
    - apsaradb.backup.dbs_download_task_info:
        instance_name: "{{ item.instance }}"
        task_ids: "{{ item.task }}"
        region: cn-hangzhou
        endpoint: "{{ endpoint }}"
      register: found
      until: found.download_tasks[0].download_status == 'finished'
      retries: 1000
      delay: "{{ interval }}"
      loop: "{{ tasks }}"
"""

ROLE = """
- hosts: localhost
  gather_facts: false
  roles:
    - role: apsaradb.backup.wait_for_download_tasks
      vars:
        wait_for_download_tasks_instance_name: "{{ instances }}"
        wait_for_download_tasks_task_ids: "{{ task_ids }}"
        wait_for_download_tasks_region: cn-hangzhou
        wait_for_download_tasks_endpoint: "{{ endpoint }}"
        wait_for_download_tasks_poll_interval: "{{ interval }}"
        wait_for_download_tasks_poll_interval_max: "{{ interval }}"
"""


def wait(playbook: str, tasks: int, instances: int, seconds: float, interval: float) -> dict[str, float]:
    """Run a playbook that waits for tasks which finish one after the other over that time."""
    with StandIn() as service, tempfile.TemporaryDirectory() as directory:
        names = [f"rm-bench{number:04}" for number in range(instances)]
        pairs = [{"instance": names[number % instances], "task": f"dt-bench{number:06}"} for number in range(tasks)]
        for number, pair in enumerate(pairs):
            schedule = [("running", 5 + seconds * (number + 1) / tasks), ("finished", None)]
            service.add_task(pair["instance"], task_id=pair["task"], schedule=schedule)
        ends = time.time() + 5 + seconds
        Path(directory, "play.yml").write_text(playbook)
        variables = {
            "instances": names,
            "task_ids": [pair["task"] for pair in pairs],
            "tasks": pairs if playbook == LOOP else [],
            "endpoint": service.url,
            "interval": interval,
        }
        Path(directory, "variables.json").write_text(json.dumps(variables))
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": service.key.id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": service.key.secret,
        }
        command = shutil.which("ansible-playbook", path=os.path.dirname(sys.executable)) or "ansible-playbook"
        done = run([command, f"{directory}/play.yml", "-e", f"@{directory}/variables.json"], environment)
        ended = time.time()
        calls = service.calls
        last = {name: max(call.at for call in calls if call.params["InstanceName"] == name) for name in names}
        return {
            "calls": len(calls),
            "cpu": done.cpu,
            "memory": done.memory,
            "late": ended - ends,
            "noticed": max(last.values()) - ends,
            "polls": max(sum(call.params["InstanceName"] == name for call in calls) for name in names),
        }


def waiting(rounds: int = 2) -> None:
    """200 tasks on 20 instances that finish over 30 seconds: the role against a loop on the info module."""
    interval = 2.0
    pairs = [(wait(ROLE, 200, 20, 30, interval), wait(LOOP, 200, 20, 30, interval)) for _unused in range(rounds)]
    roles, loops = zip(*pairs)
    print("Waiting for 200 tasks on 20 instances that finish over 30 s, polled every 2 s")
    for name, results in (("the role wait_for_download_tasks", roles), ("a loop with until on the info module", loops)):
        calls, cpu, late = (statistics.median(one[of] for one in results) for of in ("calls", "cpu", "late"))
        print(f"  {name:40} {calls:5.0f} calls  {cpu:6.2f} s CPU  over {late:6.2f} s after the last finish")
    noticed, polls = max(one["noticed"] for one in roles), max(one["polls"] for one in roles)
    print(f"  the role: {polls:.0f} polls, the end noticed after {noticed:.2f} s at most", end="")
    print(f"  {'OK' if noticed <= interval + 0.5 else 'MISSED'}")
    goal("calls a poll / live instances", [one["calls"] / one["polls"] / 20 for one in roles], at_most=1)
    goal("CPU role / loop", [role["cpu"] / loop["cpu"] for role, loop in pairs], at_most=0.05)


def many() -> None:
    """10,000 live tasks on 500 instances."""
    result = wait(ROLE, 10_000, 500, 60, 10.0)
    print("Waiting for 10000 tasks on 500 instances that finish over 60 s, polled every 10 s")
    print(
        f"  {result['calls']:.0f} calls in {result['polls']:.0f} polls, over {result['late']:.1f} s after the last finish"
    )
    goal("CPU seconds", [result["cpu"]], at_most=10, unit=" s")
    goal("memory of the largest process", [result["memory"]], at_most=100, unit=" MiB")


BENCHMARKS = {
    "ad_hoc": ad_hoc,
    "listing": listing,
    "waiting": waiting,
    "many": many,
    "fetch_unthrottled": fetch.unthrottled,
    "fetch_throttled": fetch.throttled,
    "fetch_memory": fetch.memory,
    "fetch_durable": fetch.durable,
    "fetch_present": fetch.present,
    "extraction": extract.extraction,
    "restore": restore.restores,
}


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
