# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Work of a module that goes on while the controller prints its progress.

The action plugin runs the module as often as it takes, each time with the option ``job``, and with new ``links`` where the
last run said that it needs some. The first run forks: its child does the work, and this and all later runs only follow it
for some seconds. So nothing is interrupted for progress, and nothing of the controller's is needed on the host but links.

    job to the module     {"seconds": 30, "directory": null, "id": "…", "renews_links": true}
                                                                 start, and follow; whether it can have links
                          {"seconds": 30, "directory": "/…", "links_after": 0}       follow, and ask for links after so many seconds
                          {"seconds": 0, "directory": "/…", "stop": true}            end it
    job from the module   {"directory": "/…", "progress": {…}, "needs_links": false}, as ``_job``
                          {"directory": null, "notes": {…}}      its process is lost: start it again, with the same ``notes``
                          none: this is the result

Empty ``links`` say that none are to be had any more, and have the work end with what it has.
``id`` is new for each start. A start that comes twice, as where a connection plugin sends it again, starts one work.
``notes`` are what the work wrote down of what cannot be done twice; null where even that is lost.

In the directory, which only its user can read, are ``progress.json`` and ``result.json`` of the job, ``links.json`` for it,
``followed``, whose time says when it was last followed, ``stop``, if it shall end, and ``alive``, a pipe that it reads from
as long as it lives, so that its end is noticed at once.
A job that nobody follows any more ends itself, and clears up, also if it is done by then. Without ``job``, as for ``async``,
the module works by itself, and has no more links than it was given.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import tempfile
import time
import typing as t
import uuid

from ansible.module_utils.basic import AnsibleModule

from .._files.errors import AbandonedError, DestinationError
from .job_directory import NOTES, ROOM, JobDirectory
from .runner import InterruptedRunError, finish, until_signalled, whole_outcome

Facts = t.Mapping[str, t.Any]

#: Options of each module whose work goes on; documented in the doc fragment ``progress``.
JOB_SPEC: dict[str, dict[str, t.Any]] = {
    "progress": {"type": "bool", "default": True},
    "progress_interval": {"type": "float", "default": 30.0},
    "job": {"type": "dict"},
}

#: Seconds after which a job that is not followed ends itself; connecting to a host can take long.
ORPHAN_TIMEOUT = 90.0

_REPORT_EVERY = 0.5
_LOOK_EVERY = 0.2

_ROOM_OF_FILE = 1024


class Job:
    """What work sees of who waits for it. This one works by itself."""

    #: Whether it makes sense to ask for links.
    renews_links = False
    #: Whether it takes the place of one that was lost, and the notes of that, none if they are lost as well.
    is_restarted = False
    notes: t.Optional[Facts] = None

    def __init__(self) -> None:
        self._audience = ParentWatch()

    def check(self) -> None:
        """Raises Abandoned if nobody waits for the result any more."""
        if self._audience.is_gone():
            raise AbandonedError("Ansible, which waited for this, is gone")

    def await_follower(self) -> None:
        """Return while somebody is sure to wait for the result. Raises Abandoned if nobody does."""
        self.check()

    def report(self, facts: Facts) -> None:
        """How far it is."""

    def note(self, facts: Facts) -> None:
        """Write down what a work that takes the place of this one has to know."""

    def ask_for_links(self) -> None:
        """Say that the links that it has do not do any more."""

    def take_links(self) -> t.Optional[list[str]]:
        """The new ones, once they are there; an empty list if there are none to be had."""
        return None


class FollowedJob(Job):
    def __init__(self, directory: JobDirectory, asked: Facts) -> None:
        self.renews_links = bool(asked.get("renews_links"))
        self.is_restarted = "notes" in asked
        self.notes = asked.get("notes")
        self._directory = directory
        self._facts: Facts = {}
        self._needs_links = False
        self._written = float("-inf")
        self._followed: t.Optional[int] = None
        self._followed_at = time.monotonic()

    def check(self) -> None:
        if not self._is_followed():
            self._directory.remove()
            raise AbandonedError("Ansible, which waited for this, is gone")
        if self._directory.has("stop"):
            raise AbandonedError("it was told to stop")

    def await_follower(self) -> None:
        """By one that follows from now on: that somebody did a while ago does not tell that he still does."""
        before = self._directory.heartbeat()
        while True:
            self.check()
            if self._directory.heartbeat() != before:
                return
            time.sleep(_LOOK_EVERY / 4)

    def note(self, facts: Facts) -> None:
        """Raises DestinationError where that cannot be done, and Abandoned where nobody would read it."""
        try:
            self._directory.write(NOTES, facts)
        except OSError as error:
            raise DestinationError.of(
                error, self._directory.path, "keep notes of the work"
            ) from None
        self.check()

    def report(self, facts: Facts) -> None:
        self._facts = facts
        if time.monotonic() - self._written >= _REPORT_EVERY:
            self._write()

    def ask_for_links(self) -> None:
        self._needs_links = True
        self._write()

    def take_links(self) -> t.Optional[list[str]]:
        links = self._directory.read("links.json")
        if links is not None:
            self._needs_links = False
            self._write()
            self._directory.keep_room("links.json")
        return t.cast("t.Optional[list[str]]", links)

    def wait_until_collected(self) -> None:
        """Until the result was read, or nobody will."""
        while self._is_followed():
            time.sleep(_LOOK_EVERY)
        self._directory.remove()

    def _is_followed(self) -> bool:
        """By whether it was of late, and not by when: clocks are set."""
        followed = self._directory.heartbeat()
        if followed != self._followed:
            self._followed, self._followed_at = followed, time.monotonic()
        return (
            followed is not None
            and time.monotonic() - self._followed_at <= ORPHAN_TIMEOUT
        )

    def _write(self) -> None:
        self._written = time.monotonic()
        # Where there is no room for it, the work goes on all the same.
        with contextlib.suppress(OSError):
            self._directory.progress.write(
                json.dumps({"progress": self._facts, "needs_links": self._needs_links})
            )


def run(
    module: AnsibleModule,
    work: t.Callable[[Job], Facts],
    partial_result: t.Callable[[], Facts] = dict,
    interruption_note: t.Callable[[], str] = str,
    from_notes: t.Callable[[Facts], tuple[str, Facts]] = lambda notes: ("", {}),
) -> t.NoReturn:
    """End the module with the result of the work, or with how far it is, as the option ``job`` says.

    ``interruption_note``: a sentence on what it leaves. ``from_notes``: another one, and what is known, by the work's notes.
    """
    asked = module.params["job"] or {}
    if "seconds" not in asked:
        finish(
            module,
            whole_outcome(
                until_signalled(lambda: work(Job())), partial_result, interruption_note
            ),
        )
    left: list[Facts] = []

    def follow() -> Facts:
        directory = asked.get("directory")
        try:
            directory = directory or _start(module, work, partial_result, asked)
            return until_signalled(
                lambda: _follow(
                    JobDirectory(directory), asked, module.params.get("links"), left
                )
            )()
        except OSError as error:
            failed = DestinationError.of(
                error,
                error.filename or directory or "remote_tmp",
                "keep notes of the work",
            )
            failed.hint = "Give Ansible's shell plugin a remote_tmp with room that this user may write to"
            raise failed from None

    def known() -> Facts:
        return from_notes(left[0])[1] if left else {}

    def said() -> str:
        return (from_notes(left[0])[0] if left else "") or interruption_note()

    finish(module, whole_outcome(follow, known, said))


def _new_directory(module: AnsibleModule, name: str) -> str:
    """In Ansible's remote_tmp, or that of the system where a user has none, as Ansible itself does it."""
    remote_tmp: str = t.cast(t.Any, module)._remote_tmp
    base = os.path.expanduser(os.path.expandvars(remote_tmp))
    try:
        os.makedirs(base, mode=0o700, exist_ok=True)
        return _made(base, name)
    except OSError as error:
        if error.filename == os.path.join(base, name) and error.errno == errno.EEXIST:
            raise
        return _made(tempfile.gettempdir(), name)


def _made(base: str, name: str) -> str:
    os.mkdir(os.path.join(base, name), 0o700)
    return os.path.join(base, name)


def _start(
    module: AnsibleModule,
    work: t.Callable[[Job], Facts],
    partial_result: t.Callable[[], Facts],
    asked: Facts,
) -> str:
    """Start the work, unless this very start was made already. Returns the directory."""
    try:
        path = _new_directory(
            module, f"apsaradb.backup-{asked.get('id') or uuid.uuid4().hex}"
        )
    except FileExistsError as error:
        return t.cast(str, error.filename)
    directory = JobDirectory(path)
    try:
        links = module.params.get("links") or ()
        directory.reserve("result.json", ROOM + _ROOM_OF_FILE * len(links))
        directory.reserve("links.json", 2 * len(json.dumps(links)))
        directory.progress.begin(json.dumps({"progress": {}, "needs_links": False}), ROOM)
        directory.write(NOTES, asked.get("notes") or {})
        alive = directory.live()
        directory.touch("followed")
        is_child = os.fork() == 0
    except OSError as error:
        directory.remove()
        error.filename = error.filename or path
        raise
    if not is_child:
        os.close(alive)
        return path
    job = FollowedJob(directory, asked)
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        result = whole_outcome(until_signalled(lambda: work(job)), partial_result)
        directory.write("result.json", result)
        os.close(alive)
        job.wait_until_collected()
    finally:
        os._exit(0)


def _follow(
    directory: JobDirectory, asked: Facts, links: t.Optional[list[str]], left: list[Facts]
) -> Facts:
    """The result, or after so many seconds how far it is. An interruption leaves the notes in ``left``."""
    if asked.get("stop"):
        result = directory.stop()
        return result or {"_job": None}
    if links is not None and asked.get("directory"):
        directory.write("links.json", links)
    audience = ParentWatch()
    deadline = time.monotonic() + float(asked["seconds"])
    asks_at = time.monotonic() + float(asked.get("links_after", 0))
    try:
        while True:
            directory.touch("followed")
            if directory.is_over_within(
                max(0.0, min(_LOOK_EVERY, deadline - time.monotonic()))
            ):
                result, notes = directory.read("result.json"), directory.read(NOTES)
                directory.remove()
                return t.cast(
                    Facts, result or {"_job": {"directory": None, "notes": notes}}
                )
            state = directory.read("progress.json") or {
                "progress": {},
                "needs_links": False,
            }
            needs_links = (
                state["needs_links"]
                and time.monotonic() >= asks_at
                and not directory.has("links.json")
            )
            if needs_links or time.monotonic() > deadline:
                return {
                    "_job": dict(state, needs_links=needs_links, directory=directory.path)
                }
            if audience.is_gone():
                raise AbandonedError("Ansible, which waited for this, is gone")
    except (InterruptedRunError, AbandonedError):
        left += directory.stop_and_read_notes()
        raise


class ParentWatch:
    """Whoever started this process, and reads what it prints."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._output = select.poll()
        self._output.register(1, 0)

    def is_gone(self) -> bool:
        return os.getppid() != self._parent or bool(self._output.poll(0))
