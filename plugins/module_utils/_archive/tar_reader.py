# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Entries of an archive.

An archive is one or several joined tars, in one or several joined compressed streams. All are read to the end, which the
usual tools do not do by themselves. Whatever cannot be right is an error that names the place.

    Source          the bytes of the archive, read once, with their CRC-64
    _gunzip, unzstd decompression into chunks of limited size
    Stream          the chunks as a stream, made by a thread of its own
    TarReader       the entries of the tars in it

Sizes are in bytes. Memory grows neither with the size nor with the number of entries.
"""

from __future__ import annotations

import enum
import os
import re
import tarfile
import typing as t

from . import tuning
from .decompression import Stream
from .errors import InvalidArchiveError, damaged, untrusted
from .formats import ENCODING, describe_content, printable_name
from .source import BLOCK

_ZEROS = bytes(BLOCK)


class Kind(enum.Enum):
    """Kinds of entries that are extracted."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    HARD_LINK = "hard link"


class Entry(t.NamedTuple):
    """An entry. ``target``: of a link. ``offset``: of its header in the decompressed bytes."""

    name: str
    kind: Kind
    size: int
    target: str
    offset: int

    @property
    def printable(self) -> str:
        """Its name in a message."""
        return printable_name(self.name)


# CONTTYPE is a file in one piece, which no system of today has: tar extracts it as a file.
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.LINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
}
#: Headers of GNU tar that hold one long name, by the keyword that pax has for it.
_LONG_NAMES = {
    tarfile.GNUTYPE_LONGNAME: "path",
    tarfile.GNUTYPE_LONGLINK: "linkpath",
}
#: Headers that tell something of the entries after them.
_EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
    *_LONG_NAMES,
}
#: Keyword for all that describe a file with holes.
_SPARSE = "GNU.sparse"
#: The keyword can hold the name of an extended attribute, of up to 255 bytes, encoded.
_PAX_RECORD = re.compile(rb"(\d{1,7}) ([^=]{1,4096})=")
# Nothing of this is in an export, and a device or a pipe would be dangerous.
_REFUSED = {
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class TarReader:
    """Reader for all tars of a stream.

    Only the headers of ``tarfile`` are used: ``TarFile`` takes a damaged header for the end, or skips it.
    """

    def __init__(self, stream: Stream) -> None:
        self.archives = 0
        self._stream = stream

    def __iter__(self) -> t.Iterator[Entry]:
        """Yield each entry. Content that is not read before the next one is skipped."""
        common: dict[str, str] = {}
        own: dict[str, str] = {}
        for header, offset in self._headers():
            if header is None:
                # Global settings hold for one tar, and not for the next.
                common = {}
            elif header.type == tarfile.XGLTYPE:
                common.update(self._settings(header, offset))
            elif header.type in _EXTENDED:
                own.update(self._settings(header, offset))
            else:
                # An empty value takes back the global one.
                settings = {**common, **own}
                own = {}
                entry = _entry_of(header, settings, offset)
                # By the offset, as the caller may have read none, some or all of the content.
                stop = self._stream.offset + entry.size
                yield entry
                self._skip(stop - self._stream.offset, entry)
                self._skip(-entry.size % BLOCK, entry)

    def _headers(self) -> t.Iterator[tuple[t.Optional[tarfile.TarInfo], int]]:
        """Yield each header, also those that extend others, with its offset; None before the first one of each tar."""
        is_extended = False
        has_ended = True
        while True:
            offset = self._stream.offset
            block = self._stream.read_block()
            # The end of the stream; some tools leave less than a block of zeros there.
            if len(block) < BLOCK and not block.strip(b"\0"):
                self._check_end(offset, has_ended)
                return
            # A tar ends with two blocks of zeros, and often more; some tools write one. Another tar may follow.
            if block == _ZEROS:
                if is_extended:
                    raise damaged(
                        f"tar {self.archives} ends at offset {offset}, right after an extended header"
                    )
                has_ended = True
                continue
            header = self._header(block, offset)
            if has_ended:
                has_ended = False
                self.archives += 1
                yield None, offset
            # The base-256 notation of GNU can be negative, which would lead backwards.
            if header.size < 0:
                raise damaged(
                    f"the header at offset {offset} has a negative size"
                )
            is_extended = header.type in _EXTENDED
            yield header, offset

    def _check_end(self, offset: int, has_ended: bool) -> None:
        """Refuse a stream that stops before the end of a tar, or holds no tar."""
        if not has_ended:
            raise damaged(
                f"tar {self.archives} ends after {offset} decompressed bytes, without an end marker"
            )
        if not self.archives:
            raise InvalidArchiveError(
                "the archive holds no files",
                hint="Check that src is the archive of a download task",
            )

    def _header(self, block: bytes, offset: int) -> tarfile.TarInfo:
        """Parse a header. Raises InvalidArchiveError."""
        try:
            return tarfile.TarInfo.frombuf(block, ENCODING, "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise self._no_header(block, offset, error) from None

    def _settings(self, header: tarfile.TarInfo, offset: int) -> dict[str, str]:
        """Read what an extended header sets for the next entry, or for all entries that follow."""
        data = self._read_extended(header)
        if header.type in _LONG_NAMES:
            return {
                _LONG_NAMES[header.type]: os.fsdecode(data.partition(b"\0")[0])
            }
        return _pax_records(data, offset)

    def _no_header(
        self, block: bytes, offset: int, error: Exception
    ) -> InvalidArchiveError:
        """The error for a block that is no header. The first one is described by what it may be instead."""
        if self.archives:
            return damaged(
                f"there is no valid tar header at offset {offset} of the decompressed data: {error}"
            )
        what, hint = describe_content(block)
        return InvalidArchiveError(
            f"the archive holds no tar: its decompressed content {what}",
            hint=hint,
        )

    def _read_extended(self, header: tarfile.TarInfo) -> bytes:
        """Read the content of an extended header."""
        limit = tuning.MAX_EXTENDED_HEADER
        if header.size > limit:
            raise untrusted(
                f"the archive has an extended header of {header.size} bytes; at most {limit} are allowed"
            )
        data = b"".join(self._stream.read_pieces(header.size))
        # After a short content, there is no padding either.
        padding = -header.size % BLOCK
        if len(data) < header.size or self._stream.skip(padding) < padding:
            raise damaged(
                f"the decompressed data ends at offset {self._stream.offset}, in the middle of an extended header"
            )
        return data

    def _skip(self, count: int, entry: Entry) -> None:
        """Skip bytes of the entry's content, or of the zeros after it."""
        # Mostly there is nothing to skip, as the caller has read all of the content.
        if count and self._stream.skip(count) < count:
            raise cut_off(entry, self._stream.offset)


def cut_off(entry: Entry, offset: int) -> InvalidArchiveError:
    """The error for content that ends too early."""
    return damaged(
        f"the decompressed data ends at offset {offset}, in the middle of {entry.printable}"
    )


def _pax_records(data: bytes, offset: int) -> dict[str, str]:
    """Records of a pax header that matter here."""
    records = {}
    at = 0
    while at < len(data):
        # A record is "length keyword=value\n", and its length includes all of that.
        match = _PAX_RECORD.match(data, at)
        if not match:
            raise _unreadable(offset)
        start = match.end()
        at += int(match[1])
        if not start < at <= len(data) or data[at - 1 : at] != b"\n":
            raise _unreadable(offset)
        keyword = os.fsdecode(match[2])
        # There are several of these, and one is enough to know.
        if keyword.startswith("GNU.sparse."):
            keyword = _SPARSE
        if keyword in ("path", "linkpath", "size", _SPARSE):
            records[keyword] = os.fsdecode(data[start : at - 1])
    return records


def _unreadable(offset: int) -> InvalidArchiveError:
    return damaged(f"the extended header at offset {offset} cannot be read")


def _entry_of(
    header: tarfile.TarInfo, settings: t.Mapping[str, str], offset: int
) -> Entry:
    """Build an entry from its header, and from what extended headers set. A setting without a value counts for none."""
    name = settings.get("path") or header.name
    kind = _KINDS.get(header.type)
    if header.type in _REFUSED or settings.get(_SPARSE):
        what = _REFUSED.get(header.type, "a sparse file")
        raise untrusted(
            f"{printable_name(name)} in the archive is {what}, which is not extracted"
        )
    if kind is None:
        what = printable_name(header.type.decode("latin-1"))
        raise untrusted(
            f"{printable_name(name)} in the archive has the unknown type {what}"
        )
    size = header.size
    stated = settings.get("size")
    if stated:
        if not re.fullmatch(r"[0-9]{1,19}", stated):
            raise damaged(
                f"the extended header before offset {offset} has a size that is not a number"
            )
        size = int(stated)
    # Tars from before POSIX have no type for directories.
    if kind is Kind.FILE and name.endswith("/") and not size:
        kind = Kind.DIRECTORY
    # Some tools write the size of the target of a link, and no content.
    if kind is not Kind.FILE:
        size = 0
    target = settings.get("linkpath") or header.linkname
    return Entry(name, kind, size, target, offset)
