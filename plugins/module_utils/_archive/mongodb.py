# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Placement of an export of MongoDB where mongorestore finds it.

An export has ``<database>/<collection>/<collection>.metadata.json`` and ``<database>/<collection>/data/<collection>_<i>_part<j>.bson``,
in any order and at any depth. mongorestore reads ``<database>/<name>.metadata.json`` and ``<database>/<name>.bson``.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from . import tuning
from .bson import DocumentWalk
from .errors import InvalidArchiveError, damaged
from .formats import printable_name
from .mongodb_metadata import Metadata, dump_name_of, parse_metadata
from .placement import Placement, SetAttributes
from .source import Tick
from .tar_reader import Entry, Kind
from .tree import DIRECTORY, Path

#: Directory for what is written until all is there. No database has a name with a dot.
_PARTS = ".parts"
#: Names of files in it, besides those of parts.
_METADATA = "metadata"
_EMPTY = "empty"
#: The first part, whose file the others are appended to.
_FIRST = "0_0"
_PART = re.compile(r"(0|[1-9][0-9]{0,8})_part(0|[1-9][0-9]{0,8})\.bson")
#: What no name of a database has, and its limit in bytes.
_NOT_IN_DATABASES = frozenset('\\. "$')
_MAX_DATABASE = 63
#: Collection with the data of a time series, by the name of that one.
_BUCKETS = "system.buckets."

_HINT = "Use layout=as_is to extract it as it is. Nothing was extracted"
_OPENED = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class MongorestorePlacement(Placement):
    """Placement of each collection as one file, with its metadata beside it.

    Parts are joined in the order of their numbers. As long as they come in that order, each is written to the file of the
    first one at once. Others are appended in the end, and each is removed then: no more than one part is on the disk twice.
    """

    is_final = False

    def __init__(self) -> None:
        self._is_export = False
        # Collections with a part that does not end with a document: such a part may go on in the next one.
        self._unaligned: set[Path] = set()
        # The path of the part that would go on in the file of the first part.
        self._next: Path = ()

    def place(self, path: Path, entry: Entry) -> t.Optional[Path]:
        """Return the path of a part or of metadata in the directory for parts."""
        if entry.kind is Kind.DIRECTORY:
            return None
        place = _place_of(path, entry.size) if entry.kind is Kind.FILE else None
        if place is None:
            raise self._not_in_export(entry)
        self._is_export = True
        _check_names(place, entry)
        return (_PARTS, *place)

    def observe(
        self, path: Path, pieces: t.Iterator[memoryview]
    ) -> t.Iterator[memoryview]:
        """Yield the pieces of a file, and note whether it ends with a document."""
        if path[-1] == _METADATA:
            yield from pieces
            return
        walk = DocumentWalk()
        for piece in pieces:
            walk.feed(piece)
            yield piece
        if not walk.has_ended:
            self._unaligned.add(path[1:3])

    def continued(self, path: Path) -> t.Optional[str]:
        """Return the first part, if that and all between came right before this one. The part's own file is then empty."""
        is_first = path[-1] == _FIRST
        # Behind no other part: all that is behind it would be on the disk twice when it is appended.
        if not is_first and path != self._next:
            return None
        group, part = path[-1].split("_")
        self._next = (*path[:-1], f"{group}_{int(part) + 1}")
        return None if is_first else _FIRST

    def check_repeated(self, entry: Entry) -> None:
        """Refuse the entry: both could have data of the collection."""
        raise _refused(
            f"{entry.printable} is in the archive twice, or in two directories with the same database and collection"
        )

    def finish(
        self, root: int, set_attributes: SetAttributes, tick: Tick
    ) -> None:
        """Join the parts of each collection in the directory of its database."""
        if not self._is_export:
            raise _refused(
                "the archive is not an export of MongoDB: it has no collections"
            )
        with _opened(_PARTS, root) as parts:
            for database in sorted(os.listdir(parts)):
                os.mkdir(database, 0o700, dir_fd=root)
                with (
                    _opened(database, parts) as source,
                    _opened(database, root) as dest,
                ):
                    names = sorted(os.listdir(source))
                    for name in names:
                        tick()
                        with _opened(name, source) as directory:
                            collection = _Collection(database, name, directory)
                            is_aligned = (database, name) not in self._unaligned
                            collection.check(source)
                            collection.install(
                                dest, is_aligned, set_attributes, tick
                            )
                    for name in names:
                        os.rmdir(name, dir_fd=source)
                os.rmdir(database, dir_fd=parts)
        os.rmdir(_PARTS, dir_fd=root)

    def _not_in_export(self, entry: Entry) -> InvalidArchiveError:
        """The error for an entry that belongs to no collection."""
        what = f"{entry.printable} is neither <collection>/<collection>.metadata.json nor "
        what += "<collection>/data/<collection>_<number>_part<number>.bson in the directory of a database"
        if not self._is_export:
            what = f"the archive is not an export of MongoDB: {what}"
        return _refused(what)


class _Collection:
    """A collection, with its parts and metadata in an open directory."""

    def __init__(self, database: str, name: str, directory: int) -> None:
        self._name = name
        self._path = f"{database}/{name}"
        self._printable = f"the collection {printable_name(name)} of the database {printable_name(database)}"
        self._directory = directory
        names = os.listdir(directory)
        numbers = sorted(
            tuple(map(int, name.split("_")))
            for name in names
            if name[0].isdigit()
        )
        self._parts = [f"{group}_{part}" for group, part in numbers]
        self._check_numbers(numbers)
        if not self._parts and _EMPTY in names:
            self._parts = [_EMPTY]
        elif _EMPTY in names:
            os.unlink(_EMPTY, dir_fd=directory)
        self._metadata: t.Optional[Metadata] = None
        if _METADATA in names:
            with _opened(
                _METADATA, directory, os.O_RDONLY | os.O_NOFOLLOW
            ) as file:
                data = os.read(
                    file, min(os.fstat(file).st_size, tuning.MAX_METADATA + 1)
                )
            self._metadata = parse_metadata(data, self._printable)

    def _check_numbers(self, numbers: t.Sequence[tuple[int, ...]]) -> None:
        """Check that no part is missing between others. Whether there were more at the end, nothing tells."""
        group = part = 0
        for number in numbers:
            if number[0] != group and part:
                group, part = group + 1, 0
            if number != (group, part):
                file = f"{self._name}_{group}_part{part}.bson"
                raise InvalidArchiveError(
                    f"{printable_name(f'{self._path}/data/{file}')} is missing in the archive, which has parts after it",
                    hint="Download the archive again, or create a new download task. Nothing was extracted",
                )
            part += 1

    def check(self, collections: int) -> None:
        """Check that data and metadata are both there. ``collections`` is open, and has those of the same database."""
        if self._metadata is None:
            if self._name.startswith(_BUCKETS) and _exists(
                self._name[len(_BUCKETS) :], collections
            ):
                return
            raise _refused(
                f"the archive has data of {self._printable}, but not its metadata, which has its indexes"
            )
        if self._parts or self._metadata.is_view:
            return
        if self._metadata.is_time_series and _exists(
            _BUCKETS + self._name, collections
        ):
            return
        raise _refused(
            f"the archive has metadata of {self._printable}, but no data file"
        )

    def install(
        self,
        dest: int,
        is_aligned: bool,
        set_attributes: SetAttributes,
        tick: Tick,
    ) -> None:
        """Move the files into the open directory of the database."""
        stated = self._metadata.name if self._metadata else None
        name = dump_name_of(self._name, stated, self._printable)
        if self._metadata:
            with _opened(_METADATA, self._directory, _OPENED) as file:
                set_attributes(file)
            self._move(_METADATA, dest, f"{name}.metadata.json")
        if self._parts:
            first = self._parts[0]
            with _opened(first, self._directory, _OPENED) as file:
                for part in self._parts[1:]:
                    with _opened(part, self._directory, _OPENED) as other:
                        _append(other, file, tick)
                    os.unlink(part, dir_fd=self._directory)
                if not is_aligned:
                    self._check_documents(file, tick)
                set_attributes(file)
            self._move(first, dest, f"{name}.bson")

    def _move(self, name: str, dest: int, new: str) -> None:
        """Move a file, but never onto another."""
        if _exists(new, dest):
            raise _refused(
                f"two collections would both be {printable_name(new)}: one is {self._printable}"
            )
        os.rename(name, new, src_dir_fd=self._directory, dst_dir_fd=dest)

    def _check_documents(self, file: int, tick: Tick) -> None:
        """Check that an open file is nothing but whole documents."""
        walk = DocumentWalk()
        for piece in _pieces_of(file, tick):
            walk.feed(piece)
        if walk.damage:
            raise damaged(
                f"the BSON of {self._printable} is not valid: {walk.damage}"
            )


def _place_of(path: Path, size: int) -> t.Optional[Path]:
    """Database, collection and name for a file of an export; None if it is none.

    The directory has the collection's name: that of a file cannot tell where it ends, as ``a_1_part2_0_part0.bson``.
    """
    *above, file = path
    if len(above) >= 2 and file == f"{above[-1]}.metadata.json":
        return (*above[-2:], _METADATA)
    if len(above) < 3 or above[-1] != "data":
        return None
    database, collection = above[-3:-1]
    if file == f"{collection}.bson" and not size:
        return (database, collection, _EMPTY)
    if not file.startswith(f"{collection}_"):
        return None
    match = _PART.fullmatch(file, len(collection) + 1)
    return (database, collection, f"{match[1]}_{match[2]}") if match else None


def _check_names(place: Path, entry: Entry) -> None:
    """Check that MongoDB can have such a database and collection."""
    database, collection = map(os.fsencode, place[:2])
    for name in (database, collection):
        try:
            name.decode()
        except UnicodeDecodeError:
            raise _refused(
                f"{entry.printable} in the archive has a name that is not UTF-8, as all names in MongoDB are"
            ) from None
    if len(database) > _MAX_DATABASE or _NOT_IN_DATABASES & set(place[0]):
        raise _refused(
            f"{entry.printable} in the archive is below {printable_name(place[0])}, which is not a valid name of a database"
        )


def _refused(message: str) -> InvalidArchiveError:
    """The error for an archive that only this layout does not allow."""
    return InvalidArchiveError(message, hint=_HINT)


@contextlib.contextmanager
def _opened(
    name: str, directory: int, flags: int = DIRECTORY
) -> t.Iterator[int]:
    file = os.open(name, flags | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield file
    finally:
        os.close(file)


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _append(source: int, dest: int, tick: Tick) -> None:
    """Append an open file to another one."""
    os.lseek(dest, 0, os.SEEK_END)
    for piece in _pieces_of(source, tick):
        # A write may take less than all.
        while piece:
            piece = piece[os.write(dest, piece) :]


def _pieces_of(file: int, tick: Tick) -> t.Iterator[memoryview]:
    """Yield the content of an open file from its beginning. Each piece is valid until the next one."""
    buffer = memoryview(bytearray(tuning.COPY_SIZE))
    at = 0
    while True:
        tick()
        count = os.preadv(file, [buffer], at)
        if not count:
            return
        at += count
        yield buffer[:count]
