# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_extract``: from its options to its result.

Its action plugin is told ``src``, ``step``, ``read``, ``total``, ``files``, ``size`` and the seconds ``elapsed``.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import time
import typing as t

from .._archive import extraction
from .._archive.contents import Contents
from .._archive.formats import printable_name
from .._archive.tree import Layout, Request
from .._base.errors import ConfigurationError
from .._files.errors import DestinationError
from .._plugin.checks import Options, check_path, check_range, path_exists
from .._plugin.job_protocol import JOB_SPEC
from .._plugin.job_runner import JobRunner
from .._plugin.options import CONNECTION_SPEC
from .._plugin.runner import ModuleSpec

#: What the host needs.
HOST_SPEC: dict[str, dict[str, t.Any]] = {
    "src": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
    "force": {"type": "bool", "default": False},
    "keep_archive": {"type": "bool", "default": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw", "default": "0600"},
    "directory_mode": {"type": "raw", "default": "0700"},
    "max_files": {"type": "int", "default": 1_000_000},
    "max_size": {"type": "bytes"},
    "sync": {"type": "bool", "default": True},
    "layout": {
        "type": "str",
        "choices": [layout.value for layout in Layout],
        "default": Layout.AS_IS.value,
    },
    **JOB_SPEC,
}

# The connection is of no use here, but set for the group of all modules.
ARGUMENT_SPEC = {**HOST_SPEC, **CONNECTION_SPEC}

_MAX_FILES = 1_000_000_000
_MAX_SIZE = 1 << 60


class ExtractRequest(t.NamedTuple):
    archive: Request
    keep_archive: bool


class DownloadExtract(JobRunner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)
    _began = 0.0

    def complete(self, options: Options) -> Options:
        # Nothing is read of the connection, which is of no use here.
        return options

    def parse(self, options: Options) -> ExtractRequest:
        return ExtractRequest(_request_of(options), options["keep_archive"])

    def run(self, request: ExtractRequest) -> dict[str, t.Any]:
        self._began = time.monotonic() - self.job.elapsed
        archive = request.archive
        if not path_exists(archive.src):
            return self._without_archive(request)
        if self._check_mode:
            plan = extraction.plan(archive, self._watch(archive))
            if plan.contents:
                return self._result(
                    not request.keep_archive, archive, plan.contents
                )
            return self._prediction(
                archive, plan.format.value, plan.archive_size
            )
        changed, contents = extraction.unpack(archive, self._watch(archive))
        if not request.keep_archive:
            _remove(archive)
            changed = True
        return self._result(changed, archive, contents)

    def _watch(
        self, archive: Request
    ) -> t.Callable[[extraction.Progress], None]:
        def watch(progress: extraction.Progress) -> None:
            self.job.check()
            facts = progress._asdict()
            facts.update(
                step=progress.step.value,
                src=archive.src,
                elapsed=self._elapsed(),
            )
            self.job.report(facts)

        return watch

    def _without_archive(self, request: ExtractRequest) -> dict[str, t.Any]:
        """Return the result where an earlier run extracted the archive and removed it."""
        archive = request.archive
        contents = None
        if not request.keep_archive:
            contents = extraction.left_by(archive)
        if contents:
            return self._result(False, archive, contents)
        if not self._check_mode:
            raise ConfigurationError(
                f"src {archive.src!r} does not exist: give the archive's path on this host."
            )
        # An earlier task may bring it.
        self._warn(
            f"{printable_name(archive.src)} does not exist now. Without check mode, this fails unless an earlier task creates it."
        )
        return self._prediction(archive, None, None)

    def _prediction(
        self, request: Request, format: t.Optional[str], size: t.Optional[int]
    ) -> dict[str, t.Any]:
        return {
            "changed": True,
            "src": request.src,
            "dest": request.dest,
            "elapsed": self._elapsed(),
            "format": format,
            "archive_size": size,
            "layout": request.layout.value,
        }

    def _result(
        self, changed: bool, request: Request, contents: Contents
    ) -> dict[str, t.Any]:
        facts = contents.to_dict()
        return {
            "changed": changed,
            "dest": request.dest,
            "roots": extraction.roots_of(request.dest),
            "elapsed": self._elapsed(),
            # As ``size``, Ansible returns that of ``dest`` itself.
            "unpacked_size": facts.pop("size"),
            **facts,
        }

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._began, 3)


def _remove(archive: Request) -> None:
    try:
        os.unlink(archive.src)
    except OSError as error:
        src, dest = printable_name(archive.src), printable_name(archive.dest)
        raise DestinationError.of(
            error, archive.src, f"remove {src}, which was extracted into {dest}"
        ) from None


def _request_of(options: Options) -> Request:
    src, dest = (
        check_path(options, "src"),
        os.path.realpath(check_path(options, "dest")),
    )
    if dest == "/":
        raise ConfigurationError(
            f"dest {options['dest']!r} is the root directory: give another directory."
        )
    if (os.path.realpath(src) + "/").startswith(dest + "/"):
        raise ConfigurationError(
            f"dest {options['dest']!r} contains src {options['src']!r}: give a directory that holds nothing else."
        )
    check_range(options, "progress_interval", 1, 86400, " seconds")
    return Request(
        src=src,
        dest=dest,
        replace=options["force"],
        max_files=check_range(options, "max_files", 1, _MAX_FILES),
        max_size=check_range(
            options, "max_size", 1, _MAX_SIZE, " bytes, such as 10GB"
        ),
        mode=_mode(options, "mode", 0),
        directory_mode=_mode(options, "directory_mode", 0o700),
        owner=_number(options, "owner", lambda name: pwd.getpwnam(name).pw_uid),
        group=_number(options, "group", lambda name: grp.getgrnam(name).gr_gid),
        sync=options["sync"],
        layout=Layout(options["layout"]),
    )


def _mode(options: Options, option: str, least: int) -> int:
    """YAML makes a number of an octal one without quotes."""
    value = options[option]
    text = (
        format(value, "o")
        if isinstance(value, int) and not isinstance(value, bool)
        else str(value)
    )
    mode = int(text, 8) if re.fullmatch(r"(0o)?[0-7]{1,5}", text) else -1
    if not 0 <= mode <= 0o777 or mode & least != least:
        also = f", with {least:04o} in it" if least else ""
        raise ConfigurationError(
            f"{option} {value!r} is not allowed: give an octal number from '0000' to '0777' in quotes{also}."
        )
    return mode


def _number(
    options: Options, option: str, by_name: t.Callable[[str], int]
) -> int:
    name = options[option]
    if name is None:
        return -1
    if re.fullmatch(r"[0-9]{1,10}", name) and int(name) < 0xFFFFFFFF:
        return int(name)
    try:
        return by_name(name)
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"{option} {name!r} is not known on this host: give a name or a number."
        ) from None
