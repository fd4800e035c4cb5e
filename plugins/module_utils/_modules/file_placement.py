# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A downloaded file in its place: checks of the destination, the backup of what was there, owner and mode."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._base.errors import ConfigurationError
from .._download.destination import allocated_bytes, check_names
from .._download.partial_file import PartialFile
from .._files.errors import DestinationError
from .._files.file_names import shortened
from .._files.system import sync_directory

#: Errors of a file system without hard links, and of a system that refuses hard links to files of other users.
_NO_HARD_LINKS = (
    errno.EPERM,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EMLINK,
)


class FilePlacement:
    """Puts files in their places, with the owner, the mode and the other attributes that the module's options give."""

    def __init__(
        self, module: AnsibleModule, *, dest: str, backup: bool
    ) -> None:
        self._module = module
        self._dest = dest
        self._keeps_backup = backup

    def check(self, path: str) -> None:
        """Raise a BackupError if no file can be put there. Directories below dest are created."""
        directory = os.path.dirname(path) or "."
        operation = f"write {path}"
        try:
            if (
                not os.path.isdir(directory)
                and path != self._dest
                and not self._module.check_mode
            ):
                _create_directories(directory, operation)
            exists = (
                os.path.lexists(directory)
                or not self._module.check_mode
                or path == self._dest
            )
            if exists and not stat.S_ISDIR(os.stat(directory).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "")
            if os.path.exists(path) and not os.path.isfile(path):
                raise DestinationError(
                    f"{path} exists, and is not a file", hint="Use another dest"
                )
            if exists and os.statvfs(directory).f_flag & os.ST_RDONLY:
                raise OSError(errno.EROFS, "")
            if exists and not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "")
        except FileNotFoundError as error:
            raise DestinationError.of(
                error,
                directory,
                operation,
                hint=f"Create the directory {directory} first",
            ) from None
        except OSError as error:
            raise DestinationError.of(error, directory, operation) from None
        if exists:
            check_names(path)
        self._validate_attributes(path, directory)

    def apply_attributes(
        self, path: str, diff: t.Optional[dict[str, t.Any]] = None
    ) -> bool:
        """Give an installed file the attributes of the options. Return whether they differed; ``diff`` gets both states."""
        return self._set_attributes(self._file_arguments(path), diff)

    def apply_default_context(self, path: str) -> None:
        """Give a new file the SELinux context that the system has for its path."""
        self._module.set_default_selinux_context(path, False)

    def install(self, partial: PartialFile, sync: bool) -> t.Optional[str]:
        """Put the file in its place, and return the name of the backup of the former file, if options ask for one.

        After that, the caller applies the attributes.
        """
        path = partial.destination
        backup = None
        try:
            before = os.stat(path) if os.path.exists(path) else None
            if sync:
                # Can take long, in which the file had better be one that a later run believes.
                partial.sync()
            if before:
                with contextlib.suppress(PermissionError):
                    os.fchown(partial.file, before.st_uid, before.st_gid)
                os.fchmod(partial.file, stat.S_IMODE(before.st_mode))
            # An attribute such as immutable would keep it from being renamed.
            self._set_attributes(
                dict(
                    self._file_arguments(path),
                    path=partial.path,
                    attributes=None,
                )
            )
            if sync:
                partial.sync()
            if before and self._keeps_backup:
                backup = self._create_backup(path)
            partial.close_journal()
            os.rename(partial.path, path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial.journal)
        except OSError as error:
            raise DestinationError.of(
                error, error.filename or path, f"move {path} into place"
            ) from None
        if sync:
            sync_directory(os.path.dirname(path) or ".")
        return backup

    def backup_size(self, path: str) -> int:
        """Return the bytes that a backup of the file takes: none where it is a hard link."""
        if not self._keeps_backup or not os.path.exists(path):
            return 0
        other = os.path.join(
            os.path.dirname(path),
            f".backup-{os.getpid()}-{os.urandom(4).hex()}",
        )
        try:
            os.link(path, other)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise DestinationError.of(
                    error, path, f"back up {path}"
                ) from None
            return allocated_bytes(os.stat(path))
        os.unlink(other)
        return 0

    def _create_backup(self, path: str) -> str:
        """Create a hard link to the file, which takes no room, or a copy where hard links are not possible."""
        directory, own_name = os.path.split(path)
        suffix = f".{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
        name = shortened(own_name, suffix)
        backup = os.path.join(directory, name)
        number = 0
        while os.path.lexists(backup):
            number += 1
            backup = os.path.join(directory, f"{name}{number}")
        try:
            os.link(path, backup)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            file, copy = tempfile.mkstemp(
                dir=directory or ".", prefix=".backup-"
            )
            os.close(file)
            try:
                self._module.preserved_copy(path, copy)
                os.rename(copy, backup)
            except BaseException:
                os.unlink(copy)
                raise
        return backup

    def _validate_attributes(self, path: str, directory: str) -> None:
        """Raise ConfigurationError for an unknown owner, group or mode, before anything is downloaded."""
        if not os.path.isdir(directory):
            return
        arguments = self._file_arguments(path)
        arguments.update(path=directory, attributes=None)
        before, self._module.check_mode = self._module.check_mode, True
        try:
            self._set_attributes(arguments)
        except DestinationError as error:
            raise ConfigurationError(
                f"The attributes of {path} cannot be set: {error.message}. {error.hint}."
            ) from None
        finally:
            self._module.check_mode = before

    def _file_arguments(self, path: str) -> dict[str, t.Any]:
        return dict(
            self._module.load_file_common_arguments(
                self._module.params, path=path
            )
        )

    def _set_attributes(
        self,
        arguments: dict[str, t.Any],
        diff: t.Optional[dict[str, t.Any]] = None,
    ) -> bool:
        module = self._module

        def fail(msg: str, **_unused: t.Any) -> t.NoReturn:
            raise DestinationError(
                msg,
                hint="Check owner, group, mode, attributes and the other file options",
                operation=f"set the attributes of {arguments['path']}",
            )

        with _replaced(module, "fail_json", fail):
            return bool(
                module.set_fs_attributes_if_different(arguments, False, diff)
            )


def _create_directories(directory: str, operation: str) -> None:
    """Create the directory and its parents."""
    try:
        os.makedirs(directory, mode=0o700)
    except OSError as error:
        raise DestinationError.of(
            error, error.filename or directory, operation, is_new=True
        ) from None


@contextlib.contextmanager
def _replaced(thing: t.Any, name: str, value: t.Any) -> t.Iterator[None]:
    """Replace an attribute for the time of a block."""
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield
    finally:
        setattr(thing, name, before)
