# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Extraction of the archive of a download task: all of it, safely, or nothing.

``tar_reader`` reads the entries, ``writer`` writes them into a new directory, and that takes the place of ``dest`` in the end:
until then, the old content stays.
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

#: Largest number of names at the top of ``dest`` in a result: people read them.
MAX_ROOTS = 100

#: Bytes of a marker that are read. Ours have less than 1 KiB and a path.
_MAX_MARKER = 1 << 16


class Step(enum.Enum):
    """A step: comparing the archive with ``dest``, unpacking it, or bringing all files to the disk."""

    COMPARE = "comparing"
    UNPACK = "unpacking"
    SYNC = "syncing"


class Progress(t.NamedTuple):
    """Progress: ``read`` of ``total`` bytes of the archive, and files and bytes of content so far."""

    step: Step
    read: int
    total: int
    files: int
    size: int


#: Called about every megabyte. It may raise an error: then nothing is left behind.
OnProgress = t.Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class Contents:
    """Content of an archive. ``archives``: number of tars that it is joined of."""

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
    """A plan. ``contents``: those that are in ``dest`` already, None if there is something to unpack. ``replaces``: other content."""

    format: Format
    archive_size: int
    contents: t.Optional[Contents]
    replaces: bool


def plan(request: Request, watch: OnProgress) -> Plan:
    """Plan the extraction, and change nothing. Raises BackupError if it cannot be done."""
    with _translated_errors(request), contextlib.closing(Source(request.src)) as source:
        return _plan(request, source, watch)


def unpack(request: Request, watch: OnProgress) -> tuple[bool, Contents]:
    """Unpack the archive. Returns whether it changed something, and the contents. Leaves ``dest`` as it was if it raises BackupError."""
    with _translated_errors(request), contextlib.closing(Source(request.src)) as source:
        found = _plan(request, source, watch)
        if found.contents:
            return False, found.contents
        with _Staging(request.dest) as staging:
            # What a killed run had taken away is back, so that the plan may be another one.
            if staging.has_recovered:
                found = _plan(request, source, watch)
                if found.contents:
                    return False, found.contents
            contents = _fill(staging, request, source, found.format, watch)
            staging.install(request, found.replaces)
        return True, contents


def left_by(src: str, dest: str) -> t.Optional[Contents]:
    """Contents that an earlier run unpacked from the archive of that name, which is deleted; None if they were changed since."""
    contents = _read_marker(dest)
    return (
        contents
        if contents and contents.src == src and count_entries(dest) == contents.tree
        else None
    )


def roots_of(dest: str) -> list[str]:
    """The first names at the top, sorted, as valid text: ``\\xff`` for a byte that is not UTF-8."""
    # Not sorted(): there can be a million names.
    names = heapq.nsmallest(
        MAX_ROOTS, (name for name in os.listdir(dest) if name != MARKER)
    )
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]


@contextlib.contextmanager
def _translated_errors(request: Request) -> t.Iterator[None]:
    """Raise DestinationError for an OSError, with a hint."""
    try:
        yield
    except OSError as error:
        failed = DestinationError.of(
            error, printable_name(request.dest), request.operation
        )
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
    """Read up to the first entry, and all of the archive only if ``dest`` may hold its content already."""
    format = detect_format(source.read_beginning())
    source.rewind()
    stream = Stream(source, format, int)
    try:
        next(iter(TarReader(stream)), None)
    finally:
        stream.close()
    contents, replaces = _compare(request, source, watch)
    return Plan(format, source.size, contents, replaces)


def _compare(
    request: Request, source: Source, watch: OnProgress
) -> tuple[t.Optional[Contents], bool]:
    """Compare ``dest`` with the archive. Returns its contents if they are the same, and whether others have to be replaced."""
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
        raise DestinationError(
            f"{printable_name(dest)} is not a directory", hint=hint
        ) from None
    if not names:
        return None, False
    there = _read_marker(dest)
    message = f"{printable_name(dest)} holds something else"

    def tick() -> None:
        watch(Progress(Step.COMPARE, source.read, source.size, 0, 0))

    # The size first: reading all of the archive for its checksum takes long.
    if (
        there
        and there.archive_size == source.size
        and there.archive_crc64 == source.crc64_of_all(tick)
    ):
        tree = count_entries(dest, tick)
        if tree == there.tree:
            return dataclasses.replace(there, src=request.src), False
        message = (
            f"{printable_name(dest)} holds what this archive gave, and was altered since: it is {_counted(tree)} now,"
            f" and was {_counted(there.tree)}"
        )
    if not request.replace:
        raise DestinationError(
            message, hint="Set force to true to have it replaced, or give another dest"
        )
    return None, True


def _counted(tree: Tree) -> str:
    return f"{tree.files} files, {tree.directories} directories and {tree.links} links with {tree.size} bytes"


def _fill(
    staging: _Staging, request: Request, source: Source, format: Format, watch: OnProgress
) -> Contents:
    """Unpack into the new directory."""
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
    # Links are checked now, as the target of one may come after it. Directories get their modes last: one without write
    # permission could not be filled.
    tree = count_entries_below(
        root,
        tick,
        lambda directory: writer.set_owner_and_mode(directory, request.directory_mode),
        lambda path: check_link(root, path),
    )
    contents = Contents(
        request.src, format, tars.archives, source.size, source.crc64, tree
    )
    marker = os.open(MARKER, NEW_FILE, 0o600, dir_fd=root)
    with open(marker, "w", encoding="ascii") as file:
        json.dump(contents.to_dict(), file, indent=2)
        file.write("\n")
        writer.set_owner_and_mode(marker, request.mode)
    writer.set_owner_and_mode(root, request.directory_mode)
    if request.sync:
        tick(Step.SYNC)
        # Once for all files: fsync for each one takes many times as long if they are small.
        sync_file_system(root)
    return contents


def _read_marker(dest: str) -> t.Optional[Contents]:
    """Contents as an earlier run described them; None if there is no valid marker."""
    try:
        # Users may put anything there: a link is not followed, and a pipe does not block.
        marker = os.open(
            os.path.join(dest, MARKER),
            os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
        )
        with open(marker, "rb") as file:
            facts = json.loads(file.read(_MAX_MARKER))
        return Contents(
            src=facts["src"],
            format=Format(facts["format"]),
            archives=facts["archives"],
            archive_size=facts["archive_size"],
            archive_crc64=int(facts["archive_crc64"]),
            tree=Tree(
                **{field.name: facts[field.name] for field in dataclasses.fields(Tree)}
            ),
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


class _Staging:
    """The directory ``<dest>.part`` beside ``dest``: ``new`` is filled, ``old`` was in ``dest``, ``lock`` keeps other runs out.

    As long as both ``new`` and ``old`` are in it, nothing has taken the place of the old, which then goes back.
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
        """Create the new directory. Returns it open."""
        # For nobody else until it is complete.
        os.mkdir(self._new, 0o700)
        self._root = os.open(self._new, DIRECTORY)
        return self._root

    def install(self, request: Request, replaces: bool) -> None:
        """Put the new directory in the place of ``dest``. A run that is killed between both renames is undone by the next one."""
        if replaces:
            os.rename(self._dest, self._old)
        os.rename(self._new, self._dest)
        if request.sync:
            sync_directory(os.path.dirname(self._dest))

    def _acquire(self) -> int:
        """Create and lock the directory. Repeats until what is locked is what has the name."""
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._path, 0o700)
            status = os.lstat(self._path)
            # One of somebody else could be changed below our hands, as in /tmp.
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                raise self._not_ours()
            if set(os.listdir(self._path)) - {"new", "old", "lock"}:
                raise self._not_ours()
            try:
                lock = os.open(
                    self._lock_path,
                    os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
                    0o600,
                )
            except FileNotFoundError:
                # Another run has just removed all.
                continue
            try:
                # The system gives it back when a process ends, however that happens.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), os.stat(self._lock_path)):
                    return lock
            except BlockingIOError:
                os.close(lock)
                message = f"another run is unpacking into {printable_name(self._dest)}"
                raise DestinationBusyError(
                    message, hint="Wait until it is done"
                ) from None
            except FileNotFoundError:
                pass
            os.close(lock)

    def _not_ours(self) -> DestinationError:
        message = f"{printable_name(self._path)}, where it would be written first, already exists, and was not left by a run like this"
        return DestinationError(message, hint="Move it away, or give another dest")

    def _recover(self) -> bool:
        """Put back what was in ``dest`` if nothing took its place. Tells whether it did."""
        if not (os.path.lexists(self._old) and os.path.lexists(self._new)):
            return False
        try:
            os.rename(self._old, self._dest)
        except OSError as error:
            message = f"what was in {printable_name(self._dest)} is now in {printable_name(self._old)}, and cannot go back: {error.strerror}"
            raise DestinationError(message, hint="Put it back by hand") from None
        return True

    def _clear(self) -> None:
        """Remove both directories. What cannot be removed now is left for the next run."""
        for path in (self._old, self._new):
            shutil.rmtree(path, ignore_errors=True)
