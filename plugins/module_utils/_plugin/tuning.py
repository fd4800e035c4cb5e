# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tuning constants of this room, each with the reason for its value."""

from __future__ import annotations

#: Seconds that a job has to end after it was told to: enough for a request that is under way.
GRACE = 10.0

#: Bytes that a note has on the disk from the start, so that it can be written when the disk is full.
RESERVED_BYTES = 16384

#: Seconds after which a job that is not followed ends itself; connecting to a host can take long.
ORPHAN_TIMEOUT = 90.0

#: Seconds between two reports that are no news: often enough for anybody who looks.
REPORT_EVERY = 0.5

#: Seconds between two looks at what cannot be waited for: a file that somebody else touches.
LOOK_EVERY = 0.2

#: Bytes that each file adds to a result: its path, its size, and what it was verified by.
BYTES_PER_FILE = 1024

#: Characters of an identifier. The services make some of 40; longer ones are something else that was pasted.
LONGEST_IDENTIFIER = 200
