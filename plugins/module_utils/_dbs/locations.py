# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The operation DescribeDownloadBackupSetStorageInfo, and where the files of a task are: behind a link, or in a bucket.

Source: DescribeDownloadBackupSetStorageInfo in the API reference of DBS, 2021-01-01.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .._base.errors import BackupError
from .._transport.endpoints import is_loopback_url
from .._transport.errors import ServiceError
from .download_tasks import DownloadTaskQuery, Task, list_download_tasks
from .lists import Expected, refuse_gap
from .values import DEFAULT_DURATION, epoch_milliseconds, iso8601

if t.TYPE_CHECKING:
    from .._transport.client import Client


class LocationNotFoundError(BackupError):
    """A task that has no files to be had. ``is_missing``: there is no such task; otherwise it is not finished."""

    kind = "location"

    def __init__(self, message: str, *, is_missing: bool, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.is_missing = is_missing

    def _said(self) -> str:
        cause = self.__cause__
        if not isinstance(cause, ServiceError):
            return super()._said()
        return f"{self.message} ({cause.code}, request ID {cause.request_id or 'not given'})"

    def to_dict(self) -> dict[str, t.Any]:
        """With those of the answer that says so, if it is one."""
        known = (
            self.__cause__.to_dict()
            if isinstance(self.__cause__, ServiceError)
            else {}
        )
        return {**known, **super().to_dict()}

    @classmethod
    def missing(cls, task_id: str) -> LocationNotFoundError:
        hint = "Check its ID, the instance and the region"
        return cls(
            f"task {task_id!r} does not exist", is_missing=True, hint=hint
        )

    @classmethod
    def unfinished(cls, task_id: str, state: str) -> LocationNotFoundError:
        hint = {
            "expired": "Its files are gone: create a new task",
            "failed": "Retry it",
        }.get(state, "Wait for it")
        return cls(
            f"task {task_id!r} is {state}, not finished",
            is_missing=False,
            hint=hint,
        )


#: The codes of errors for a task that does not exist; the second one comes with HTTP 404.
NO_SUCH_TASK = ("DBS.DownloadTask.CannotFind", "DBS.NotExists")


@dataclass(frozen=True)
class Link:
    """Signed: whoever has it can download the files, so it is not shown. ``expires`` in epoch milliseconds."""

    public_url: t.Optional[str] = field(repr=False)
    private_url: t.Optional[str] = field(repr=False)
    expires: t.Optional[int]


def request_link(
    client: Client,
    region: str,
    task_id: str,
    *,
    duration: int = DEFAULT_DURATION,
    cluster_name: t.Optional[str] = None,
    force_https: bool = True,
) -> Link:
    """Links to the files of a URL task that are valid for ``duration`` seconds.

    Raises LocationNotFoundError where the service knows no such task, or any other BackupError.
    """
    expected = Expected(
        "link",
        ("Data",),
        "DescribeDownloadBackupSetStorageInfo",
        f"get the download link of task {task_id!r} in region {region!r}",
    )
    parameters = {
        "RegionCode": region,
        "TaskId": task_id,
        "Duration": str(duration),
    }
    if cluster_name:
        parameters["ClusterName"] = cluster_name
    try:
        response = client.call(
            expected.action, parameters, operation=expected.operation
        )
    except ServiceError as error:
        refusal = _refusal_of(error, task_id)
        if refusal is None:
            raise
        raise refusal from error
    return _link_in(response, expected, task_id, force_https)


def _refusal_of(
    error: ServiceError, task_id: str
) -> t.Optional[LocationNotFoundError]:
    """Return the error that says why the task has no link; None if the service says something else."""
    if error.code in NO_SUCH_TASK:
        return LocationNotFoundError.missing(task_id)
    # One code for all tasks without a link, whatever the reason.
    if error.code != "DBS.DownloadTask.NotSupport":
        return None
    return LocationNotFoundError(
        f"task {task_id!r} has no link: {error.message.rstrip('. ')}",
        is_missing=False,
        hint="If the task is not finished, wait for it. If it has expired, its files are "
        "gone: create a new task. If it writes to OSS, it has no link: set "
        "instance_name, and bucket for the full path",
    )


def _link_in(
    response: t.Mapping[str, t.Any],
    expected: Expected,
    task_id: str,
    force_https: bool,
) -> Link:
    data = response.get("Data")
    names = ("PublicUrl", "PrivateUrl")
    # What is answered about a task without a link is not documented: nothing is none, anything else is no answer.
    if "Data" not in response or (
        data and not (isinstance(data, dict) and set(names) & data.keys())
    ):
        raise expected.broken(response)
    data = data or {}
    urls = [_url(data.get(name), force_https) for name in names]
    if not any(urls):
        raise LocationNotFoundError(
            f"the service returned no link for task {task_id!r}",
            is_missing=False,
            hint="If the task is not finished, wait for it. If it writes to OSS, it has no link: set instance_name",
        )
    # Described as milliseconds, shown as seconds.
    return Link(
        urls[0], urls[1], epoch_milliseconds(data.get("ExpirationTime"))
    )


def find_tasks(
    client: Client,
    region: str,
    instance_names: t.Sequence[str],
    task_ids: t.Collection[str],
) -> dict[str, Task]:
    """The tasks by ID, those that exist. Raises IncompleteListError where one may exist that is not listed, or any BackupError."""
    if not task_ids:
        return {}
    query = DownloadTaskQuery(region, task_ids=frozenset(task_ids))
    gaps: list[str] = []
    found = {
        task["task_id"]: task
        for task in list_download_tasks(
            client, instance_names, query, gaps.append
        )
    }
    if gaps and len(found) < len(query.task_ids):
        refuse_gap(gaps[0])
    return found


def location(
    task_id: str,
    task: t.Optional[Task],
    link: t.Callable[[str], Link],
    *,
    bucket: t.Optional[str],
    private: bool,
) -> dict[str, t.Any]:
    """Where the files of a task are. ``task`` is none where only its ID is known, and it is taken for a URL task.

    Raises LocationNotFoundError for a task that is not finished.
    """
    task = task or {}
    state = task.get("download_status")
    if state not in (None, "finished"):
        raise LocationNotFoundError.unfinished(task_id, state)
    found: dict[str, t.Any] = {
        "task_id": task_id,
        "instance_name": task.get("instance_name"),
        "target_type": task.get("target_type") or "URL",
        "url": None,
        "public_url": None,
        "private_url": None,
        "expiration_time": None,
        "oss_path": None,
    }
    if str(found["target_type"]).upper() == "OSS":
        path = str(task.get("target_path") or "")
        found["oss_path"] = (
            f"oss://{bucket}/{path.lstrip('/')}" if bucket else path
        )
        return found
    issued = link(task_id)
    first, second = (
        (issued.private_url, issued.public_url)
        if private
        else (issued.public_url, issued.private_url)
    )
    return dict(
        found,
        url=first or second,
        public_url=issued.public_url,
        private_url=issued.private_url,
        expiration_time=iso8601(issued.expires),
    )


def _url(value: object, force_https: bool) -> t.Optional[str]:
    if not value:
        return None
    text = str(value).strip()
    scheme = t.cast(
        "re.Match[str]",
        re.match(r"(?:([a-z][a-z0-9+.-]*):)?//|", text, re.IGNORECASE),
    )
    name = (scheme[1] or "http").lower()
    rest = text[scheme.end() :]
    # What listens at a loopback address is here for tests, and has no certificate.
    makes_https = (
        force_https and name == "http" and not is_loopback_url(f"//{rest}")
    )
    return f"{'https' if makes_https else name}://{rest}"
