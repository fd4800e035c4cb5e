# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What can go wrong with files, in the words of ``_transport.errors``.

``Rejected``            the storage refuses the request; ``new_links``: so many new ones in a row are worth a try
``ObjectChanged``       the object is not, or no longer, the one that the transfer began with
``VerificationFailed``  all bytes came, and they are not those of the object
``DestinationFailed``   the file cannot be written, or put in its place
``DestinationBusy``     something else is writing it
``ArchiveRefused``      an archive that is damaged, or holds what must not be unpacked
``Abandoned``           nobody waits for the result any more
"""

from __future__ import annotations

import errno
import os
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import BackupError, Refusal

#: What is said wherever a download ends before its end.
KEPT = "what was downloaded is kept, and the next run continues with it"


class TransferError(BackupError):
    kind = "transfer"


class Rejected(Refusal):
    kind = "storage"
    answerer = "storage"

    def __init__(
        self, code: str, message: str, *, status: int, request_id: str = "", new_links: int = 0, hint: str = ""
    ) -> None:
        super().__init__(code, message, status=status, request_id=request_id, hint=hint)
        self.new_links = new_links


class ObjectChanged(TransferError):
    kind = "object"


class VerificationFailed(TransferError):
    kind = "verification"


class DestinationFailed(TransferError):
    kind = "destination"

    @classmethod
    def of(cls, error: OSError, path: str, asked: str, *, is_new: bool = False) -> DestinationFailed:
        """In the words of the system, with what to do about the usual ones. ``is_new``: the path was to be created."""
        failed = cls(f"{os.strerror(error.errno) if error.errno else error} ({path})")
        failed.hint = _hint(error.errno, path, is_new)
        failed.asked = asked
        return failed


class DestinationBusy(DestinationFailed):
    pass


class ArchiveRefused(TransferError):
    kind = "archive"


_DOWNLOAD_AGAIN = "Download it again; nothing of it was unpacked"


def damaged(message: str) -> ArchiveRefused:
    return ArchiveRefused(f"it is damaged: {message}", hint=_DOWNLOAD_AGAIN)


def truncated(size: int, what: str) -> ArchiveRefused:
    return ArchiveRefused(
        f"it is truncated: after {size} bytes it ends in the middle of a {what}", hint=_DOWNLOAD_AGAIN
    )


class Abandoned(TransferError):
    kind = "interruption"


def _hint(number: t.Optional[int], path: str, is_new: bool) -> str:
    directory = os.path.dirname(path) or "."
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"Make room in {directory}, and run it again: {KEPT}"
    if number in (errno.EACCES, errno.EPERM) and os.geteuid() == 0:
        return "Not even root may write there: choose another place, or, on a network file system, a user that may"
    if number in (errno.EACCES, errno.EPERM):
        return "Run it as a user that may write there, with become for example"
    if number == errno.EROFS:
        return "Choose a place in a file system that can be written to"
    if number in (errno.EISDIR, errno.EBUSY):
        return "Move it away, or choose another place"
    if number in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
        return "Choose another place"
    if number == errno.ENOENT:
        return _hint_where_nothing_is(directory, is_new)
    return ""


def _hint_where_nothing_is(directory: str, is_new: bool) -> str:
    if not os.path.isdir(directory):
        return f"Create the directory {directory} first"
    if is_new:
        return f"The system lets nobody create anything in {directory}: choose another place"
    return "Something else has moved or deleted it: run it again"
