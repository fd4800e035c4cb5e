# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Errors of files and directories."""

from __future__ import annotations

import errno
import os
import typing as t

from .._base.errors import BackupError

#: Part of each hint after a download that was interrupted.
KEPT = "the downloaded part is kept, and the next run continues from it"


class DestinationError(BackupError):
    """A destination that cannot be written."""

    kind = "destination"

    @classmethod
    def of(
        cls,
        error: OSError,
        path: str,
        operation: str,
        *,
        is_new: bool = False,
        hint: t.Optional[str] = None,
        details: str = "",
    ) -> DestinationError:
        """Make the error for one of the system, with a hint for the usual ones.

        ``is_new``: the path was to be created. ``hint``: in place of the usual one. ``details``: the end of the message.
        """
        message = str(error)
        if error.errno:
            # Not its own text, which quotes the path in another way, or not at all.
            message = os.strerror(error.errno)
        if hint is None:
            hint = _hint(error.errno, path, is_new)
        return cls(
            f"{message} ({path}){details}", hint=hint, operation=operation
        )


class DestinationBusyError(DestinationError):
    """A destination that another run is writing."""


class AbandonedError(BackupError):
    """A run that nobody waits for any more."""

    kind = "interruption"


def _hint(number: t.Optional[int], path: str, is_new: bool) -> str:
    directory = os.path.dirname(path) or "."
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"Free some space in {directory} and run it again: {KEPT}"
    # Root fails at attributes such as immutable, and at network file systems that do not trust it.
    if number in (errno.EACCES, errno.EPERM) and os.geteuid() == 0:
        return "Root cannot write there: use another directory or, on a network file system, a user who can"
    if number in (errno.EACCES, errno.EPERM):
        return "Run it as a user who can write there, for example with become"
    if number == errno.EROFS:
        return "Use a directory on a writable file system"
    if number in (errno.EISDIR, errno.EBUSY):
        return "Move it away, or use another path"
    if number in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
        return "Use another path"
    # Says the system also of a new file in a directory below /proc and the like, which exists.
    if number == errno.ENOENT:
        return _hint_where_nothing_is(directory, is_new)
    return ""


def _hint_where_nothing_is(directory: str, is_new: bool) -> str:
    if not os.path.isdir(directory):
        return f"Create the directory {directory} first"
    if is_new:
        return f"Nobody can create files in {directory}: use another directory"
    return "Another process has moved or deleted it: run it again"
