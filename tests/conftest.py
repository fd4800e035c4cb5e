# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the tests, and the commands that they run, find this checkout as the collection apsaradb.backup."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from databases import ENGINES, MariaDB, MySQL, PostgreSQL, Server

S = TypeVar("S", bound=Server)

ROOT = Path(__file__).resolve().parent.parent


def collection_tree() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH in which the collection is a link to this checkout."""
    tree = ROOT / ".cache" / "collections"
    link = tree / "ansible_collections" / "apsaradb" / "backup"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(os.path.relpath(ROOT, link.parent), target_is_directory=True)
    return tree


def clean_environment() -> None:
    """Nothing of the machine's own credentials, proxies and configuration may reach a test, nor a test a real service."""
    for name in list(os.environ):
        if name.startswith(("ALIBABA_CLOUD_", "ALICLOUD_", "ANSIBLE_", "APSARADB_BACKUP_")) or name.lower().endswith(
            "_proxy"
        ):
            del os.environ[name]
    os.environ.pop("REQUESTS_CA_BUNDLE", None)
    os.environ.pop("CURL_CA_BUNDLE", None)
    # No certificate authorities of the machine: reading them can take longer than all else of a connection.
    os.environ.update(SSL_CERT_FILE=os.devnull, SSL_CERT_DIR=os.devnull)
    os.environ["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"
    os.environ["ANSIBLE_HOME"] = str(ROOT / ".cache" / "ansible")
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".cache" / "hypothesis"))


sys.path.insert(0, str(collection_tree()))
clean_environment()


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a port that refuses connections, and is nobody else's meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have one worker of pytest run all tests of a server, which so needs to run only once."""
    for item in items:
        # A fixture with parameters names a server in one of them.
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        used = [*getattr(item, "fixturenames", ()), *parameters]
        for engine in ENGINES:
            if engine.name in used or engine in used:
                item.add_marker(pytest.mark.xdist_group(engine.name))


@pytest.fixture(scope="session")
def _servers() -> Iterator[Callable[[type[S]], S]]:
    """The server of each kind that tests share."""
    with contextlib.ExitStack() as running:
        yield functools.cache(lambda kind: running.enter_context(kind()))


def _empty(server: S) -> Iterator[S]:
    yield server
    if server.process is None:
        server.start()
    server.reset()


@pytest.fixture
def mysql(_servers: Callable[[type[MySQL]], MySQL]) -> Iterator[MySQL]:
    """MySQL, without databases."""
    yield from _empty(_servers(MySQL))


@pytest.fixture
def mariadb(_servers: Callable[[type[MariaDB]], MariaDB]) -> Iterator[MariaDB]:
    """MariaDB, without databases."""
    yield from _empty(_servers(MariaDB))


@pytest.fixture
def postgresql(_servers: Callable[[type[PostgreSQL]], PostgreSQL]) -> Iterator[PostgreSQL]:
    """PostgreSQL, without databases but its own."""
    yield from _empty(_servers(PostgreSQL))


@pytest.fixture(params=[MySQL, MariaDB], ids=lambda kind: kind.name)
def mysql_server(request: pytest.FixtureRequest, _servers: Callable[[type[S]], S]) -> Iterator[S]:
    """One after the other, MySQL and MariaDB, without databases."""
    yield from _empty(_servers(request.param))


@pytest.fixture(params=[MySQL, MariaDB, PostgreSQL], ids=lambda kind: kind.name)
def any_server(request: pytest.FixtureRequest, _servers: Callable[[type[S]], S]) -> Iterator[S]:
    """One after the other, each kind, without databases."""
    yield from _empty(_servers(request.param))


@pytest.fixture
def own_server() -> Iterator[Callable[..., Server]]:
    """A function that starts a server for this test alone: its kind, and what that takes."""
    with contextlib.ExitStack() as running:
        yield lambda kind, **options: running.enter_context(kind(**options))
