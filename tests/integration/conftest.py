# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's own commands against the stand-in.

The service is reached as in real life: by its real name, over TLS, through a proxy that the environment names. So
whatever the documentation shows can be run as it stands.
"""

from __future__ import annotations

import importlib
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from processes import LIMIT, until
from stand_in import StandIn
from tunnel import Proxy

HOSTS = ("rds.aliyuncs.com", "*.cn-hangzhou.aliyuncs.com", "*.oss-cn-hangzhou.aliyuncs.com", "127.0.0.1")
ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
TREE = ROOT / ".cache" / "collections"


class World:
    """The service, the way to it, and what is needed to call it."""

    def __init__(self, service: StandIn, proxy: Proxy, ca_path: Path, directory: Path) -> None:
        self.service = service
        self.proxy = proxy
        self.ca_path = ca_path
        self.directory = directory
        self.environment = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": service.key.id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": service.key.secret,
            "HTTPS_PROXY": proxy.url,
            "REQUESTS_CA_BUNDLE": str(ca_path),
            "SSL_CERT_FILE": str(ca_path),
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_ASYNC_DIR": str(directory / "jobs"),
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(directory / "controller"),
            "ANSIBLE_REMOTE_TEMP": str(directory / "host"),
            "ANSIBLE_NOCOLOR": "1",
        }
        self.interpreter = f"ansible_python_interpreter={target_python(directory)}"
        self.path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        self.output = ""

    def run(self, *command: str, check: bool | None = True, cwd: Path | None = None, **environment: str) -> str:
        """What the command prints, on both outputs. ``check``: whether it must succeed, or must fail."""
        process = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            cwd=cwd or ROOT,
            env={**os.environ, "PATH": self.path, **self.environment, **environment},
            check=False,
        )
        self.output = process.stdout
        assert check in (None, process.returncode == 0), f"{command} ended with {process.returncode}:\n{process.stdout}"
        return process.stdout

    def once_said(self, is_said: Callable[[str], Any], happen: Callable[[], Any]) -> None:
        """Have something happen once the next commands have said what it waits for, however long that takes."""
        log = self.directory / "ansible.log"
        log.touch()
        self.environment["ANSIBLE_LOG_PATH"] = str(log)

        def wait() -> None:
            until(lambda: is_said(log.read_text()))
            happen()

        threading.Thread(target=wait, daemon=True).start()

    def ad_hoc(
        self,
        arguments: str,
        *options: str,
        module: str = "dbs_download_task_info",
        check: bool | None = True,
        **environment: str,
    ) -> str:
        return self.run(
            "ansible",
            "localhost",
            "-m",
            f"apsaradb.backup.{module}",
            "-a",
            arguments,
            "-e",
            self.interpreter,
            *options,
            check=check,
            **environment,
        )

    def play(self, playbook: str, *options: str, check: bool = True, **environment: str) -> str:
        path = self.directory / "playbook.yml"
        path.write_text(playbook)
        return self.run(
            "ansible-playbook",
            str(path),
            "-e",
            self.interpreter,
            *options,
            check=check,
            **environment,
        )

    def play_examples(
        self, plugin: str, *options: str, kind: str = "modules", places: Mapping[str, str] | None = None
    ) -> str:
        """Run the examples of a plugin's documentation as they stand. ``places``: what is elsewhere on this machine."""
        module = importlib.import_module(f"ansible_collections.apsaradb.backup.plugins.{kind}.{plugin}")
        examples = module.EXAMPLES
        for place, ours in (places or {}).items():
            assert place in examples
            examples = examples.replace(place, ours)
        tasks = yaml.safe_load(examples)
        play = [{"name": "Examples", "hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        output = self.play(yaml.safe_dump(play, sort_keys=False), *options)
        for task in tasks:
            assert task.get("block", [task])[0]["name"] in output
        return output


def target_python(directory: Path) -> Path:
    """A command for the interpreter that runs modules: that of the tests, unless another is to be tested.

    ansible-core 2.16 takes no interpreter with blanks in its path, as a clone may have.
    """
    command = directory / "python"
    python = ROOT / os.environ.get("TEST_TARGET_PYTHON", sys.executable)
    command.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    command.chmod(0o755)
    return command


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def fill(service: StandIn) -> None:
    """What the examples of the documentation speak of."""
    for number, state in enumerate(("finished", "finished", "running", "failed", "expired")):
        service.add_task(
            INSTANCE,
            task_id=f"dt-a1b2c3d4e5f{number}",
            state=state,
            created=1_663_321_957_000 + number,
            target_type="OSS" if number == 1 else "URL",
            target_path="restore/orders" if number == 1 else None,
            backup_set_id=f"148261000{number + 1}",
            tables=10,
        )
    service.add_instance("pc-bp9z8y7x6w5v4u3t2", engine="polardb")


@pytest.fixture
def filled(world: World) -> World:
    fill(world.service)
    return world


@pytest.fixture
def world(authority: trustme.CA, tmp_path: Path) -> Iterator[World]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
    ca_path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_path))
    with StandIn(tls=context, storage_host="real") as service, Proxy(service.url) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        yield World(service, proxy, ca_path, tmp_path)
        proxy.shutdown()
