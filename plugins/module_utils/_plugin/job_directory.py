# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The directory by which a background job and its followers speak."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import shutil
import typing as t

from .._files.note import Note
from . import tuning

NOTES = "notes.json"


class JobDirectory:
    """The files by which a job and its followers talk. A file that is gone reads as None."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.progress = Note(os.path.join(path, "progress.json"))

    def read(self, name: str) -> t.Any:
        try:
            with open(os.path.join(self.path, name), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def write(self, name: str, value: t.Any) -> None:
        """Write a file whole, or not at all. Raise OSError."""
        path = os.path.join(self.path, name)
        # The directory is removed when nobody needs it any more, at any time.
        with contextlib.suppress(FileNotFoundError):
            # Over the reserved file, without truncating it first: that would free its blocks.
            with open(
                os.open(path + "~", os.O_CREAT | os.O_WRONLY, 0o600),
                "w",
                encoding="utf-8",
            ) as file:
                json.dump(value, file)
                file.truncate()
            os.replace(path + "~", path)

    def reserve(self, name: str, room: int = tuning.RESERVED_BYTES) -> None:
        """Take blocks on the disk for a file, so that it can be written when the disk is full."""
        with open(os.path.join(self.path, name + "~"), "wb") as file:
            file.write(bytes(room))

    def keep_room(self, name: str) -> None:
        """Delete a file, and keep its blocks for the next one of the name."""
        with contextlib.suppress(FileNotFoundError):
            path = os.path.join(self.path, name)
            os.replace(path, path + "~")

    def touch(self, name: str) -> None:
        """Create a file, or set its time."""
        path = os.path.join(self.path, name)
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            # A file that exists is not changed by opening it.
            os.utime(path)

    def has(self, name: str) -> bool:
        return os.path.exists(os.path.join(self.path, name))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def heartbeat(self) -> t.Optional[int]:
        """Return a number that changes each time that somebody follows; None once all is gone."""
        try:
            return os.stat(os.path.join(self.path, "followed")).st_mtime_ns
        except FileNotFoundError:
            return None

    def live(self) -> int:
        """Open the pipe that tells others when this process ends.

        The system closes it at any end, also by SIGKILL. A number of the process would not do:
        it may belong to another process by then, and processes of other sessions are hard to wait for.
        """
        path = os.path.join(self.path, "alive")
        os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def is_over_within(self, seconds: float) -> bool:
        """Return whether the job has ended; wait for that at most ``seconds``."""
        try:
            pipe = os.open(
                os.path.join(self.path, "alive"),
                os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC,
            )
        except OSError as error:
            # Nobody reads from the pipe any more, or it was removed with the directory.
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return True
            raise
        try:
            reader = select.poll()
            # Errors are always reported: the end of the last reader is one.
            reader.register(pipe, 0)
            return bool(reader.poll(1000 * seconds))
        finally:
            os.close(pipe)

    def stop(self) -> tuple[t.Any, t.Any]:
        """Tell the job to end, wait for it, and clear up. Return its result and its notes."""
        self.touch("stop")
        self.is_over_within(tuning.GRACE)
        result, notes = self.read("result.json"), self.read(NOTES)
        self.remove()
        return result, notes
