# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A job in the background: what the work sees of it. ``job_protocol`` says who follows it.

In the directory of the job, which only its user can read, are ``progress.json`` and
``result.json`` of the job, ``links.json`` for it, ``notes.json``, ``followed``, whose time says
when the job was last followed, ``stop``, if it shall end, and ``alive``, a pipe that the job reads
from as long as it lives, so that its end is noticed at once.

A job that nobody follows any more ends itself, and removes its directory, also if it is done by
then.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
import typing as t

from .._files.errors import AbandonedError, DestinationError
from . import tuning
from .job_directory import NOTES, JobDirectory
from .job_protocol import Facts, JobRequest, JobState


class Job:
    """What work sees of who waits for it. This one is the work's own process."""

    renews_links = False
    is_restarted = False
    notes: t.Optional[Facts] = None
    #: Seconds that passed before this process began.
    elapsed = 0.0

    def __init__(self) -> None:
        self._parent = ParentWatch()

    def check(self) -> None:
        """Raise AbandonedError if nobody waits for the result any more."""
        if self._parent.is_gone():
            raise AbandonedError(
                "the Ansible run that waited for this has ended"
            )

    def sleep(self, seconds: float) -> None:
        """Sleep as long as somebody waits for the result. Raise AbandonedError if nobody does."""
        end = time.monotonic() + seconds
        while True:
            self.check()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(tuning.LOOK_EVERY, left))

    def await_follower(self) -> None:
        """Return when somebody is sure to wait for the result, or raise AbandonedError."""
        self.check()

    def report(self, progress: Facts, news: int = 0) -> None:
        """Say how far the work is. ``news``: the number of the last news in it."""

    def note(self, notes: Facts) -> None:
        """Write down what a job that takes the place of this one has to know."""

    def ask_for_links(self) -> None:
        """Say that the present links do not work any more."""

    def take_links(self) -> t.Optional[list[str]]:
        """Return new links, once they are there; an empty list if there are none any more."""
        return None


class FollowedJob(Job):
    """A job in the background, which others follow by its directory."""

    def __init__(self, directory: JobDirectory, request: JobRequest) -> None:
        self.renews_links = request.renews_links
        self.is_restarted = request.is_restarted
        self.notes = request.notes
        self.elapsed = request.elapsed
        self._directory = directory
        self._state = JobState()
        self._written_at = float("-inf")
        self._heartbeat: t.Optional[int] = None
        self._followed_at = time.monotonic()

    def check(self) -> None:
        if not self._is_followed():
            self._directory.remove()
            raise AbandonedError(
                "the Ansible run that waited for this has ended"
            )
        if self._directory.has("stop"):
            raise AbandonedError("Ansible stopped it")

    def await_follower(self) -> None:
        """Wait for the next heartbeat: the last one does not tell that somebody is still there."""
        before = self._directory.heartbeat()
        while True:
            self.check()
            if self._directory.heartbeat() != before:
                return
            # More often than followers send one, as the work waits for it.
            time.sleep(tuning.LOOK_EVERY / 4)

    def note(self, notes: Facts) -> None:
        """Raise DestinationError where that is not possible; AbandonedError if nobody follows."""
        try:
            self._directory.write(NOTES, notes)
        except OSError as error:
            raise DestinationError.of(
                error, self._directory.path, "save the state of the job"
            ) from None
        self.check()

    def report(self, progress: Facts, news: int = 0) -> None:
        has_news = news != self._state.news
        self._state = self._state._replace(progress=progress, news=news)
        if (
            has_news
            or time.monotonic() - self._written_at >= tuning.REPORT_EVERY
        ):
            self._write()

    def ask_for_links(self) -> None:
        self._state = self._state._replace(needs_links=True)
        self._write()

    def take_links(self) -> t.Optional[list[str]]:
        links = self._directory.read("links.json")
        if links is not None:
            # Said before the file is gone: otherwise a follower would ask for links once more.
            self._state = self._state._replace(needs_links=False)
            self._write()
            self._directory.keep_room("links.json")
        return t.cast("t.Optional[list[str]]", links)

    def wait_until_collected(self) -> None:
        """Wait until the result was read, or nobody follows any more."""
        while self._is_followed():
            time.sleep(tuning.LOOK_EVERY)
        self._directory.remove()

    def _is_followed(self) -> bool:
        """Return whether the heartbeat changes. Its time says nothing: clocks are set."""
        heartbeat = self._directory.heartbeat()
        if heartbeat != self._heartbeat:
            self._heartbeat, self._followed_at = heartbeat, time.monotonic()
        elapsed = time.monotonic() - self._followed_at
        return heartbeat is not None and elapsed <= tuning.ORPHAN_TIMEOUT

    def _write(self) -> None:
        self._written_at = time.monotonic()
        # Where the disk is full, the work continues without reports.
        with contextlib.suppress(OSError):
            self._directory.progress.write(json.dumps(self._state._asdict()))


class ParentWatch:
    """Watches the process that started this one, and reads what it prints."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._output = select.poll()
        # Errors alone: the reader of the standard output has gone, as where a connection broke.
        self._output.register(1, 0)

    def is_gone(self) -> bool:
        # A process whose parent ended gets another parent.
        return os.getppid() != self._parent or bool(self._output.poll(0))
