# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The file beside the destination that a transfer writes to, and what is known of it.

``<destination>.part`` has its full size from the beginning, and each byte at its place. ``<destination>.part.json``, its
journal, says of which object it is, and which extents of it are there, each with its CRC-64, so that a later run believes
nothing that it has not read again, unless nobody wrote to the file since the journal was closed. The room of both is taken before
the first byte comes, that of the journal twice, as it is replaced as a whole.
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
from .journal import OPEN_FLAGS, VERSION, Extent, is_trusted, read_journal
from .object_info import ObjectInfo
from .room import (
    extent_size,
    free_bytes,
    full_error,
    journal_room,
    missing_bytes,
    missing_journal_bytes,
    write_operation,
)
from .segments import Gap

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class PartialFile:
    """Locked as long as it is open. Raises DestinationError, or DestinationBusyError where another has the lock."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self.path = f"{destination}.part"
        self.journal = f"{self.path}.json"
        #: Bytes that have to be free besides.
        self.besides = 0
        self._note = Note(self.journal)
        self._operation = write_operation(destination)
        self._extents: list[Extent] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._unsynced: t.Optional[DestinationError] = None
        self._info: t.Optional[ObjectInfo] = None
        self.extent_size = tuning.EXTENT_SIZE
        self.file = self._open()

    def _open(self) -> int:
        while True:
            is_new = False
            try:
                try:
                    file = os.open(self.path, os.O_RDWR | OPEN_FLAGS)
                except FileNotFoundError:
                    file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | OPEN_FLAGS, 0o600)
                    is_new = True
            except FileExistsError:
                continue
            except OSError as error:
                raise DestinationError.of(error, self.path, self._operation, is_new=True) from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one who had the lock may have put it in its place, or taken it away.
                status = os.fstat(file)
                if not os.path.samestat(status, os.lstat(self.path)):
                    pass
                elif is_new or is_trusted(status, self.path):
                    if status.st_mode & 0o777 != 0o600:
                        os.fchmod(file, 0o600)
                    return file
                else:
                    os.unlink(self.path)
            except BlockingIOError:
                os.close(file)
                busy = DestinationBusyError(
                    "another run is writing it",
                    hint="Wait for that one, or end it. One that Ansible follows no more ends by itself in two minutes",
                )
                busy.operation = self._operation
                raise busy from None
            except FileNotFoundError:
                pass
            except OSError as error:
                os.close(file)
                raise DestinationError.of(error, self.path, self._operation) from None
            os.close(file)

    # what is there

    def resume(self, info: ObjectInfo, check: t.Callable[[], t.Any]) -> int:
        """Have it be of this object, and keep what an earlier run left of the same. Returns how many bytes that is."""
        self._info = info
        self.extent_size = extent_size(info.size)
        self._extents = []
        journal = read_journal(self.journal, info, os.fstat(self.file).st_size)
        if journal is not None:
            extents, fingerprint = journal
            is_closed = fingerprint is not None and fingerprint == self._fingerprint()
            self._extents = extents if is_closed else [one for one in extents if self._is_there(one, check)]
        else:
            self._guard(os.ftruncate, self.file, 0)
        try:
            self._reserve(info.size)
        except DestinationError:
            # What is there already keeps its room, and nothing more is taken.
            self._note.close()
            reached = max((extent.stop for extent in self._extents), default=0)
            if reached:
                self._guard(os.ftruncate, self.file, reached)
            else:
                self.delete()
            raise
        return sum(extent.known[0] for extent in self._extents)

    def _is_there(self, extent: Extent, check: t.Callable[[], t.Any]) -> bool:
        return bool(self._guard(crc64_of, self.file, extent.start, extent.stop, check) == extent.known[1])

    def _reserve(self, size: int) -> None:
        missing = (
            missing_bytes(size, os.fstat(self.file)) + missing_journal_bytes(self.destination, size) + self.besides
        )
        free = free_bytes(self.file)
        if missing > free:
            raise full_error(self.destination, missing, free)
        try:
            self._note.begin(self._content(None), journal_room(size))
            preallocate(self.file, size)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise full_error(self.destination, missing, free) from None
            raise DestinationError.of(error, error.filename or self.path, self._operation) from None

    def gaps(self) -> list[Gap]:
        """What is not there."""
        found, reached = [], 0
        for extent in sorted(self._extents, key=lambda extent: extent.start):
            if extent.start > reached:
                found.append((reached, extent.start))
            reached = extent.stop
        size = t.cast(ObjectInfo, self._info).size
        return [*found, (reached, size)] if reached < size else found

    def crc64(self) -> int:
        """Of all, once there are no gaps."""
        value = 0
        for extent in sorted(self._extents, key=lambda extent: extent.start):
            value = combined(value, extent.known[1], extent.known[0])
        return value

    # what comes

    def new_extent(self, start: int) -> Extent:
        extent = Extent(start)
        with self._lock:
            self._extents.append(extent)
        return extent

    def write(self, view: memoryview, position: int) -> None:
        with self._writing:
            while view:
                count = self._guard(os.pwrite, self.file, view[: tuning.WRITE_SIZE], position)
                view = view[count:]
                position += count

    def save(self, *, close: bool = False) -> None:
        """Write the journal, for the last time for now if it is to be closed; then nothing must be written to the file."""
        try:
            self._note.write(self._content(self._fingerprint() if close else None))
        except OSError as error:
            # What it said before is less, and still right.
            if error.errno not in _NO_ROOM:
                raise DestinationError.of(error, self.journal, self._operation) from None

    def _content(self, fingerprint: t.Optional[list[t.Any]]) -> str:
        with self._lock:
            extents = [[extent.start, *extent.known] for extent in self._extents if extent.known[0]]
        return json.dumps({"version": VERSION, "object": self._info, "extents": extents, "closed": fingerprint})

    def close_journal(self) -> None:
        """Leave it as it is; nothing is kept for it any more."""
        self._guard(self._note.close)

    def _fingerprint(self) -> t.Optional[list[t.Any]]:
        """Differs after each write to the file, and each start of the system, after which not all may be on the disk."""
        boot, status = boot_id(), os.fstat(self.file)
        return [boot, status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size] if boot else None

    def sync(self) -> None:
        """Bring to the disk what was written. Once that fails it fails for good, as the system says it only once."""
        with self._syncing:
            try:
                if self._unsynced is None:
                    self._guard(os.fsync, self.file)
            except DestinationError as error:
                error.hint = "See to the disk, and run it again: all comes anew, as nobody can tell what is on the disk"
                self._unsynced = error
            if self._unsynced:
                raise self._unsynced

    # its end

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._extents = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.journal)

    def delete(self) -> None:
        """Take it away, if that was not done already: thereafter, what has these names is of another run."""
        if self.file < 0:
            return
        with contextlib.suppress(OSError):
            self._note.close()
        for path in (self.journal, self._note.spare, self.path):
            with contextlib.suppress(OSError):
                os.unlink(path)
        self.close()

    def close(self) -> None:
        """Leave it as it is, for a later run to go on with."""
        with contextlib.suppress(OSError):
            self._note.close()
        if self._unsynced and self.file >= 0:
            # What can be read of it need not be on the disk.
            self.reset()
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)

    def _guard(self, call: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        try:
            return call(*arguments)
        except OSError as error:
            raise DestinationError.of(error, self.path, self._operation) from None
