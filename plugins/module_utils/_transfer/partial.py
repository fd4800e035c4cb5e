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
import math
import os
import stat
import threading
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.crc64 import combined, crc64_of
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.errors import DestinationBusy, DestinationFailed
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.note import Note
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.object_info import ObjectInfo
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.schedule import Gap
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.system import boot_id, preallocate

VERSION = 1
MIB = 1 << 20

#: An extent ends at so many bytes; there are about so many at the most.
_EXTENT = 64 * MIB
_EXTENTS = 1024
#: Sizes in the journal, in bytes: of its head, and of an extent. Each connection begins some extents that stay short.
_JOURNAL_HEAD = 1024
_JOURNAL_EXTENT = 64
_SHORT_EXTENTS = 64
_BLOCK = 4096

#: Written at a time. The system takes memory for a file in pieces of what is written, and large ones can be hard to come by.
_WRITE = MIB // 2

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Extent:
    """Bytes that are there. ``known``: how many, and their CRC-64, in one, for those who look while it grows."""

    __slots__ = ("known", "start")

    def __init__(self, start: int, length: int = 0, crc: int = 0) -> None:
        self.start = start
        self.known = (length, crc)

    @property
    def stop(self) -> int:
        return self.start + self.known[0]


def left_by_earlier_run(destination: str, info: ObjectInfo) -> int:
    """How many bytes of the object a transfer need not bring, as far as the journal says."""
    try:
        journal = _read_journal(f"{destination}.part.json", info, os.stat(f"{destination}.part").st_size)
    except OSError:
        return 0
    return sum(extent.known[0] for extent in journal[0]) if journal else 0


def _read_journal(path: str, info: ObjectInfo, size: int) -> t.Optional[tuple[list[Extent], t.Any]]:
    """The extents of this object in a file of that size, and the journal's seal; none if it is no journal of it."""
    try:
        with open(os.open(path, os.O_RDONLY | _FLAGS), encoding="ascii") as file:
            if not _is_ours(os.fstat(file.fileno()), path):
                return None
            journal = json.load(file)
        if journal["version"] != VERSION or not ObjectInfo(*journal["object"]).is_of(info):
            return None
        extents = sorted((Extent(*map(int, numbers)) for numbers in journal["extents"]), key=lambda one: one.start)
        seal = journal["closed"]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    reached = 0
    for extent in extents:
        if extent.start < reached or extent.known[0] <= 0 or extent.stop > min(size, info.size):
            return None
        reached = extent.stop
    return extents, seal


def _is_ours(status: os.stat_result, path: str) -> bool:
    """Whether a file can be believed to be what a run like this left.

    One of another user can only where nobody but the directory's owner can have put it: on some file systems, all files are
    of the same user, whoever makes them.
    """
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return False
    directory = os.stat(os.path.dirname(path) or ".")
    return status.st_uid == os.geteuid() or not directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def check_room(destination: str, size: int) -> None:
    """That there is room for so many bytes, as far as can be said without taking it. Raises DestinationFailed."""
    try:
        free = _free(os.path.dirname(destination) or ".")
        missing = _missing_beside(destination, size)
        missing += _missing(size, os.stat(f"{destination}.part")) if os.path.isfile(f"{destination}.part") else size
    except OSError:
        return
    if missing > free:
        raise _full(destination, missing, free)


def check_names(destination: str) -> None:
    """That whatever has the names of what a run writes can be written over, or replaced. Raises DestinationFailed."""
    part = f"{destination}.part"
    for path in (part, f"{part}.json", f"{part}.json~", destination):
        try:
            status = os.lstat(path)
            _check_name(status, os.stat(os.path.dirname(path) or "."), follows_none=path == part)
            if os.geteuid() == 0 and not stat.S_ISLNK(status.st_mode) and not os.access(path, os.W_OK):
                # Root may write to all but what has an attribute such as immutable.
                raise PermissionError(errno.EPERM, "")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DestinationFailed.of(error, path, _asked(destination)) from None


def _check_name(status: os.stat_result, directory: os.stat_result, *, follows_none: bool) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "")
    if follows_none and stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "")
    if status.st_dev != directory.st_dev:
        # A file can be one as well.
        raise OSError(errno.EBUSY, "")
    is_kept = directory.st_mode & stat.S_ISVTX and os.geteuid() not in (0, status.st_uid, directory.st_uid)
    if is_kept:
        raise PermissionError(errno.EPERM, "")


def _extent_size(size: int) -> int:
    return max(_EXTENT, -(-size // _EXTENTS))


def _journal_room(size: int) -> int:
    """Bytes that the journal of such an object takes, in whole blocks: for each extent, and for those that are cut short."""
    extents = _SHORT_EXTENTS + -(-size // _extent_size(size))
    return -(-(_JOURNAL_HEAD + extents * _JOURNAL_EXTENT) // _BLOCK) * _BLOCK


def _missing_beside(destination: str, size: int) -> int:
    """How many bytes the journal and its spare one have yet to take."""
    there = 0
    for path in (f"{destination}.part.json", f"{destination}.part.json~"):
        with contextlib.suppress(FileNotFoundError):
            there += os.lstat(path).st_blocks * 512
    return max(0, 2 * _journal_room(size) - there)


def _missing(size: int, status: os.stat_result) -> int:
    """How many bytes a file has yet to take to have that size."""
    return size - min(size, status.st_blocks * 512)


def _free(place: t.Union[int, str]) -> float:
    """Bytes; without limit where the file system does not say how large it is."""
    system = os.statvfs(place)
    blocks = system.f_bavail if os.geteuid() else system.f_bfree
    return blocks * system.f_frsize if system.f_blocks else math.inf


def _full(destination: str, missing: int, free: float) -> DestinationFailed:
    failed = DestinationFailed.of(OSError(errno.ENOSPC, ""), f"{destination}.part", _asked(destination))
    failed.message += f": it takes {missing} bytes more, and {free:.0f} are free"
    return failed


def _asked(destination: str) -> str:
    return f"write {destination}"


class PartialFile:
    """Locked as long as it is open. Raises DestinationFailed, or DestinationBusy where another has the lock."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self.path = f"{destination}.part"
        self.journal = f"{self.path}.json"
        #: Bytes that have to be free besides.
        self.besides = 0
        self._note = Note(self.journal)
        self._asked = _asked(destination)
        self._extents: list[Extent] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._unsynced: t.Optional[DestinationFailed] = None
        self._info: t.Optional[ObjectInfo] = None
        self.extent_size = _EXTENT
        self.file = self._open()

    def _open(self) -> int:
        while True:
            is_new = False
            try:
                try:
                    file = os.open(self.path, os.O_RDWR | _FLAGS)
                except FileNotFoundError:
                    file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
                    is_new = True
            except FileExistsError:
                continue
            except OSError as error:
                raise DestinationFailed.of(error, self.path, self._asked, is_new=True) from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one who had the lock may have put it in its place, or taken it away.
                status = os.fstat(file)
                if not os.path.samestat(status, os.lstat(self.path)):
                    pass
                elif is_new or _is_ours(status, self.path):
                    if status.st_mode & 0o777 != 0o600:
                        os.fchmod(file, 0o600)
                    return file
                else:
                    os.unlink(self.path)
            except BlockingIOError:
                os.close(file)
                busy = DestinationBusy(
                    "another run is writing it",
                    hint="Wait for that one, or end it. One that Ansible follows no more ends by itself in two minutes",
                )
                busy.asked = self._asked
                raise busy from None
            except FileNotFoundError:
                pass
            except OSError as error:
                os.close(file)
                raise DestinationFailed.of(error, self.path, self._asked) from None
            os.close(file)

    # what is there

    def resume(self, info: ObjectInfo, check: t.Callable[[], t.Any]) -> int:
        """Have it be of this object, and keep what an earlier run left of the same. Returns how many bytes that is."""
        self._info = info
        self.extent_size = _extent_size(info.size)
        self._extents = []
        journal = _read_journal(self.journal, info, os.fstat(self.file).st_size)
        if journal is not None:
            extents, seal = journal
            is_closed = seal is not None and seal == self._seal()
            self._extents = extents if is_closed else [one for one in extents if self._is_there(one, check)]
        else:
            self._guard(os.ftruncate, self.file, 0)
        try:
            self._reserve(info.size)
        except DestinationFailed:
            # What is there already keeps its room, and nothing more is taken.
            self._note.close()
            reached = max((extent.stop for extent in self._extents), default=0)
            if reached:
                self._guard(os.ftruncate, self.file, reached)
            else:
                self.discard()
            raise
        return sum(extent.known[0] for extent in self._extents)

    def _is_there(self, extent: Extent, check: t.Callable[[], t.Any]) -> bool:
        return bool(self._guard(crc64_of, self.file, extent.start, extent.stop, check) == extent.known[1])

    def _reserve(self, size: int) -> None:
        missing = _missing(size, os.fstat(self.file)) + _missing_beside(self.destination, size) + self.besides
        free = _free(self.file)
        if missing > free:
            raise _full(self.destination, missing, free)
        try:
            self._note.begin(self._content(None), _journal_room(size))
            preallocate(self.file, size)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise _full(self.destination, missing, free) from None
            raise DestinationFailed.of(error, error.filename or self.path, self._asked) from None

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
                count = self._guard(os.pwrite, self.file, view[:_WRITE], position)
                view = view[count:]
                position += count

    def save(self, *, close: bool = False) -> None:
        """Write the journal, for the last time for now if it is to be closed; then nothing must be written to the file."""
        try:
            self._note.write(self._content(self._seal() if close else None))
        except OSError as error:
            # What it said before is less, and still right.
            if error.errno not in _NO_ROOM:
                raise DestinationFailed.of(error, self.journal, self._asked) from None

    def _content(self, seal: t.Optional[list[t.Any]]) -> str:
        with self._lock:
            extents = [[extent.start, *extent.known] for extent in self._extents if extent.known[0]]
        return json.dumps({"version": VERSION, "object": self._info, "extents": extents, "closed": seal})

    def close_journal(self) -> None:
        """Leave it as it is; nothing is kept for it any more."""
        self._guard(self._note.close)

    def _seal(self) -> t.Optional[list[t.Any]]:
        """Differs after each write to the file, and each start of the system, after which not all may be on the disk."""
        boot, status = boot_id(), os.fstat(self.file)
        return [boot, status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size] if boot else None

    def sync(self) -> None:
        """Bring to the disk what was written. Once that fails it fails for good, as the system says it only once."""
        with self._syncing:
            try:
                if self._unsynced is None:
                    self._guard(os.fsync, self.file)
            except DestinationFailed as error:
                error.hint = "See to the disk, and run it again: all comes anew, as nobody can tell what is on the disk"
                self._unsynced = error
            if self._unsynced:
                raise self._unsynced

    # its end

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._extents = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.journal)

    def discard(self) -> None:
        """Take it away, if that was not done already: thereafter, what has these names is of another run."""
        if self.file < 0:
            return
        with contextlib.suppress(OSError):
            self._note.close()
        for path in (self.journal, self._note.spare, self.path):
            with contextlib.suppress(OSError):
                os.unlink(path)
        self.release()

    def release(self) -> None:
        """Leave it as it is, for a later run to go on with."""
        with contextlib.suppress(OSError):
            self._note.close()
        if self._unsynced and self.file >= 0:
            # What can be read of it need not be on the disk.
            self.forget()
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)

    def _guard(self, call: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        try:
            return call(*arguments)
        except OSError as error:
            raise DestinationFailed.of(error, self.path, self._asked) from None
