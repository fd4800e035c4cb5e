# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Errors of archives."""

from __future__ import annotations

from .._base.errors import BackupError
from .._base.text import counted


class InvalidArchiveError(BackupError):
    """An archive that cannot be extracted, or must not be."""

    kind = "archive"


_DAMAGED_HINT = "Download it again. Nothing was extracted"
_UNTRUSTED_HINT = "The backup service does not create such archives: check where it comes from. Nothing was extracted"


def damaged(message: str) -> InvalidArchiveError:
    """The error for bytes that no tool writes."""
    return InvalidArchiveError(
        f"the archive is damaged: {message}", hint=_DAMAGED_HINT
    )


def untrusted(message: str) -> InvalidArchiveError:
    """The error for what is valid, but in no backup: somebody else made the archive, to do harm perhaps."""
    return InvalidArchiveError(message, hint=_UNTRUSTED_HINT)


def truncated(size: int, what: str) -> InvalidArchiveError:
    """The error for an archive of that size that ends too early."""
    return InvalidArchiveError(
        f"the archive is truncated: it ends after {counted(size, 'byte')}, in the middle of a {what}",
        hint=_DAMAGED_HINT,
    )
