# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database server from its start to its end, whatever its kind."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Optional, TypeVar, Union

from processes import children, runs, until

from databases.programs import Programs, fetched

#: The first port, below those that the system gives out by itself.
FIRST_PORT = 21000

ports = itertools.count(FIRST_PORT)

Option = Union[str, int, Path, None]
Account = pwd.struct_passwd
S = TypeVar("S", bound="Server")


def by(account: Optional[Account]) -> list[str]:
    """Options of setpriv: run a command as that user."""
    return [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"] if account else []


def give(path: Path, account: Optional[Account]) -> None:
    if account:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


class Server(ABC):
    """A server with a new data directory, which is removed at the end of its ``with``.

    It listens on a Unix socket, and with ``port`` also over TCP, at an address of the loopback network that no other process
    uses. ``certificate`` is a private key and its certificates as PEM, for TLS. All other arguments are options of the server.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    #: One that is always there.
    own_database: ClassVar[str]
    #: The only account for tests, with all privileges. Its password has what has to be quoted in files and addresses.
    user = "admin"
    password = 'p"ss:w/rd@#%1'

    def __init__(self, *, port: bool = False, certificate: Optional[bytes] = None, **options: Option) -> None:
        self.host: Optional[str] = None
        self.port: Optional[int] = None
        if port:
            # By the process, so that two that start servers at the same time do not take the same address.
            number = os.getpid()
            self.host = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            self.port = next(ports)
        self.certificate = certificate
        self.options = options
        self.process: Optional[subprocess.Popen[bytes]] = None

    @classmethod
    @abstractmethod
    def release(cls) -> str:
        """The release of Debian that has it."""

    @staticmethod
    @abstractmethod
    def make_data(programs: Programs) -> None:
        """Make what a data directory is at first, with the account for tests."""

    @classmethod
    def programs(cls) -> Programs:
        """Its programs, which are fetched unless they are there."""
        made_by = inspect.getsource(cls.make_data) + cls.user + cls.password
        return fetched(cls.name, cls.packages, cls.release(), cls.make_data, made_by)

    @staticmethod
    def account() -> Optional[Account]:
        """The user that it runs as, if not the one that runs the tests."""
        return None

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it, with all options."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes connections."""

    @abstractmethod
    def connect(self, **arguments: Any) -> Any:
        """A new connection over the socket; the arguments are those of the driver, and come first."""

    @staticmethod
    @abstractmethod
    def dial(socket: str, account: str, database: str) -> Any:
        """A new connection of an account that needs no password."""

    @abstractmethod
    def admit(self, account: str) -> None:
        """Let an account in without a password, with all rights: only this user can reach the socket."""

    @abstractmethod
    def reset(self) -> None:
        """End all connections, and drop all databases that are not the server's own."""

    @property
    @abstractmethod
    def socket(self) -> str:
        """Where its socket is, as clients have it: the file, or the directory of PostgreSQL."""

    def __enter__(self: S) -> S:
        # Not pytest's directory: others may not enter it, and the name of a socket has 107 bytes at most.
        self.directory = Path(tempfile.mkdtemp(prefix="apsaradb-", dir="/tmp"))
        try:
            shutil.copytree(self.programs().data, self.data, copy_function=shutil.copyfile)
            self.data.chmod(0o700)
            if self.certificate:
                self.pem.touch(mode=0o600)
                self.pem.write_bytes(self.certificate)
            for path in (self.directory, *self.directory.rglob("*")):
                give(path, self.account())
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], reason: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self.process:
            self.kill()
        shutil.rmtree(self.directory)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def pem(self) -> Path:
        return self.directory / "tls.pem"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def start(self) -> None:
        """Start it, again after ``kill`` or ``stop``, and wait until it takes connections."""
        assert self.process is None, f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                # It ends with the tests, even if they are killed.
                ["setpriv", "--pdeathsig", "KILL", *by(self.account()), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
            )
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            said = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            status = self.process.returncode
            self.process = None
            raise AssertionError(f"{self.name} ended with exit code {status} while it started:\n{said}")
        return self.answers()

    def kill(self) -> None:
        """Kill it, with all its processes, as a machine does that lacks memory."""
        assert self.process
        # Stopped first, so that it starts no other process meanwhile.
        self.process.send_signal(signal.SIGSTOP)
        running = children(self.process.pid)
        self.process.kill()
        for pid in running:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)
        self._ended()
        # What PostgreSQL shares among its processes is free when the last one has ended.
        until(lambda: not any(map(runs, running)))

    def stop(self) -> None:
        """Have it end in its own way."""
        assert self.process
        # Of PostgreSQL, the one that does not wait for clients.
        self.process.send_signal(signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)
        self._ended()

    def _ended(self) -> None:
        assert self.process
        self.process.wait()
        self.process = None
