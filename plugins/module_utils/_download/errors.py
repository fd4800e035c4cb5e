# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Errors of a download."""

from __future__ import annotations

from .._base.errors import (
    BackupError,
    ConnectionFailedError,
    InvalidResponseError,
    RefusedError,
    describe_refusal,
)


class StorageRejectedError(RefusedError):
    """A request that the storage rejects. ``new_links``: number of new links in a row that are worth a try."""

    kind = "storage"
    responder = "storage"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int,
        request_id: str = "",
        new_links: int = 0,
        hint: str = "",
    ) -> None:
        super().__init__(
            code, message, status=status, request_id=request_id, hint=hint
        )
        self.new_links = new_links

    def with_hint(self, hint: str) -> StorageRejectedError:
        """Make the same error with another hint."""
        return StorageRejectedError(
            self.code,
            self.message,
            status=self.status,
            request_id=self.request_id,
            new_links=self.new_links,
            hint=hint,
        )


class ObjectChangedError(BackupError):
    """Another object in place of the one that the transfer began with."""

    kind = "object"


class VerificationError(BackupError):
    """Bytes that are not those of the storage, by their checksum or their number."""

    kind = "verification"


class WrongPartError(InvalidResponseError):
    """A part of an object, but not the requested one, or perhaps not of this object."""


class StorageUnavailableError(InvalidResponseError):
    """A temporary failure of the storage. ``retry_after``: seconds that it asks to wait."""

    kind = "storage"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int,
        request_id: str,
        retry_after: float,
    ) -> None:
        said = describe_refusal("storage", code, message)
        super().__init__(
            f"{said} (HTTP {status})", status=status, request_id=request_id
        )
        self.retry_after = retry_after


def is_permanent(error: BackupError) -> bool:
    """Tell whether another try makes no sense."""
    if isinstance(error, ConnectionFailedError):
        return error.permanent
    if isinstance(error, StorageUnavailableError):
        return False
    return not isinstance(error, InvalidResponseError)


class UnrangedDownloadInterruptedError(Exception):
    """An interruption by a server that gives no ranges, so that the object has to be downloaded from the start."""

    def __init__(self, reason: BackupError) -> None:
        super().__init__(str(reason))
        self.reason = reason
