# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Runners of modules whose work can go on in the background: ``job_protocol`` says how."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import pkgutil
import tempfile
import time
import typing as t
import uuid
import zipimport

from .._files.errors import AbandonedError, DestinationError
from . import tuning
from .background_job import FollowedJob, Job, ParentWatch
from .checks import Options
from .job_directory import NOTES, JobDirectory
from .job_protocol import Facts, JobRequest, JobState
from .runner import (
    InterruptedRunError,
    Module,
    Runner,
    until_signalled,
    whole_outcome,
)

#: What a failure has besides the facts of the work.
_OF_FAILURE = ("failed", "msg", "error", "exception", "_interruption_note")


class JobRunner(Runner):
    """One run of a module that works by itself, or starts, follows or stops a job."""

    def __init__(
        self, *, check_mode: bool = False, remote_tmp: str = ""
    ) -> None:
        # A job has no AnsibleModule that could print its warnings: they go into its result.
        self._warnings: list[str] = []
        super().__init__(warn=self._add_warning, check_mode=check_mode)
        self._remote_tmp = remote_tmp
        self.job: Job = Job()

    @classmethod
    def of(cls, module: Module) -> JobRunner:
        return cls(check_mode=module.check_mode, remote_tmp=module.remote_tmp)

    def interrupted_result(self, notes: Facts) -> tuple[Facts, str]:
        """Return what is known of a job that could not say it any more, and a sentence, by its notes."""
        return {}, ""

    def outcome(self, options: Options) -> dict[str, t.Any]:
        if options["_job"]:
            return self._outcome_of_job(JobRequest(**options["_job"]), options)
        return self._outcome_of_work(options)

    def _outcome_of_work(self, options: Options) -> dict[str, t.Any]:
        result = super().outcome(options)
        if self._warnings:
            result["warnings"] = self._warnings
        return result

    def _add_warning(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    def _outcome_of_job(
        self, request: JobRequest, options: Options
    ) -> dict[str, t.Any]:
        follower: t.Optional[_Follower] = None

        def run() -> Facts:
            nonlocal follower
            path = request.directory
            try:
                path = path or self._start(request, options)
                follower = _Follower(
                    JobDirectory(path), request, options.get("_links")
                )
                return until_signalled(follower.run)()
            except OSError as error:
                raise DestinationError.of(
                    error,
                    error.filename or path or "remote_tmp",
                    "save the state of the job",
                    hint="Set remote_tmp of Ansible's shell plugin to a directory with free space that this user can write to",
                ) from None

        def left() -> tuple[Facts, str]:
            """Return what an interruption leaves."""
            if not follower:
                return {}, ""
            return follower.interrupted or self.interrupted_result(
                follower.notes or {}
            )

        return whole_outcome(run, lambda: left()[0], lambda: left()[1])

    def _start(self, request: JobRequest, options: Options) -> str:
        """Start the job, unless this very start was made already. Return its directory."""
        name = f"apsaradb.backup-{request.id or uuid.uuid4().hex}"
        try:
            path = _create_directory(self._remote_tmp, name)
        except FileExistsError as error:
            return t.cast(str, error.filename)
        directory = JobDirectory(path)
        try:
            links = options.get("_links") or ()
            directory.reserve(
                "result.json",
                tuning.RESERVED_BYTES + tuning.BYTES_PER_FILE * len(links),
            )
            directory.reserve("links.json", 2 * len(json.dumps(links)))
            directory.progress.begin(
                json.dumps(JobState()._asdict()), tuning.RESERVED_BYTES
            )
            directory.write(
                NOTES, request.notes if request.is_restarted else {}
            )
            alive = directory.live()
            directory.touch("followed")
            _import_rest()
            # The child is the job. It inherits the pipe that tells others of its end.
            is_child = os.fork() == 0
        except OSError as error:
            directory.remove()
            error.filename = error.filename or path
            raise
        if not is_child:
            os.close(alive)
            return path
        self._work_in_child(
            FollowedJob(directory, request), directory, alive, options
        )

    def _work_in_child(
        self,
        job: FollowedJob,
        directory: JobDirectory,
        alive: int,
        options: Options,
    ) -> t.NoReturn:
        try:
            # A session of its own: what ends the run that started the job does not end the job.
            os.setsid()
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nowhere, number)
            self.job = job
            result = self._outcome_of_work(options)
            if result.get("failed"):
                result["_interruption_note"] = self.interruption_note()
            directory.write("result.json", result)
            os.close(alive)
            job.wait_until_collected()
        finally:
            # Nothing of the process that was forked is to run here.
            os._exit(0)


class _Follower:
    """Follows a job for some seconds. An interruption stops the job."""

    def __init__(
        self,
        directory: JobDirectory,
        request: JobRequest,
        links: t.Optional[list[str]],
    ) -> None:
        self._directory = directory
        self._request = request
        self._links = links
        self._began = time.monotonic()
        #: What an interrupted job said in the end: its partial result, and a sentence.
        self.interrupted: t.Optional[tuple[Facts, str]] = None
        #: The notes of an interrupted job that could not say anything any more.
        self.notes: t.Optional[Facts] = None

    def run(self) -> Facts:
        """Return the result, or how far the job is."""
        directory, request = self._directory, self._request
        if request.stop:
            result, _unused = directory.stop()
            return _visible(result) if result else {"_job": None}
        if self._links is not None and request.directory:
            directory.write("links.json", self._links)
        parent = ParentWatch()
        try:
            while True:
                directory.touch("followed")
                pause = max(
                    0.0,
                    min(tuning.LOOK_EVERY, request.seconds - self._elapsed()),
                )
                if directory.is_over_within(pause):
                    return self._collect()
                state = self._state()
                if self._is_worth_returning(state):
                    return {"_job": state._asdict()}
                if parent.is_gone():
                    raise AbandonedError(
                        "the Ansible run that waited for this has ended"
                    )
        except (InterruptedRunError, AbandonedError):
            self._interrupt()
            raise

    def _interrupt(self) -> None:
        result, self.notes = self._directory.stop()
        if result is not None:
            facts = {
                name: result[name] for name in result if name not in _OF_FAILURE
            }
            self.interrupted = facts, result.get("_interruption_note", "")

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _is_worth_returning(self, state: JobState) -> bool:
        elapsed, request = self._elapsed(), self._request
        has_news = (
            request.news_after is not None
            and state.news > request.news
            and elapsed >= request.news_after
        )
        return state.needs_links or has_news or elapsed > request.seconds

    def _state(self) -> JobState:
        """Return the state of the job. A request for links is passed on once, and not too soon."""
        directory = self._directory
        state = JobState(**(directory.read("progress.json") or {}))
        asks = state.needs_links and not directory.has("links.json")
        is_time = self._elapsed() >= self._request.links_after
        return state._replace(
            directory=directory.path,
            needs_links=asks and is_time,
            followed=round(self._elapsed(), 3),
        )

    def _collect(self) -> Facts:
        """Return the result of a job that has ended, or the notes of one that was lost."""
        directory = self._directory
        result, notes = directory.read("result.json"), directory.read(NOTES)
        progress = self._state().progress
        directory.remove()
        if result is None:
            return {"_job": JobState(notes=notes)._asdict()}
        return (
            {**_visible(result), "_progress": progress}
            if progress
            else _visible(result)
        )


def _visible(result: Facts) -> Facts:
    return {
        name: result[name] for name in result if name != "_interruption_note"
    }


def _import_rest() -> None:
    """Import all that the work may import later, if Ansible packed this code into an archive.

    Ansible removes the archive when the run ends that starts the job, and the job goes on.
    """
    if isinstance(globals()["__loader__"], zipimport.zipimporter):
        house = (__package__ or "").rpartition(".")[0]
        found = pkgutil.walk_packages(
            importlib.import_module(house).__path__, f"{house}."
        )
        for module in found:
            # What needs a package that is not installed is of no use later either.
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


def _create_directory(remote_tmp: str, name: str) -> str:
    """Create a directory in Ansible's remote_tmp, or in that of the system, as Ansible does.

    Raise FileExistsError if it exists.
    """
    base = os.path.expanduser(os.path.expandvars(remote_tmp))
    path = os.path.join(base, name)
    try:
        os.makedirs(base, mode=0o700, exist_ok=True)
        os.mkdir(path, 0o700)
    except OSError as error:
        if error.filename == path and error.errno == errno.EEXIST:
            raise
        # As of a user without a home.
        path = os.path.join(tempfile.gettempdir(), name)
        os.mkdir(path, 0o700)
    return path
