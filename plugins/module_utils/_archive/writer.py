# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Writer for the entries of an archive.

It goes from one open directory to the next, and never through a link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import typing as t

from .._files.errors import DestinationError
from .._files.system import start_writing
from . import tuning
from .decompression import Stream
from .errors import InvalidArchiveError, damaged, untrusted
from .formats import printable_name
from .link_targets import escapes, leads_outside
from .placement import Placement
from .tar_reader import Entry, Kind, cut_off
from .tree import DIRECTORY, MARKER, NEW_FILE, Path, Request, split_path


class Writer:
    """Writer for entries below an open directory. Counts files, and bytes of content."""

    def __init__(
        self, root: int, request: Request, placement: Placement
    ) -> None:
        self.entries = 0
        self.files = 0
        self.size = 0
        self._root = root
        self._request = request
        self._placement = placement
        # The last directory stays open, as the next entry is mostly in the same.
        self._parts: Path = ()
        self._directory = root
        self._max_size = request.max_size
        if self._max_size is None:
            file_system = os.fstatvfs(root)
            self._max_size = file_system.f_bavail * file_system.f_frsize

    def close(self) -> None:
        """Close the last directory. The root stays open."""
        self._enter(())

    def add(self, entry: Entry, stream: Stream) -> None:
        """Write an entry, with its content from the stream. Raises InvalidArchiveError, DestinationError or OSError."""
        path = self._split(entry.name, entry)
        if not path:
            if entry.kind is not Kind.DIRECTORY:
                raise untrusted(
                    f"a {entry.kind.value} in the archive has no name"
                )
            return
        if path == (MARKER,):
            raise InvalidArchiveError(
                f"the archive holds {MARKER}, a file that only this module writes",
                hint="It may have been made from an extracted archive: make it again without that file",
            )
        parts = self._placement.place(path, entry)
        if parts is None:
            return
        if entry.kind is Kind.DIRECTORY:
            self._enter(parts, entry)
            return
        self._count_entry()
        if entry.kind is Kind.LINK:
            self._enter(parts[:-1], entry)
            self._write_link(entry, parts)
        elif entry.kind is Kind.HARD_LINK:
            self._write_hard_link(entry, parts)
        else:
            self._count_file(entry.size, entry)
            self._enter(parts[:-1], entry)
            self._write_file(entry, parts, stream)

    def set_owner_and_mode(self, file: int, mode: int) -> None:
        """Set them for an open file or directory."""
        # In this order: a change of the owner can clear bits of the mode.
        if self._request.changes_owner:
            os.fchown(file, self._request.owner, self._request.group)
        os.fchmod(file, mode)

    def _split(self, name: str, entry: Entry) -> Path:
        """Split a name at its slashes, and check it."""
        parts = split_path(name)
        # Names with a drive of Windows are refused as well: whoever wrote them meant no place below.
        if (
            name.startswith("/")
            or re.match(r"[A-Za-z]:([\\/]|$)", name)
            or ".." in parts
        ):
            raise leads_outside(entry)
        if "\0" in name:
            raise damaged(
                f"the name {printable_name(name)} at offset {entry.offset} contains a NUL byte"
            )
        # The path must be valid in the new directory, which is longer than in dest.
        whole = f"{self._request.dest}.part/new/{name}"
        is_too_long = len(os.fsencode(whole)) > tuning.MAX_PATH or any(
            len(os.fsencode(part)) > tuning.MAX_NAME for part in parts
        )
        if is_too_long or len(parts) > tuning.MAX_DEPTH:
            raise untrusted(
                f"the name {printable_name(name)} of {len(name)} characters is too long or too deep"
            )
        return parts

    def _count_entry(self) -> None:
        """Count an entry before it is written. Directories that the archive only implies count, too."""
        self.entries += 1
        limit = self._request.max_files
        if self.entries > limit:
            message = f"the archive holds more than {limit} files, directories and links"
            raise InvalidArchiveError(
                message,
                hint=f"If you trust the archive, raise max_files, which is {limit}",
            )

    def _count_file(self, size: int, entry: Entry) -> None:
        """Count a file before it is written, so that no byte is written beyond the limit."""
        self.files += 1
        self.size += size
        limit = t.cast(int, self._max_size)
        if self.size > limit:
            message = f"the archive holds {self.size} bytes of content up to {entry.printable}"
            if self._request.max_size is None:
                parent = printable_name(os.path.dirname(self._request.dest))
                raise DestinationError(
                    f"{message}, but only {limit} bytes are free in {parent}",
                    hint="Free some space there and run it again. If the file system compresses its content, set max_size",
                )
            raise InvalidArchiveError(
                f"{message}, but max_size is {limit}",
                hint="If you trust the archive, raise max_size",
            )

    def _enter(
        self,
        parts: Path,
        entry: t.Optional[Entry] = None,
        creates: bool = True,
    ) -> None:
        """Open a directory, level by level from the root, and create what is missing."""
        if parts == self._parts:
            return
        # From the root, level by level: a whole path would go through a link that another entry put there.
        self._go_to((), self._root)
        for depth, part in enumerate(parts, 1):
            try:
                try:
                    inner = os.open(part, DIRECTORY, dir_fd=self._directory)
                except FileNotFoundError:
                    if not creates:
                        raise
                    self._count_entry()
                    # For nobody else, until all is there and directories get their modes.
                    os.mkdir(part, 0o700, dir_fd=self._directory)
                    inner = os.open(part, DIRECTORY, dir_fd=self._directory)
            except OSError as error:
                if entry and error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise self._conflict(
                        entry, "/".join(parts[:depth])
                    ) from None
                raise
            self._go_to(parts[:depth], inner)

    def _go_to(self, parts: Path, directory: int) -> None:
        """Make an open directory the current one, and close the last."""
        last = self._directory
        # In this order, as a signal may come in between: then ``close`` must not close the last one again.
        self._directory = directory
        self._parts = parts
        if last != self._root:
            os.close(last)

    def _conflict(self, entry: Entry, name: str) -> InvalidArchiveError:
        """The error for a file where another entry needs a directory."""
        return untrusted(
            f"{printable_name(name)} in the archive is a file or a link, but {entry.printable} needs a directory there"
        )

    def _create(
        self, entry: Entry, name: str, make: t.Callable[[], t.Any]
    ) -> t.Any:
        """Call ``make``, and return its result. The later one of two entries with one name wins, as in a tar that was appended to."""
        try:
            return make()
        except FileExistsError:
            status = os.stat(
                name, dir_fd=self._directory, follow_symlinks=False
            )
        if stat.S_ISDIR(status.st_mode):
            raise untrusted(
                f"{entry.printable} in the archive is both a directory and a {entry.kind.value}"
            )
        self._placement.check_repeated(entry)
        # Not overwritten: by a hard link, the content could be that of another entry as well, or a link leads elsewhere.
        os.unlink(name, dir_fd=self._directory)
        if stat.S_ISREG(status.st_mode):
            self.files -= 1
            self.size -= status.st_size
        return make()

    def _write_file(self, entry: Entry, parts: Path, stream: Stream) -> None:
        """Create a file, and write its content."""
        name = parts[-1]
        file = self._create(
            entry,
            name,
            lambda: os.open(name, NEW_FILE, 0o600, dir_fd=self._directory),
        )
        try:
            earlier = self._placement.continued(parts)
            if earlier is not None:
                # The new file stays empty, and shows that the entry is there.
                self._reopen(file, earlier)
            start = written = os.lseek(file, 0, os.SEEK_END)
            pieces = stream.read_pieces(entry.size)
            for piece in self._placement.observe(parts, pieces):
                count = len(piece)
                # A write may take less than all.
                while piece:
                    piece = piece[os.write(file, piece) :]
                # Large files are brought to the disk while more comes, small ones together in the end.
                if self._request.sync and written > start:
                    start_writing(file, written, count)
                written += count
            if written - start < entry.size:
                raise cut_off(entry, stream.offset)
            # The file is for nobody else until now, when it has all of its content.
            if self._placement.is_final:
                self.set_owner_and_mode(file, self._request.mode)
        finally:
            os.close(file)

    def _reopen(self, file: int, name: str) -> None:
        """Open another file of the directory in the place of an open one."""
        other = os.open(
            name,
            os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC,
            dir_fd=self._directory,
        )
        try:
            os.dup2(other, file, inheritable=False)
        finally:
            os.close(other)

    def _write_link(self, entry: Entry, parts: Path) -> None:
        """Create a symbolic link, if the text of its target is safe. Its real target can be checked only when all is there."""
        if not entry.target or "\0" in entry.target:
            raise damaged(f"the link {entry.printable} has no valid target")
        name, directory = parts[-1], self._directory
        if escapes(entry.target, len(parts) - 1):
            raise leads_outside(entry)
        self._create(
            entry,
            name,
            lambda: os.symlink(entry.target, name, dir_fd=directory),
        )
        request = self._request
        if request.changes_owner:
            # That of the link itself. A link has no mode of its own.
            os.chown(
                name,
                request.owner,
                request.group,
                dir_fd=directory,
                follow_symlinks=False,
            )

    def _write_hard_link(self, entry: Entry, parts: Path) -> None:
        """Create a hard link to a file that was written before, and to nothing else."""
        target = self._split(entry.target, entry)
        if target == parts:
            raise damaged(f"the hard link {entry.printable} points to itself")
        status = None
        if target:
            with contextlib.suppress(FileNotFoundError):
                self._enter(target[:-1], entry, creates=False)
                status = os.stat(
                    target[-1], dir_fd=self._directory, follow_symlinks=False
                )
        if status is None or not stat.S_ISREG(status.st_mode):
            name, other = entry.printable, printable_name(entry.target)
            raise untrusted(
                f"{name} in the archive is a hard link to {other}, but no such file comes before it"
            )
        self._count_file(status.st_size, entry)
        # The next step closes the current directory, which is that of the target.
        source = os.dup(self._directory)
        try:
            self._enter(parts[:-1], entry)
            self._create(
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
