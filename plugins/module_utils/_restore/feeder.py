# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Cuts the files of a source into pieces in the second pass, and hands over those that are not loaded yet."""

from __future__ import annotations

import typing as t

from . import tuning
from .errors import VerificationError
from .loader import Loader
from .model import DataFile, DataFormat, Piece, PieceKey, Plan, RestoreRecord
from .pieces import Cutter
from .records import first_record


class Feeder:
    """Cuts files: ``take`` each, then ``flush``.

    Pieces end where they ended in the first pass and in earlier runs, as their size is the same. So their numbers tell
    which of them are loaded.
    """

    def __init__(
        self,
        plan: Plan,
        record: RestoreRecord,
        loader: Loader,
        sql_has_escapes: bool,
        tick: t.Callable[[], t.Any],
    ) -> None:
        self._plan = plan
        self._sql_has_escapes = sql_has_escapes
        self._known = record.pieces
        self._loader = loader
        self._tick = tick
        self._files = {
            file.member: (table, file)
            for table in plan.tables
            for file in table.source.files
        }
        self._batch: list[Piece] = []

    def take(
        self,
        member: str,
        is_data: bool,
        content: t.Iterator[t.Union[bytes, memoryview]],
    ) -> None:
        found = self._files.get(member) if is_data else None
        if not found:
            return
        table, file = found
        number = record = 0
        for data in self._cut(file, content):
            if number == file.pieces:
                raise _changed(member)
            # As the first pass has counted them. The server counts what it loads, too.
            records = file.piece_records[number]
            key = PieceKey(table.number, file.number, number)
            if key not in self._known:
                body = self._body(file, number, data)
                self._add(Piece(key, table, file, record + 1, records, body))
            number += 1
            record += records
        if number != file.pieces:
            raise _changed(member)

    def flush(self) -> None:
        """Hand over the pieces that were kept back."""
        if self._batch:
            self._loader.add(self._batch, self._tick)
            self._batch = []

    def _cut(
        self, file: DataFile, content: t.Iterator[t.Union[bytes, memoryview]]
    ) -> t.Iterator[bytes]:
        cutter = Cutter(
            file.format,
            self._plan.piece_size,
            has_escapes=self._has_escapes(file),
        )
        for chunk in content:
            yield from cutter.feed(bytes(chunk))
        yield from cutter.finish()

    def _has_escapes(self, file: DataFile) -> bool:
        is_sql = file.format is DataFormat.SQL
        return (
            self._sql_has_escapes if is_sql else self._plan.dialect.has_escapes
        )

    def _body(self, file: DataFile, number: int, data: bytes) -> bytes:
        """Return a piece without a header."""
        if file.format is DataFormat.CSV_WITH_HEADER and number == 0:
            return data[len(first_record(data, self._has_escapes(file))) :]
        return data

    def _add(self, piece: Piece) -> None:
        """Keep pieces of small tables until there are enough for a transaction."""
        if piece.table.source.size >= tuning.BATCH_SIZE:
            self._loader.add([piece], self._tick)
            return
        self._batch.append(piece)
        size = sum(len(one.data) for one in self._batch)
        if size >= tuning.BATCH_SIZE or len(self._batch) >= tuning.BATCH_TABLES:
            self.flush()


def _changed(member: str) -> VerificationError:
    return VerificationError(
        f"{member} has other records than in the first pass"
    )
