# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many downloads with faults by chance: whatever happens, a file that is there is the right one.

Each scenario fetches one file, by as many runs of the module as it takes, in processes of its own.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copies import Copy
from downloads import Controller, process_of
from processes import can_mount, mounted
from stand_in import Fault, StandIn, exports
from stand_in.model import Task

pytestmark = pytest.mark.campaign

MIB = 1 << 20
SCENARIOS = 560
MAX_RUNS = 12
PRECIOUS = b"what was there before"

Result = dict[str, Any]


class Scenario:
    """``faulted``: runs in which something went wrong while they were at work. ``wrong``: what should not have been."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.directory = directory
        self.path = directory / "file"
        self.faulted = 0
        self.wrong: list[str] = []
        self.service = StandIn()
        self.task: Task = self.service.add_task("rm-a", task_id="dt-x")
        self.arguments: dict[str, Any] = {
            "dest": str(self.path),
            "connections": self.chance.choice([1, 2, 4, 8]),
            "read_timeout": 1.0,
            "stall_timeout": 30,
            "sync": self.chance.random() < 0.3,
        }
        self.seen = 0

    def play(self) -> None:
        self.directory.mkdir()
        if self.chance.random() < 0.5:
            self.path.write_bytes(PRECIOUS)
        with self.service:
            self.service.put_object(
                self.task,
                random.Random(self.seed).randbytes(self.chance.randrange(1, 9) * MIB + self.chance.randrange(9999)),
            )
            KINDS[kind_of(self.seed)](self)

    def link(self) -> str:
        return exports.link(self.service, self.task, 600, internal=False)

    def content(self) -> bytes:
        stored = self.service.objects.get(exports.bucket_of(self.task), exports.keys_of(self.task)[0])
        assert stored
        return stored.read()

    def judge(self, result: Result | None, *, is_faulted: bool = False, is_alone: bool = True) -> bool:
        """Count the run, and look at what it left. Returns whether it succeeded."""
        faults = sum(transfer.fault is not None for transfer in self.service.transfers)
        new, self.seen = faults - self.seen, faults
        self.faulted += bool(new or is_faulted)
        succeeded = result is not None and not result.get("failed")
        there = self.path.read_bytes() if self.path.exists() else None
        if there is not None and there not in (self.content(), PRECIOUS):
            self.wrong.append(f"a wrong file: {result}")
        if succeeded and there != self.content():
            self.wrong.append(f"it said it was done: {result}")
        if result is not None and result.get("failed") and "exception" in result:
            self.wrong.append(f"Unexpected error: {result}")
        if succeeded and is_alone and (self.directory / "file.part").exists():
            self.wrong.append("it left its partial file")
        return succeeded

    def start(self) -> Copy:
        return process_of(self.link(), **self.arguments)

    def run(self, *, is_faulted: bool = False) -> bool:
        return self.judge(json.loads(self.start().outputs()[0]), is_faulted=is_faulted)

    def until_it_succeeds(self) -> None:
        for _unused in range(MAX_RUNS):
            if self.run():
                return
        self.wrong.append("it never succeeded")

    def inject(self, *kinds: str, most: int = 6) -> None:
        for number in range(self.chance.randrange(1, most)):
            kind = self.chance.choice(kinds)
            details: dict[str, Any] = {}
            if kind in ("reset", "truncated", "stall", "flipped"):
                details["at"] = self.chance.randrange(0, 3 * MIB)
            if kind == "stall":
                details["seconds"] = self.chance.choice([0.3, 1.5])
            if kind == "wrong_range":
                details["offset"] = self.chance.choice([-1, 1, 4096])
            if kind == "whole" and self.chance.random() < 0.3:
                details["at"] = self.chance.randrange(0, MIB)
            times, after = self.chance.randrange(1, 4), self.chance.randrange(0, self.arguments["connections"] + 1)
            if number == 0:
                after = min(after, 1)  # there are requests enough that something goes wrong
            self.service.inject(Fault(kind, times=times, action="GetObject", after=after, **details))


# what happens


def by_network(*kinds: str) -> Callable[[Scenario], None]:
    def scenario(self: Scenario) -> None:
        self.inject(*kinds)
        self.until_it_succeeds()

    return scenario


def expired(self: Scenario) -> None:
    """403, and new links from the controller."""
    self.inject("expired", "reset")
    controller = Controller(self.link, **self.arguments)
    for _unused in range(MAX_RUNS):
        if self.judge(controller.run()):
            return
        controller.directory = None
    self.wrong.append("it never succeeded")


def expires_soon(self: Scenario) -> None:
    """After some requests, whenever they come."""
    self.service.habits.link_requests = self.chance.choice([1, 2, 5])
    self.inject("reset", "truncated")
    expired(self)


def killed(self: Scenario) -> None:
    self.service.habits.rate = 1e6
    if self.chance.random() < 0.5:
        self.inject("reset", "truncated", "unavailable")
    for _unused in range(self.chance.randrange(1, 4)):
        process = self.start()
        time.sleep(0.25 + self.chance.random())
        process.kill()
        process.outputs()
        self.judge(None, is_faulted=True)
    self.service.habits.rate = None
    self.until_it_succeeds()


def damaged(self: Scenario) -> None:
    """Somebody writes to the partial file between two runs."""
    self.service.habits.rate = 1e6
    process = self.start()
    time.sleep(0.5 + self.chance.random())
    self.chance.choice([process.kill, process.terminate])()
    process.outputs()
    self.judge(None, is_faulted=True)
    part = self.directory / "file.part"
    if part.exists() and part.stat().st_size:
        with part.open("r+b") as file:
            file.seek(self.chance.randrange(part.stat().st_size))
            file.write(b"damage")
    if self.chance.random() < 0.2:
        with contextlib.suppress(FileNotFoundError), (self.directory / "file.part.json").open("r+b") as file:
            file.truncate(self.chance.randrange(40))
    self.service.habits.rate = None
    self.until_it_succeeds()


def full_disk(self: Scenario) -> None:
    size = len(self.content())
    with mounted(self.directory):
        filler = self.directory / "filler"
        filler.write_bytes(bytes(12 * MIB - self.chance.randrange(4096, max(8192, size))))
        self.run(is_faulted=True)
        filler.unlink()
        self.until_it_succeeds()


def read_only(self: Scenario) -> None:
    with mounted(self.directory):
        if self.chance.random() < 0.5:
            self.inject("reset", "truncated")
            self.arguments["max_retries"] = 0
            self.run()
        subprocess.run(["mount", "-o", "remount,ro", str(self.directory)], check=True)
        self.run(is_faulted=True)
        subprocess.run(["mount", "-o", "remount,rw", str(self.directory)], check=True)
        self.until_it_succeeds()


def two_at_once(self: Scenario) -> None:
    self.service.habits.rate = 4e6
    if self.chance.random() < 0.5:
        self.inject("reset", "truncated")
    processes = []
    for _unused in range(2):
        processes.append(self.start())
        time.sleep(self.chance.random() * 0.3)
    for process in processes:
        self.judge(json.loads(process.outputs()[0]), is_faulted=True, is_alone=False)
    self.until_it_succeeds()


KINDS: dict[str, Callable[[Scenario], None]] = {
    "reset": by_network("reset"),
    "truncated": by_network("truncated"),
    "stall": by_network("stall", "reset"),
    "503": by_network("unavailable", "internal", "html"),
    "expired": expired,
    "200 instead of 206": by_network("whole", "truncated"),
    "wrong range": by_network("wrong_range", "whole"),
    "changed": by_network("changed", "reset"),
    "flipped": by_network("flipped"),
    "all of them": by_network(
        "reset", "truncated", "stall", "unavailable", "whole", "wrong_range", "changed", "flipped", "html", "expired"
    ),
    "killed": killed,
    "damaged": damaged,
    "two at once": two_at_once,
    "expires soon": expires_soon,
    **({"full disk": full_disk, "read-only": read_only} if can_mount() else {}),
}


def kind_of(seed: int) -> str:
    return list(KINDS)[seed % len(KINDS)]


@pytest.mark.parametrize("seed", range(SCENARIOS), ids=lambda seed: f"{kind_of(seed)}-{seed}")
def test_no_file_is_wrong(seed: int, tmp_path: Path) -> None:
    """And in each scenario something went wrong, so that it tells something."""
    scenario = Scenario(seed, tmp_path / "scenario")
    scenario.play()
    assert not scenario.wrong
    assert scenario.faulted
