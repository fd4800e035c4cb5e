# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules in processes of their own, which need not load Python and its packages first.

Loading them takes longer than the work of most modules in tests, of which there are a thousand. So one process, the
template, loads them once. Each module runs in a copy of it, made by fork: a process with an environment, outputs and an
end of its own. A test of the start of Python, such as of variables that Python reads, needs a new process instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, Any

#: Seconds after which something hangs, however busy the machine is: less than the limit of a test.
LIMIT = 600.0
#: No order has more bytes: the environment is most of it.
LARGEST_ORDER = 1 << 17


class Copy:
    """A module under way, with as much of what subprocess.Popen has as tests need."""

    def __init__(self, order: dict[str, Any], given: str, stdout: int | None, stderr: int | None) -> None:
        source, sink = os.pipe()
        output, self.stdout = _stream(stdout)
        errors, self.stderr = (os.dup(output), None) if stderr == subprocess.STDOUT else _stream(stderr)
        told, telling = os.pipe()
        theirs = [source, output, errors, telling]
        socket.send_fds(_template(), [json.dumps(order).encode()], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self._status = os.fdopen(told, encoding="ascii")
        self.pid = int(self._status.readline())
        self.returncode: int | None = None
        with open(sink, "w", encoding="utf-8") as stdin:
            stdin.write(given)

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, kind: Any, *reason: Any) -> None:
        """It outlives no test: neither that of its ``with``, nor one that waits for it in vain."""
        if kind is not None:
            self.kill()
        for stream in (self.stdout, self.stderr):
            if stream:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float = LIMIT) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a module", timeout)
            with self._status:
                self.returncode = int(self._status.readline())
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def outputs(self) -> tuple[str, str]:
        """What it prints until its end. One that hangs is ended, and shows where it did."""
        # By this signal, faulthandler prints the stacks of all threads.
        hangs = threading.Timer(LIMIT, self.send_signal, [signal.SIGABRT])
        hangs.start()
        said = [stream.read() if stream and not stream.closed else "" for stream in (self.stdout, self.stderr)]
        hangs.cancel()
        self.__exit__(None)
        assert self.returncode != -signal.SIGABRT, f"it did not end in {LIMIT:g} seconds: {said}"
        return said[0], said[1]


def _stream(wanted: int | None) -> tuple[int, IO[str] | None]:
    """What a process writes to, and what reads that."""
    if wanted == subprocess.PIPE:
        source, sink = os.pipe()
        return sink, open(source, encoding="utf-8")
    return (os.dup(2) if wanted is None else os.open(os.devnull, os.O_WRONLY)), None


@functools.cache
def _template() -> socket.socket:
    """Where copies are ordered from the template, which ends with this process."""
    from processes import environment_for_modules

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    template = subprocess.Popen(
        [sys.executable, "-c", "import copies; copies.serve()"], stdin=theirs.fileno(), env=environment_for_modules()
    )
    theirs.close()

    def end() -> None:
        ours.close()
        template.wait()

    atexit.register(end)
    return ours


# In the template, and in its copies


def serve() -> None:
    """Make copies as long as somebody orders them, who is at the other end of the standard input."""
    channel = socket.socket(fileno=0)
    while True:
        said, descriptors, _flags, _address = socket.recv_fds(channel, LARGEST_ORDER, 4)
        # Those that have ended meanwhile, so that what they used of the processors is counted.
        with contextlib.suppress(ChildProcessError):  # there are none
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not said:
            return
        order = json.loads(said)
        importlib.import_module(order["module"])
        if not os.fork():
            channel.detach()
            guard(descriptors.pop())
            run(order, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def guard(status: int) -> None:
    """Return in a new process. This one tells its number and how it ended, as only the one that started it can."""
    pid = os.fork()
    if pid:
        os.write(status, b"%d\n" % pid)
        # What the process reads and writes is its own.
        os.closerange(0, status)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.close(status)


def run(order: dict[str, Any], streams: list[int]) -> None:
    """Be the module, until Python ends this process as it ends any other."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    exec(order["before"], {})
    # As if it had never been imported.
    del sys.modules[order["module"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
