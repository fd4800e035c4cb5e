# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every command block of the README, in its order, as it stands, in a clone whose name has blanks and a dash."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import MariaDB
from processes import LIMIT
from stand_in import AccessKey

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:`(?P<name>\w+\.yml)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MEANT_FOR_OTHERS = {
    "make test\n",  # runs this test
}
# What the tests set, and a user of the README has in another way.
OURS = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_HOME")
# Where Debian's servers listen, which the tests do not run.
SOCKET = "/run/mysqld/mysqld.sock"
EXPECTED = {
    "make demo": [
        "structure.sql",
        '"verified_by": "crc64"',
        "apsaradb.backup.dbs_download_task_info",
        '"download_tasks"',
        "STATUS",
        "finished",
        '"server": "MariaDB 1',
        '"server": "PostgreSQL 1',
        '"state": "done"',
        "168417.81",  # the amount of the orders that are new
    ],
    "ansible-galaxy collection build": ["was installed successfully"],
    "your-access-key-id": ['"count": 2', "dt-readme", "2 tasks"],
    "newest_download.yml": ["(item=dt-readme)", "dt-readme of 2022-09-16T09:52:37Z: appdb as CSV"],
    "query_only": ['"query_result": [', '"dt-readme"'],
    "create_download": ["Would create task dt-would-be-created for backup set 7 of", ".tar.gz until 20"],
    "create.yml": ["for backup set 7 is finished", "changed=0"],
    "-m apsaradb.backup.dbs_download_task_wait": ['"download_status": "finished"'],
    "wait_and_locate": [".tar.gz until 20"],
    "download_backup.yml": ["changed=2"],
    "restore.yml": ["rows in 23 tables of ", "changed=2"],
    "dbs_download_location_info": ["Signature=", '"expiration_time"'],
    "ansible-doc": ["DescribeDownloadTask", "EXAMPLES", "RETURN"],
    "LTAI-demo": [
        "rm-bp1demomysql0001",
        "tasks",
        "Would create task dt-would-be-created for backup set",
        '"verified_by": "crc64"',
    ],
    "--help": ["--speed", "--fault"],
}


def blocks() -> list[re.Match[str]]:
    return list(BLOCK.finditer((ROOT / "README.md").read_text()))


FINISHED_AT_THE_SECOND_LOOK = [("running", 3600.0), ("finished", None)]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that git knows or would know."""
    listing = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    target = tmp_path / "a clone - of mine"
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "dist").mkdir()
    (target / "dist" / "apsaradb-backup-0.9.0.tar.gz").write_text("of an earlier build")
    return target


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of a user that has pip's configuration, and nothing else."""
    home = tmp_path / "home"
    for name in (".config/pip", ".pip"):
        if (Path.home() / name).exists():
            shutil.copytree(Path.home() / name, home / name)
    home.mkdir(exist_ok=True)
    return home


@pytest.fixture
def services() -> Iterator[list[subprocess.Popen[str]]]:
    """What a block left running in another terminal."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(LIMIT)


def test_every_command_block(
    world: Any, clone: Path, home: Path, services: list[subprocess.Popen[str]], own_server: Any
) -> None:
    # The account of the host is one of the server, as with MariaDB's own packages.
    database = own_server(MariaDB)
    database.admit(getpass.getuser())
    world.service.authenticator.add(AccessKey("your-access-key-id", "your-access-key-secret"))
    instance = "rm-bp1a2b3c4d5e6f7g8"
    world.service.add_task(instance, task_id="dt-readme", created=1_663_321_957_000)
    world.service.add_task(instance, task_id="dt-a1b2c3d4e5f0", created=1_663_321_950_000)
    for name in OURS:
        del world.environment[name]
    world.environment.update(
        HOME=str(home), ANSIBLE_HOME=str(home / ".ansible"), PIP_CACHE_DIR=str(Path.home() / ".cache" / "pip")
    )
    # Time passes by requests, so that a task is still under way when a slow machine first asks for it.
    world.service.habits.seconds_per_list = 4000.0
    exports = ""
    expected = dict(EXPECTED)
    for block in blocks():
        kind, text = block["kind"], block["text"]
        if kind == "yaml":
            assert block["name"], "a playbook must be introduced by its file's name"
            (clone / block["name"]).write_text(text.replace(SOCKET, database.socket))
            continue
        assert kind == "shell"
        if text in MEANT_FOR_OTHERS:
            continue
        if text == "make service\n":
            services.append(start(clone))
            continue
        # Package indexes are not what the proxy leads to.
        direct = {"HTTPS_PROXY": "", "REQUESTS_CA_BUNDLE": ""} if re.search("^make |pip install", text) else {}
        if "create_download" in text:
            world.service.add_backup(instance, backup_id="7")
            world.service.habits.life_cycle = [("running", 2.0), ("finished", None)]
        before = exports
        exports += "".join(line + "\n" for line in text.splitlines() if line.startswith("export "))
        # Each playbook can also be checked first, once all is installed and exported.
        plays = [line for line in text.splitlines() if line.startswith("ansible-playbook ") and "--check" not in line]
        is_waited_for = "task_wait" in text or "wait_and" in text or "download_backup" in text
        if is_waited_for:
            world.service.add_task(instance, schedule=FINISHED_AT_THE_SECOND_LOOK)
        if plays and not direct:
            world.run("bash", "-euc", exports + "".join(f"{line} --check\n" for line in plays), cwd=clone)
        if is_waited_for:
            world.service.add_task(instance, schedule=FINISHED_AT_THE_SECOND_LOOK)
        output = world.run("bash", "-euc", before + text, cwd=clone, **direct)
        for sign in [sign for sign in expected if sign in text]:
            for words in expected.pop(sign):
                assert words in output, output
    assert not expected, "blocks that are no longer there"
    (artifact,) = (clone / "dist").glob("*-1.*.tar.gz")
    with tarfile.open(artifact) as packed:
        assert not [name for name in packed.getnames() if name.startswith("dist")]


def start(clone: Path) -> subprocess.Popen[str]:
    """What it prints tells it from another server that already listens there."""
    command = ["make", "service"]
    process = subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    announced = process.stdout.readline()
    assert announced.startswith("Listening on http://127.0.0.1:8000,"), "make service failed, see its output"
    return process
