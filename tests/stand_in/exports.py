# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of finished download tasks lie, and the links to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from . import archive
from .model import Task, canonical_state
from .objects import StoredObject
from .oss_signature import Resource, presign

if TYPE_CHECKING:
    from .server import StandIn

OWN_BUCKETS: Final = "dbs-1234567890123456-"
INTERNAL: Final = "/-internal"
"""What the paths of internal links begin with, where both networks are one host."""


def bucket_of(task: Task) -> str:
    """The service's own for URL tasks, the user's for OSS tasks."""
    if task.to_oss():
        return task.target_bucket or "exports"
    suffix = hashlib.sha256(task.region.encode()).hexdigest()[:12]
    return f"{OWN_BUCKETS}{task.region}-{suffix}"


def keys_of(task: Task) -> list[str]:
    """One archive; in a bucket of the user, one for each database."""
    suffix = "tar.zst" if task.zstd else "tar.gz"
    names = task.databases if task.to_oss() else [task.backup_set_id or "point-in-time"]
    return [f"{task.target_path.strip('/')}/{task.task_id}_{name}.{suffix}" for name in names]


def publish(service: StandIn, task: Task) -> list[StoredObject]:
    """The objects of a task, made now unless they are there."""
    bucket = bucket_of(task)
    selections = [[name] for name in task.databases] if task.to_oss() else [list(task.databases)]
    found = []
    with service.account.lock:
        task.published = True
        for key, databases in zip(keys_of(task), selections, strict=True):
            stored = service.objects.get(bucket, key)
            if stored is None:
                stored = service.objects.put(bucket, key, _archive(service, task, databases))
            found.append(stored)
    return found


def _archive(service: StandIn, task: Task, databases: Sequence[str]) -> bytes:
    habits = service.habits
    known = service.account.find_task(task.region, task.task_id)
    engine = known[0].engine if known else "mysql"
    files = archive.files(engine, databases, task.format, habits.archive_dialect)
    tars, order = habits.archive_tars, habits.archive_order
    return archive.pack(task.task_id, files, task.created / 1000, zstd=task.zstd, tars=tars, order=order)


def publish_bucket(service: StandIn, bucket: str) -> None:
    """Bring a bucket of the user up to date with the tasks that have it as their target."""
    if bucket.startswith(OWN_BUCKETS):
        return
    now = service.clock.now()
    with service.account.lock:
        for task in service.account.tasks():
            if task.published or not task.to_oss() or bucket_of(task) != bucket:
                continue
            service.objects.add_bucket(bucket)
            if canonical_state(task.state(now)) in ("finished", "expired"):
                publish(service, task)


def replace(service: StandIn, task: Task, content: bytes | int | Path) -> StoredObject:
    """Give a task other content, in its first object."""
    publish(service, task)
    return service.objects.put(bucket_of(task), keys_of(task)[0], content)


def link(service: StandIn, task: Task, seconds: float, *, internal: bool) -> str:
    habits = service.habits
    publish(service, task)
    resource = Resource(bucket_of(task), keys_of(task)[0])
    key = service.link_token_key if habits.link_token else service.link_key
    lifetime = seconds if habits.link_lifetime is None else habits.link_lifetime
    if habits.link_requests is not None:
        lifetime += service.next_link()  # no two are alike, though they be made in the same second
    query = presign(habits.presign, key, resource, task.region, service.clock.now() / 1000, lifetime)
    if habits.storage_host == "real":
        network = "-internal" if internal else ""
        place = f"{resource.bucket}.oss-{task.region}{network}.aliyuncs.com"
    else:
        place = f"{urlsplit(service.url).netloc}{INTERNAL if internal else ''}/{resource.bucket}"
    return f"{habits.url_scheme}://{place}/{quote(resource.key)}?{urlencode(query, quote_via=quote, safe='')}"
