# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a run of ``dbs_download_task`` has done, kept for a process that replaces it: nothing is created or paid twice."""

from __future__ import annotations

import contextlib
import typing as t

from .._base.errors import BackupError
from .._dbs.creation import AmbiguousResultError
from .._plugin.background_job import Job
from .._plugin.job_protocol import Facts
from .task_checks import doubt_about


class TaskNotes:
    """Notes of one run in its job. ``known``: the result so far. ``unblocked``: IDs of blocking tasks that were retried."""

    def __init__(self, job: Job, warnings: list[str]) -> None:
        self.known: dict[str, t.Any] = {}
        self.unblocked: list[str] = []
        self._job = job
        self._warnings = warnings

    def resume(self) -> None:
        """Take up the notes of a process that was lost.

        Raise AmbiguousResultError where it is not known what that did: nothing is done twice.
        """
        notes = self._job.notes
        if notes is None or notes.get("sending"):
            sending = (
                notes["sending"] if notes else "create or retry a download task"
            )
            raise AmbiguousResultError(
                "the module's process was killed", hint=doubt_about(sending)
            )
        self.known = dict(notes.get("known", {}))
        self.unblocked = list(notes.get("unblocked", ()))
        self._warnings += notes.get("warnings", ())

    @contextlib.contextmanager
    def sending(self, what: str) -> t.Iterator[None]:
        """Wrap a request that must not be sent twice.

        Wait for the follower first, and note the request for a process that replaces this one.
        """
        self._job.await_follower()
        self._job.note({"sending": what, **self._facts()})
        yield
        self.save()

    def save(self) -> None:
        # Where this cannot be written, the last note stands, by which it is in doubt.
        with contextlib.suppress(BackupError):
            self._job.note(self._facts())

    def result(self) -> dict[str, t.Any]:
        """Return what is known of the run, also of one that failed."""
        if not self.unblocked:
            return dict(self.known)
        return {
            **self.known,
            "changed": True,
            "retried_blocking_task_ids": self.unblocked,
        }

    def _facts(self) -> dict[str, t.Any]:
        return {
            "known": self.known,
            "unblocked": self.unblocked,
            "warnings": self._warnings,
        }


def interrupted_result(notes: Facts) -> tuple[Facts, str]:
    """Return what the notes of a lost process know, and a sentence for what it was sending."""
    return dict(notes.get("known", {})), doubt_about(notes.get("sending", ""))
