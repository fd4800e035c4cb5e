# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tuning constants of this room, each with the reason for its value."""

from __future__ import annotations

#: Asked for where the user does not say: the service's maximum is not documented, and it may give less.
DEFAULT_PAGE_SIZE = 100

#: Seconds between two looks for a task whose creation is in doubt.
LOOK_INTERVAL = 2.0

#: Reading again ends here even if the list changes all the time: by then each item has had as many chances to be seen.
MAX_SWEEPS = 6

#: In milliseconds: a task that shows up late may be this much older than the newest one that was seen.
LATE = 3_600_000

#: The EndTime lies a year ahead, in milliseconds: the clock of this host may be wrong, and new tasks must be seen.
AHEAD = 366 * 86_400_000
