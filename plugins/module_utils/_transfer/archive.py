# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.
"""What is in an archive.

It is one or several tars, one after the other, within one or several compressed streams, one after the other. All are read
to the end, which the usual tools do not do by themselves. Whatever cannot be right is refused, and says where.

    Source          the bytes of the archive, read once, with their CRC-64
    _gunzip, unzstd what is compressed in them, in pieces that are never large
    Stream          the same as a stream, made by a thread of its own
    Tars            the entries of the tars in it

Sizes are in bytes. Memory grows neither with the size nor with the number of entries.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import queue
import re
import stat
import sys
import tarfile
import threading
import typing as t
import zlib

from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.crc64 import crc64
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.errors import (
    ArchiveRefused,
    damaged,
    truncated,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.zstd import unzstd
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.text import printable

_READ = 256 << 10
_CHUNK = 1 << 20
_CHUNKS_AHEAD = 8
_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_MAX_EXTENDED_HEADER = 1 << 20
_MAX_SHOWN = 200

# Whatever it is, names come out of it as the bytes that they were.
_ENCODING = sys.getfilesystemencoding()

DISTRUST = "The backup service makes no such archives: find out where it comes from; nothing of it was unpacked"


class Format(enum.Enum):
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_ZST = "tar.zst"


class Kind(enum.Enum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    HARD_LINK = "hard link"


class Entry(t.NamedTuple):
    """``target`` is that of a link; ``offset``: where its header is in what was decompressed."""

    name: str
    kind: Kind
    size: int
    target: str
    offset: int


def shown(name: str) -> str:
    """A name in a message: on one line, not too long, and without what a terminal would obey."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"), _MAX_SHOWN)


def recognise(beginning: bytes) -> Format:
    """By the first 512 bytes; raises ArchiveRefused, in words for what it is instead."""
    if beginning.startswith(b"\x1f\x8b"):
        return Format.TAR_GZ
    if beginning.startswith(b"\x28\xb5\x2f\xfd") or re.match(rb"[\x50-\x5f]\x2a\x4d\x18", beginning):
        return Format.TAR_ZST
    with contextlib.suppress(tarfile.HeaderError, ValueError):
        tarfile.TarInfo.frombuf(beginning[:_BLOCK], _ENCODING, "surrogateescape")
        return Format.TAR
    what, hint = _look_of(beginning)
    raise ArchiveRefused(f"it is not a .tar.gz, .tar.zst or .tar: it {what}", hint=hint)


_AN_ERROR = (
    "It may be the answer of a link that is expired, or of a proxy: look into it, and download the archive again"
)
_LOOKS = (
    (rb"XBSTCK01", "is an xbstream, a physical backup", "Unpack it with xbstream -x, then xtrabackup --decompress"),
    (rb"qpress10", "is a qpress archive, a physical backup", "Unpack it with qpress -d, then xbstream -x"),
    (rb"(?i)\s*<(!doctype html|html)", "is an HTML page", _AN_ERROR),
    (rb"\s*<(\?xml|Error)", "is an XML document", _AN_ERROR),
    (rb"\s*\{\s*\"", "is a JSON document", _AN_ERROR),
    (rb"\xfd7zXZ\0", "is compressed with xz", "Unpack it with tar -xJ"),
    (rb"BZh[1-9]", "is compressed with bzip2", "Unpack it with tar -xj"),
    (rb"\x04\x22\x4d\x18", "is compressed with lz4", "Decompress it with lz4 -d first"),
    (rb"PK\x03\x04", "is a ZIP archive", "Unpack it with unzip"),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive", "Unpack it with 7z x"),
    (rb"LZIP", "is compressed with lzip", "Unpack it with tar --lzip -x"),
    (rb"\x1f\x9d", "is compressed with compress", "Unpack it with tar -xZ"),
    (rb"\xff\x06\0\0sNaPpY", "is compressed with Snappy", "Decompress it first"),
    (
        rb"[\x1e\x22-\x27]\xb5\x2f\xfd",
        "is compressed with a version of zstd before 0.8",
        "Decompress it with zstd -d first",
    ),
    (rb"\x37\xa4\x30\xec", "is a dictionary of zstd", "Give the archive that was compressed with it"),
    (rb"Salted__|-----BEGIN PGP MESSAGE|age-encryption\.org/", "is encrypted", "Decrypt it first"),
    (rb"\0{512}", "begins with zeros", "The download of it may not have ended, or something else took its place"),
)


def _look_of(beginning: bytes) -> tuple[str, str]:
    if not beginning:
        return "is empty", "Download it again"
    for pattern, what, hint in _LOOKS:
        if re.match(pattern, beginning):
            return what, hint
    # Its content is not quoted: who sees this may not be allowed to read the file.
    return "is in no format that is known here", "Check that src names the archive of a download task"


class Source:
    """The bytes of the archive. Raises ArchiveRefused if they cannot be read."""

    def __init__(self, path: str) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _unreadable(error) from None
        self._status = os.fstat(self._file)
        if not stat.S_ISREG(self._status.st_mode):
            os.close(self._file)
            raise ArchiveRefused("it is not a regular file", hint="Give the file that was downloaded")
        self.size = self._status.st_size
        self.rewind()

    def rewind(self) -> None:
        self.read = 0
        self.crc64 = 0
        self._buffer = b""
        self._at = 0

    def close(self) -> None:
        os.close(self._file)

    def beginning(self) -> bytes:
        try:
            return os.pread(self._file, _BLOCK, 0)
        except OSError as error:
            raise _unreadable(error) from None

    def some(self) -> bytes:
        """The next ones, none at the end."""
        rest = self._buffer[self._at :]
        self._buffer, self._at = b"", 0
        return rest or self._next()

    def exactly(self, count: int) -> bytes:
        """The next ones, fewer at the end."""
        end = self._at + count
        if end <= len(self._buffer):
            self._at, start = end, self._at
            return self._buffer[start:end]
        parts = []
        while count:
            part = self.some()
            if not part:
                break
            if len(part) > count:
                self._buffer, self._at = part, count
                part = part[:count]
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def crc64_of_all(self, tick: t.Callable[[], None]) -> int:
        self.rewind()
        while self.some():
            tick()
        return self.crc64

    def confirm(self) -> None:
        """That it was this file all the time."""
        status = os.fstat(self._file)
        if (status.st_size, status.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            message = "it was written to while it was read"
            raise ArchiveRefused(message, hint="Wait until its download is done, and run this again")

    def _next(self) -> bytes:
        try:
            data = os.pread(self._file, _READ, self.read)
        except OSError as error:
            raise _unreadable(error) from None
        self.crc64 = crc64(data, self.crc64)
        self.read += len(data)
        return data


def _unreadable(error: OSError) -> ArchiveRefused:
    denied = error.errno in (errno.EACCES, errno.EPERM)
    hint = "Run it as a user that may read it, with become for example" if denied else "Check src, and its file system"
    return ArchiveRefused(f"the archive cannot be read: {error.strerror}", hint=hint)


def _stored(source: Source) -> t.Iterator[bytes]:
    yield from iter(source.some, b"")


def _gunzip(source: Source) -> t.Iterator[bytes]:
    """All members. zlib compares length and CRC-32 of each with what it unpacked."""
    data = source.some()
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            try:
                chunk = member.decompress(data, _CHUNK)
            except zlib.error as error:
                raise damaged(f"its gzip stream, before byte {source.read} of the archive: {error}") from None
            if chunk:
                yield chunk
            data = member.unconsumed_tail
            if not data and not member.eof and len(chunk) < _CHUNK:
                data = source.some()
                if not data:
                    raise truncated(source.size, "gzip stream")
        # Zeros may stand between members, and after the last.
        data = member.unused_data.lstrip(b"\0")
        while not data:
            more = source.some()
            if not more:
                return
            data = more.lstrip(b"\0")


_DECOMPRESSORS = {Format.TAR: _stored, Format.TAR_GZ: _gunzip, Format.TAR_ZST: unzstd}


class Stream:
    """What is in the archive, forward only. A thread makes it, some chunks ahead. ``tick`` is called for each chunk."""

    def __init__(self, source: Source, format: Format, tick: t.Callable[[], t.Any]) -> None:
        self.offset = 0
        self._tick = tick
        self._chunk = b""
        self._at = 0
        self._chunks = _DECOMPRESSORS[format](source)
        self._ready: queue.SimpleQueue[t.Union[bytes, BaseException]] = queue.SimpleQueue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        self._is_closed = False
        self._thread = threading.Thread(target=self._make, daemon=True)
        self._thread.start()

    def _make(self) -> None:
        try:
            for chunk in self._chunks:
                self._room.acquire()
                if self._is_closed:
                    return
                self._ready.put(chunk)
            self._ready.put(b"")
        except BaseException as error:
            self._ready.put(error)

    def close(self) -> None:
        self._is_closed = True
        self._room.release()
        self._thread.join()

    def _fill(self) -> bool:
        """Whether there is more."""
        if self._at < len(self._chunk):
            return True
        if self._is_closed:
            return False
        self._tick()
        chunk = self._ready.get()
        if isinstance(chunk, BaseException):
            raise chunk
        self._room.release()
        self._chunk, self._at = chunk, 0
        self._is_closed = not chunk
        return bool(chunk)

    def block(self) -> bytes:
        """The next 512 bytes, fewer at the end."""
        end = self._at + _BLOCK
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            self.offset += _BLOCK
            return data
        return b"".join(self.pieces(_BLOCK))

    def pieces(self, count: int) -> t.Iterator[memoryview]:
        """The next bytes, fewer at the end."""
        while count and self._fill():
            piece = memoryview(self._chunk)[self._at : self._at + count]
            self._at += len(piece)
            self.offset += len(piece)
            count -= len(piece)
            yield piece


_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.LINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
}
#: The keyword can hold the name of an extended attribute, of up to 255 bytes, encoded.
_PAX_RECORD = re.compile(rb"(\d{1,7}) ([^=]{1,4096})=")
_REFUSED = {
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class Tars:
    """The entries of all tars of the stream.

    ``TarFile`` is of no use here: it takes a damaged header for the end, or steps over it; but its headers are.
    """

    def __init__(self, stream: Stream) -> None:
        self.archives = 0
        self._stream = stream

    def __iter__(self) -> t.Iterator[Entry]:
        """Whatever is not read of an entry's content is skipped."""
        common: dict[str, str] = {}
        own: dict[str, str] = {}
        is_extended = False
        has_ended = True
        while True:
            offset = self._stream.offset
            block = self._stream.block()
            if len(block) < _BLOCK and not block.strip(b"\0"):
                if not has_ended:
                    raise damaged(f"tar {self.archives} has no end, as if cut off after {offset} unpacked bytes")
                if not self.archives:
                    raise ArchiveRefused(
                        "it holds no files", hint="Check that src names the archive of a download task"
                    )
                return
            if block == _ZEROS:
                if is_extended:
                    raise damaged(f"tar {self.archives} ends at offset {offset}, right after an extended header")
                has_ended = True
                continue
            try:
                header = tarfile.TarInfo.frombuf(block, _ENCODING, "surrogateescape")
            except (tarfile.HeaderError, ValueError) as error:
                raise self._no_header(block, offset, error) from None
            if has_ended:
                has_ended = False
                self.archives += 1
                common = {}
            if header.size < 0:
                raise damaged(f"the header at offset {offset} has a negative size")
            is_extended = True
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                own.update(_pax_records(self._extended(header), offset))
            elif header.type == tarfile.XGLTYPE:
                common.update(_pax_records(self._extended(header), offset))
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                own["path"] = os.fsdecode(self._extended(header).partition(b"\0")[0])
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                own["linkpath"] = os.fsdecode(self._extended(header).partition(b"\0")[0])
            else:
                entry = _entry_of(header, {name: value for name, value in {**common, **own}.items() if value}, offset)
                own = {}
                is_extended = False
                stop = self._stream.offset + entry.size
                yield entry
                self._skip(stop - self._stream.offset, entry)
                self._skip(-entry.size % _BLOCK, entry)

    def _no_header(self, block: bytes, offset: int, error: Exception) -> ArchiveRefused:
        if self.archives:
            return damaged(
                f"there is no tar header at offset {offset} of what is unpacked, where one has to be: {error}"
            )
        what, hint = _look_of(block)
        return ArchiveRefused(f"there is no tar in it: what was compressed {what}", hint=hint)

    def _extended(self, header: tarfile.TarInfo) -> bytes:
        if header.size > _MAX_EXTENDED_HEADER:
            message = f"an extended header of {header.size} bytes; at most {_MAX_EXTENDED_HEADER} make sense"
            raise ArchiveRefused(message, hint=DISTRUST)
        data = b"".join(self._stream.pieces(header.size))
        padding = -header.size % _BLOCK
        if len(data) < header.size or sum(map(len, self._stream.pieces(padding))) < padding:
            raise damaged(f"it ends at offset {self._stream.offset}, in the middle of an extended header")
        return data

    def _skip(self, count: int, entry: Entry) -> None:
        if sum(map(len, self._stream.pieces(count))) < count:
            raise cut_off(entry, self._stream.offset)


def cut_off(entry: Entry, offset: int) -> ArchiveRefused:
    return damaged(f"what is unpacked ends at offset {offset}, in the middle of {shown(entry.name)}")


def _pax_records(data: bytes, offset: int) -> dict[str, str]:
    """Those that matter here."""
    records = {}
    at = 0
    while at < len(data):
        match = _PAX_RECORD.match(data, at)
        end = at + int(match[1]) if match else 0
        if not match or not match.end() < end <= len(data) or data[end - 1] != 0x0A:
            raise damaged(f"the extended header at offset {offset} cannot be read")
        keyword = "GNU.sparse" if match[2].startswith(b"GNU.sparse.") else os.fsdecode(match[2])
        if keyword in ("path", "linkpath", "size", "GNU.sparse"):
            records[keyword] = os.fsdecode(data[match.end() : end - 1])
        at = end
    return records


def _entry_of(header: tarfile.TarInfo, settings: t.Mapping[str, str], offset: int) -> Entry:
    name = settings.get("path", header.name)
    kind = _KINDS.get(header.type)
    if header.type in _REFUSED or "GNU.sparse" in settings:
        what = _REFUSED.get(header.type, "a sparse file")
        raise ArchiveRefused(f"{shown(name)} in it is {what}, which is not unpacked", hint=DISTRUST)
    if kind is None:
        what = shown(header.type.decode("latin-1"))
        raise ArchiveRefused(f"{shown(name)} in it is of the unknown type {what}", hint=DISTRUST)
    size = header.size
    if "size" in settings:
        if not re.fullmatch(r"[0-9]{1,19}", settings["size"]):
            raise damaged(f"the extended header before offset {offset} has a size that is no number")
        size = int(settings["size"])
    if kind is Kind.FILE and name.endswith("/") and not size:
        kind = Kind.DIRECTORY
    return Entry(name, kind, size if kind is Kind.FILE else 0, settings.get("linkpath", header.linkname), offset)
