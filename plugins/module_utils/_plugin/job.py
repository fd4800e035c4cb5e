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
import shutil
import tempfile
import time
import typing as t
import uuid

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.module import (
    Interrupted,
    finish,
    until_signalled,
    whole_outcome,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.errors import Abandoned, DestinationFailed
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.note import Note

Facts = t.Mapping[str, t.Any]

#: Options of each module whose work goes on; documented in the doc fragment ``progress``.
JOB_SPEC: dict[str, dict[str, t.Any]] = {
    "progress": {"type": "bool", "default": True},
    "progress_interval": {"type": "float", "default": 30.0},
    "job": {"type": "dict"},
}

#: Seconds after which a job that is not followed ends itself; connecting to a host can take long.
PATIENCE = 90.0
#: Seconds that a job has to end in when it is told to.
GRACE = 10.0

_REPORT_EVERY = 0.5
_LOOK_EVERY = 0.2
#: Bytes of a note, and what each file adds to a result.
_ROOM = 16384
_ROOM_OF_FILE = 1024
_NOTES = "notes.json"


class Job:
    """What work sees of who waits for it. This one works by itself."""

    #: Whether it makes sense to ask for links.
    renews_links = False
    #: Whether it takes the place of one that was lost, and the notes of that, none if they are lost as well.
    is_restarted = False
    notes: t.Optional[Facts] = None

    def __init__(self) -> None:
        self._audience = _Audience()

    def check(self) -> None:
        """Raises Abandoned if nobody waits for the result any more."""
        if self._audience.is_gone():
            raise Abandoned("Ansible, which waited for this, is gone")

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
    def __init__(self, directory: _Directory, asked: Facts) -> None:
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
            raise Abandoned("Ansible, which waited for this, is gone")
        if self._directory.has("stop"):
            raise Abandoned("it was told to stop")

    def await_follower(self) -> None:
        """By one that follows from now on: that somebody did a while ago does not tell that he still does."""
        before = self._directory.followed()
        while True:
            self.check()
            if self._directory.followed() != before:
                return
            time.sleep(_LOOK_EVERY / 4)

    def note(self, facts: Facts) -> None:
        """Raises DestinationFailed where that cannot be done, and Abandoned where nobody would read it."""
        try:
            self._directory.write(_NOTES, facts)
        except OSError as error:
            raise DestinationFailed.of(error, self._directory.path, "keep notes of the work") from None
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

    def linger(self) -> None:
        """Until the result was read, or nobody will."""
        while self._is_followed():
            time.sleep(_LOOK_EVERY)
        self._directory.remove()

    def _is_followed(self) -> bool:
        """By whether it was of late, and not by when: clocks are set."""
        followed = self._directory.followed()
        if followed != self._followed:
            self._followed, self._followed_at = followed, time.monotonic()
        return followed is not None and time.monotonic() - self._followed_at <= PATIENCE

    def _write(self) -> None:
        self._written = time.monotonic()
        # Where there is no room for it, the work goes on all the same.
        with contextlib.suppress(OSError):
            self._directory.progress.write(json.dumps({"progress": self._facts, "needs_links": self._needs_links}))


def run(
    module: AnsibleModule,
    work: t.Callable[[Job], Facts],
    so_far: t.Callable[[], Facts] = dict,
    after_interruption: t.Callable[[], str] = str,
    from_notes: t.Callable[[Facts], tuple[str, Facts]] = lambda notes: ("", {}),
) -> t.NoReturn:
    """End the module with the result of the work, or with how far it is, as the option ``job`` says.

    ``after_interruption``: a sentence on what it leaves. ``from_notes``: another one, and what is known, by the work's notes.
    """
    asked = module.params["job"] or {}
    if "seconds" not in asked:
        finish(module, whole_outcome(until_signalled(lambda: work(Job())), so_far, after_interruption))
    left: list[Facts] = []

    def follow() -> Facts:
        directory = asked.get("directory")
        try:
            directory = directory or _start(module, work, so_far, asked)
            return until_signalled(lambda: _follow(_Directory(directory), asked, module.params.get("links"), left))()
        except OSError as error:
            failed = DestinationFailed.of(error, error.filename or directory or "remote_tmp", "keep notes of the work")
            failed.hint = "Give Ansible's shell plugin a remote_tmp with room that this user may write to"
            raise failed from None

    def known() -> Facts:
        return from_notes(left[0])[1] if left else {}

    def said() -> str:
        return (from_notes(left[0])[0] if left else "") or after_interruption()

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


def _start(module: AnsibleModule, work: t.Callable[[Job], Facts], so_far: t.Callable[[], Facts], asked: Facts) -> str:
    """Start the work, unless this very start was made already. Returns the directory."""
    try:
        path = _new_directory(module, f"apsaradb.backup-{asked.get('id') or uuid.uuid4().hex}")
    except FileExistsError as error:
        return t.cast(str, error.filename)
    directory = _Directory(path)
    try:
        links = module.params.get("links") or ()
        directory.reserve("result.json", _ROOM + _ROOM_OF_FILE * len(links))
        directory.reserve("links.json", 2 * len(json.dumps(links)))
        directory.progress.begin(json.dumps({"progress": {}, "needs_links": False}), _ROOM)
        directory.write(_NOTES, asked.get("notes") or {})
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
        result = whole_outcome(until_signalled(lambda: work(job)), so_far)
        directory.write("result.json", result)
        os.close(alive)
        job.linger()
    finally:
        os._exit(0)


def _follow(directory: _Directory, asked: Facts, links: t.Optional[list[str]], left: list[Facts]) -> Facts:
    """The result, or after so many seconds how far it is. An interruption leaves the notes in ``left``."""
    if asked.get("stop"):
        result = directory.stop()
        return result or {"_job": None}
    if links is not None and asked.get("directory"):
        directory.write("links.json", links)
    audience = _Audience()
    deadline = time.monotonic() + float(asked["seconds"])
    asks_at = time.monotonic() + float(asked.get("links_after", 0))
    try:
        while True:
            directory.touch("followed")
            if directory.is_over_within(max(0.0, min(_LOOK_EVERY, deadline - time.monotonic()))):
                result, notes = directory.read("result.json"), directory.read(_NOTES)
                directory.remove()
                return t.cast(Facts, result or {"_job": {"directory": None, "notes": notes}})
            state = directory.read("progress.json") or {"progress": {}, "needs_links": False}
            needs_links = state["needs_links"] and time.monotonic() >= asks_at and not directory.has("links.json")
            if needs_links or time.monotonic() > deadline:
                return {"_job": dict(state, needs_links=needs_links, directory=directory.path)}
            if audience.is_gone():
                raise Abandoned("Ansible, which waited for this, is gone")
    except (Interrupted, Abandoned):
        left += directory.stop_and_read_notes()
        raise


class _Audience:
    """Whoever started this process, and reads what it prints."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._output = select.poll()
        self._output.register(1, 0)

    def is_gone(self) -> bool:
        return os.getppid() != self._parent or bool(self._output.poll(0))


class _Directory:
    """What a job and its followers tell each other. What is gone from it reads as nothing."""

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
        """Whole, or not at all."""
        path = os.path.join(self.path, name)
        with contextlib.suppress(FileNotFoundError):
            # Over what is there, which gives no room away that was reserved.
            with open(os.open(path + "~", os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                json.dump(value, file)
                file.truncate()
            os.replace(path + "~", path)

    def reserve(self, name: str, room: int = _ROOM) -> None:
        """Have room for it, also where the disk is full by then."""
        with open(os.path.join(self.path, name + "~"), "wb") as file:
            file.write(bytes(room))

    def keep_room(self, name: str) -> None:
        """Delete it, and have its room for the next of the name."""
        with contextlib.suppress(FileNotFoundError):
            path = os.path.join(self.path, name)
            os.replace(path, path + "~")

    def touch(self, name: str) -> None:
        path = os.path.join(self.path, name)
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            os.utime(path)

    def has(self, name: str) -> bool:
        return os.path.exists(os.path.join(self.path, name))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def followed(self) -> t.Optional[int]:
        """Differs each time that it was followed; none once all is gone."""
        try:
            return os.stat(os.path.join(self.path, "followed")).st_mtime_ns
        except FileNotFoundError:
            return None

    def live(self) -> int:
        """Open the pipe that tells others when this process ends."""
        path = os.path.join(self.path, "alive")
        os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def is_over_within(self, seconds: float) -> bool:
        """Whether the job ends, or has ended; waits for that so long."""
        try:
            pipe = os.open(os.path.join(self.path, "alive"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return True
            raise
        try:
            reader = select.poll()
            reader.register(pipe, 0)
            return bool(reader.poll(1000 * seconds))
        finally:
            os.close(pipe)

    def stop(self) -> t.Any:
        """Tell the job to end, wait for it, and clear up. Returns its result."""
        result, dummy = self._stop()
        return result

    def stop_and_read_notes(self) -> list[t.Any]:
        dummy, notes = self._stop()
        return [notes] if notes else []

    def _stop(self) -> tuple[t.Any, t.Any]:
        self.touch("stop")
        self.is_over_within(GRACE)
        result, notes = self.read("result.json"), self.read(_NOTES)
        self.remove()
        return result, notes
