# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_file``: from its options to its result.

The action plugin finds out what there is to fetch, and gives the module a link (``links``) and, where it is not in the
link, a name (``names``) for each file. With ``url``, the module does without. How both speak while files come is in ``job``.
"""

from __future__ import annotations

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._base.errors import ConfigurationError
from .._dbs.prediction import is_predicted
from .._download.errors import StorageRejectedError
from .._download.link import Link
from .._download.rejection import EXPIRED_HINT
from .._download.types import TransferStats
from .._files.crc64 import is_slow
from .._files.errors import KEPT
from .._files.placement import name_of, relative_name
from .._plugin.background_job import JOB_SPEC, Job
from .._plugin.checks import Options
from .._plugin.options import CONNECTION_SPEC, FILES_SPEC, INSTANCE_NAME_SPEC, completed
from .download_settings import settings_of
from .file_download import FileDownload
from .file_placement import FilePlacement

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "task_id": {"type": "str"},
    "instance_name": {**INSTANCE_NAME_SPEC, "required": False},
    "url": {"type": "str", "no_log": True},
    "oss_path": {"type": "str"},
    "dest": {"type": "path", "required": True},
    "force": {"type": "bool", "default": False},
    "backup": {"type": "bool", "default": False},
    "checksum": {"type": "str"},
    "connections": {"type": "int", "default": 8},
    "limit_rate": {"type": "str"},
    "sync": {"type": "bool", "default": True},
    "keep_partial": {"type": "bool", "default": True},
    **JOB_SPEC,
    "links": {"type": "list", "elements": "str", "no_log": True},
    "names": {"type": "list", "elements": "str"},
    **CONNECTION_SPEC,
    **FILES_SPEC,
}

CONSTRAINTS: dict[str, t.Any] = {
    "mutually_exclusive": [("task_id", "url", "oss_path")],
    "required_one_of": [("task_id", "url", "oss_path")],
}

_GONE_WITH_TASK_HINT = (
    "The files of a task are there for three days; after that, create a new task"
)
_GONE_FROM_BUCKET_HINT = (
    "The object was there when the bucket was listed: see who deletes objects in it"
)
_RENEWED_BY_NEXT_RUN_HINT = f"Run it again: it begins with a new link; {KEPT}. With async, where links are not renewed, raise duration"


class DownloadFile:
    """One run of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._options: Options = module.params
        self._stats = TransferStats()
        self._downloads: list[FileDownload] = []
        self._warnings: list[str] = []
        self._dest = ""
        self._network: t.Optional[str] = None
        self._began = time.monotonic()

    def answer(self, job: Job) -> dict[str, t.Any]:
        """Download all files, and return the module's result. All options are checked before the first request. Raises any BackupError."""
        options = self._options = completed(self._options)
        settings = settings_of(options)
        check_mode = self._module.check_mode
        links = [Link(url) for url in options["links"] or [options["url"]] if url]
        if not links:
            raise ConfigurationError(
                "This module finds files by its action plugin: call it by its full name, apsaradb.backup.dbs_download_file."
            )
        if settings.checksum and len(links) > 1:
            raise ConfigurationError(
                f"checksum is set, but there are {len(links)} files: it is for one file."
            )
        self._network = "vpc" if "-internal." in links[0].host else "public"
        names = [relative_name(name) for name in options["names"] or ()]
        destinations = self._destinations(links, names)
        placement = FilePlacement(
            self._module, dest=options["dest"], backup=options["backup"]
        )
        for destination in destinations:
            placement.check(destination)
        if is_slow() and not options["checksum"]:
            self._warnings.append(
                "Neither liblzma nor the Python package fastcrc can be used here: computing the CRC-64 is slow without."
            )
        for number, (link, destination) in enumerate(zip(links, destinations)):
            file = FileDownload(
                link,
                destination,
                settings,
                placement=placement,
                job=job,
                stats=self._stats,
                warn=self._warnings.append,
                progress={"file": number + 1, "files": len(links)},
            )
            self._downloads.append(file)
            try:
                file.fetch(
                    check_mode=check_mode,
                    is_predicted=is_predicted(options["task_id"], check_mode),
                )
            except StorageRejectedError as rejection:
                self._explain(rejection)
                raise
        return self.current_result()

    def current_result(self) -> dict[str, t.Any]:
        """Return what is known of all files until now."""
        if not self._downloads:
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
            "network": self._network,
        }
        if len(files) == 1:
            # Of several, Ansible would put the size of the directory here.
            result["size"] = files[0]["size"]
        if self._module.check_mode:
            result["bytes_to_transfer"] = sum(
                file.get("bytes_to_transfer", 0) for file in files
            )
        if self._module._diff:
            result["diff"] = [
                file.diff() for file in self._downloads if file.facts["changed"]
            ]
        if self._warnings:
            result["warnings"] = self._warnings
        return result

    def partial_result(self) -> dict[str, t.Any]:
        """Return what is known of a run that failed, without what is none or zero."""
        result = self.current_result()
        if result:
            files = [
                {name: value for name, value in file.items() if value is not None}
                for file in result["files"]
            ]
            result["files"] = [
                file for file in files if "size" in file or file["changed"]
            ]
        return {
            name: value for name, value in result.items() if value or name == "changed"
        }

    def interruption_note(self) -> str:
        """Return a sentence on what an interruption leaves."""
        keeps = self._options["keep_partial"] and all(
            file.is_resumable for file in self._downloads
        )
        return f"{KEPT[0].upper()}{KEPT[1:]}." if keeps else ""

    def _explain(self, rejection: StorageRejectedError) -> None:
        """Set the hint where it depends on the options."""
        options = self._options
        if options["url"]:
            return
        is_in_bucket = bool(options["oss_path"] or options["names"])
        if rejection.code == "NoSuchKey":
            rejection.hint = (
                _GONE_FROM_BUCKET_HINT if is_in_bucket else _GONE_WITH_TASK_HINT
            )
        elif rejection.hint == EXPIRED_HINT:
            rejection.hint = _RENEWED_BY_NEXT_RUN_HINT

    def _destinations(self, links: t.Sequence[Link], names: t.Sequence[str]) -> list[str]:
        dest = self._options["dest"]
        is_directory = os.path.isdir(dest) or dest.endswith("/") or len(links) > 1
        if len(links) > 1 and os.path.lexists(dest) and not os.path.isdir(dest):
            raise ConfigurationError(
                f"dest {dest!r} is a file, but there are {len(links)} files to be fetched: give a directory."
            )
        self._dest = dest
        if not is_directory:
            return [dest]
        found = [
            os.path.join(dest, name)
            for name in names or [name_of(link.path) for link in links]
        ]
        if len(set(found)) < len(found):
            twice = next(path for path in found if found.count(path) > 1)
            raise ConfigurationError(
                f"two of the files would be {twice}: fetch them one by one, into files of different names."
            )
        if len(links) == 1:
            self._dest = found[0]
        return found
