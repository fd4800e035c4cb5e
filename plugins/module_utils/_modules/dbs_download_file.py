# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_file``: from its options to its result.

The action plugin finds out what there is to download, and gives the module a link to each file in
``_links``, and names in ``_names`` where they are not in the links. With ``url``, the module does
without.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._base.errors import ConfigurationError
from .._dbs.prediction import is_predicted
from .._download.errors import StorageRejectedError
from .._download.link import Link
from .._download.rejection import EXPIRED_HINT
from .._download.types import TransferStats
from .._files.crc64 import is_slow
from .._files.errors import KEPT
from .._files.file_names import name_of, relative_name
from .._plugin.checks import Options
from .._plugin.job_protocol import JOB_SPEC
from .._plugin.job_runner import JobRunner
from .._plugin.options import (
    CONNECTION_SPEC,
    FILES_SPEC,
    HTTP_SPEC,
    INSTANCE_NAME_SPEC,
)
from .._plugin.runner import Module, ModuleSpec
from .download_settings import Settings, settings_of
from .file_download import FileDownload
from .file_placement import FilePlacement

#: What the module needs on the host: how to download, and where to.
HOST_SPEC: dict[str, dict[str, t.Any]] = {
    "dest": {"type": "path", "required": True},
    "force": {"type": "bool", "default": False},
    "backup": {"type": "bool", "default": False},
    "checksum": {"type": "str"},
    "connections": {"type": "int", "default": 8},
    "limit_rate": {"type": "str"},
    "outage_timeout": {"type": "float", "default": 120.0},
    "stall_timeout": {"type": "float", "default": 120.0},
    "sync": {"type": "bool", "default": True},
    "keep_partial": {"type": "bool", "default": True},
    **JOB_SPEC,
    **HTTP_SPEC,
}

#: The others say where the files are. The action plugin keeps them on the controller, keys among them.
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "task_id": {"type": "str"},
    "instance_name": {**INSTANCE_NAME_SPEC, "required": False},
    "url": {"type": "str", "no_log": True},
    "oss_path": {"type": "str"},
    **HOST_SPEC,
    "_links": {"type": "list", "elements": "str", "no_log": True},
    "_names": {"type": "list", "elements": "str"},
    **CONNECTION_SPEC,
    **FILES_SPEC,
}

_GONE_WITH_TASK_HINT = (
    "The files of a task are kept for three days: after that, create a new task"
)
_GONE_FROM_BUCKET_HINT = "The object was deleted after the bucket was listed: check who deletes objects in it"
_RENEWED_BY_NEXT_RUN_HINT = f"Run it again: it starts with a new link; {KEPT}. With async, where links are not renewed, raise duration"


class FileRequest(t.NamedTuple):
    """What to download. ``names``: paths below dest, none where the links have the names."""

    settings: Settings
    links: t.Sequence[Link]
    names: t.Sequence[str]
    dest: str
    backup: bool
    task_id: t.Optional[str]
    by_url: bool
    is_in_bucket: bool

    @property
    def network(self) -> str:
        return "vpc" if "-internal." in self.links[0].host else "public"


class DownloadFile(JobRunner):
    SPEC = ModuleSpec(
        ARGUMENT_SPEC,
        mutually_exclusive=[("task_id", "url", "oss_path")],
        required_one_of=[("task_id", "url", "oss_path")],
        add_file_common_args=True,
    )

    def __init__(self, module: Module, **more: t.Any) -> None:
        super().__init__(check_mode=module.check_mode, **more)
        self._module = module
        self._request: t.Optional[FileRequest] = None
        self._stats = TransferStats()
        self._downloads: list[FileDownload] = []
        self._dest = ""
        self._began = time.monotonic()

    @classmethod
    def of(cls, module: Module) -> DownloadFile:
        return cls(module, remote_tmp=module.remote_tmp)

    def parse(self, options: Options) -> FileRequest:
        settings = settings_of(options)
        urls = options["_links"] or [options["url"]]
        links = [Link(url) for url in urls if url]
        if not links:
            raise ConfigurationError(
                "This module needs its action plugin: call it by its full name, apsaradb.backup.dbs_download_file."
            )
        if settings.checksum and len(links) > 1:
            raise ConfigurationError(
                f"checksum is set, but there are {len(links)} files: it can be used for one file only."
            )
        return FileRequest(
            settings=settings,
            links=links,
            names=[relative_name(name) for name in options["_names"] or ()],
            dest=options["dest"],
            backup=options["backup"],
            task_id=options["task_id"],
            by_url=bool(options["url"]),
            is_in_bucket=bool(options["oss_path"] or options["_names"]),
        )

    def run(self, request: FileRequest) -> dict[str, t.Any]:
        self._request = request
        self._began = time.monotonic() - self.job.elapsed
        destinations = self._destinations(request)
        placement = FilePlacement(
            self._module, dest=request.dest, backup=request.backup
        )
        for destination in destinations:
            placement.check(destination)
        if is_slow() and not request.settings.checksum:
            self._warn(
                "Neither liblzma nor the Python package fastcrc is available: computing the CRC-64 is slow."
            )
        is_predicted_task = is_predicted(request.task_id, self._check_mode)
        for number, (link, destination) in enumerate(
            zip(request.links, destinations)
        ):
            file = FileDownload(
                link,
                destination,
                request.settings,
                placement=placement,
                job=self.job,
                stats=self._stats,
                warn=self._warn,
                progress={"file": number + 1, "files": len(destinations)},
            )
            self._downloads.append(file)
            try:
                file.fetch(
                    check_mode=self._check_mode, is_predicted=is_predicted_task
                )
            except StorageRejectedError as rejection:
                self._explain(rejection, request)
                raise
        return self.current_result()

    def current_result(self) -> dict[str, t.Any]:
        """Return what is known of all files until now."""
        request = self._request
        if not request or not self._downloads:
            return {}
        stats, files = self._stats, [file.facts for file in self._downloads]
        elapsed = time.monotonic() - self._began
        result: dict[str, t.Any] = {
            "changed": any(file["changed"] for file in files),
            "dest": self._dest,
            "files": files,
            "bytes_total": sum(file["size"] or 0 for file in files),
            "bytes_transferred": stats.transferred,
            "bytes_resumed": stats.resumed,
            "resumes": stats.resumes,
            "attempts": stats.attempts,
            "connections": stats.connections,
            "elapsed": round(elapsed, 3),
            "rate": round(stats.transferred / elapsed) if elapsed else 0,
            "network": request.network,
        }
        if len(files) == 1:
            # Of several, Ansible would put the size of the directory here.
            result["size"] = files[0]["size"]
        if self._check_mode:
            result["bytes_to_transfer"] = sum(
                file.get("bytes_to_transfer", 0) for file in files
            )
        if self._module.diff_mode:
            result["diff"] = [
                file.diff() for file in self._downloads if file.facts["changed"]
            ]
        return result

    def partial_result(self) -> dict[str, t.Any]:
        """Return what is known of a run that failed, without what is none or zero."""
        result = self.current_result()
        if result:
            files = [
                {
                    name: value
                    for name, value in file.items()
                    if value is not None
                }
                for file in result["files"]
            ]
            result["files"] = [
                file for file in files if "size" in file or file["changed"]
            ]
        return {
            name: value
            for name, value in result.items()
            if value or name == "changed"
        }

    def interruption_note(self) -> str:
        request = self._request
        keeps = request is not None and request.settings.keep_partial
        keeps = keeps and all(file.is_resumable for file in self._downloads)
        return f"{KEPT[0].upper()}{KEPT[1:]}." if keeps else ""

    def _explain(
        self, rejection: StorageRejectedError, request: FileRequest
    ) -> None:
        """Set the hint where it depends on what was asked for."""
        if request.by_url:
            return
        if rejection.code == "NoSuchKey":
            in_bucket = request.is_in_bucket
            rejection.hint = (
                _GONE_FROM_BUCKET_HINT if in_bucket else _GONE_WITH_TASK_HINT
            )
        elif rejection.hint == EXPIRED_HINT:
            rejection.hint = _RENEWED_BY_NEXT_RUN_HINT

    def _destinations(self, request: FileRequest) -> list[str]:
        dest, links = request.dest, request.links
        is_directory = (
            os.path.isdir(dest) or dest.endswith("/") or len(links) > 1
        )
        if len(links) > 1 and os.path.lexists(dest) and not os.path.isdir(dest):
            raise ConfigurationError(
                f"dest {dest!r} is a file, but there are {len(links)} files to download: give a directory."
            )
        self._dest = dest
        if not is_directory:
            return [dest]
        found = [
            os.path.join(dest, name)
            for name in request.names or [name_of(link.path) for link in links]
        ]
        if len(set(found)) < len(found):
            twice = next(path for path in found if found.count(path) > 1)
            raise ConfigurationError(
                f"two of the files would be written to {twice}: download them one by one, with different names."
            )
        if len(links) == 1:
            self._dest = found[0]
        return found
