# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Why an object cannot be downloaded."""

from __future__ import annotations

from .._base.errors import BackupError, ConnectionFailedError, InvalidResponseError, RefusedError, describe_refusal


class StorageRejectedError(RefusedError):
    kind = "storage"
    responder = "storage"

    def __init__(
        self, code: str, message: str, *, status: int, request_id: str = "", new_links: int = 0, hint: str = ""
    ) -> None:
        super().__init__(code, message, status=status, request_id=request_id, hint=hint)
        self.new_links = new_links


class ObjectChangedError(BackupError):
    kind = "object"


class VerificationError(BackupError):
    kind = "verification"


class WrongPartError(InvalidResponseError):
    """Of the object, but not the part that was asked for, or not to be known as one of it."""


class StorageUnavailableError(InvalidResponseError):
    """The storage cannot answer at the moment. ``retry_after``: seconds that it asks to wait."""

    kind = "storage"

    def __init__(self, code: str, message: str, *, status: int, request_id: str, retry_after: float) -> None:
        said = describe_refusal("storage", code, message)
        super().__init__(f"{said} (HTTP {status})", status=status, request_id=request_id)
        self.retry_after = retry_after


def is_permanent(error: BackupError) -> bool:
    """Whether it makes no sense to try again."""
    if isinstance(error, ConnectionFailedError):
        return error.permanent
    if isinstance(error, StorageUnavailableError):
        return False
    return not isinstance(error, InvalidResponseError)


class UnrangedDownloadInterruptedError(Exception):
    """A server that gives no ranges stopped half-way: all has to come again."""

    def __init__(self, reason: BackupError) -> None:
        super().__init__(str(reason))
        self.reason = reason
