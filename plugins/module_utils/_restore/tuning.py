# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tuning constants and limits of a restore, with unit and reason. Sizes are in bytes."""

from __future__ import annotations

# The first pass

#: Pieces at the beginning of each file whose fields are all looked at. Later ones only if something is new.
PIECES_LOOKED_AT = 2
#: Records of a piece that are looked at for each notation: columns repeat from record to record.
RECORDS_LOOKED_AT = 200
#: A structure is kept in memory. The largest tables of MySQL, with 4096 columns, need less than 1 MiB.
MAX_STRUCTURE = 16 << 20

# The second pass

#: Data of a table from which on its keys are made after them: an ALTER costs 50 to 100 ms, which small tables do not give back.
DEFER_KEYS_FROM = 16 << 20
#: Pieces that wait for each session, so that it never waits for the reader, and memory stays small.
PIECES_AHEAD = 2
#: Data of small tables that are loaded in one transaction: as much as a piece has.
BATCH_SIZE = 2 << 20
#: Tables of such a transaction. Each has a statement of its own, and a kill repeats all of them.
BATCH_TABLES = 16

#: Samples that are compared by one statement. One of them can be larger.
SAMPLES_SIZE = 1 << 20
#: Data of a table without a primary key up to which samples are compared: each is looked for in all of the table.
MAX_SAMPLED_WITHOUT_KEY = 16 << 20

#: Attempts of a transaction that another one blocks, and the seconds by which the pause between two of them grows.
MAX_ATTEMPTS = 5
RETRY_PAUSE = 0.2
#: A database is renamed when the last session in it has ended, which takes the server a moment after the client has.
RENAME_ATTEMPTS = 25
#: Seconds between two looks at who waits for the result: a fraction of what people notice.
TICK = 0.2

#: Seconds to wait for a lock: longer than a short transaction of others, shorter than people wait.
LOCK_TIMEOUT = 300

# MySQL

#: What MySQL sorts the keys of a table in: with its default of 1 MiB, it writes twice as much to the disk.
DDL_BUFFER_SIZE = 64 << 20
#: Numbers of tables in one statement: far less than the smallest packet that a server may allow.
NUMBERS_AT_A_TIME = 1000
#: Rows that one statement reads by their keys: of very many, servers read the whole table instead.
ROWS_AT_A_TIME = 100

# PostgreSQL

#: What psycopg2 reads at a time for COPY. Its default of 8 KiB costs a call for each.
COPY_CHUNK = 1 << 20
#: Tables that are created in one transaction: each has to be on the disk before the next one begins.
TABLES_AT_A_TIME = 20

# Messages

#: Names that a message lists: people read them.
NAMES_SHOWN = 10
