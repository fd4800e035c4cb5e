# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One file of a run: what exists, the download, the checks of the content, and what is known of it."""

from __future__ import annotations

import hashlib
import os
import typing as t

from .._base.errors import BackupError
from .._download.destination import check_free_space
from .._download.errors import VerificationError
from .._download.journal import left_by_earlier_run
from .._download.link import Link
from .._download.object_info import ObjectInfo
from .._download.partial_file import PartialFile
from .._download.transfer import Transfer
from .._download.types import TransferStats
from .._files.crc64 import crc64_of_file
from .._files.errors import DestinationError
from .._plugin.background_job import Job
from .download_settings import Settings
from .file_placement import FilePlacement

#: Bytes that are read at once to compute a digest: large enough that calls cost nothing, small beside the memory of any host.
_BLOCK = 1 << 20


class FileDownload:
    """Download of one file: what is known of it is in ``facts``, at any time."""

    def __init__(
        self,
        link: Link,
        destination: str,
        settings: Settings,
        *,
        placement: FilePlacement,
        job: Job,
        stats: TransferStats,
        warn: t.Callable[[str], t.Any],
        progress: t.Mapping[str, t.Any],
    ) -> None:
        self._link = link
        self._destination = destination
        self._settings = settings
        self._placement = placement
        self._job = job
        self._stats = stats
        self._warn = warn
        self._progress = dict(progress, dest=destination)
        #: Attributes of a file that already existed, before and after.
        self._attributes: dict[str, t.Any] = {}
        self._seen: t.Optional[tuple[int, int, int]] = None
        self.is_resumable = True
        self.facts: dict[str, t.Any] = {
            "changed": False,
            "dest": destination,
            "size": None,
            "crc64": None,
            "etag": None,
            "verified_by": None,
        }

    def fetch(self, *, check_mode: bool, is_predicted: bool) -> None:
        """Download the file, unless it already exists. Raises any BackupError."""
        facts, settings = self.facts, self._settings
        self._seen = _status_of(self._destination)
        before = self._seen[0] if self._seen else None
        facts["size_before"] = before
        digest = None
        if before is not None and settings.checksum and not settings.force:
            digest = self._digest_of(self._destination)
            if digest == settings.checksum[1]:
                facts.update(size=before, verified_by="checksum")
                self._apply_attributes()
                return
        if is_predicted:
            facts.update(changed=True, size=0, bytes_to_transfer=0)
            return
        job = _FileJob(self._job, self._progress)
        transfer = Transfer(self._link, settings.transfer, job, self._stats)
        try:
            info = transfer.probe()
            self._update(info)
            if (
                before == info.size
                and not settings.force
                and self._has_content(info)
            ):
                if digest is not None:
                    raise self._wrong_checksum(digest)
                facts["verified_by"] = "crc64"
                self._apply_attributes()
                return
            facts["changed"] = True
            if check_mode:
                left = left_by_earlier_run(self._destination, info)
                facts["bytes_to_transfer"] = info.size - left
                check_free_space(self._destination, info.size)
                return
            facts["changed"] = False
            self._download(transfer, info)
        finally:
            transfer.close()

    def diff(self) -> dict[str, str]:
        """Return the diff of the content, or of the attributes alone."""
        file = self.facts
        content = {
            "before": {"size": file["size_before"]},
            "after": {"size": file["size"], "crc64": file["crc64"]},
        }
        states = self._attributes or content
        return {
            "before_header": file["dest"],
            "after_header": file["dest"],
            "before": _lines(states["before"]),
            "after": _lines(states["after"]),
        }

    def _download(self, transfer: Transfer, info: ObjectInfo) -> None:
        partial = PartialFile(self._destination)
        is_placed = False
        try:
            if self._is_installed_by_another_run(info):
                partial.delete()
                self.facts["verified_by"] = "crc64"
                self._apply_attributes()
                return
            partial.other_bytes = self._placement.backup_size(self._destination)
            info = transfer.run(partial, info)
            self._update(info)
            verified = [] if info.crc64 is None else ["crc64"]
            if self._settings.checksum:
                digest = self._digest_of(partial.path)
                if digest != self._settings.checksum[1]:
                    if info.crc64 is None:
                        # Nothing else says that what came is what the storage has.
                        partial.delete()
                    raise self._wrong_checksum(digest)
                verified.append("checksum")
            if not info.is_identified:
                self._warn(
                    f"{self._destination} was downloaded over one connection, and cannot "
                    "be resumed: the storage returns no ETag, CRC-64 or Last-Modified "
                    "to identify the object."
                )
            if not verified:
                self._warn(
                    f"{self._destination} was verified by its size only: the storage returns no CRC-64 of it. Set checksum."
                )
            self.facts["verified_by"] = ", ".join(verified) or "size"
            backup = self._placement.install(
                partial, self._settings.transfer.sync
            )
            is_placed = self.facts["changed"] = True
            if backup:
                self.facts["backup_file"] = backup
            self._placement.apply_default_context(self._destination)
            self._placement.apply_attributes(self._destination)
        finally:
            if is_placed or (self._settings.keep_partial and self.is_resumable):
                partial.close()
            else:
                partial.delete()

    def _update(self, info: ObjectInfo) -> None:
        self.is_resumable = info.is_identified
        crc64 = None if info.crc64 is None else str(info.crc64)
        self.facts.update(
            size=info.size, crc64=crc64, etag=info.etag.strip('"') or None
        )

    def _apply_attributes(self) -> None:
        self.facts["changed"] = self._placement.apply_attributes(
            self._destination, self._attributes
        )

    def _is_installed_by_another_run(self, info: ObjectInfo) -> bool:
        """Return whether another run, which held the partial file until now, has installed the same content."""
        status = _status_of(self._destination)
        is_new = (
            status is not None
            and status != self._seen
            and status[0] == info.size
        )
        return is_new and not self._settings.force and self._has_content(info)

    def _has_content(self, info: ObjectInfo) -> bool:
        if info.crc64 is None:
            return False
        self._job.report(dict(self._progress, phase="checking", size=info.size))
        try:
            return (
                crc64_of_file(self._destination, self._job.check) == info.crc64
            )
        except OSError as error:
            raise DestinationError.of(
                error, self._destination, f"read {self._destination}"
            ) from None

    def _digest_of(self, path: str) -> str:
        """Compute the digest of a file, by the algorithm of the option ``checksum``."""
        name = t.cast("tuple[str, str]", self._settings.checksum)[0]
        self._job.report(dict(self._progress, phase="checking"))
        value = hashlib.new(name, usedforsecurity=False)
        try:
            with open(path, "rb", buffering=0) as file:
                while piece := file.read(_BLOCK):
                    self._job.check()
                    value.update(piece)
        except OSError as error:
            raise DestinationError.of(error, path, f"read {path}") from None
        return value.hexdigest()

    def _wrong_checksum(self, found: str) -> BackupError:
        name, digest = t.cast("tuple[str, str]", self._settings.checksum)
        return VerificationError(
            f"the {name} of the file is {found}, not {digest} as given in checksum",
            hint="Check checksum, and that the link leads to the right file",
            operation=f"download {self._link.printable}",
        )


class _FileJob:
    """The job, which gets the number and the path of the file with each report."""

    def __init__(self, job: Job, progress: t.Mapping[str, t.Any]) -> None:
        self._job = job
        self._progress = progress
        self.renews_links = job.renews_links
        self.check = job.check
        self.ask_for_links = job.ask_for_links
        self.take_links = job.take_links

    def report(self, facts: t.Mapping[str, t.Any]) -> None:
        self._job.report({**self._progress, **facts})


def _status_of(path: str) -> t.Optional[tuple[int, int, int]]:
    """Return the size in bytes, the inode and the time of the last change; the latter two tell a new file from an old one."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DestinationError.of(error, path, f"read {path}") from None
    return status.st_size, status.st_ino, status.st_mtime_ns


def _lines(facts: t.Mapping[str, t.Any]) -> str:
    """Lines of a diff."""
    return "".join(
        f"{name}: {value}\n"
        for name, value in facts.items()
        if value is not None and name != "path"
    )
