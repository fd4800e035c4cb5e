# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The file beside the destination that a transfer writes to, and its journal.

``<destination>.part`` has its full size from the beginning, and each byte at its place. ``<destination>.part.json``, its
journal, names the object and the extents that are there, each with its CRC-64. A later run reads extents again to verify them,
unless nobody wrote to the file since the journal was closed. The space for both is taken before the first byte, that of the
journal twice, as it is replaced as a whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import typing as t

from .._files.crc64 import combined, crc64_of
from .._files.errors import DestinationBusyError, DestinationError
from .._files.note import Note
from .._files.system import boot_id, preallocate
from . import tuning
from .destination import (
    extent_size,
    free_bytes,
    full_error,
    journal_size,
    missing_bytes,
    missing_journal_bytes,
    write_operation,
)
from .journal import OPEN_FLAGS, VERSION, Extent, is_trusted, read_journal
from .object_info import ObjectInfo
from .segments import Gap

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_UNSYNCED_HINT = (
    "Check the disk and run it again. The file is downloaded from the start, because it "
    "is unknown what is on the disk"
)


class PartialFile:
    """A partial file, locked while it is open. Raises DestinationError, or DestinationBusyError if another run has the lock."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self.path = f"{destination}.part"
        self.journal = f"{self.path}.json"
        #: Bytes that have to be free for other files, such as a backup.
        self.other_bytes = 0
        self._note = Note(self.journal)
        self._operation = write_operation(destination)
        self._extents: list[Extent] = []
        #: Guards the list of extents: workers begin some while the journal is written.
        self._lock = threading.Lock()
        #: One write at a time: the system has one lock for each file, at which the others would only wait.
        self._writing = threading.Lock()
        #: One fsync at a time, so that each one knows whether an earlier one failed.
        self._syncing = threading.Lock()
        self._unsynced: t.Optional[DestinationError] = None
        self._info: t.Optional[ObjectInfo] = None
        self.extent_size = tuning.EXTENT_SIZE
        self.file = self._open()

    def _open(self) -> int:
        """Open and lock the file, or create it. Repeats until what is locked is what has the name."""
        while True:
            try:
                file, is_new = self._open_or_create()
            except FileExistsError:
                # Another run has just created it.
                continue
            except OSError as error:
                raise DestinationError.of(
                    error, self.path, self._operation, is_new=True
                ) from None
            try:
                if self._take(file, is_new):
                    return file
            except BlockingIOError:
                os.close(file)
                raise DestinationBusyError(
                    "another run is writing it",
                    hint="Wait for it, or stop it. A run that Ansible no longer follows stops by itself within two minutes",
                    operation=self._operation,
                ) from None
            except FileNotFoundError:
                # The run that had the lock may have renamed or deleted it meanwhile.
                pass
            except OSError as error:
                os.close(file)
                raise DestinationError.of(
                    error, self.path, self._operation
                ) from None
            os.close(file)

    def _open_or_create(self) -> tuple[int, bool]:
        """Open the file. Tells as well whether it was created for that. Raises OSError."""
        try:
            return os.open(self.path, os.O_RDWR | OPEN_FLAGS), False
        except FileNotFoundError:
            # Exclusively: what somebody else puts there in between is not trusted as new.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | OPEN_FLAGS
            return os.open(self.path, flags, 0o600), True

    def _take(self, file: int, is_new: bool) -> bool:
        """Lock the file. Tells whether it is still the one with the name, and one to continue with. Raises OSError."""
        # The system gives the lock back when the process ends, however that happens.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(file)
        if not os.path.samestat(status, os.lstat(self.path)):
            return False
        if not is_new and not is_trusted(status, self.path):
            # Somebody else put it there, and may still write to it.
            os.unlink(self.path)
            return False
        if status.st_mode & 0o777 != 0o600:
            os.fchmod(file, 0o600)
        return True

    # what is there

    def resume(self, info: ObjectInfo, check: t.Callable[[], t.Any]) -> int:
        """Prepare the file for this object. Returns the number of bytes that an earlier run left of it."""
        self._info = info
        self.extent_size = extent_size(info.size)
        self._extents = []
        journal = read_journal(self.journal, info, os.fstat(self.file).st_size)
        if journal is None:
            self._guard(os.ftruncate, self.file, 0)
        else:
            self._extents, fingerprint = journal
            # Without it, the file may have changed since: bytes can be lost with the power, or be somebody else's.
            if fingerprint is None or fingerprint != self._fingerprint():
                self._extents = [
                    extent
                    for extent in self._extents
                    if self._is_there(extent, check)
                ]
        try:
            self._reserve(info.size)
        except DestinationError:
            # The disk is full: keep the space of what is there, and give back the rest.
            self._note.close()
            reached = max((extent.stop for extent in self._extents), default=0)
            if reached:
                self._guard(os.ftruncate, self.file, reached)
            else:
                self.delete()
            raise
        return sum(extent.known[0] for extent in self._extents)

    def _is_there(self, extent: Extent, check: t.Callable[[], t.Any]) -> bool:
        """Read an extent again, and compare its CRC-64."""
        found = self._guard(
            crc64_of, self.file, extent.start, extent.stop, check
        )
        return bool(found == extent.known[1])

    def _reserve(self, size: int) -> None:
        """Take the space for file and journal, or raise an error that says how much is missing."""
        missing = (
            missing_bytes(size, os.fstat(self.file))
            + missing_journal_bytes(self.destination, size)
            + self.other_bytes
        )
        free = free_bytes(self.file)
        if missing > free:
            raise full_error(self.destination, missing, free)
        try:
            # The journal first: without it, nothing of the file could be used by a later run.
            self._note.begin(self._content(None), journal_size(size))
            preallocate(self.file, size)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise full_error(self.destination, missing, free) from None
            path = error.filename or self.path
            raise DestinationError.of(error, path, self._operation) from None

    def gaps(self) -> list[Gap]:
        """Ranges that are missing."""
        found = []
        reached = 0
        for extent in sorted(self._extents, key=lambda extent: extent.start):
            if extent.start > reached:
                found.append((reached, extent.start))
            reached = extent.stop
        size = t.cast(ObjectInfo, self._info).size
        if reached < size:
            found.append((reached, size))
        return found

    def crc64(self) -> int:
        """CRC-64 of the whole file, combined from its extents, once there are no gaps."""
        value = 0
        for extent in sorted(self._extents, key=lambda extent: extent.start):
            value = combined(value, extent.known[1], extent.known[0])
        return value

    # what comes

    def new_extent(self, start: int) -> Extent:
        """Begin an extent, which its worker alone makes longer."""
        extent = Extent(start)
        with self._lock:
            self._extents.append(extent)
        return extent

    def write(self, view: memoryview, position: int) -> None:
        """Write bytes at a position. Called by several threads."""
        with self._writing:
            while view:
                count = self._guard(
                    os.pwrite, self.file, view[: tuning.WRITE_SIZE], position
                )
                view = view[count:]
                position += count

    def save(self, *, close: bool = False) -> None:
        """Write the journal. ``close``: with the fingerprint of the file, to which nothing must be written any more."""
        fingerprint = None
        try:
            if close:
                fingerprint = self._fingerprint()
            self._note.write(self._content(fingerprint))
        except OSError as error:
            # The disk is full: the journal from before says less, and is still right.
            if error.errno not in _NO_ROOM:
                raise DestinationError.of(
                    error, self.journal, self._operation
                ) from None

    def _content(self, fingerprint: t.Optional[list[t.Any]]) -> str:
        """The journal as JSON."""
        with self._lock:
            extents = [
                [extent.start, *extent.known]
                for extent in self._extents
                if extent.known[0]
            ]
        content = {
            "version": VERSION,
            "object": self._info,
            "extents": extents,
            "closed": fingerprint,
        }
        return json.dumps(content)

    def close_journal(self) -> None:
        """Leave the journal as it is, without its spare file."""
        self._guard(self._note.close)

    def _fingerprint(self) -> t.Optional[list[t.Any]]:
        """A value that changes with each write to the file, and each start of the system, after which bytes may be lost."""
        boot = boot_id()
        if not boot:
            return None
        status = os.fstat(self.file)
        # Nobody can set the time of the last change, as that of the last modification.
        return [
            boot,
            status.st_dev,
            status.st_ino,
            status.st_ctime_ns,
            status.st_size,
        ]

    def sync(self) -> None:
        """Bring all bytes to the disk. After a failure it fails for good: the system reports lost bytes only once."""
        with self._syncing:
            if self._unsynced is None:
                try:
                    os.fsync(self.file)
                except OSError as error:
                    self._unsynced = DestinationError.of(
                        error, self.path, self._operation, hint=_UNSYNCED_HINT
                    )
            if self._unsynced:
                raise self._unsynced

    # its end

    def reset(self) -> None:
        """Forget what is there, to begin from the start."""
        with self._lock:
            self._extents = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.journal)

    def delete(self) -> None:
        """Delete file and journal, but only once: later, these names may be those of another run."""
        if self.file < 0:
            return
        with contextlib.suppress(OSError):
            self._note.close()
        for path in (self.journal, self._note.spare, self.path):
            with contextlib.suppress(OSError):
                os.unlink(path)
        self.close()

    def close(self) -> None:
        """Close the file, and leave it for a later run to continue."""
        with contextlib.suppress(OSError):
            self._note.close()
        if self._unsynced and self.file >= 0:
            # After a failed fsync, bytes that can be read now may be lost later: a journal would call them safe.
            self.reset()
        file = self.file
        # First, so that nothing closes it twice: its number may be that of another file by then.
        self.file = -1
        if file >= 0:
            os.close(file)

    def _guard(self, call: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        """Call a function of the system. Raises DestinationError for an OSError."""
        try:
            return call(*arguments)
        except OSError as error:
            raise DestinationError.of(
                error, self.path, self._operation
            ) from None
