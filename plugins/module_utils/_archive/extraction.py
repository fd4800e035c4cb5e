# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Unpacks the archive of a download task, all of it and safely, or not at all.

``archive`` says what is in it, ``tree`` writes that into a directory, and this makes a whole of both: what was there before
stays until all is there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import fcntl
import heapq
import json
import os
import shutil
import stat
import typing as t

from .._base.errors import BackupError
from .._files.errors import DestinationBusyError, DestinationError
from .._files.system import sync_directory, sync_file_system
from .decompression import Stream
from .formats import Format, detect_format, printable_name
from .link_targets import check_link
from .source import Source
from .survey import count_entries, count_entries_below
from .tar_reader import TarReader
from .tree import DIRECTORY, MARKER, NEW_FILE, Request, Tree
from .writer import Writer

#: So many names are returned of those at the top of ``dest``.
MAX_ROOTS = 100

_MAX_MARKER = 1 << 16


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
OnProgress = t.Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive gave; ``archives``: how many tars it is joined of."""

    src: str
    format: Format
    archives: int
    archive_size: int
    archive_crc64: int
    tree: Tree

    def to_dict(self) -> dict[str, t.Any]:
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


def plan(request: Request, watch: OnProgress) -> Plan:
    """What there is to do. Changes nothing; raises BackupError if it cannot be done."""
    with _translated_errors(request), contextlib.closing(Source(request.src)) as source:
        return _plan(request, source, watch)


def unpack(request: Request, watch: OnProgress) -> tuple[bool, Contents]:
    """Whether something was unpacked, and what ``dest`` holds now. Raises BackupError, and leaves ``dest`` as it was then."""
    with _translated_errors(request), contextlib.closing(Source(request.src)) as source:
        found = _plan(request, source, watch)
        if found.contents:
            return False, found.contents
        with _Staging(request.dest) as staging:
            if staging.has_recovered:
                found = _plan(request, source, watch)
                if found.contents:
                    return False, found.contents
            contents = _fill(staging, request, source, found.format, watch)
            staging.install(request, found.replaces)
        return True, contents


def left_by(src: str, dest: str) -> t.Optional[Contents]:
    """What was unpacked from the archive of that name, which is gone, if it is all still there."""
    contents = _read_marker(dest)
    return contents if contents and contents.src == src and count_entries(dest) == contents.tree else None


def roots_of(dest: str) -> list[str]:
    """The first names at the top, sorted, as text that can be written down: ``\\xff`` for a byte that is no UTF-8."""
    names = heapq.nsmallest(MAX_ROOTS, (name for name in os.listdir(dest) if name != MARKER))
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]


@contextlib.contextmanager
def _translated_errors(request: Request) -> t.Iterator[None]:
    """Whatever the system says about the destination, in our words."""
    try:
        yield
    except OSError as error:
        failed = DestinationError.of(error, printable_name(request.dest), request.operation)
        parent = printable_name(os.path.dirname(request.dest))
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            failed.hint = f"Make room in {parent}, and run it again"
        elif error.errno in (errno.ENOENT, errno.ENOTDIR):
            failed.hint = f"Create the directory {parent} first"
        raise failed from None
    except BackupError as error:
        error.operation = error.operation or request.operation
        raise


def _plan(request: Request, source: Source, watch: OnProgress) -> Plan:
    """Reads as far as the first entry, and all of the archive only if it may be what is there already."""
    format = detect_format(source.read_beginning())
    source.rewind()
    stream = Stream(source, format, int)
    try:
        next(iter(TarReader(stream)), None)
    finally:
        stream.close()
    contents, replaces = _compare(request, source, watch)
    return Plan(format, source.size, contents, replaces)


def _compare(request: Request, source: Source, watch: OnProgress) -> tuple[t.Optional[Contents], bool]:
    """What is there already of this archive, and whether something else has to go."""
    dest = request.dest
    if os.path.ismount(dest):
        message = f"{printable_name(dest)} is a mount point, which cannot be put in place as a whole"
        raise DestinationError(message, hint="Give a directory below it as dest")
    try:
        names = os.listdir(dest)
    except FileNotFoundError:
        return None, False
    except NotADirectoryError:
        if not os.path.lexists(dest):
            raise
        hint = "Give another dest, or remove it"
        raise DestinationError(f"{printable_name(dest)} is not a directory", hint=hint) from None
    if not names:
        return None, False
    there = _read_marker(dest)
    message = f"{printable_name(dest)} holds something else"

    def tick() -> None:
        watch(Progress(Step.COMPARE, source.read, source.size, 0, 0))

    if there and there.archive_size == source.size and there.archive_crc64 == source.crc64_of_all(tick):
        tree = count_entries(dest, tick)
        if tree == there.tree:
            return dataclasses.replace(there, src=request.src), False
        message = (
            f"{printable_name(dest)} holds what this archive gave, and was altered since: it is {_counted(tree)} now,"
            f" and was {_counted(there.tree)}"
        )
    if not request.replace:
        raise DestinationError(message, hint="Set force to true to have it replaced, or give another dest")
    return None, True


def _counted(tree: Tree) -> str:
    return f"{tree.files} files, {tree.directories} directories and {tree.links} links with {tree.size} bytes"


def _fill(staging: _Staging, request: Request, source: Source, format: Format, watch: OnProgress) -> Contents:
    root = staging.create()
    writer = Writer(root, request)

    def tick(step: Step = Step.UNPACK) -> None:
        watch(Progress(step, source.read, source.size, writer.files, writer.size))

    source.rewind()
    stream = Stream(source, format, tick)
    tars = TarReader(stream)
    try:
        for entry in tars:
            writer.add(entry, stream)
    finally:
        stream.close()
        writer.close()
    source.confirm()
    tree = count_entries_below(
        root,
        tick,
        lambda directory: writer.set_owner_and_mode(directory, request.directory_mode),
        lambda path: check_link(root, path),
    )
    contents = Contents(request.src, format, tars.archives, source.size, source.crc64, tree)
    marker = os.open(MARKER, NEW_FILE, 0o600, dir_fd=root)
    with open(marker, "w", encoding="ascii") as file:
        json.dump(contents.to_dict(), file, indent=2)
        file.write("\n")
        writer.set_owner_and_mode(marker, request.mode)
    writer.set_owner_and_mode(root, request.directory_mode)
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

    def __exit__(self, *_unused: object) -> None:
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
        self._root = os.open(self._new, DIRECTORY)
        return self._root

    def install(self, request: Request, replaces: bool) -> None:
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
                message = f"another run is unpacking into {printable_name(self._dest)}"
                raise DestinationBusyError(message, hint="Wait until it is done") from None
            except FileNotFoundError:
                pass
            os.close(lock)

    def _not_ours(self) -> DestinationError:
        message = (
            f"{printable_name(self._path)}, where it would grow, is there already, and was not left by a run like this"
        )
        return DestinationError(message, hint="Move it away, or give another dest")

    def _recover(self) -> bool:
        """Whether what was in ``dest`` was put back."""
        if not (os.path.lexists(self._old) and os.path.lexists(self._new)):
            return False
        try:
            os.rename(self._old, self._dest)
        except OSError as error:
            message = f"what was in {printable_name(self._dest)} is now in {printable_name(self._old)}, and cannot go back: {error.strerror}"
            raise DestinationError(message, hint="Put it back by hand") from None
        return True

    def _clear(self) -> None:
        for path in (self._old, self._new):
            shutil.rmtree(path, ignore_errors=True)
