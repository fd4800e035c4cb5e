# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_location_info``: from its options to its result, which the lookup ``dbs_download_location`` has as well."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .._base.errors import ConfigurationError
from .._dbs.locations import (
    Link,
    LocationNotFoundError,
    find_tasks,
    location,
    request_link,
)
from .._dbs.prediction import (
    PREDICTED_ID,
    PREDICTED_LINK,
    PREDICTED_WARNING,
    is_predicted,
    predicted_task,
)
from .._dbs.service import DBS
from .._dbs.task import canonical_state
from .._plugin.checks import Options, check_identifier
from .._plugin.client import client_of
from .._plugin.options import (
    CONNECTION_SPEC,
    FILES_SPEC,
    INSTANCE_NAME_SPEC,
    instance_names,
    region_of,
)
from .._plugin.runner import ModuleSpec, Runner
from .._transport.client import Client
from .._transport.concurrency import map_concurrently
from .bucket_objects import BucketObjects, is_private

POLICIES = ["error", "warn", "skip"]

#: Of what returns locations, and downloads nothing; documented in the doc fragment ``location.locating``.
_LOCATING_SPEC: dict[str, dict[str, t.Any]] = {
    "presign": {"type": "bool", "default": False},
    "on_missing": {"type": "str", "choices": POLICIES, "default": "error"},
    "on_unfinished": {"type": "str", "choices": POLICIES, "default": "error"},
}

#: Options of the module and the lookup, but for what they name tasks by.
LOCATION_SPEC = {**CONNECTION_SPEC, **FILES_SPEC, **_LOCATING_SPEC}

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "task_ids": {
        "type": "list",
        "elements": "str",
        "required": True,
        "aliases": ["task_id"],
    },
    **LOCATION_SPEC,
}

Term = t.Union[str, t.Mapping[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class LocationRequest:
    """What is to be located.

    ``known``: the tasks that were given whole, by their IDs. ``objects``: lists the objects of a bucket, where links to them are wanted.
    """

    client: Client
    region: str
    cluster_name: t.Optional[str]
    instance_names: t.Sequence[str]
    task_ids: t.Sequence[str]
    known: t.Mapping[str, dict[str, t.Any]]
    bucket: t.Optional[str]
    private: bool
    duration: int
    force_https: bool
    on_missing: str
    on_unfinished: str
    objects: t.Optional[BucketObjects]
    check_mode: bool

    @classmethod
    def parse(
        cls, options: Options, terms: t.Sequence[Term], check_mode: bool = False
    ) -> LocationRequest:
        """Check the completed options and the terms. Raises ConfigurationError."""
        region = region_of(options)
        cluster_name = options["cluster_name"] and check_identifier(
            "cluster_name", options["cluster_name"]
        )
        private = is_private(options)
        if options["presign"] and not options["bucket"]:
            raise ConfigurationError(
                "presign needs bucket: the service does not return the bucket of a task."
            )
        objects = BucketObjects.parse(options) if options["presign"] else None
        _check_terms(terms)
        given = [
            _checked(term, region)
            for term in terms
            if not isinstance(term, str)
        ]
        return cls(
            region=region,
            cluster_name=cluster_name,
            known={task["task_id"]: task for task in given},
            task_ids=[
                check_identifier(
                    "task_ids",
                    term if isinstance(term, str) else term["task_id"],
                )
                for term in terms
            ],
            instance_names=instance_names(options)
            if options["instance_name"]
            else (),
            bucket=options["bucket"],
            private=private,
            duration=options["duration"],
            force_https=options["force_https"],
            on_missing=options["on_missing"],
            on_unfinished=options["on_unfinished"],
            objects=objects,
            check_mode=check_mode,
            client=client_of(options, DBS),
        )

    def with_predicted(self) -> LocationRequest:
        """Return the request with the task that an earlier step in check mode predicted."""
        predicted = predicted_task(
            self.instance_names[0] if self.instance_names else None, self.region
        )
        task = {
            **predicted,
            **self.known.get(PREDICTED_ID, {}),
            "download_status": "finished",
        }
        return dataclasses.replace(
            self, known={**self.known, PREDICTED_ID: task}
        )


class DownloadLocationInfo(Runner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)

    def parse(self, options: Options) -> LocationRequest:
        return LocationRequest.parse(
            options, options["task_ids"], self._check_mode
        )

    def run(self, request: LocationRequest) -> dict[str, t.Any]:
        return {"changed": False, "locations": locate(request, self._warn)}


def locate(
    request: LocationRequest, warn: t.Callable[[str], t.Any]
) -> list[dict[str, t.Any]]:
    """Return where the files of the tasks are, in the order of the terms: IDs, or tasks as dbs_download_task_info returns them.

    One list request for each instance if there are IDs and ``instance_name``, and one request for each URL task.
    Tasks without a location are an error, or left out, as the options say. Raises any BackupError.
    """
    if request.check_mode and PREDICTED_ID in request.task_ids:
        request = request.with_predicted()
        warn(PREDICTED_WARNING)
    try:
        outcomes = _request_locations(request)
    finally:
        request.client.close()
    located = []
    for task_id in request.task_ids:
        outcome = outcomes[task_id]
        if not isinstance(outcome, LocationNotFoundError):
            located.append(outcome)
            continue
        policy = (
            request.on_missing if outcome.is_missing else request.on_unfinished
        )
        if policy == "error":
            outcome.operation = f"locate the files of task {task_id!r} in region {request.region!r}"
            raise outcome
        if policy == "warn":
            warn(f"Skipped: {outcome}")
    for found in located:
        if request.objects and found["oss_path"] is not None:
            is_there = not is_predicted(found["task_id"], request.check_mode)
            objects = (
                request.objects.links(found["oss_path"])
                if is_there
                else [("", PREDICTED_LINK)]
            )
            found["urls"] = [url for _unused, url in objects]
    return located


def _request_locations(
    request: LocationRequest,
) -> dict[str, t.Union[dict[str, t.Any], LocationNotFoundError]]:
    """Ask for the location of each task once, or for the error that says why there is none."""
    client, tasks = request.client, dict(request.known)
    if request.instance_names:
        unknown = [
            task_id for task_id in request.task_ids if task_id not in tasks
        ]
        tasks = {
            **find_tasks(
                client, request.region, request.instance_names, unknown
            ),
            **tasks,
        }

    def link(task_id: str) -> Link:
        if is_predicted(task_id, request.check_mode):
            expires = round((time.time() + request.duration) * 1000)
            return Link(PREDICTED_LINK, PREDICTED_LINK, expires)
        return request_link(
            client,
            request.region,
            task_id,
            duration=request.duration,
            cluster_name=request.cluster_name,
            force_https=request.force_https,
        )

    def find(task_id: str) -> t.Union[dict[str, t.Any], LocationNotFoundError]:
        if request.instance_names and task_id not in tasks:
            return LocationNotFoundError.missing(task_id)
        try:
            return location(
                task_id,
                tasks.get(task_id),
                link,
                bucket=request.bucket,
                private=request.private,
            )
        except LocationNotFoundError as error:
            return error

    distinct = list(dict.fromkeys(request.task_ids))
    return dict(zip(distinct, map_concurrently(find, distinct, client)))


def files_of(
    options: Options, warn: t.Callable[[str], t.Any], check_mode: bool = False
) -> list[tuple[t.Optional[str], str]]:
    """The name and the link of each file of ``task_id``, or under ``oss_path``; a URL task's has its name in the link.

    Raises any BackupError.
    """
    path = options["oss_path"]
    if not path:
        defaults = {
            name: spec["default"] for name, spec in _LOCATING_SPEC.items()
        }
        request = LocationRequest.parse(
            {**options, **defaults}, [options["task_id"]], check_mode
        )
        (found,) = locate(request, warn)
        if found["url"] is not None:
            return [(None, found["url"])]
        path = found["oss_path"]
        if not path.startswith("oss://"):
            raise ConfigurationError(
                f"task {options['task_id']!r} has target_type OSS: set bucket, because the service does not return it."
            )
    return list(BucketObjects.parse(options).links(path))


def _check_terms(terms: t.Sequence[Term]) -> None:
    for term in terms:
        if not isinstance(term, str) and not (
            isinstance(term, t.Mapping) and term.get("task_id")
        ):
            raise ConfigurationError(
                "a term is neither the ID of a task, such as dt-a1b2c3d4e5f6, nor a task returned by dbs_download_task_info."
            )


def _checked(term: t.Mapping[str, t.Any], region: str) -> dict[str, t.Any]:
    """A task as dbs_download_task_info returns it."""
    task_id = check_identifier("task_ids", term.get("task_id"))
    if term.get("region_code") not in (None, region):
        raise ConfigurationError(
            f"task {task_id!r} is in region {term['region_code']!r}, but region is {region!r}: use the task's region."
        )
    return {
        **term,
        "task_id": task_id,
        "download_status": canonical_state(term.get("download_status")) or None,
    }
