# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.
"""Unpacks the archive of a download task, all of it and safely, or not at all.

An archive is one or several tars, one after the other, within one or several compressed streams, one after the other. All
are read to the end, which the usual tools do not do by themselves. Whatever cannot be right is refused, and says where.

    out of the file                _Source        the bytes of the archive, read once, with their CRC-64
                                   _gunzip, …     what is compressed in them, in pieces that are never large
                                   _Stream        the same as a stream, made by a thread of its own
                                   _Tars          the entries of the tars in it
    into the file system           _Writer        writes entries, and never through a link
                                   _Staging       where they grow, ``<dest>.part``, and how they get to ``dest``
                                   survey         counts what is in a directory

``unpack`` puts them together. Sizes are in bytes. Memory grows neither with the size nor with the number of entries.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import fcntl
import heapq
import importlib
import json
import os
import queue
import re
import shutil
import stat
import sys
import tarfile
import threading
import traceback
import typing as t
import zlib

from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.crc64 import crc64
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.errors import (
    ArchiveRefused,
    DestinationBusy,
    DestinationFailed,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.system import (
    start_writing,
    sync_directory,
    sync_file_system,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import BackupError, MissingLibrary

#: In ``dest``: what was unpacked there.
MARKER = ".apsaradb-backup.json"
#: So many names are returned of those at the top of ``dest``.
MAX_ROOTS = 100
#: An entry lies in so many directories at the most.
MAX_DEPTH = 100

_READ = 256 << 10
_CHUNK = 1 << 20
_CHUNKS_AHEAD = 8
_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_MAX_EXTENDED_HEADER = 1 << 20
_MAX_MARKER = 1 << 16
_MAX_LINKS = 40
_MAX_PATH = 4095
_MAX_SHOWN = 200
_ENTRIES_PER_TICK = 1000

# Whatever it is, names come out of it as the bytes that they were.
_ENCODING = sys.getfilesystemencoding()

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_DOWNLOAD_AGAIN = "Download it again; nothing of it was unpacked"
_DISTRUST = "The backup service makes no such archives: find out where it comes from; nothing of it was unpacked"


class Format(enum.Enum):
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_ZST = "tar.zst"


class Step(enum.Enum):
    """What is being done: the archive is read and compared with ``dest``, unpacked, or all is brought to the disk."""

    COMPARE = "comparing"
    UNPACK = "unpacking"
    SYNC = "syncing"


class Progress(t.NamedTuple):
    """``read`` of ``total`` bytes of the archive, and how many files and bytes of content came of them."""

    step: Step
    read: int
    total: int
    files: int
    size: int


#: Is called every megabyte or so, and may raise: then nothing is left behind.
Watch = t.Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class Request:
    """What to unpack. Paths are absolute, ``dest`` without links; modes at most 0o777, that of
    directories at least 0o700; -1 leaves owner and group alone.

    ``max_size`` none is what is free in the file system. ``replace``: whatever ``dest`` holds.
    """

    src: str
    dest: str
    replace: bool = False
    max_files: int = 1_000_000
    max_size: t.Optional[int] = None
    mode: int = 0o600
    directory_mode: int = 0o700
    owner: int = -1
    group: int = -1
    sync: bool = True

    @property
    def gives_away(self) -> bool:
        return (self.owner, self.group) != (-1, -1)

    @property
    def asked(self) -> str:
        return f"unpack {shown(self.src)} into {shown(self.dest)}"


@dataclasses.dataclass(frozen=True)
class Tree:
    """What is in a directory, itself not counted. Hard links are files, and count as often as there are."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size: int = 0


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive gave; ``archives``: how many tars it is joined of."""

    src: str
    format: Format
    archives: int
    archive_size: int
    archive_crc64: int
    tree: Tree

    def facts(self) -> dict[str, t.Any]:
        return {
            "src": self.src,
            "format": self.format.value,
            "archives": self.archives,
            "archive_size": self.archive_size,
            "archive_crc64": str(self.archive_crc64),
            **dataclasses.asdict(self.tree),
        }


@dataclasses.dataclass(frozen=True)
class Plan:
    """``contents``: none if there is something to unpack, else what is there already. ``replaces`` other content."""

    format: Format
    archive_size: int
    contents: t.Optional[Contents]
    replaces: bool


def plan(request: Request, watch: Watch) -> Plan:
    """What there is to do. Changes nothing; raises BackupError if it cannot be done."""
    with _in_words(request), contextlib.closing(_Source(request.src)) as source:
        return _plan(request, source, watch)


def unpack(request: Request, watch: Watch) -> tuple[bool, Contents]:
    """Whether something was unpacked, and what ``dest`` holds now. Raises BackupError, and leaves ``dest`` as it was then."""
    with _in_words(request), contextlib.closing(_Source(request.src)) as source:
        found = _plan(request, source, watch)
        if found.contents:
            return False, found.contents
        with _Staging(request.dest) as staging:
            if staging.has_recovered:
                found = _plan(request, source, watch)
                if found.contents:
                    return False, found.contents
            contents = _fill(staging, request, source, found.format, watch)
            staging.place(request, found.replaces)
        return True, contents


def left_by(src: str, dest: str) -> t.Optional[Contents]:
    """What was unpacked from the archive of that name, which is gone, if it is all still there."""
    contents = _read_marker(dest)
    return contents if contents and contents.src == src and survey(dest) == contents.tree else None


def roots_of(dest: str) -> list[str]:
    """The first names at the top, sorted, as text that can be written down: ``\\xff`` for a byte that is no UTF-8."""
    names = heapq.nsmallest(MAX_ROOTS, (name for name in os.listdir(dest) if name != MARKER))
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]


def survey(path: str, tick: t.Callable[[], t.Any] = int) -> Tree:
    """Counts what is in a directory. Raises OSError."""
    directory = os.open(path, _DIRECTORY)
    try:
        return _survey(directory, tick)
    finally:
        os.close(directory)


def shown(name: str) -> str:
    """A name in a message: on one line, not too long, and without what a terminal would obey."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    if len(text) > _MAX_SHOWN:
        text = text[:_MAX_SHOWN] + "…"
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


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
    (rb"\0{512}", "begins with zeros", "The download of it may not have ended, or something else took its place"),
)


def _look_of(beginning: bytes) -> tuple[str, str]:
    if not beginning:
        return "is empty", "Download it again"
    for pattern, what, hint in _LOOKS:
        if re.match(pattern, beginning):
            return what, hint
    return f"begins with {beginning[:16]!r}", "Check that src names the archive of a download task"


@contextlib.contextmanager
def _in_words(request: Request) -> t.Iterator[None]:
    """Whatever the system says about the destination, in our words."""
    try:
        yield
    except OSError as error:
        failed = DestinationFailed.of(error, shown(request.dest), request.asked)
        parent = shown(os.path.dirname(request.dest))
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            failed.hint = f"Make room in {parent}, and run it again"
        elif error.errno in (errno.ENOENT, errno.ENOTDIR):
            failed.hint = f"Create the directory {parent} first"
        raise failed from None
    except BackupError as error:
        error.asked = error.asked or request.asked
        raise


# What is in the archive ----------------------------------------------------------------------------------------------


class _Source:
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


def _truncated(source: _Source, what: str) -> ArchiveRefused:
    return ArchiveRefused(
        f"it is truncated: after {source.size} bytes it ends in the middle of a {what}", hint=_DOWNLOAD_AGAIN
    )


def _damaged(message: str) -> ArchiveRefused:
    return ArchiveRefused(f"it is damaged: {message}", hint=_DOWNLOAD_AGAIN)


def _stored(source: _Source) -> t.Iterator[bytes]:
    yield from iter(source.some, b"")


def _gunzip(source: _Source) -> t.Iterator[bytes]:
    """All members. zlib compares length and CRC-32 of each with what it unpacked."""
    data = source.some()
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            try:
                chunk = member.decompress(data, _CHUNK)
            except zlib.error as error:
                raise _damaged(f"its gzip stream, before byte {source.read} of the archive: {error}") from None
            if chunk:
                yield chunk
            data = member.unconsumed_tail
            if not data and not member.eof and len(chunk) < _CHUNK:
                data = source.some()
                if not data:
                    raise _truncated(source, "gzip stream")
        # Zeros may stand between members, and after the last.
        data = member.unused_data.lstrip(b"\0")
        while not data:
            more = source.some()
            if not more:
                return
            data = more.lstrip(b"\0")


def _unzstd(source: _Source) -> t.Iterator[bytes]:
    """All frames. Block by block: no block gives more than 128 KiB, whereas a few bytes of several can give gigabytes."""
    new_frame, library_error = _zstd()
    while True:
        magic = source.exactly(4)
        if not magic:
            return
        number = int.from_bytes(magic, "little")
        if number >> 4 == 0x184D2A5:
            size = int.from_bytes(_whole(source, 4), "little")
            while size:
                size -= len(_whole(source, min(size, _READ)))
            continue
        if number != 0xFD2FB528 or len(magic) < 4:
            raise _damaged(f"there is no Zstandard frame before byte {source.read} of the archive, where one has to be")
        descriptor = _whole(source, 1)
        single, checksum, dictionary = descriptor[0] >> 5 & 1, descriptor[0] >> 2 & 1, descriptor[0] & 3
        content_size = (single, 2, 4, 8)[descriptor[0] >> 6]
        pending = magic + descriptor + _whole(source, 1 - single + (0, 1, 2, 4)[dictionary] + content_size)
        frame = new_frame()
        is_last = False
        try:
            while not is_last:
                header = _whole(source, 3)
                fields = int.from_bytes(header, "little")
                is_last, kind, size = bool(fields & 1), fields >> 1 & 3, fields >> 3
                if size > 128 << 10 or kind == 3:
                    raise _damaged(f"a Zstandard block before byte {source.read} of the archive")
                pending += header + _whole(source, 1 if kind == 1 else size)
                chunk = frame.decompress(pending + (_whole(source, 4) if is_last and checksum else b""))
                pending = b""
                if chunk:
                    yield chunk
        except library_error as error:
            raise _damaged(f"its Zstandard stream, before byte {source.read} of the archive: {error}") from None


def _whole(source: _Source, count: int) -> bytes:
    data = source.exactly(count)
    if len(data) < count:
        raise _truncated(source, "Zstandard frame")
    return data


def _zstd() -> tuple[t.Callable[[], t.Any], type[Exception]]:
    """A function that makes decompressors of one frame, and what they raise."""
    try:
        zstd: t.Any = importlib.import_module("compression.zstd")
    except ImportError:
        pass
    else:
        return zstd.ZstdDecompressor, zstd.ZstdError
    try:
        import zstandard
    except ImportError:
        raise MissingLibrary("zstandard", "to unpack .tar.zst", traceback.format_exc()) from None
    return zstandard.ZstdDecompressor().decompressobj, zstandard.ZstdError


_DECOMPRESSORS = {Format.TAR: _stored, Format.TAR_GZ: _gunzip, Format.TAR_ZST: _unzstd}


class _Stream:
    """What is in the archive, forward only. A thread makes it, some chunks ahead. ``tick`` is called for each chunk."""

    def __init__(self, chunks: t.Iterator[bytes], tick: t.Callable[[], t.Any]) -> None:
        self.offset = 0
        self._tick = tick
        self._chunk = b""
        self._at = 0
        self._chunks = chunks
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


_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.LINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
}
_PAX_RECORD = re.compile(rb"(\d{1,7}) ([^=]{1,255})=")
_REFUSED = {
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class _Tars:
    """The entries of all tars of the stream.

    ``TarFile`` is of no use here: it takes a damaged header for the end, or steps over it; but its headers are.
    """

    def __init__(self, stream: _Stream) -> None:
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
                    raise _damaged(f"tar {self.archives} has no end, as if cut off after {offset} unpacked bytes")
                if not self.archives:
                    raise ArchiveRefused(
                        "it holds no files", hint="Check that src names the archive of a download task"
                    )
                return
            if block == _ZEROS:
                if is_extended:
                    raise _damaged(f"tar {self.archives} ends at offset {offset}, right after an extended header")
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
                raise _damaged(f"the header at offset {offset} has a negative size")
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
                entry = _entry_of(header, {**common, **own}, offset)
                own = {}
                is_extended = False
                stop = self._stream.offset + entry.size
                yield entry
                self._skip(stop - self._stream.offset, entry)
                self._skip(-entry.size % _BLOCK, entry)

    def _no_header(self, block: bytes, offset: int, error: Exception) -> ArchiveRefused:
        if self.archives:
            return _damaged(
                f"there is no tar header at offset {offset} of what is unpacked, where one has to be: {error}"
            )
        what, hint = _look_of(block)
        return ArchiveRefused(f"there is no tar in it: what was compressed {what}", hint=hint)

    def _extended(self, header: tarfile.TarInfo) -> bytes:
        if header.size > _MAX_EXTENDED_HEADER:
            message = f"an extended header of {header.size} bytes; at most {_MAX_EXTENDED_HEADER} make sense"
            raise ArchiveRefused(message, hint=_DISTRUST)
        data = b"".join(self._stream.pieces(header.size))
        padding = -header.size % _BLOCK
        if len(data) < header.size or sum(map(len, self._stream.pieces(padding))) < padding:
            raise _damaged(f"it ends at offset {self._stream.offset}, in the middle of an extended header")
        return data

    def _skip(self, count: int, entry: Entry) -> None:
        if sum(map(len, self._stream.pieces(count))) < count:
            raise cut_off(entry, self._stream.offset)


def cut_off(entry: Entry, offset: int) -> ArchiveRefused:
    return _damaged(f"what is unpacked ends at offset {offset}, in the middle of {shown(entry.name)}")


def _pax_records(data: bytes, offset: int) -> dict[str, str]:
    """Those that matter here."""
    records = {}
    at = 0
    while at < len(data):
        match = _PAX_RECORD.match(data, at)
        end = at + int(match[1]) if match else 0
        if not match or not match.end() < end <= len(data) or data[end - 1] != 0x0A:
            raise _damaged(f"the extended header at offset {offset} cannot be read")
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
        raise ArchiveRefused(f"{shown(name)} in it is {what}, which is not unpacked", hint=_DISTRUST)
    if kind is None:
        what = shown(header.type.decode("latin-1"))
        raise ArchiveRefused(f"{shown(name)} in it is of the unknown type {what}", hint=_DISTRUST)
    size = header.size
    if "size" in settings:
        if not re.fullmatch(r"[0-9]{1,19}", settings["size"]):
            raise _damaged(f"the extended header before offset {offset} has a size that is no number")
        size = int(settings["size"])
    if kind is Kind.FILE and name.endswith("/") and not size:
        kind = Kind.DIRECTORY
    return Entry(name, kind, size if kind is Kind.FILE else 0, settings.get("linkpath", header.linkname), offset)


# What becomes of it ----------------------------------------------------------------------------------------------------


class _Writer:
    """Writes entries below a directory. Goes from directory to directory, and into none that a link leads to."""

    def __init__(self, root: int, request: Request) -> None:
        self.entries = 0
        self.files = 0
        self.size = 0
        self._root = root
        self._request = request
        # The last directory, as the next entry is mostly in the same.
        self._parts: tuple[str, ...] = ()
        self._directory = root
        self._max_size = request.max_size
        if self._max_size is None:
            file_system = os.fstatvfs(root)
            self._max_size = file_system.f_bavail * file_system.f_frsize

    def close(self) -> None:
        self._enter(())

    def add(self, entry: Entry, stream: _Stream) -> None:
        parts = self._parts_of(entry.name, entry)
        if not parts:
            if entry.kind is not Kind.DIRECTORY:
                raise ArchiveRefused(f"a {entry.kind.value} in it has no name", hint=_DISTRUST)
            return
        if parts == (MARKER,):
            raise ArchiveRefused(f"it holds {MARKER}, which this writes itself", hint="Was it made of an unpacked one?")
        if entry.kind is Kind.DIRECTORY:
            self._enter(parts, entry)
            return
        self._count()
        if entry.kind is Kind.LINK:
            self._enter(parts[:-1], entry)
            self._link(entry, parts)
        elif entry.kind is Kind.HARD_LINK:
            self._hard_link(entry, parts)
        else:
            self._grow(entry.size, entry)
            self._enter(parts[:-1], entry)
            self._file(entry, parts[-1], stream)

    def own(self, file: int, mode: int) -> None:
        # In this order: a change of the owner can take bits away.
        if self._request.gives_away:
            os.fchown(file, self._request.owner, self._request.group)
        os.fchmod(file, mode)

    def _parts_of(self, name: str, entry: Entry) -> tuple[str, ...]:
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if name.startswith("/") or re.match(r"[A-Za-z]:([\\/]|$)", name) or ".." in parts:
            raise _outside(entry)
        if "\0" in name:
            raise _damaged(f"the name {shown(name)} at offset {entry.offset} has a zero byte")
        length = len(os.fsencode(name)) + len(os.fsencode(self._request.dest)) + len(".part/new/")
        if length > _MAX_PATH or len(parts) > MAX_DEPTH or any(len(os.fsencode(part)) > 255 for part in parts):
            message = f"the name {shown(name)} of {len(name)} characters is too long or too deep"
            raise ArchiveRefused(message, hint=_DISTRUST)
        return parts

    def _count(self) -> None:
        self.entries += 1
        limit = self._request.max_files
        if self.entries > limit:
            message = f"it holds more than {limit} files, directories and links"
            raise ArchiveRefused(message, hint=f"Raise max_files, which is {limit}, if that is right")

    def _grow(self, size: int, entry: Entry) -> None:
        self.files += 1
        self.size += size
        limit = t.cast(int, self._max_size)
        if self.size > limit:
            message = f"up to {shown(entry.name)} it holds {self.size} bytes of content"
            if self._request.max_size is None:
                free = f"only {limit} are free in {shown(os.path.dirname(self._request.dest))}"
                raise ArchiveRefused(
                    f"{message}, and {free}", hint="Make room, or set max_size to more at your own risk"
                )
            raise ArchiveRefused(f"{message}, and max_size is {limit}", hint="Raise max_size if that is right")

    def _enter(self, parts: tuple[str, ...], entry: t.Optional[Entry] = None, creates: bool = True) -> None:
        if parts == self._parts:
            return
        if self._directory != self._root:
            os.close(self._directory)
        self._parts, self._directory = (), self._root
        for depth, part in enumerate(parts, 1):
            try:
                try:
                    inner = os.open(part, _DIRECTORY, dir_fd=self._directory)
                except FileNotFoundError:
                    if not creates:
                        raise
                    self._count()
                    os.mkdir(part, 0o700, dir_fd=self._directory)
                    inner = os.open(part, _DIRECTORY, dir_fd=self._directory)
            except OSError as error:
                if entry and error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise self._clash(entry, "/".join(parts[:depth])) from None
                raise
            if self._directory != self._root:
                os.close(self._directory)
            self._parts, self._directory = parts[:depth], inner

    def _clash(self, entry: Entry, name: str) -> ArchiveRefused:
        message = f"{shown(name)} in it is a file or a link, and {shown(entry.name)} needs a directory there"
        return ArchiveRefused(message, hint=_DISTRUST)

    def _make(self, entry: Entry, name: str, make: t.Callable[[], t.Any]) -> t.Any:
        """What ``make`` returns. Of two entries of one name the later wins, as in a tar that was appended to."""
        try:
            return make()
        except FileExistsError:
            status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            message = f"{shown(entry.name)} in it is both a directory and a {entry.kind.value}"
            raise ArchiveRefused(message, hint=_DISTRUST)
        os.unlink(name, dir_fd=self._directory)
        if stat.S_ISREG(status.st_mode):
            self.files -= 1
            self.size -= status.st_size
        return make()

    def _file(self, entry: Entry, name: str, stream: _Stream) -> None:
        file = self._make(entry, name, lambda: os.open(name, _NEW_FILE, 0o600, dir_fd=self._directory))
        try:
            written = 0
            for piece in stream.pieces(entry.size):
                count = len(piece)
                while piece:
                    piece = piece[os.write(file, piece) :]
                if self._request.sync and written:
                    start_writing(file, written, count)
                written += count
            if written < entry.size:
                raise cut_off(entry, stream.offset)
            self.own(file, self._request.mode)
        finally:
            os.close(file)

    def _link(self, entry: Entry, parts: tuple[str, ...]) -> None:
        """Where it leads in the end is only known when all is there; here is what can be said already."""
        if not entry.target or "\0" in entry.target:
            raise _damaged(f"the link {shown(entry.name)} leads nowhere")
        name, directory = parts[-1], self._directory
        if escapes(entry.target, len(parts) - 1):
            raise _outside(entry)
        self._make(entry, name, lambda: os.symlink(entry.target, name, dir_fd=directory))
        if self._request.gives_away:
            os.chown(name, self._request.owner, self._request.group, dir_fd=directory, follow_symlinks=False)

    def _hard_link(self, entry: Entry, parts: tuple[str, ...]) -> None:
        target = self._parts_of(entry.target, entry)
        if target == parts:
            raise _damaged(f"the hard link {shown(entry.name)} leads to itself")
        size = -1
        if target:
            with contextlib.suppress(FileNotFoundError):
                self._enter(target[:-1], entry, creates=False)
                status = os.stat(target[-1], dir_fd=self._directory, follow_symlinks=False)
                size = status.st_size if stat.S_ISREG(status.st_mode) else -1
        if size < 0:
            message = (
                f"{shown(entry.name)} in it is a hard link to {shown(entry.target)}, and no such file is before it"
            )
            raise ArchiveRefused(message, hint=_DISTRUST)
        self._grow(size, entry)
        source = os.dup(self._directory)
        try:
            self._enter(parts[:-1], entry)
            self._make(
                entry,
                parts[-1],
                lambda: os.link(
                    target[-1],
                    parts[-1],
                    src_dir_fd=source,
                    dst_dir_fd=self._directory,
                    follow_symlinks=False,
                ),
            )
        finally:
            os.close(source)


def escapes(target: str, depth: int) -> bool:
    """Whether a link in a directory so deep below the root leads out of it, by the looks of its target."""
    if target.startswith("/"):
        return True
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False


def _outside(entry: Entry) -> ArchiveRefused:
    to = f", a {entry.kind.value} to {shown(entry.target)}," if entry.target else ""
    return ArchiveRefused(f"{shown(entry.name)}{to} in it leads out of the destination", hint=_DISTRUST)


def _check_link(root: int, path: tuple[str, ...]) -> None:
    """Raises ArchiveRefused if the link at the path leads out of the root, also by way of others."""
    entry = Entry("/".join(path), Kind.LINK, 0, os.readlink("/".join(path), dir_fd=root), 0)
    here = list(path[:-1])
    ahead = entry.target.split("/")[::-1]
    links = 1
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                raise _outside(entry)
            here.pop()
            continue
        try:
            target = os.readlink("/".join([*here, part]), dir_fd=root)
        except OSError:
            here.append(part)  # no link, or nothing
            continue
        links += 1
        if target.startswith("/") or links > _MAX_LINKS:
            raise _outside(entry)
        ahead.extend(target.split("/")[::-1])


def _survey(
    directory: int,
    tick: t.Callable[[], t.Any],
    on_directory: t.Callable[[int], t.Any] = int,
    on_link: t.Callable[[tuple[str, ...]], t.Any] = len,
    path: tuple[str, ...] = (),
) -> Tree:
    """``on_directory`` is called for each below the first, after those in it; ``on_link`` with the path of each."""
    files = directories = links = size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if not (files + directories + links) % _ENTRIES_PER_TICK:
                tick()
            if entry.is_symlink():
                links += 1
                on_link((*path, entry.name))
            elif entry.is_dir(follow_symlinks=False):
                directories += 1
                # Nothing so deep was unpacked here.
                if len(path) > MAX_DEPTH:
                    continue
                inner = os.open(entry.name, _DIRECTORY, dir_fd=directory)
                try:
                    tree = _survey(inner, tick, on_directory, on_link, (*path, entry.name))
                    on_directory(inner)
                finally:
                    os.close(inner)
                files, directories = files + tree.files, directories + tree.directories
                links, size = links + tree.links, size + tree.size
            elif path or entry.name != MARKER:
                files += 1
                size += entry.stat(follow_symlinks=False).st_size
    return Tree(files, directories, links, size)


# How it is done --------------------------------------------------------------------------------------------------------


def _plan(request: Request, source: _Source, watch: Watch) -> Plan:
    """Reads as far as the first entry, and all of the archive only if it may be what is there already."""
    format = recognise(source.beginning())
    source.rewind()
    stream = _Stream(_DECOMPRESSORS[format](source), int)
    try:
        next(iter(_Tars(stream)), None)
    finally:
        stream.close()
    contents, replaces = _compare(request, source, watch)
    return Plan(format, source.size, contents, replaces)


def _compare(request: Request, source: _Source, watch: Watch) -> tuple[t.Optional[Contents], bool]:
    """What is there already of this archive, and whether something else has to go."""
    dest = request.dest
    if os.path.ismount(dest):
        message = f"{shown(dest)} is a mount point, which cannot be put in place as a whole"
        raise DestinationFailed(message, hint="Give a directory below it as dest")
    try:
        names = os.listdir(dest)
    except FileNotFoundError:
        return None, False
    except NotADirectoryError:
        if not os.path.lexists(dest):
            raise
        hint = "Give another dest, or remove it"
        raise DestinationFailed(f"{shown(dest)} is not a directory", hint=hint) from None
    if not names:
        return None, False
    there = _read_marker(dest)
    message = f"{shown(dest)} holds something else"

    def tick() -> None:
        watch(Progress(Step.COMPARE, source.read, source.size, 0, 0))

    if there and there.archive_size == source.size and there.archive_crc64 == source.crc64_of_all(tick):
        tree = survey(dest, tick)
        if tree == there.tree:
            return dataclasses.replace(there, src=request.src), False
        message = (
            f"{shown(dest)} holds what this archive gave, and was altered since: it is {_counted(tree)} now,"
            f" and was {_counted(there.tree)}"
        )
    if not request.replace:
        raise DestinationFailed(message, hint="Set force to true to have it replaced, or give another dest")
    return None, True


def _counted(tree: Tree) -> str:
    return f"{tree.files} files, {tree.directories} directories and {tree.links} links with {tree.size} bytes"


def _fill(staging: _Staging, request: Request, source: _Source, format: Format, watch: Watch) -> Contents:
    root = staging.create()
    writer = _Writer(root, request)

    def tick(step: Step = Step.UNPACK) -> None:
        watch(Progress(step, source.read, source.size, writer.files, writer.size))

    source.rewind()
    stream = _Stream(_DECOMPRESSORS[format](source), tick)
    tars = _Tars(stream)
    try:
        for entry in tars:
            writer.add(entry, stream)
    finally:
        stream.close()
        writer.close()
    source.confirm()
    tree = _survey(
        root,
        tick,
        lambda directory: writer.own(directory, request.directory_mode),
        lambda path: _check_link(root, path),
    )
    contents = Contents(request.src, format, tars.archives, source.size, source.crc64, tree)
    marker = os.open(MARKER, _NEW_FILE, 0o600, dir_fd=root)
    with open(marker, "w", encoding="ascii") as file:
        json.dump(contents.facts(), file, indent=2)
        file.write("\n")
        writer.own(marker, request.mode)
    writer.own(root, request.directory_mode)
    if request.sync:
        tick(Step.SYNC)
        # Once for all files: to do it for each costs a multiple where they are small.
        sync_file_system(root)
    return contents


def _read_marker(dest: str) -> t.Optional[Contents]:
    try:
        marker = os.open(os.path.join(dest, MARKER), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(marker, "rb") as file:
            facts = json.loads(file.read(_MAX_MARKER))
        return Contents(
            src=facts["src"],
            format=Format(facts["format"]),
            archives=facts["archives"],
            archive_size=facts["archive_size"],
            archive_crc64=int(facts["archive_crc64"]),
            tree=Tree(**{field.name: facts[field.name] for field in dataclasses.fields(Tree)}),
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


class _Staging:
    """``<dest>.part``, beside ``dest``: ``new`` grows in it, ``old`` is what was in ``dest``, ``lock`` keeps others out.

    While there is an ``old`` beside a ``new``, the old has not been replaced, and goes back.
    """

    def __init__(self, dest: str) -> None:
        self.has_recovered = False
        self._dest = dest
        self._path = dest + ".part"
        self._new = os.path.join(self._path, "new")
        self._old = os.path.join(self._path, "old")
        self._lock_path = os.path.join(self._path, "lock")
        self._root = -1

    def __enter__(self) -> _Staging:
        self._lock = self._acquire()
        try:
            self.has_recovered = self._recover()
            self._clear()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(self, *dummy: object) -> None:
        try:
            if self._root >= 0:
                os.close(self._root)
            self._recover()
            self._clear()
            with contextlib.suppress(OSError):
                os.unlink(self._lock_path)
                os.rmdir(self._path)
        finally:
            os.close(self._lock)

    def create(self) -> int:
        """The new directory, open."""
        os.mkdir(self._new, 0o700)
        self._root = os.open(self._new, _DIRECTORY)
        return self._root

    def place(self, request: Request, replaces: bool) -> None:
        if replaces:
            os.rename(self._dest, self._old)
        os.rename(self._new, self._dest)
        if request.sync:
            sync_directory(os.path.dirname(self._dest))

    def _acquire(self) -> int:
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._path, 0o700)
            status = os.lstat(self._path)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                raise self._not_ours()
            if set(os.listdir(self._path)) - {"new", "old", "lock"}:
                raise self._not_ours()
            try:
                lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue  # another run has just removed all
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), os.stat(self._lock_path)):
                    return lock
            except BlockingIOError:
                os.close(lock)
                message = f"another run is unpacking into {shown(self._dest)}"
                raise DestinationBusy(message, hint="Wait until it is done") from None
            except FileNotFoundError:
                pass
            os.close(lock)

    def _not_ours(self) -> DestinationFailed:
        message = f"{shown(self._path)}, where it would grow, is there already, and was not left by a run like this"
        return DestinationFailed(message, hint="Move it away, or give another dest")

    def _recover(self) -> bool:
        """Whether what was in ``dest`` was put back."""
        if not (os.path.lexists(self._old) and os.path.lexists(self._new)):
            return False
        try:
            os.rename(self._old, self._dest)
        except OSError as error:
            message = (
                f"what was in {shown(self._dest)} is now in {shown(self._old)}, and cannot go back: {error.strerror}"
            )
            raise DestinationFailed(message, hint="Put it back by hand") from None
        return True

    def _clear(self) -> None:
        for path in (self._old, self._new):
            shutil.rmtree(path, ignore_errors=True)
