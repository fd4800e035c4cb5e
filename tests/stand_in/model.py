# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in knows: its clock, its access keys, and one account's instances and download tasks."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

ALL: Final = frozenset({"*"})
DAY: Final = 24 * 3600.0
EXPIRES_AFTER: Final = 3 * DAY
LIFE_CYCLE: Final = (("initializing", 10.0), ("queueing", 10.0), ("running", 60.0), ("finished", None))
ENGINES: Final = {"pc": "polardb", "pgm": "postgresql", "dds": "mongodb"}

Schedule = Sequence[tuple[str, float | None]]
"""States in order, each with the seconds it lasts; `None`, for the last one, is for good."""


class Clock:
    """The service's own time in milliseconds, which may run faster than ours and be moved ahead by hand."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._start = time.time()
        self._started = time.monotonic()
        self._ahead = 0.0
        self._lock = threading.Lock()

    def now(self) -> int:
        passed = (time.monotonic() - self._started) * self._speed
        return int((self._start + passed + self._ahead) * 1000)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._ahead += seconds


@dataclass(frozen=True)
class AccessKey:
    id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    may: frozenset[str] = ALL
    expires: float | None = None

    @classmethod
    def generate(cls, token: str | None, may: Iterable[str], expires: float | None) -> AccessKey:
        prefix = "LTAI5t" if token is None else "STS.N"
        return cls(prefix + secrets.token_hex(9), secrets.token_hex(15), token, frozenset(may), expires)

    def permits(self, permission: str) -> bool:
        return "*" in self.may or permission in self.may


@lru_cache(maxsize=100)
def canonical_state(state: str) -> str:
    folded = state.casefold()
    return "queueing" if folded == "queuing" else folded


def engine_of(name: str) -> str:
    """What instances of such a name are."""
    return ENGINES.get(name.partition("-")[0], "mysql")


class Task:
    """A download task. Its state is worked out from the time asked about, never stored."""

    def __init__(
        self,
        task_id: str,
        region: str,
        created: int,
        *,
        format: str = "CSV",
        target_type: str = "URL",
        target_path: str | None = None,
        target_bucket: str | None = None,
        zstd: bool = False,
        databases: Sequence[str] = ("appdb",),
        backup_set_id: str = "1482610001",
        backup_set_time: int | None = None,
        task_type: str = "full",
        cluster_name: str | None = None,
        tables: int = 10,
        size: int = 64 << 20,
        extra: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        retry_schedule: Schedule | None = None,
    ) -> None:
        """`parameters` are those of the call that created it. `retry_schedule` is what it does after each retry."""
        self.retry_schedule = retry_schedule
        self.task_id = task_id
        self.region = region
        self.created = created
        self.format = format
        self.target_type = target_type
        self.target_path = f"{task_id}/dbs_target_file_path" if target_path is None else target_path
        self.target_bucket = target_bucket
        self.zstd = zstd
        self.databases = tuple(databases)
        self.backup_set_id = backup_set_id
        self.backup_set_time = created - 3_600_000 if backup_set_time is None else backup_set_time
        self.task_type = task_type
        self.cluster_name = cluster_name
        self.tables = tables
        self.size = size
        self.extra = dict(extra or {})
        self.parameters = dict(parameters or {})
        self.retries = 0
        self.published = False
        self._phases: tuple[tuple[str, float, float], ...] = ()

    def follow(self, schedule: Schedule, now: int) -> None:
        """Enter these states, one after the other, from `now` (ms) on."""
        steps = list(schedule)
        if tuple(steps[-1]) == ("finished", None):
            steps[-1:] = [("finished", EXPIRES_AFTER), ("expired", None)]
        phases = []
        begin: float = now
        for state, seconds in steps:
            end = float("inf") if seconds is None else begin + seconds * 1000
            phases.append((state, begin, end))
            begin = end
        self._phases = tuple(phases)

    def age(self, seconds: float) -> None:
        """Have the states come so much earlier."""
        self._phases = tuple(
            (state, begin - seconds * 1000, end - seconds * 1000) for state, begin, end in self._phases
        )

    def _phase(self, now: int) -> tuple[str, float]:
        """The state at a time, and how much of it has passed, from 0 to 1."""
        for state, begin, end in self._phases:
            if now < end:
                return state, 0.5 if end == float("inf") else (now - begin) / (end - begin)
        return self._phases[-1][0], 1.0

    def state(self, now: int) -> str:
        return self._phase(now)[0]

    def to_oss(self) -> bool:
        return self.target_type.upper() == "OSS"

    def describe(self, now: int, spelling: Mapping[str, str]) -> dict[str, Any]:
        state, passed = self._phase(now)
        done = canonical_state(state)
        complete = done in ("finished", "expired")
        if complete:
            tables_done: float = self.tables
        elif done == "running":
            tables_done = self.tables * passed
        else:
            tables_done = self.tables // 2 if done == "failed" else 0
        preparing = done in ("initializing", "queueing")
        return {
            "TaskId": self.task_id,
            "RegionCode": self.region,
            "Format": self.format,
            "DbList": f"[{','.join(self.databases)}]",
            "BakSetId": self.backup_set_id,
            "DownloadStatus": spelling.get(state, state),
            "ExportDataSize": str(self.size if complete else 0),
            "ImportDataSize": str(self.size * 3 if complete else 0),
            "BackupSetTime": str(self.backup_set_time),
            "TargetType": self.target_type,
            "TargetPath": self.target_path,
            "Progress": "0/0" if preparing else f"{int(tables_done)}/{self.tables}",
            "GmtCreate": str(self.created),
            **self.extra,
        }


@dataclass(frozen=True)
class Backup:
    """A backup set. Times are in milliseconds."""

    backup_id: str
    started: int
    ended: int
    succeeded: bool = True
    mode: str = "Automated"
    method: str = "Snapshot"
    type: str = "FullBackup"
    scale: str = "DBInstance"
    size: int = 2 << 30
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Instance:
    """Where `unsupported` is the code of a business error, no download tasks can be created."""

    name: str
    region: str
    engine: str = "mysql"
    cluster_name: str | None = None
    unsupported: str | None = None
    backups: list[Backup] = field(default_factory=list, repr=False)
    """The newest first."""
    _tasks: list[Task] = field(default_factory=list, repr=False)

    def add(self, task: Task) -> None:
        insort(self._tasks, task, key=lambda one: one.created)

    def remove(self, task: Task) -> None:
        self._tasks.remove(task)

    @property
    def tasks(self) -> Sequence[Task]:
        """All of them, the oldest first."""
        return self._tasks

    def created_between(self, start: int | None, end: int | None) -> Sequence[Task]:
        if start is None and end is None:
            return self._tasks
        first = 0 if start is None else bisect_left(self._tasks, start, key=lambda one: one.created)
        last = len(self._tasks) if end is None else bisect_right(self._tasks, end, key=lambda one: one.created)
        return self._tasks[first:last]


class Account:
    """Instances by region and name. Hold `lock` to read or to change more than one thing at once."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._instances: dict[tuple[str, str], Instance] = {}
        self._tasks: dict[tuple[str, str], tuple[Instance, Task]] = {}
        self._numbers = itertools.count(1)

    def add_instance(self, name: str, region: str, engine: str, cluster_name: str | None) -> Instance:
        with self.lock:
            return self._instances.setdefault((region, name), Instance(name, region, engine, cluster_name))

    def find(self, region: str, name: str) -> Instance | None:
        return self._instances.get((region, name))

    def instances(self) -> list[Instance]:
        return list(self._instances.values())

    def add_task(self, instance: Instance, task: Task) -> Task:
        with self.lock:
            instance.add(task)
            self._tasks[task.region, task.task_id] = instance, task
        return task

    def find_task(self, region: str, task_id: str) -> tuple[Instance, Task] | None:
        return self._tasks.get((region, task_id))

    def tasks(self) -> list[Task]:
        with self.lock:
            return [task for dummy, task in self._tasks.values()]

    def new_backup_id(self) -> str:
        return str(1_482_620_000 + next(self._numbers))

    def new_task_id(self) -> str:
        digest = hashlib.sha256(str(next(self._numbers)).encode()).digest()
        return "dt-" + "".join("abcdefghijklmnopqrstuvwxyz"[byte % 26] for byte in digest[:12])
