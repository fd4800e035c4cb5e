# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Extraction of the archive of a download task: all of it, safely, or nothing.

``tar_reader`` reads the entries, ``writer`` writes them into a new directory, and ``staging`` puts that in the place of
``dest`` in the end: until then, the old content stays. ``contents`` describes it for later runs. A ``placement`` says where
each entry goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import heapq
import os
import typing as t

from .._base.errors import BackupError
from .._base.text import counted
from .._files.errors import DestinationError
from .._files.system import sync_file_system
from . import tuning
from .contents import Contents, read_marker, write_marker
from .decompression import Stream
from .entry_counts import count_entries, count_entries_below
from .formats import Format, detect_format, printable_name, valid_text
from .link_targets import check_link
from .mongodb import MongorestorePlacement
from .placement import Placement
from .source import Source, Tick
from .staging import Staging
from .tar_reader import TarReader
from .tree import MARKER, Layout, Request, Tree, split_path
from .writer import Writer


class Step(enum.Enum):
    """A step: comparing the archive with ``dest``, extracting it, joining files, or bringing all files to the disk."""

    COMPARE = "comparing"
    EXTRACT = "extracting"
    JOIN = "joining"
    SYNC = "syncing"


class Progress(t.NamedTuple):
    """Progress: ``read`` of ``total`` bytes of the archive, and files and bytes of content so far."""

    step: Step
    read: int
    total: int
    files: int
    size: int


_PLACEMENTS: dict[Layout, t.Callable[[], Placement]] = {
    Layout.AS_IS: Placement,
    Layout.MONGORESTORE: MongorestorePlacement,
}

#: Called about every megabyte. It may raise an error: then nothing is left behind.
OnProgress = t.Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A plan. ``contents``: those that are in ``dest`` already, None if there is something to extract. ``replaces``: other content."""

    format: Format
    archive_size: int
    contents: t.Optional[Contents]
    replaces: bool


def plan(request: Request, watch: OnProgress) -> Plan:
    """Plan the extraction, and change nothing. Raises BackupError if it cannot be done."""
    with (
        _translated_errors(request),
        contextlib.closing(Source(request.src)) as source,
    ):
        return _plan(request, source, watch)


def unpack(request: Request, watch: OnProgress) -> tuple[bool, Contents]:
    """Unpack the archive. Returns whether it changed something, and the contents. Leaves ``dest`` as it was if it raises BackupError."""
    with (
        _translated_errors(request),
        contextlib.closing(Source(request.src)) as source,
    ):
        found = _plan(request, source, watch)
        if found.contents:
            return False, found.contents
        with Staging(request.dest) as staging:
            # What a killed run had taken away is back, so that the plan may be another one.
            if staging.has_recovered:
                found = _plan(request, source, watch)
                if found.contents:
                    return False, found.contents
            contents = _fill(staging, request, source, found.format, watch)
            staging.install(request, found.replaces)
        return True, contents


def left_by(request: Request) -> t.Optional[Contents]:
    """Contents that an earlier run with this request extracted before it deleted the archive; None if they were changed since."""
    contents = read_marker(request.dest)
    if not contents or (contents.src, contents.layout) != (
        request.src,
        request.layout,
    ):
        return None
    if count_entries(request.dest) != contents.tree:
        return None
    return contents


def roots_of(dest: str) -> list[str]:
    """The first names at the top, sorted, as valid text: ``\\xff`` for a byte that is not UTF-8."""
    names = (name for name in os.listdir(dest) if name != MARKER)
    # Not sorted(): there can be a million names.
    return [
        valid_text(name) for name in heapq.nsmallest(tuning.MAX_ROOTS, names)
    ]


@contextlib.contextmanager
def _translated_errors(request: Request) -> t.Iterator[None]:
    """Raise DestinationError for an OSError, with a hint."""
    try:
        yield
    except OSError as error:
        raise DestinationError.of(
            error,
            printable_name(request.dest),
            request.operation,
            hint=_hint(error.errno, request),
        ) from None
    except BackupError as error:
        # Each error below is of this operation, unless it names a smaller one.
        error.in_context(request.operation)
        raise


def _hint(number: t.Optional[int], request: Request) -> t.Optional[str]:
    """The hint for an error of the system, where it is not the usual one: ``dest`` is created by the extraction itself."""
    parent = printable_name(os.path.dirname(request.dest))
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"Free some space in {parent} and run it again"
    if number in (errno.ENOENT, errno.ENOTDIR):
        return f"Create the directory {parent} first"
    return None


def _plan(request: Request, source: Source, watch: OnProgress) -> Plan:
    """Read up to the first entry that is written, and all of the archive only if ``dest`` may hold its content already."""
    format = detect_format(source.read_beginning())
    source.rewind()
    stream = Stream(source, format, int)
    try:
        placement = _PLACEMENTS[request.layout]()
        for entry in TarReader(stream):
            if placement.place(split_path(entry.name), entry) is not None:
                break
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
        raise DestinationError(
            f"{printable_name(dest)} is a mount point, which cannot be replaced as a whole",
            hint="Set dest to a directory below it",
        )
    if not _names_in(dest):
        return None, False
    there = read_marker(dest)
    message = f"{printable_name(dest)} is not empty, and its content is not from this archive"

    def tick() -> None:
        watch(Progress(Step.COMPARE, source.read, source.size, 0, 0))

    if there and there.layout is not request.layout:
        message = f"{printable_name(dest)} is not empty, and was extracted with layout={there.layout.value}"
    # The size first: reading all of the archive for its checksum takes long.
    elif (
        there
        and there.archive_size == source.size
        and there.archive_crc64 == source.crc64_of_all(tick)
    ):
        tree = count_entries(dest, tick)
        if tree == there.tree:
            return dataclasses.replace(there, src=request.src), False
        message = (
            f"{printable_name(dest)} was changed since this archive was extracted: it "
            f"holds {_described(tree)} now, and held {_described(there.tree)} before"
        )
    if not request.replace:
        raise DestinationError(
            message, hint="Set force=true to replace it, or use another dest"
        )
    return None, True


def _names_in(dest: str) -> list[str]:
    """Names in ``dest``, none where it does not exist. Raises DestinationError if it is not a directory."""
    try:
        return os.listdir(dest)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        # Or something above it is none.
        if not os.path.lexists(dest):
            raise
        raise DestinationError(
            f"{printable_name(dest)} is not a directory",
            hint="Remove it, or use another dest",
        ) from None


def _described(tree: Tree) -> str:
    return (
        f"{counted(tree.files, 'file')}, {counted(tree.directories, 'directory')}"
        f" and {counted(tree.links, 'link')} with {counted(tree.size, 'byte')}"
    )


def _write_entries(
    source: Source, format: Format, writer: Writer, tick: Tick
) -> int:
    """Write all entries. Returns the number of tars that are joined in the source."""
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
    return tars.archives


def _fill(
    staging: Staging,
    request: Request,
    source: Source,
    format: Format,
    watch: OnProgress,
) -> Contents:
    """Unpack into the new directory."""
    root = staging.create()
    placement = _PLACEMENTS[request.layout]()
    writer = Writer(root, request, placement)

    def tick(step: Step = Step.EXTRACT) -> None:
        watch(
            Progress(step, source.read, source.size, writer.files, writer.size)
        )

    archives = _write_entries(source, format, writer, tick)
    placement.finish(
        root,
        lambda file: writer.set_owner_and_mode(file, request.mode),
        lambda: tick(Step.JOIN),
    )

    def complete(directory: int) -> None:
        writer.set_owner_and_mode(directory, request.directory_mode)

    # Links are checked now, as the target of one may come after it. Directories get their modes last: one without write
    # permission could not be filled.
    tree = count_entries_below(
        root, tick, complete, lambda path: check_link(root, path)
    )
    contents = Contents(
        request.src,
        format,
        archives,
        source.size,
        source.crc64,
        request.layout,
        tree,
    )
    write_marker(
        root,
        contents,
        lambda marker: writer.set_owner_and_mode(marker, request.mode),
    )
    complete(root)
    if request.sync:
        tick(Step.SYNC)
        # Once for all files: fsync for each one takes many times as long if they are small.
        sync_file_system(root)
    return contents
