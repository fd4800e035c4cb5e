# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tuning constants for files, with unit and reason. Sizes are in bytes."""

from __future__ import annotations

# Checksums

#: Size of one read. It fits into the cache of a processor, so that the checksum does not wait for the memory.
READ_SIZE = 1 << 18
#: Bytes between two checks whether to go on: less than a tenth of a second.
CHECK_EVERY = 1 << 26
#: Smallest part for a thread. Its start and the combination of two checksums cost less than a hundredth of it.
MIN_SHARE = 1 << 26
#: Threads for one file. More would compete for the disk.
MAX_THREADS = 8

# Names

#: Length of a file name. File systems take 255, and ``.part.json~`` or the like is added while the file is written.
MAX_NAME = 240
