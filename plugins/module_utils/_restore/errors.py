# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Errors of a restore."""

from __future__ import annotations

import typing as t

from .._base.errors import BackupError
from .._base.text import printable, quoted


class InvalidBackupError(BackupError):
    """A source that cannot be restored, or not without a decision of the user."""

    kind = "backup"


class DatabaseError(BackupError):
    """A refusal by the database server. ``code``: its own, such as ``1062`` or ``23505``.

    The message must hold no values of rows: see ``show_data``. ``is_transient``: the transaction
    may succeed if it is repeated as a whole, as after a deadlock.
    """

    kind = "database"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str = "",
        operation: str = "",
        is_transient: bool = False,
    ) -> None:
        super().__init__(quoted(message), hint=hint, operation=operation)
        self.code = code
        self.is_transient = is_transient

    def _said(self) -> str:
        return f"the database server answered {self.code}: {self.message}"

    def to_dict(self) -> dict[str, t.Any]:
        return dict(super().to_dict(), code=self.code, message=self.message)


class DatabaseConnectionError(BackupError):
    """A connection to the database server that cannot be made, or broke."""

    kind = "database_connection"


class VerificationError(BackupError):
    """Loaded data that is not what the source has."""

    kind = "verification"


class RestoreConflictError(BackupError):
    """Tables that exist, or another run: a restore would touch what it did not create."""

    kind = "conflict"


def other_run(database: str, holder: str) -> RestoreConflictError:
    """Return the error of a run that finds another one at work. ``holder``: what the server has for it, if known."""
    by = f", by {holder} of the server" if holder else ""
    return RestoreConflictError(
        f"another run restores into the database {printable(database)}{by}",
        hint="Wait until it has finished: one that was interrupted ends by itself within two minutes",
    )
