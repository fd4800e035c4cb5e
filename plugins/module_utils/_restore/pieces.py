# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Cuts a data file into pieces, at the ends of records or statements."""

from __future__ import annotations

import typing as t

from .model import DataFormat
from .records import end_of_records
from .statements import end_of_statements


class Cutter:
    """Cuts a file into pieces of whole records, or of whole statements."""

    def __init__(
        self, format: DataFormat, piece_size: int, *, has_escapes: bool = True
    ) -> None:
        self.has_escapes = has_escapes
        self._size = piece_size
        self._is_sql = format is DataFormat.SQL
        self._pending = b""
        #: Bytes of the pending ones from which on it is worth looking for an end.
        self._enough = piece_size

    def feed(self, data: bytes) -> t.Iterator[bytes]:
        # A piece ends at a place that depends on the content alone, not on how it is read.
        position = 0
        while position < len(data):
            # What is left of a large piece can be more than enough for the next one.
            missing = max(0, self._enough - len(self._pending))
            more = data[position : position + missing]
            position += len(more)
            self._pending += more
            if len(self._pending) < self._enough:
                return
            end = self._end()
            if end:
                yield self._pending[:end]
                self._pending = self._pending[end:]
                self._enough = self._size
            else:
                # Of a record that is larger than a piece, twice as much is tried each time.
                self._enough *= 2

    def finish(self) -> t.Iterator[bytes]:
        if self._pending:
            yield self._pending
        self._pending = b""

    def _end(self) -> int:
        if self._is_sql:
            return end_of_statements(self._pending, self.has_escapes)
        return end_of_records(self._pending, self.has_escapes)
