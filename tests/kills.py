# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores that are killed, themselves or the server, at one of their statements: in a process made for it."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import mysql_connection, postgresql_connection
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.restoration import Outcome
from processes import LIMIT
from restores import restore

#: What sends something to a server.
STATEMENTS = (
    (mysql_connection.Connection, ("execute", "query", "commit")),
    (postgresql_connection.Connection, ("execute", "change", "copy")),
)
MOMENTS = ("before", "after", "beside")


class Strike(NamedTuple):
    """``statement``: its number among those of all threads, from 1. ``moment``: ``beside`` is while it is executed.

    ``text``: count only those that begin with it.
    """

    statement: int
    moment: str = "before"
    victim: str = "module"
    text: str = ""


class Ended(NamedTuple):
    """How a run ended. ``statements``: 0 if it was killed. ``error``: what it said, if it failed."""

    was_struck: bool
    statements: int = 0
    restore_id: str = ""
    resumed_from: int = 0
    error: str = ""


class _Counter:
    """Counts statements, and strikes."""

    def __init__(self, strike: Strike | None, channel: socket.socket) -> None:
        self.strike = strike
        self.channel = channel
        self.statements = 0
        self.is_struck = False
        self.lock = threading.Lock()

    def watch(self) -> None:
        for connection, names in STATEMENTS:
            for name in names:
                setattr(connection, name, self.watched(getattr(connection, name)))

    def watched(self, method: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            strike = self.strike
            with self.lock:
                self.statements += strike is None or begins_with(arguments, strike.text)
                if strike and (self.is_struck or strike.statement != self.statements):
                    strike = None
                self.is_struck = self.is_struck or strike is not None
            if strike and strike.moment == "before":
                self.do(strike)
            elif strike and strike.moment == "beside":
                threading.Thread(target=self.do, args=[strike]).start()
            result = method(*arguments, **named)
            if strike and strike.moment == "after":
                self.do(strike)
            return result

        return counted

    def do(self, strike: Strike) -> None:
        if strike.victim == "module":
            os.kill(os.getpid(), signal.SIGKILL)
        self.channel.sendall(b"k")
        self.channel.recv(1)


def begins_with(arguments: tuple[Any, ...], text: str) -> bool:
    """Whether the statement does. One without a text is a commit."""
    statement = arguments[1] if len(arguments) > 1 else "COMMIT"
    return bool((statement if isinstance(statement, bytes) else statement.encode()).startswith(text.encode()))


def run(target: Any, source: Path, strike: Strike | None = None, **options: Any) -> Ended:
    """Restore in a process of its own."""
    ours, theirs = socket.socketpair()
    with warnings.catch_warnings():
        # pytest's own threads hold no lock that a restore needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        ours.close()
        _child(target, source, strike, theirs, options)
    theirs.close()
    was_struck, said = False, b""
    with ours:
        while more := received(ours):
            if more[:1] == b"k":
                was_struck, more = True, more[1:]
                target.server.kill()
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    ours.sendall(b"d")
            said += more
    _pid, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return Ended(True)
    assert os.WEXITSTATUS(status) == 0, "it failed in a way that is none of its own"
    return Ended(was_struck, **json.loads(said))


def received(channel: socket.socket) -> bytes:
    """What the process says next; nothing when it has ended."""
    try:
        return channel.recv(65536)
    except ConnectionResetError:  # it has not read what it was told
        return b""


def _child(target: Any, source: Path, strike: Strike | None, channel: socket.socket, options: dict[str, Any]) -> None:
    status = 1
    try:
        # One that hangs shows where. The timer of faulthandler is a thread, which pytest has and this process has not.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.register(signal.SIGALRM, file=sys.__stderr__, chain=True)
        signal.alarm(int(LIMIT))
        counter = _Counter(strike, channel)
        counter.watch()
        said: dict[str, Any] = {}
        try:
            outcome: Outcome = restore(target, source, **options)
            said.update(restore_id=outcome.restore_id, resumed_from=outcome.resumed_from)
        except BackupError as error:
            said["error"] = str(error) or repr(error)
        channel.sendall(json.dumps({**said, "statements": counter.statements}).encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
