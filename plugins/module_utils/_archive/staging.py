# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The directory beside the destination, where an archive is extracted to before it takes the place of the old content."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat

from .._files.errors import DestinationBusyError, DestinationError
from .._files.system import sync_directory
from .formats import printable_name
from .tree import DIRECTORY, Request

#: A link that somebody put there is not followed, and no child process keeps the lock.
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """The directory ``<dest>.part`` beside ``dest``: ``new`` is filled, ``old`` was in ``dest``, ``lock`` keeps other runs out.

    It is beside ``dest``, as only within one file system a rename is a single step. As long as both ``new`` and ``old`` are
    in it, nothing has taken the place of the old, which then goes back.
    """

    def __init__(self, dest: str) -> None:
        self.has_recovered = False
        self._dest = dest
        self._path = dest + ".part"
        self._new = os.path.join(self._path, "new")
        self._old = os.path.join(self._path, "old")
        self._lock_path = os.path.join(self._path, "lock")
        self._root = -1

    def __enter__(self) -> Staging:
        self._lock = self._acquire()
        try:
            self.has_recovered = self._recover()
            self._clear()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(self, *_unused: object) -> None:
        try:
            if self._root >= 0:
                os.close(self._root)
            self._recover()
            self._clear()
            with contextlib.suppress(OSError):
                # With the lock, so that no other run locks a file that is about to lose its name.
                os.unlink(self._lock_path)
                os.rmdir(self._path)
        finally:
            os.close(self._lock)

    def create(self) -> int:
        """Create the new directory. Returns it open."""
        # For nobody else until it is complete.
        os.mkdir(self._new, 0o700)
        self._root = os.open(self._new, DIRECTORY)
        return self._root

    def install(self, request: Request, replaces: bool) -> None:
        """Put the new directory in the place of ``dest``. A run that is killed between both renames is undone by the next one."""
        # Away first: no directory can be renamed onto another that has something in it.
        if replaces:
            os.rename(self._dest, self._old)
        os.rename(self._new, self._dest)
        if request.sync:
            # The name of the new directory. Its content is on the disk already.
            sync_directory(os.path.dirname(self._dest))

    def _acquire(self) -> int:
        """Create and lock the directory. Repeats until what is locked is what has the name."""
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._path, 0o700)
            status = os.lstat(self._path)
            # One of somebody else could be changed below our hands, as in /tmp.
            if (
                not stat.S_ISDIR(status.st_mode)
                or status.st_uid != os.geteuid()
            ):
                raise self._not_ours()
            if set(os.listdir(self._path)) - {"new", "old", "lock"}:
                raise self._not_ours()
            try:
                lock = os.open(self._lock_path, _LOCK_FLAGS, 0o600)
            except FileNotFoundError:
                # Another run has just removed all.
                continue
            try:
                # The system gives it back when a process ends, however that happens.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), os.stat(self._lock_path)):
                    return lock
            except BlockingIOError:
                os.close(lock)
                raise DestinationBusyError(
                    f"another run is extracting into {printable_name(self._dest)}",
                    hint="Wait until it has finished",
                ) from None
            except FileNotFoundError:
                pass
            os.close(lock)

    def _not_ours(self) -> DestinationError:
        """The error for something else where the directory would be."""
        return DestinationError(
            f"the temporary directory {printable_name(self._path)} already exists, and was not created by this module",
            hint="Move it away, or use another dest",
        )

    def _recover(self) -> bool:
        """Put back what was in ``dest`` if nothing took its place. Tells whether it did."""
        # Without a new one, it has taken the place of the old one, which is only left to be removed.
        if not (os.path.lexists(self._old) and os.path.lexists(self._new)):
            return False
        try:
            os.rename(self._old, self._dest)
        except OSError as error:
            dest, old = printable_name(self._dest), printable_name(self._old)
            raise DestinationError(
                f"the old content of {dest} is now in {old}, and cannot be moved back: {error.strerror}",
                hint="Move it back manually",
            ) from None
        return True

    def _clear(self) -> None:
        """Remove both directories. What cannot be removed now is left for the next run."""
        for path in (self._old, self._new):
            shutil.rmtree(path, ignore_errors=True)
