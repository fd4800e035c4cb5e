# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The first pass over one data file: by each reading of its backslashes until one of them is not possible."""

from __future__ import annotations

import copy
import typing as t

from .errors import InvalidBackupError
from .model import DataFormat
from .pieces import Cutter
from .reading import FileScan, Reading, UnreadFile


class FileScanner:
    """Scans a data file while it is read: ``feed`` its bytes, and ``finish``.

    ``has_escapes``: whether backslashes escape; None to try both. Raises InvalidBackupError.
    """

    def __init__(
        self,
        file: UnreadFile,
        piece_size: int,
        has_escapes: t.Optional[bool],
    ) -> None:
        grammar = file.grammar
        if file.format is DataFormat.SQL:
            # The dialect is that of CSV. SQL of an engine is always the same.
            has_escapes = grammar.has_escapes
        # Both are the same until there is an escaped quote.
        first = grammar.has_escapes if has_escapes is None else has_escapes
        self._tries_both = has_escapes is None and grammar.has_escapes
        self._readings = {first: Reading(file, first)}
        self._cutters = {
            first: Cutter(file.format, piece_size, has_escapes=first)
        }
        self._errors: dict[bool, InvalidBackupError] = {}
        self._size = 0
        self._tail = b""

    def feed(self, chunk: t.Union[bytes, memoryview]) -> None:
        data = bytes(chunk)
        self._size += len(data)
        if self._tries_both and len(self._readings) == 1 and not self._errors:
            # An escape can be cut by the end of a chunk.
            if b'\\"' in self._tail + data:
                self._fork()
            self._tail = data[-1:]
        for reading in list(self._readings):
            self._read(reading, lambda cutter: cutter.feed(data))

    def finish(self, number: int) -> dict[bool, FileScan]:
        """Return what was found, by each reading of backslashes by which the file is whole."""
        for reading in list(self._readings):
            self._read(reading, lambda cutter: cutter.finish())
        readings: dict[bool, Reading] = dict(self._readings)
        if self._tries_both and not self._errors:
            # Without an escaped quote, both are the same.
            readings.setdefault(False, self._readings[True])
        valid = frozenset(readings)
        return {
            has_escapes: reading.result(number, self._size, valid)
            for has_escapes, reading in readings.items()
        }

    def _fork(self) -> None:
        """Continue with both readings of backslashes."""
        self._readings[False] = copy.deepcopy(self._readings[True])
        self._readings[False].has_escapes = False
        self._cutters[False] = copy.copy(self._cutters[True])
        self._cutters[False].has_escapes = False

    def _read(
        self, reading: bool, pieces: t.Callable[[Cutter], t.Iterable[bytes]]
    ) -> None:
        try:
            for piece in pieces(self._cutters[reading]):
                self._readings[reading].add(piece)
        except InvalidBackupError as error:
            self._errors[reading] = error
            del self._readings[reading]
            if not self._readings:
                raise self._errors.get(True, error) from None
