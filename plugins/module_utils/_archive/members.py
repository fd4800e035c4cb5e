# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Files of a source that is read in order: an archive that is not extracted, or a directory."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from .._files.crc64 import crc64
from . import tuning
from .decompression import Stream
from .errors import InvalidArchiveError, untrusted
from .formats import detect_format, printable_name
from .source import Source, Tick
from .tar_reader import Kind, TarReader, cut_off

#: Flags for a file of a directory: a link or a pipe in it is not followed, and does not block.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Member(t.NamedTuple):
    """A file. ``path``: the names from the top down to it. ``size``: bytes of its content."""

    path: tuple[str, ...]
    size: int

    @property
    def printable(self) -> str:
        return printable_name("/".join(self.path))


#: A file, and its content. What of it is not read before the next one is skipped.
MemberContent = tuple[Member, t.Iterator[t.Union[bytes, memoryview]]]


class Members(t.Protocol):
    """A source. ``size``: its bytes on the disk. ``read``: how many of them are read."""

    size: int

    @property
    def read(self) -> int:
        """Return the bytes that are read so far."""

    def iterate(self, tick: Tick) -> t.Iterator[MemberContent]:
        """Yield each file. ``tick`` is called now and then. Can be called again."""

    def fingerprint(self, tick: Tick) -> str:
        """Return what differs if the content differs."""

    def close(self) -> None:
        """Close what is open."""


def open_members(path: str) -> Members:
    """Open an archive or a directory. Raises InvalidArchiveError."""
    return _Directory(path) if os.path.isdir(path) else _Archive(path)


class _Archive:
    def __init__(self, path: str) -> None:
        self._source = Source(path)
        self.size = self._source.size
        self._fingerprint = ""
        try:
            self._format = detect_format(self._source.read_beginning())
        except BaseException:
            self.close()
            raise

    @property
    def read(self) -> int:
        return self._source.read

    def close(self) -> None:
        self._source.close()

    def fingerprint(self, tick: Tick) -> str:
        if not self._fingerprint:
            self._note(self._source.crc64_of_all(tick))
        return self._fingerprint

    def _note(self, checksum: int) -> None:
        fingerprint = f"{self.size}-{checksum:016x}"
        if self._fingerprint not in ("", fingerprint):
            raise InvalidArchiveError(
                "the archive was changed while it was read",
                hint="Wait until its download has finished, and run it again",
            )
        self._fingerprint = fingerprint

    def iterate(self, tick: Tick) -> t.Iterator[MemberContent]:
        self._source.rewind()
        stream = Stream(self._source, self._format, tick)
        try:
            for entry in TarReader(stream):
                if entry.kind is Kind.DIRECTORY:
                    continue
                if entry.kind is not Kind.FILE:
                    raise untrusted(
                        f"{entry.printable} in the archive is a {entry.kind.value}, which is in no backup"
                    )
                member = Member(_parts(entry.name), entry.size)
                end = stream.offset + entry.size
                yield member, stream.read_pieces(entry.size)
                if stream.offset < end:
                    stream.skip(end - stream.offset)
                if stream.offset < end:
                    raise cut_off(entry, stream.offset)
            self._note(self._source.crc64)
            self._source.confirm()
        finally:
            stream.close()


class _Directory:
    """Files below a directory, sorted by their names, so that each run reads them in the same order."""

    def __init__(self, path: str) -> None:
        self._root = path
        self._members = sorted(_walk(path))
        self.size = sum(member.size for member in self._members)
        self.read = 0
        self._fingerprint = ""

    def close(self) -> None:
        pass

    def fingerprint(self, tick: Tick) -> str:
        if not self._fingerprint:
            for _unused in self.iterate(tick):
                pass
        return self._fingerprint

    def iterate(self, tick: Tick) -> t.Iterator[MemberContent]:
        self.read = 0
        sums = 0
        for member in self._members:
            content = _Content(
                os.path.join(self._root, *member.path), member, tick
            )
            yield member, iter(content)
            content.finish()
            self.read += member.size
            name = "/".join(member.path).encode("utf-8", "surrogateescape")
            sums = crc64(
                b"%d %d %s\n" % (member.size, content.crc64, name), sums
            )
        self._fingerprint = f"{self.size}-{sums:016x}"


class _Content:
    """The bytes of one file of a directory, and their checksum."""

    def __init__(self, path: str, member: Member, tick: Tick) -> None:
        self.crc64 = 0
        self._member = member
        self._left = member.size
        self._path = path
        self._tick = tick
        self._chunks = self._read()

    def __iter__(self) -> t.Iterator[bytes]:
        return self._chunks

    def finish(self) -> None:
        """Read what was not read, for the checksum."""
        for _unused in self._chunks:
            pass
        if self._left:
            raise _changed(self._member)

    def _read(self) -> t.Iterator[bytes]:
        try:
            with contextlib.closing(_opened(self._path, self._member)) as file:
                while True:
                    chunk = file.read(tuning.CHUNK_SIZE)
                    if not chunk:
                        return
                    self._tick()
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise _changed(self._member)
                    self.crc64 = crc64(chunk, self.crc64)
                    yield chunk
        except OSError as error:
            raise _unreadable(self._member.printable, error) from None


def _opened(path: str, member: Member) -> t.BinaryIO:
    number = os.open(path, _FILE)
    file = os.fdopen(number, "rb", buffering=0)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise _changed(member)
    return t.cast(t.BinaryIO, file)


def _changed(member: Member) -> InvalidArchiveError:
    return InvalidArchiveError(
        f"{member.printable} was changed while it was read",
        hint="Wait until nothing writes there any more, and run it again",
    )


def _unreadable(name: str, error: OSError) -> InvalidArchiveError:
    return InvalidArchiveError(
        f"{name} cannot be read: {error.strerror}",
        hint="Run it as a user who can read it, for example with become",
    )


def _walk(root: str, above: tuple[str, ...] = ()) -> t.Iterator[Member]:
    try:
        with os.scandir(os.path.join(root, *above)) as entries:
            found = list(entries)
    except OSError as error:
        raise _unreadable(
            printable_name("/".join(above) or root), error
        ) from None
    for entry in found:
        path = (*above, entry.name)
        if entry.is_dir(follow_symlinks=False):
            if len(path) > tuning.MAX_DEPTH:
                raise untrusted(f"{printable_name('/'.join(path))} is too deep")
            yield from _walk(root, path)
        elif entry.is_file(follow_symlinks=False):
            yield Member(path, entry.stat(follow_symlinks=False).st_size)
        else:
            raise untrusted(
                f"{printable_name('/'.join(path))} is no regular file, which is in no backup"
            )


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split("/") if part not in ("", "."))
