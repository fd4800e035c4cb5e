# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tuning constants and limits of an extraction, with unit and reason. Sizes are in bytes."""

from __future__ import annotations

# Reading

#: Size of one read: few calls, and the data is still in the processor's cache for its checksum.
READ_SIZE = 256 << 10
#: Size of one decompressed chunk, so that a few compressed bytes cannot fill the memory.
CHUNK_SIZE = 1 << 20
#: Chunks that may wait for the writer: enough that decompression and writing overlap, and 8 MiB of memory.
CHUNKS_AHEAD = 8
#: Size of one piece that is copied between files: few calls, and little memory.
COPY_SIZE = 1 << 20
#: Entries of a directory that are counted between two reports: a few milliseconds.
ENTRIES_PER_TICK = 1000

# Memory

#: Window of Zstandard that is used however little memory there is. It is the default limit of zstd.
USUAL_WINDOW = 128 << 20
#: Share of the available memory for a larger window, so that the host keeps the rest.
MEMORY_SHARE = 0.5
#: Largest window of decoders: ZSTD_WINDOWLOG_MAX of zstd.
MAX_WINDOW = 1 << 31
#: Size of an extended header, which is kept in memory. The longest names and attributes of Linux need about 130 KiB.
MAX_EXTENDED_HEADER = 1 << 20
#: Size of the metadata of a MongoDB collection, which are kept in memory. A document of MongoDB, as a view is, has 16 MiB at most.
MAX_METADATA = 16 << 20
#: Bytes of a marker that are read. Ours have less than 1 KiB and a path.
MAX_MARKER = 1 << 16

# Names

#: Length of a path without its final zero: PATH_MAX of Linux.
MAX_PATH = 4095
#: Length of one name in it: NAME_MAX of Linux.
MAX_NAME = 255
#: Directories above an entry. Each level of a count keeps one open, and exports have four.
MAX_DEPTH = 100
#: Links on one path, as many as Linux follows. A loop has no end.
MAX_LINKS = 40

# Messages and results

#: Length of a name in a message, in characters.
MAX_SHOWN = 200
#: Names at the top of ``dest`` in a result: people read them.
MAX_ROOTS = 100
