# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_file``: from its options to its result.

The action plugin finds out what there is to fetch, and gives the module a link (``links``) and, where it is not in the
link, a name (``names``) for each file. With ``url``, the module does without. How both speak while files come is in ``job``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._base.errors import BackupError, ConfigurationError
from .._dbs.prediction import is_predicted
from .._download.errors import StorageRejectedError, VerificationError
from .._download.journal import left_by_earlier_run
from .._download.link import Link
from .._download.object_info import ObjectInfo
from .._download.partial_file import PartialFile
from .._download.rejection import EXPIRED_HINT
from .._download.room import check_names, check_room
from .._download.transfer import Transfer
from .._download.types import TransferStats
from .._files.crc64 import crc64_of_file, is_slow
from .._files.errors import KEPT, DestinationError
from .._files.placement import LONGEST_NAME, name_of, relative_name
from .._files.system import sync_directory
from .._plugin.background_job import JOB_SPEC, Job
from .._plugin.options import CONNECTION_SPEC, FILES_SPEC, INSTANCE_NAME_SPEC, Options, completed
from .download_settings import Settings, settings_of

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "task_id": {"type": "str"},
    "instance_name": {**INSTANCE_NAME_SPEC, "required": False},
    "url": {"type": "str", "no_log": True},
    "oss_path": {"type": "str"},
    "dest": {"type": "path", "required": True},
    "force": {"type": "bool", "default": False},
    "backup": {"type": "bool", "default": False},
    "checksum": {"type": "str"},
    "connections": {"type": "int", "default": 8},
    "limit_rate": {"type": "str"},
    "sync": {"type": "bool", "default": True},
    "keep_partial": {"type": "bool", "default": True},
    **JOB_SPEC,
    "links": {"type": "list", "elements": "str", "no_log": True},
    "names": {"type": "list", "elements": "str"},
    **CONNECTION_SPEC,
    **FILES_SPEC,
}

CONSTRAINTS: dict[str, t.Any] = {
    "mutually_exclusive": [("task_id", "url", "oss_path")],
    "required_one_of": [("task_id", "url", "oss_path")],
}

_GONE_WITH_TASK_HINT = "The files of a task are there for three days; after that, create a new task"
_GONE_FROM_BUCKET_HINT = "The object was there when the bucket was listed: see who deletes objects in it"
_RENEWED_BY_NEXT_RUN_HINT = (
    f"Run it again: it begins with a new link; {KEPT}. With async, where links are not renewed, raise duration"
)

_STEP = 1 << 20
#: What a file system says that knows no hard links, or a system that does not allow them to files of others.
_NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK)


class DownloadFile:
    """One run of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._options: Options = module.params
        self._account = TransferStats()
        self._fetched: list[_File] = []
        self._files: list[dict[str, t.Any]] = []
        self._warnings: list[str] = []
        #: Of files that were there already: which of their attributes were before, and are after.
        self.attributes: dict[str, dict[str, t.Any]] = {}
        self._dest = ""
        self._network: t.Optional[str] = None
        self._began = time.monotonic()

    def answer(self, job: Job) -> dict[str, t.Any]:
        """The module's result. Raises any BackupError. All options are checked before the first request."""
        options = self._options = completed(self._options)
        settings = settings_of(options)
        links = [Link(url) for url in options["links"] or [options["url"]] if url]
        if not links:
            raise ConfigurationError(
                "This module finds files by its action plugin: call it by its full name, apsaradb.backup.dbs_download_file."
            )
        if settings.checksum and len(links) > 1:
            raise ConfigurationError(f"checksum is set, but there are {len(links)} files: it is for one file.")
        self._network = "vpc" if "-internal." in links[0].host else "public"
        names = [relative_name(name) for name in options["names"] or ()]
        destinations = self._destinations(links, names)
        for destination in destinations:
            self._check_destination(destination)
        if is_slow() and not options["checksum"]:
            self._warnings.append(
                "Neither liblzma nor the Python package fastcrc can be used here: computing the CRC-64 is slow without."
            )
        for number, (link, destination) in enumerate(zip(links, destinations)):
            file = _File(self, job, settings, link, destination, {"file": number + 1, "files": len(links)})
            self._fetched.append(file)
            self._files.append(file.facts)
            try:
                file.fetch()
            except StorageRejectedError as rejection:
                self.explain(rejection)
                raise
        return self.current_result()

    def current_result(self) -> dict[str, t.Any]:
        if not self._files:
            return {}
        account, files = self._account, self._files
        elapsed = time.monotonic() - self._began
        result: dict[str, t.Any] = {
            "changed": any(file["changed"] for file in files),
            "dest": self._dest,
            "files": files,
            "bytes_total": sum(file["size"] or 0 for file in files),
            "bytes_transferred": account.transferred,
            "bytes_resumed": account.resumed,
            "resumes": account.resumes,
            "attempts": account.attempts,
            "connections": account.connections,
            "elapsed": round(elapsed, 3),
            "rate": round(account.transferred / elapsed) if elapsed else 0,
            "network": self._network,
        }
        if len(files) == 1:
            # Of several, Ansible would put the size of the directory here.
            result["size"] = files[0]["size"]
        if self._module.check_mode:
            result["bytes_to_transfer"] = sum(file.get("bytes_to_transfer", 0) for file in files)
        if self._module._diff:
            result["diff"] = [_diff(file, self.attributes.get(file["dest"])) for file in files if file["changed"]]
        if self._warnings:
            result["warnings"] = self._warnings
        return result

    def partial_result(self) -> dict[str, t.Any]:
        """The result of a run that failed: what is known of it, without what is none or zero for now."""
        result = self.current_result()
        if result:
            files = [{name: value for name, value in file.items() if value is not None} for file in self._files]
            result["files"] = [file for file in files if "size" in file or file["changed"]]
        return {name: value for name, value in result.items() if value or name == "changed"}

    def interruption_note(self) -> str:
        keeps = self._options["keep_partial"] and all(file.is_resumable for file in self._fetched)
        return f"{KEPT[0].upper()}{KEPT[1:]}." if keeps else ""

    def explain(self, rejection: StorageRejectedError) -> None:
        """Say what to do where that depends on what was asked for."""
        options = self._options
        if options["url"]:
            return
        is_in_bucket = bool(options["oss_path"] or options["names"])
        if rejection.code == "NoSuchKey":
            rejection.hint = _GONE_FROM_BUCKET_HINT if is_in_bucket else _GONE_WITH_TASK_HINT
        elif rejection.hint == EXPIRED_HINT:
            rejection.hint = _RENEWED_BY_NEXT_RUN_HINT

    def _destinations(self, links: t.Sequence[Link], names: t.Sequence[str]) -> list[str]:
        dest = self._options["dest"]
        is_directory = os.path.isdir(dest) or dest.endswith("/") or len(links) > 1
        if len(links) > 1 and os.path.lexists(dest) and not os.path.isdir(dest):
            raise ConfigurationError(
                f"dest {dest!r} is a file, but there are {len(links)} files to be fetched: give a directory."
            )
        self._dest = dest
        if not is_directory:
            return [dest]
        found = [os.path.join(dest, name) for name in names or [name_of(link.path) for link in links]]
        if len(set(found)) < len(found):
            twice = next(path for path in found if found.count(path) > 1)
            raise ConfigurationError(
                f"two of the files would be {twice}: fetch them one by one, into files of different names."
            )
        if len(links) == 1:
            self._dest = found[0]
        return found

    def _check_destination(self, path: str) -> None:
        """That a file can be put there. Directories below dest are made."""
        directory = os.path.dirname(path) or "."
        operation = f"write {path}"
        try:
            if not os.path.isdir(directory) and path != self._options["dest"] and not self._module.check_mode:
                _make(directory, operation)
            exists = os.path.lexists(directory) or not self._module.check_mode or path == self._options["dest"]
            if exists and not stat.S_ISDIR(os.stat(directory).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "")
            if os.path.exists(path) and not os.path.isfile(path):
                raise DestinationError(f"{path} is there, and is no file", hint="Give another dest")
            if exists and os.statvfs(directory).f_flag & os.ST_RDONLY:
                raise OSError(errno.EROFS, "")
            if exists and not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "")
        except FileNotFoundError as error:
            failed = DestinationError.of(error, directory, operation)
            failed.hint = f"Create the directory {directory} first"
            raise failed from None
        except OSError as error:
            raise DestinationError.of(error, directory, operation) from None
        if exists:
            check_names(path)
        self._validate_attributes(path, directory)

    # what files are like

    def _validate_attributes(self, path: str, directory: str) -> None:
        """That users, groups and modes are such, before anything is fetched for them."""
        if not os.path.isdir(directory):
            return
        arguments = self._file_arguments(path)
        arguments.update(path=directory, attributes=None)
        before, self._module.check_mode = self._module.check_mode, True
        try:
            self._set_attributes(arguments)
        except DestinationError as error:
            raise ConfigurationError(
                f"{path} can not be given its attributes: {error.message}. {error.hint}."
            ) from None
        finally:
            self._module.check_mode = before

    def _file_arguments(self, path: str) -> dict[str, t.Any]:
        return dict(self._module.load_file_common_arguments(self._module.params, path=path))

    def _set_attributes(self, arguments: dict[str, t.Any], diff: t.Optional[dict[str, t.Any]] = None) -> bool:
        module = self._module

        def fail(msg: str, **_unused: t.Any) -> t.NoReturn:
            failed = DestinationError(
                msg, hint="Check owner, group, mode, attributes and the other options of that kind"
            )
            failed.operation = f"give {arguments['path']} its attributes"
            raise failed

        with _replaced(module, "fail_json", fail):
            return bool(module.set_fs_attributes_if_different(arguments, False, diff))

    def apply_attributes(self, path: str, diff: t.Optional[dict[str, t.Any]] = None) -> bool:
        """Give a file that is in its place what the options say. Returns whether it was different, and how in ``diff``."""
        return self._set_attributes(self._file_arguments(path), diff)

    def install(self, partial: PartialFile, sync: bool) -> t.Optional[str]:
        """Put the file in its place, and return the name of the backup of what was there, if one was asked for.

        Thereafter it has yet to be settled.
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
            self._set_attributes(dict(self._file_arguments(path), path=partial.path, attributes=None))
            if sync:
                partial.sync()
            if before and self._options["backup"]:
                backup = self._backup(path)
            partial.close_journal()
            os.rename(partial.path, path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial.journal)
        except OSError as error:
            raise DestinationError.of(error, error.filename or path, f"put {path} in its place") from None
        if sync:
            sync_directory(os.path.dirname(path) or ".")
        return backup

    def room_for_backup(self, path: str) -> int:
        """Bytes that it takes to keep what is there."""
        if not self._options["backup"] or not os.path.exists(path):
            return 0
        other = os.path.join(os.path.dirname(path), f".backup-{os.getpid()}-{os.urandom(4).hex()}")
        try:
            os.link(path, other)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise DestinationError.of(error, path, f"keep {path}") from None
            return os.stat(path).st_blocks * 512
        os.unlink(other)
        return 0

    def _backup(self, path: str) -> str:
        """A second name of the file, which costs nothing, or a copy where there can be none."""
        directory, own_name = os.path.split(path)
        suffix = f".{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
        name = os.fsencode(own_name)[: LONGEST_NAME - len(suffix)].decode("utf-8", "ignore") + suffix
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
            file, copy = tempfile.mkstemp(dir=directory or ".", prefix=".backup-")
            os.close(file)
            try:
                self._module.preserved_copy(path, copy)
                os.rename(copy, backup)
            except BaseException:
                os.unlink(copy)
                raise
        return backup


class _File:
    """One of the files."""

    def __init__(
        self, run: DownloadFile, job: Job, settings: Settings, link: Link, destination: str, progress: dict[str, t.Any]
    ) -> None:
        self._run = run
        self._job = job
        self._settings = settings
        self._link = link
        self._destination = destination
        self._progress = dict(progress, dest=destination)
        self._seen: t.Optional[tuple[int, int, int]] = None
        self.is_resumable = True
        self.facts: dict[str, t.Any] = {
            "changed": False,
            "dest": destination,
            "size": None,
            "crc64": None,
            "etag": None,
            "verified_by": None,
        }

    def fetch(self) -> None:
        facts, module, settings = self.facts, self._run._module, self._settings
        options = module.params
        self._seen = _status_of(self._destination)
        before = self._seen[0] if self._seen else None
        facts["size_before"] = before
        digest = None
        if before is not None and settings.checksum and not options["force"]:
            digest = self._digest_of(self._destination)
            if digest == settings.checksum[1]:
                facts.update(size=before, verified_by="checksum")
                self._apply_attributes()
                return
        if is_predicted(options["task_id"], module.check_mode):
            facts.update(changed=True, size=0, bytes_to_transfer=0)
            return
        job = _Reporting(self._job, self._progress)
        transfer = Transfer(self._link, settings.transfer, job, self._run._account)
        try:
            info = transfer.probe()
            self._update(info)
            if before == info.size and not options["force"] and self._is_there(info):
                if digest is not None:
                    raise self._wrong_checksum(digest)
                facts["verified_by"] = "crc64"
                self._apply_attributes()
                return
            facts["changed"] = True
            if module.check_mode:
                left = left_by_earlier_run(self._destination, info)
                facts["bytes_to_transfer"] = info.size - left
                check_room(self._destination, info.size)
                return
            facts["changed"] = False
            self._bring(transfer, info)
        finally:
            transfer.close()

    def _bring(self, transfer: Transfer, info: ObjectInfo) -> None:
        partial = PartialFile(self._destination)
        is_placed = False
        try:
            if self._is_brought_by_another(info):
                partial.delete()
                self.facts["verified_by"] = "crc64"
                self._apply_attributes()
                return
            partial.besides = self._run.room_for_backup(self._destination)
            info = transfer.run(partial, info)
            self._update(info)
            verified = [] if info.crc64 is None else ["crc64"]
            if self._settings.checksum:
                digest = self._digest_of(partial.path)
                if digest != self._settings.checksum[1]:
                    if info.crc64 is None:
                        # Nothing else says that what came is what the storage has.
                        partial.delete()
                    raise self._wrong_checksum(digest)
                verified.append("checksum")
            if not info.is_identified:
                self._run._warnings.append(
                    f"{self._destination} came over one connection, and could not have been resumed: the storage gives"
                    " neither ETag, CRC-64 nor Last-Modified, by which its parts could be known to belong together."
                )
            if not verified:
                self._run._warnings.append(
                    f"{self._destination} could be checked by its size only: the storage gives no CRC-64 of it. Give checksum."
                )
            self.facts["verified_by"] = ", ".join(verified) or "size"
            backup = self._run.install(partial, self._settings.transfer.sync)
            is_placed = self.facts["changed"] = True
            if backup:
                self.facts["backup_file"] = backup
            self._run._module.set_default_selinux_context(self._destination, False)
            self._run.apply_attributes(self._destination)
        finally:
            if is_placed or (self._run._options["keep_partial"] and self.is_resumable):
                partial.close()
            else:
                partial.delete()

    def _update(self, info: ObjectInfo) -> None:
        self.is_resumable = info.is_identified
        crc64 = None if info.crc64 is None else str(info.crc64)
        self.facts.update(size=info.size, crc64=crc64, etag=info.etag.strip('"') or None)

    def _apply_attributes(self) -> None:
        diff = self._run.attributes.setdefault(self._destination, {})
        self.facts["changed"] = self._run.apply_attributes(self._destination, diff)

    def _is_brought_by_another(self, info: ObjectInfo) -> bool:
        """Whether a run that had the partial file until now has put the same in its place."""
        status = _status_of(self._destination)
        is_new = status is not None and status != self._seen and status[0] == info.size
        return is_new and not self._run._options["force"] and self._is_there(info)

    def _is_there(self, info: ObjectInfo) -> bool:
        if info.crc64 is None:
            return False
        self._job.report(dict(self._progress, phase="checking", size=info.size))
        try:
            return crc64_of_file(self._destination, self._job.check) == info.crc64
        except OSError as error:
            raise DestinationError.of(error, self._destination, f"read {self._destination}") from None

    def _digest_of(self, path: str) -> str:
        """By the algorithm of the checksum that was given."""
        name = t.cast("tuple[str, str]", self._settings.checksum)[0]
        self._job.report(dict(self._progress, phase="checking"))
        value = hashlib.new(name, usedforsecurity=False)
        try:
            with open(path, "rb", buffering=0) as file:
                while piece := file.read(_STEP):
                    self._job.check()
                    value.update(piece)
        except OSError as error:
            raise DestinationError.of(error, path, f"read {path}") from None
        return value.hexdigest()

    def _wrong_checksum(self, found: str) -> BackupError:
        name, digest = t.cast("tuple[str, str]", self._settings.checksum)
        failed = VerificationError(
            f"the {name} of the file is {found}, and not {digest}, as checksum says",
            hint="Check checksum, and that the link is to the file that is meant",
        )
        failed.operation = f"download {self._link.printable}"
        return failed


class _Reporting:
    """The job, told which file its news are of."""

    def __init__(self, job: Job, progress: t.Mapping[str, t.Any]) -> None:
        self._job = job
        self._progress = progress
        self.renews_links = job.renews_links
        self.check = job.check
        self.ask_for_links = job.ask_for_links
        self.take_links = job.take_links

    def report(self, facts: t.Mapping[str, t.Any]) -> None:
        self._job.report({**self._progress, **facts})


def _make(directory: str, operation: str) -> None:
    """The directory, and those above it."""
    try:
        os.makedirs(directory, mode=0o700)
    except OSError as error:
        raise DestinationError.of(error, error.filename or directory, operation, is_new=True) from None


def _status_of(path: str) -> t.Optional[tuple[int, int, int]]:
    """Its size in bytes, and what tells it from another file in its place."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DestinationError.of(error, path, f"read {path}") from None
    return status.st_size, status.st_ino, status.st_mtime_ns


def _diff(file: t.Mapping[str, t.Any], attributes: t.Optional[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """Of the content, or of attributes alone."""

    def described(facts: t.Mapping[str, t.Any]) -> str:
        return "".join(f"{name}: {value}\n" for name, value in facts.items() if value is not None and name != "path")

    content = {"before": {"size": file["size_before"]}, "after": {"size": file["size"], "crc64": file["crc64"]}}
    diff = attributes or content
    header = file["dest"]
    return {
        "before_header": header,
        "after_header": header,
        "before": described(diff["before"]),
        "after": described(diff["after"]),
    }


@contextlib.contextmanager
def _replaced(thing: t.Any, name: str, value: t.Any) -> t.Iterator[None]:
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield
    finally:
        setattr(thing, name, before)
