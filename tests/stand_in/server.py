# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in as a test or a demonstration uses it."""

from __future__ import annotations

import collections
import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from . import exports
from .authentication import Authenticator
from .faults import Fault, FaultPlan
from .gateway import Call
from .model import ALL, LIFE_CYCLE, AccessKey, Account, Backup, Clock, Instance, Schedule, Task, engine_of
from .objects import Objects, StoredObject
from .registry import site_of
from .storage import Transfer
from .web import Reply, Request, WebServer, is_loopback


@dataclass
class Habits:
    """Where the real service varies, or nobody knows what it does. May be changed while it runs."""

    page_size_max: int = 100
    page_size_default: int = 10
    page_size_over: Literal["clamp", "refuse"] = "clamp"
    paging: Literal["page", "number"] = "page"
    content: Literal["list", "array", "null", "null_list", "no_data"] = "list"
    spelling: Literal["ue", "u"] = "ue"
    formats: Literal["created", "documented", "other", "absent"] = "created"
    """How formats are listed: as tasks were created, by documented words alone, by words of its own, or not at all."""
    targets: Literal["path", "bucket", "absent"] = "path"
    """How targets are listed: the path, the same with the bucket before it, or not at all."""
    times: Literal["ms", "s", "minute", "absent"] = "ms"
    """How times of backup sets are listed."""
    sources: bool = True
    """Whether backup sets and regions are listed."""
    totals: bool | Literal["wrong"] = True
    success: str = "true"
    code_beside_success: str | None = None
    request_id_header: bool = True
    """Whether answers have the header x-acs-request-id."""
    errors: Literal["json", "xml"] = "json"
    denial: Literal["NoPermission", "Forbidden.RAM"] = "NoPermission"
    unknown_instance: Literal["error", "empty"] = "error"
    unlisted: Sequence[str] = ()
    """IDs of tasks and backup sets that are counted in the totals of lists, and left out of the rows."""
    bounds: Literal["inclusive", "exclusive", "ignored"] = "inclusive"
    """Whether StartTime and EndTime of DescribeDownloadTask are within what is listed, or of no effect."""
    bounds_taken: Literal["any", "both", "none"] = "any"
    """Whether it takes one of them, only both together, or none."""
    bounds_refused_by: str = "DBS.ParamIsInValid"
    """The code with which it refuses them."""

    life_cycle: Schedule = LIFE_CYCLE
    """Of tasks that are created, and of those that are retried unless they have one of their own."""
    retry_life_cycle: Schedule | None = None
    seconds_per_list: float = 0.0
    """So much older are the tasks of an instance each time they were listed: with a speed of 0, time passes by requests."""
    same_job: Literal["live", "finished", "never"] = "live"
    """Which tasks make another one of the same source, format and target a JobAlreadyExist."""
    one_task: bool = True
    """Whether a running or failed task of an instance keeps others from being created."""
    unsupported: Literal["data", "error"] = "data"
    """Whether DescribeDownloadSupport says no by its data, or by the error that says why."""
    oss_denied: str | None = None
    """The code of the error with which tasks for an OSS bucket are refused."""

    duration_required: bool = False
    expiration: Literal["s", "ms"] = "s"
    oss_location: Literal["error", "null"] = "error"
    """What is answered to who wants a link of a task that put its files into the user's bucket."""

    url_scheme: str = "http"
    storage_host: Literal["own", "real"] = "own"
    """Links to this server, which anybody can follow, or with the names of real ones, which takes a proxy."""
    presign: Literal["v1", "v4"] = "v1"
    link_token: bool = False
    link_lifetime: float | None = None
    """Seconds that links last, whatever was asked for and is announced."""
    link_requests: int | None = None
    """After so many requests links are expired, whatever was asked for and is announced."""
    object_crc: bool = True
    object_etag: bool = True
    object_modified: bool = True
    object_version: bool = False
    """What is said of objects: the CRC-64, the ETag, when they were modified, and the ID of their version."""
    archive_dialect: Mapping[str, Any] = field(default_factory=dict)
    """How data files say values: fields of exports.Dialect that differ from those of the engine."""
    archive_tars: int = 2
    """Of how many tars an archive is joined."""
    archive_order: Literal["as made", "sorted", "data first", "structures last", "shuffled"] = "sorted"
    rate: float | Callable[[int], float | None] | None = None
    """Bytes a second for each connection, by its number if need be."""


class StandIn:
    """A context manager: it listens from entry to exit. `**habits` are the fields of Habits."""

    def __init__(
        self,
        *,
        speed: float = 1.0,
        latency: float = 0.0,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        loopback_only: bool = True,
        key: AccessKey | None = None,
        log: Callable[[Call | Transfer], None] | None = None,
        **habits: Any,
    ) -> None:
        if loopback_only and not is_loopback(host):
            raise ValueError(f"{host} is not a loopback address")
        self.habits = Habits(**habits)
        self.latency = latency
        self.clock = Clock(speed)
        self.clock_offset = 0.0
        self.account = Account()
        self.authenticator = Authenticator()
        self.faults = FaultPlan()
        self.log = log or (lambda _call: None)
        self.key = self.authenticator.add(key) if key else self.add_key()
        self.created: list[Task] = []
        """By CreateDownload, whatever became of its answer."""
        self.roles: list[str] = []
        """That were asked for to be assumed."""
        self.objects = Objects()
        self.link_key = AccessKey.generate(None, {"oss:GetObject"}, None)
        self.link_token_key = AccessKey.generate("CAISlink+token/of=the==service", {"oss:GetObject"}, None)
        self._links_made = itertools.count()
        self._requests_by_link: collections.Counter[str] = collections.Counter()
        self._calls: list[Call] = []
        self._transfers: list[Transfer] = []
        self._callbacks: list[Callable[[Call], None]] = []
        self._redirections: dict[str, Callable[[], str]] = {}
        self.redirected = 0
        self._canned: dict[str, tuple[bytes, int | None]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = WebServer(host, port, tls, self._answer)
        self._thread = threading.Thread(target=self._server.serve, name="stand-in", daemon=True)
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._stopped.set()
        self._server.end()
        self._thread.join()
        self._server.server_close()
        self._server.close_connections()

    # what there is

    def add_key(
        self, *, token: str | None = None, expires_in: float | None = None, may: Iterable[str] = ALL
    ) -> AccessKey:
        expires = None if expires_in is None else time.time() + self.clock_offset + expires_in
        return self.authenticator.add(AccessKey.generate(token, may, expires))

    def add_instance(
        self,
        name: str,
        region: str = "cn-hangzhou",
        engine: str | None = None,
        cluster_name: str | None = None,
        unsupported: str | None = None,
    ) -> Instance:
        """Without an engine, it is that of the name's prefix. `unsupported` is the code of a business error."""
        instance = self.account.add_instance(name, region, engine or engine_of(name), cluster_name)
        instance.unsupported = unsupported or instance.unsupported
        return instance

    def add_task(
        self,
        instance: str,
        *,
        task_id: str | None = None,
        state: str = "finished",
        schedule: Schedule | None = None,
        region: str | None = None,
        created: int | None = None,
        **fields: Any,
    ) -> Task:
        """`fields` are Task's. Without a region, the first instance of the name is meant, or made in cn-hangzhou."""
        now = self.clock.now()
        with self.account.lock:
            found = self._instance(instance, region)
            fields.setdefault("cluster_name", found.cluster_name)
            created = now if created is None else created
            task = Task(task_id or self.account.new_task_id(), found.region, created, **fields)
            task.follow(schedule or [(state, None)], now)
            return self.account.add_task(found, task)

    def add_backup(
        self,
        instance: str,
        *,
        backup_id: str | None = None,
        started: int | None = None,
        region: str | None = None,
        minutes: float = 5,
        **fields: Any,
    ) -> Backup:
        """A backup set; `fields` are Backup's. Once an instance has one, tasks are created for its own ones only."""
        with self.account.lock:
            found = self._instance(instance, region)
            started = self.clock.now() - 3_600_000 if started is None else started
            ended = started + int(minutes * 60_000)
            backup = Backup(backup_id or self.account.new_backup_id(), started, ended, **fields)
            found.backups.append(backup)
            found.backups.sort(key=lambda one: one.started, reverse=True)
        return backup

    def _instance(self, name: str, region: str | None) -> Instance:
        regions = [known.region for known in self.account.instances() if known.name == name]
        return self.add_instance(name, region or next(iter(regions), "cn-hangzhou"))

    def objects_of(self, task: Task) -> list[StoredObject]:
        """One for a URL task, one for each database for an OSS task; made now unless they are there."""
        return exports.publish(self, task)

    def put_object(self, task: Task, content: bytes | int | Path) -> StoredObject:
        """Have a task's first object be these bytes, so many made up ones, or what the file has."""
        return exports.replace(self, task, content)

    def advance(self, seconds: float) -> None:
        """Move the service's time, in which tasks live, ahead."""
        self.clock.advance(seconds)

    # what happens

    def inject(self, *faults: Fault) -> None:
        for fault in faults:
            self.faults.add(fault)

    def redirect(self, path: str, location: Callable[[], str]) -> str:
        """The address of that path here, which leads to wherever the function says at each request."""
        self._redirections[path] = location
        return self.url + path

    def leads_elsewhere(self, path: str) -> bool:
        return path in self._redirections

    def location_of(self, path: str) -> str:
        with self._lock:
            self.redirected += 1
        return self._redirections[path]()

    def on_call(self, callback: Callable[[Call], None]) -> None:
        """Have it called after authentication and before each operation."""
        self._callbacks.append(callback)

    def answer(self, action: str, body: bytes | Mapping[str, Any], times: int | None = None) -> None:
        """Answer the next `times` calls of an action, or all, with this body as it is."""
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self._lock:
            self._canned[action] = (encoded, times)

    # what happened

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def calls_of(self, action: str) -> list[Call]:
        return [call for call in self.calls if call.action == action]

    @property
    def transfers(self) -> list[Transfer]:
        """The requests at the storage side."""
        with self._lock:
            return list(self._transfers)

    @property
    def connections(self) -> int:
        return self._server.connections

    # for those who answer

    def _answer(self, request: Request) -> Reply:
        return site_of(self, request)(self, request)

    def pause(self, seconds: float) -> None:
        if seconds > 0:
            self._stopped.wait(seconds)

    def record(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def record_transfer(self, transfer: Transfer) -> None:
        with self._lock:
            self._transfers.append(transfer)

    def rate_of(self, connection: int) -> float | None:
        rate = self.habits.rate
        return rate(connection) if callable(rate) else rate

    def next_link(self) -> int:
        """How many links were made before."""
        return next(self._links_made)

    def is_used_up(self, signature: str) -> bool:
        """Whether the link with that signature was good for fewer requests than it had, this one included."""
        with self._lock:
            self._requests_by_link[signature] += 1
            most = self.habits.link_requests
            return most is not None and self._requests_by_link[signature] > most

    def before_operation(self, call: Call) -> None:
        for callback in list(self._callbacks):
            callback(call)

    def has_canned(self, action: str) -> bool:
        return action in self._canned

    def take_canned(self, action: str) -> bytes | None:
        with self._lock:
            body, times = self._canned.get(action, (None, None))
            if times is not None:
                if times <= 1:
                    del self._canned[action]
                elif body is not None:
                    self._canned[action] = (body, times - 1)
            return body
