# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tuning constants of a transfer, with unit and reason. Times are in seconds, sizes in bytes, rates in bytes per second."""

from __future__ import annotations

MIB = 1 << 20

# Connections

#: Bytes that are worth one more connection. Its set-up takes about four round trips with TLS.
MIN_SHARE = 2 * MIB
#: Rate that each connection has at least, where a limit holds all of them together. More connections would be slow ones.
MIN_RATE = MIB // 16
#: Redirections that one request follows. Storages use one or two; a loop has no end.
MAX_REDIRECTS = 5
#: New links in a row for one that has expired: a slow host may use up a short-lived one.
MAX_NEW_LINKS = 5
#: Longest body of an error that is read, or of a redirection. Those of OSS have less than 2 KiB.
MAX_ERROR_SIZE = MIB // 16

# Segments

#: Part of a connection's share that a segment has: what is left can make up for connections that become slower.
SEGMENT_SHARE = 0.75
#: The same for a connection whose rate is not known: rates may differ by two times and more.
FIRST_SEGMENT_SHARE = 0.5
#: Shortest segment, as each costs a request: about 50 ms, and 400 bytes of headers. Segments end at multiples of it, so that no
#: page of the file is written by two threads.
MIN_SEGMENT = MIB // 16
#: Shortest time for a segment, except the last one. All connections end within about that time.
MIN_SEGMENT_SECONDS = 0.05
#: Longest time for a segment, so that none is bound to a connection that becomes slow. A request costs 0.5 % of it.
MAX_SEGMENT_SECONDS = 10.0
#: Longest segment of a connection whose rate is not known. At 100 MiB/s, a request of 50 ms costs 15 % of it.
MAX_FIRST_SEGMENT = 32 * MIB
#: Shortest one: as much as is under way on such a connection.
MIN_FIRST_SEGMENT = MIB

# Rates

#: Shortest time over which a rate is measured: TCP delivers in bursts.
RATE_SECONDS = 0.2
#: Time without a byte after which a rate counts as falling. Round trips with TLS and one lost packet are shorter.
MAX_IDLE_SECONDS = 1.0
#: Time that has to be saved before a segment is taken from a connection: closing one costs about that much, for the set-up of
#: another and for what is under way.
RECONNECT_SECONDS = 0.5

# Slow connections

#: Age of a connection before it is called slow. The slow start of TCP takes up to two seconds over long distances.
SLOW_SECONDS = 3.0
#: Share of the median rate below which a connection is slow. Connections that share a line differ by two or three times anyway.
SLOW_SHARE = 0.25
#: Rate below which a connection is slow where there are too few for a median. Lines that slow are rare: mostly, one route is.
SLOW_RATE = MIB // 16
#: New connections for one worker. If the fourth is slow as well, the line is; each one costs what is under way.
MAX_RECONNECTS = 3

# Memory and turns

#: Bytes that are received, summed up and written at a time: enough that the calls for it cost little.
BUFFER_SIZE = 2 * MIB
#: Memory of all connections together. Managed hosts can be small.
MAX_BUFFERS = 16 * MIB
#: Smallest buffer where the rate is limited, as each one costs a few system calls.
MIN_BUFFER_SIZE = 256
#: Buffers that a connection fills in a second where the rate is limited, so that bytes come evenly.
BUFFERS_PER_SECOND = 20
#: Longest time for which bytes stay in a buffer, so that slow connections show progress, and lose little when they break.
BUFFER_SECONDS = 0.25
#: Connections that handle data at a time. More would only wait for each other, at Python's lock and that of the file.
TURNS = 2
#: Bytes that one connection may handle before it lets the next one have its turn.
TURN_SIZE = 8 * MIB
#: Bytes in one write. The system takes memory for a file in pieces of what is written, and large ones can be hard to come by.
WRITE_SIZE = MIB // 2

# Supervision

#: Time between two looks at the transfer: short for people, long for a processor.
TICK = 0.1
#: Time after which a worker without a segment, or without a link, looks for one again, if nobody wakes it up.
WORKER_TICK = TICK / 2
#: Time until the first look, after which more connections may be opened: small objects are there by then.
FIRST_TICK = 0.03
#: Time between two journals. An interruption loses no more than what came since.
JOURNAL_SECONDS = 1.0
#: Bytes that are brought to the disk at a time while more come, so that little is left to wait for in the end.
SYNC_SIZE = 32 * MIB
#: Time for workers to end, beyond the one that a connection may take to be opened.
END_SECONDS = 2.0

# Repetitions

#: New starts for an object that changes while it is transferred. One that changes more often never holds still.
MAX_CHANGES = 3
#: Transfers of an object whose checksum is wrong. A second one is no chance, and each costs all bytes.
MAX_VERIFICATIONS = 2

# Journal

#: Smallest size at which an extent ends: a later run reads extents again one by one.
EXTENT_SIZE = 64 * MIB
#: Extents that an object is divided into at most, so that its journal stays small.
MAX_EXTENTS = 1024
#: Extents that stay shorter: each connection begins some.
SHORT_EXTENTS = 64
#: Size of the journal's head and of one extent in it, as JSON, rounded up.
JOURNAL_HEAD_SIZE = 1024
JOURNAL_EXTENT_SIZE = 64
