# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tuning constants of this room, each with the reason for its value."""

from __future__ import annotations

#: Seconds after the deadline in which the last request may end.
DEADLINE_GRACE = 5.0

#: Nonces that were used already are a matter of a repetition or two.
MAX_NONCES = 3

#: A page of tasks has some hundred kilobytes; a body larger than this would fill the memory of a small host.
MAX_BYTES = 64 * 1024 * 1024

#: Bytes that are read at a time, so that the limit is noticed soon after it is passed.
READ_SIZE = 65536
