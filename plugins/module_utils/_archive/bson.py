# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Documents of a BSON file, told apart by their lengths."""

from __future__ import annotations

import struct
import typing as t

#: Length of a document, in its first bytes.
_LENGTH = struct.Struct("<I")
#: A document without fields: its length, and the zero that ends each one.
_MIN_LENGTH = 5
#: Limit of MongoDB for a document. mongorestore refuses larger ones.
_MAX_LENGTH = 16 << 20


class DocumentWalk:
    """A walk over the documents of a file, from one length to the next. ``start`` is the offset of the last one."""

    def __init__(self) -> None:
        self.start = 0
        self._fed = 0
        self._is_damaged = False
        # Bytes of a length that is not complete, or else bytes of the document that are still to come.
        self._head = b""
        self._left = 0

    @property
    def has_ended(self) -> bool:
        """Tell whether all bytes so far are whole documents."""
        return not (self._is_damaged or self._head or self._left)

    @property
    def damage(self) -> t.Optional[str]:
        """What is wrong, as the end of a sentence."""
        if self._is_damaged:
            return f"there is no valid document at offset {self.start}"
        if self.has_ended:
            return None
        return f"it ends in the middle of the document at offset {self.start}"

    def feed(self, data: memoryview) -> None:
        """Walk over the next bytes of the file."""
        if self._is_damaged:
            return
        at, size, left = 0, len(data), self._left
        if self._head:
            at = min(_LENGTH.size - len(self._head), size)
            self._head += data[:at]
            if len(self._head) < _LENGTH.size:
                self._fed += size
                return
            left = self._checked(_LENGTH.unpack(self._head)[0]) - _LENGTH.size
            self._head = b""
        unpack, last = _LENGTH.unpack_from, size - _LENGTH.size
        while not self._is_damaged:
            end = at + left
            if end > size:
                self._left = end - size
                break
            if left and data[end - 1]:
                self._is_damaged = True
                break
            self.start = self._fed + end
            if end > last:
                self._head, self._left = bytes(data[end:]), 0
                break
            at, left = end, self._checked(unpack(data, end)[0])
        self._fed += size

    def _checked(self, length: int) -> int:
        """Return a length that a document can have."""
        self._is_damaged = not _MIN_LENGTH <= length <= _MAX_LENGTH
        return length
