# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import random
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import trustme
from ansible.module_utils import basic
from ansible.module_utils.common import warnings
from ansible_collections.apsaradb.backup.plugins.module_utils._base import text
from ansible_collections.apsaradb.backup.plugins.module_utils._base.http_options import HttpOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._base.retry import RetryPolicy
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.service import DBS
from ansible_collections.apsaradb.backup.plugins.module_utils._download.transfer import Transfer
from ansible_collections.apsaradb.backup.plugins.module_utils._modules import file_download
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credential import Credential
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credentials import FixedSource
from downloads import still
from hypothesis import HealthCheck, settings
from processes import Process, can_mount, environment_for_modules, mounted, same_signals
from stand_in import StandIn, exports
from stand_in.model import Task

# Nothing bounds the time that an example takes: machines are slow at times.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

Result = dict[str, Any]

#: By what tests start processes of their own.
STARTERS = {"Controller", "process", "process_of", "started"}
STARTING_FIXTURES = {"assuming", "_servers", "own_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes, each of which takes up to a second until it has loaded what it needs."""
    for item in items:
        code = getattr(getattr(item, "function", None), "__code__", None)
        names = {*code.co_names, *code.co_freevars} if code else set()
        if STARTERS & names or STARTING_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("process")


@pytest.fixture(autouse=True)
def _forget() -> None:
    """What one test hides is not hidden in the next."""
    text._hidden.clear()


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_service(authority: trustme.CA) -> Iterator[StandIn]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with StandIn(tls=context) as running:
        running.add_task("rm-bp1abc")
        yield running


@pytest.fixture
def client_of() -> Iterator[Callable[..., Client]]:
    """A function that makes clients of a stand-in; they are closed after the test."""
    clients = []

    def make(
        service: StandIn, *, source: Any = None, retries: int = 5, base_url: str | None = None, **options: Any
    ) -> Client:
        source = source or FixedSource(Credential(service.key.id, service.key.secret, service.key.token or ""))
        options.setdefault("retry", RetryPolicy(retries=retries, base=0.01, timeout=600.0))
        clients.append(Client(DBS, base_url or service.url, source, HttpOptions(**options)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class Module:
    """A module, run as Ansible runs it: from its arguments as JSON to the result that it prints."""

    def __init__(self, name: str) -> None:
        self.name = f"ansible_collections.apsaradb.backup.plugins.modules.{name}"
        self.output = ""

    def __call__(self, arguments: dict[str, Any]) -> Result:
        """Within this process."""
        printed = io.StringIO()
        with (
            module_arguments(arguments),
            same_signals(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            pytest.raises(SystemExit) as exited,
        ):
            importlib.import_module(self.name).main()
        return self._result(printed.getvalue(), exited.value.code)

    def process(
        self, arguments: dict[str, Any], *, environment: dict[str, str] | None = None, python: tuple[str, ...] = ()
    ) -> Result:
        """In a process of its own, for what is read at its start."""
        process = Process(
            [sys.executable, *(python or ("-m", self.name))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environment_for_modules(), **(environment or {})},
        )
        with process:
            output = process.outputs(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))[0]
        return self._result(output, process.returncode)

    def _result(self, output: str, code: Any) -> Result:
        self.output = output
        try:
            result: Result = json.loads(output)
        except ValueError:
            raise AssertionError(f"the module did not end with a result:\n{output}") from None
        assert code == (1 if result.get("failed") else 0), output
        return result


@contextlib.contextmanager
def module_arguments(arguments: dict[str, Any]) -> Iterator[None]:
    """What ansible-core 2.19 and newer have as ansible.module_utils.testing.patch_module_args."""
    encoded = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(basic, "_ANSIBLE_ARGS", encoded)
        patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        patch.setattr(basic, "_PARSED_MODULE_ARGS", None, raising=False)
        patch.setattr(warnings, "_global_warnings", type(warnings._global_warnings)())
        # Who has imported code of the controller before is not taken for the controller.
        with contextlib.suppress(ImportError):  # before ansible-core 2.19, there is no such difference
            patch.setattr("ansible.module_utils._internal.is_controller", False)
        yield


@pytest.fixture
def module_of() -> type[Module]:
    """A function that makes modules by their names."""
    return Module


def module_fixture(name: str) -> Any:
    @pytest.fixture
    def module() -> Module:
        return Module(name)

    return module


info = module_fixture("dbs_download_task_info")
wait = module_fixture("dbs_download_task_wait")
location_info = module_fixture("dbs_download_location_info")
task = module_fixture("dbs_download_task")
backups = module_fixture("dbs_backup_set_info")
support = module_fixture("dbs_download_support_info")
download = module_fixture("dbs_download_file")
extract = module_fixture("dbs_download_extract")


@pytest.fixture(scope="module")
def data(request: pytest.FixtureRequest) -> bytes:
    """What there is to download, of the size that the test's file says."""
    return random.Random(7).randbytes(request.module.SIZE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    if not can_mount():
        pytest.skip("no right to mount")
    place = tmp_path / "small"
    place.mkdir()
    with mounted(place):
        yield place


@pytest.fixture
def export(service: StandIn, data: bytes) -> Task:
    """A finished task, whose file is the data."""
    task = service.add_task("rm-a", task_id="dt-x")
    service.put_object(task, data)
    return task


@pytest.fixture
def link(service: StandIn, export: Task) -> Callable[[], str]:
    return lambda: exports.link(service, export, 600, internal=False)


@pytest.fixture
def fetch(
    download: Module, link: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run dbs_download_file within this process, by a link; between attempts, it waits for as long as the storage says only."""
    monkeypatch.setattr(RetryPolicy, "pause", lambda policy, repetition, given=None: given or 0.01)

    def run(dest: Path | str = tmp_path / "file", clock: Callable[[], float] = still, **arguments: Any) -> Result:
        """``clock``: what connections are called slow by."""
        monkeypatch.setattr(file_download, "Transfer", functools.partial(Transfer, clock=clock))
        arguments = arguments if "url" in arguments else {"url": link(), **arguments}
        arguments = {"dest": str(dest), "sync": False, "stall_timeout": 600, **arguments}
        result = download({name: value for name, value in arguments.items() if value is not None})
        assert "Signature=" not in download.output.replace("Signature=VALUE", "")
        return result

    return run


@pytest.fixture
def asked(service: StandIn) -> dict[str, Any]:
    """Arguments with which the module reaches the stand-in."""
    return {
        "region": "cn-hangzhou",
        "instance_name": "rm-bp1abc",
        "endpoint": service.url,
        "access_key_id": service.key.id,
        "access_key_secret": service.key.secret,
        "max_retries": 0,
    }
