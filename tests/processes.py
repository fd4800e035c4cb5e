# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules in processes of their own, and file systems of their own."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from copies import LIMIT, Copy


class Process(subprocess.Popen[str]):
    """One that outlives no test: neither that of its ``with``, nor one that waits for it in vain."""

    def __exit__(self, kind: Any, *reason: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *reason)

    def outputs(self, given: str | None = None) -> tuple[str, str]:
        """What it prints until its end. One that hangs is ended, and shows where it did."""
        try:
            return self.communicate(given, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            # By this, faulthandler prints the stacks of all threads.
            self.send_signal(signal.SIGABRT)
            raise AssertionError(f"it did not end in {LIMIT:g} seconds: {self.communicate()}") from None


def interrupt(process: Process) -> None:
    """Press Ctrl-C in its terminal until it ends: ansible-core 2.16 can lose one that comes while it handles a result."""
    pressed = float("-inf")

    def has_ended() -> bool:
        nonlocal pressed
        if time.monotonic() - pressed > 5.0:
            pressed = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
        return process.poll() is not None

    until(has_ended)


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process or thread does; what never comes is a failure."""
    ends = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that one has started, without the help of a program that not every system has."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def runs(pid: int) -> bool:
    """Whether a process is there, and not only its exit code, which nobody may ask for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def users_of(file: Path) -> set[int]:
    """The processes that have the file open."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if os.readlink(path) == str(file):
                found.add(int(path.parts[2]))
    return found


def environment_for_modules() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONFAULTHANDLER": "1"}


def started(
    module: str,
    arguments: dict[str, Any],
    *,
    stdout: int = subprocess.PIPE,
    stderr: int | None = subprocess.STDOUT,
    before: str = "",
) -> Copy:
    """A module, by its name in Python, under way; ``before``: a statement that comes first."""
    order = {"module": module, "before": before, "directory": os.getcwd(), "environment": environment_for_modules()}
    return Copy(order, json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), stdout, stderr)


@functools.cache
def can_mount() -> bool:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


@contextlib.contextmanager
def mounted(path: Path, options: str = "size=12m", kind: str = "tmpfs", source: str = "none") -> Iterator[None]:
    """A file system at that directory, in memory as a rule."""
    subprocess.run(["mount", "-t", kind, *(("-o", options) if options else ()), source, str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def same_signals() -> Iterator[None]:
    """What a process that ends need not do: have signals do again what they did."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
