# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The extracting module, its action plugin and its progress, by Ansible's own commands."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_protocol import HIDDEN_OPTIONS
from exports import mongodb, packing
from processes import Process, interrupt, until, users_of
from stand_in import archive

EXTRACT = "apsaradb.backup.dbs_download_extract"
FILES = len(archive.files("mysql", ["orders"], "csv"))


def extract(world: Any, arguments: str, *options: str, check: bool = True, **environment: str) -> Any:
    output = world.ad_hoc(arguments, *options, module="dbs_download_extract", check=check, **environment)
    return json.loads(output[output.index("=> {") + 3 :])


@pytest.fixture
def restore(world: Any) -> Path:
    """What the examples of the documentation speak of: archives as they were downloaded."""
    world.environment["HOME"] = str(world.directory)
    directory: Path = world.directory / "restore"
    directory.mkdir()
    tars = [archive.tar("root", [name], "csv", 1.6e9) for name in ("orders", "billing")]
    (directory / "dt-a1b2c3d4e5f0.tar.gz").write_bytes(b"".join(map(archive.gz, tars)))
    (directory / "dt-a1b2c3d4e5f1.tar.zst").write_bytes(b"".join(map(archive.zst, tars)))
    export = mongodb.files(mongodb.collections())
    (directory / "dt-a1b2c3d4e5f2.tar.zst").write_bytes(packing.pack(export, "tar.zst", tars=2, order="shuffled"))
    return directory


@pytest.fixture
def large(restore: Path, request: pytest.FixtureRequest) -> str:
    """The same archive many times in one file, by default so often that the module is busy for some seconds."""
    block = io.BytesIO()
    with tarfile.open(fileobj=block, mode="w") as file:
        for number in range(200):
            content = b"%d," % number * 1000
            for name in ("structure.sql", "data/0.csv"):
                entry = tarfile.TarInfo(f"root/orders/{number}/{name}")
                entry.size = len(content)
                file.addfile(entry, io.BytesIO(content))
    (restore / "large.tar.gz").write_bytes(gzip.compress(block.getvalue(), 1) * getattr(request, "param", 500))
    return f"src={restore / 'large.tar.gz'} dest={restore / 'large'}"


@pytest.mark.parametrize("large", [50], indirect=True)
def test_progress_is_printed(world: Any, restore: Path, large: str) -> None:
    src = restore / "large.tar.gz"
    stopped: list[int] = []

    def stop() -> None:
        """Have the work stand still until it was told of."""
        until((restore / "large.part" / "new" / "root").exists)
        stopped.extend(users_of(src))
        for work in stopped:
            os.kill(work, signal.SIGSTOP)

    def go_on() -> None:
        for work in stopped:
            os.kill(work, signal.SIGCONT)

    world.once_said(lambda said: stopped and f"[localhost] {src}: " in said, go_on)
    threading.Thread(target=stop, daemon=True).start()
    result = extract(world, f"{large} progress_interval=1")
    assert stopped
    lines = [line for line in world.output.splitlines() if line.startswith(f"[localhost] {src}: ")]
    assert lines
    duration = r"(\d+s|\d+m \d\ds|\d+h \d\dm)"
    # On a machine that is slow, nothing of it is read yet.
    known = rf"(, [\d.]+ [kM]?B/s)?(, \d+ files)?(, about {duration} left)?"
    pattern = rf"\[localhost\] \S+: [\d.]+ %{known}, {duration} elapsed"
    assert re.fullmatch(pattern, lines[0]), lines
    assert (result["changed"], result["archives"], result["files"]) == (True, 50, 400)
    assert not set(HIDDEN_OPTIONS) & set(result.get("invocation", {}).get("module_args", {}))
    names = {name for name in os.listdir(restore) if not name.startswith("dt-")}
    assert names == {"large", "large.tar.gz"}
    assert list((world.directory / "host").glob("apsaradb.backup-*")) == []


@pytest.mark.once
@pytest.mark.parametrize("options", ["progress=false", "progress_interval=0.1", "progress=maybe", "mode=rw"])
def test_progress_is_not_printed(world: Any, restore: Path, options: str) -> None:
    src, dest = restore / "dt-a1b2c3d4e5f0.tar.gz", restore / "orders"
    result = extract(world, f"src={src} dest={dest} {options}", check=options == "progress=false")
    assert f"{src}: " not in world.output
    if options != "progress=false":
        assert options.split("=")[0] in result["msg"]
        assert not dest.exists()


def test_all_of_a_joined_archive_where_unarchive_takes_the_first(world: Any, restore: Path) -> None:
    """The peer says that all is well, and half of the databases are missing."""
    (restore / "peer").mkdir()
    arguments = f"src={restore / 'dt-a1b2c3d4e5f0.tar.gz'} remote_src=true dest={restore / 'peer'}"
    world.run("ansible", "localhost", "-m", "ansible.builtin.unarchive", "-a", arguments, "-e", world.interpreter)
    assert os.listdir(restore / "peer" / "root") == ["orders"]
    result = extract(world, f"src={restore / 'dt-a1b2c3d4e5f0.tar.gz'} dest={restore / 'ours'}")
    assert sorted(os.listdir(restore / "ours" / "root")) == ["billing", "orders"]
    assert (result["archives"], result["files"]) == (2, 2 * FILES)


def test_how_it_gets_along_with_ansible(world: Any, restore: Path) -> None:
    """async, no_log, loops, module defaults, check mode, a second run, and failures that are handled."""
    (restore / "truncated.tar.gz").write_bytes((restore / "dt-a1b2c3d4e5f0.tar.gz").read_bytes()[:-5])
    world.play(
        f"""
- hosts: localhost
  gather_facts: false
  module_defaults:
    {EXTRACT}:
      src: {restore}/dt-a1b2c3d4e5f0.tar.gz
      dest: {restore}/plain
  tasks:
    - name: In check mode
      {EXTRACT}:
      check_mode: true
      register: predicted

    - name: Look whether it is there
      ansible.builtin.stat:
        path: {restore}/plain
      register: plain

    - name: Unpack
      {EXTRACT}:
        mode: 0640
      register: first

    - name: Again
      {EXTRACT}:
      register: second

    - name: Asynchronously
      {EXTRACT}:
        dest: {restore}/later
      async: 60
      poll: 1
      register: later

    - name: Silently
      {EXTRACT}:
        dest: "{restore}/{{{{ item }}}}"
      loop: [one, two]
      no_log: true
      register: silent

    - name: A failure
      {EXTRACT}:
        src: {restore}/truncated.tar.gz
        dest: {restore}/bad
      register: bad
      ignore_errors: true

    - name: Compare
      ansible.builtin.assert:
        that:
          - predicted is changed
          - predicted.format == 'tar.gz'
          - not plain.stat.exists
          - first is changed
          - second is not changed
          - first.files == {2 * FILES}
          - second.archive_crc64 == first.archive_crc64
          - later.unpacked_size == first.unpacked_size
          - silent.results | map(attribute='files') | list == [{2 * FILES}, {2 * FILES}]
          - bad is failed
          - bad.error.kind == 'archive'
          - "'truncated' in bad.msg"
    """
    )
    assert (restore / "plain" / "root" / "orders" / "structure.sql").stat().st_mode & 0o777 == 0o640
    assert not (restore / "bad").exists()


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_the_examples_of_the_documentation_run_as_they_stand(world: Any, restore: Path, check: tuple[str, ...]) -> None:
    program = world.directory / "bin" / "mongorestore"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" >> ~/mongorestore.txt\n')
    program.chmod(0o755)
    world.path = f"{program.parent}:{world.path}"
    before = sorted(os.listdir(restore))
    output = world.play_examples("dbs_download_extract", *check)
    assert "failed=0" in output
    if check:
        assert sorted(os.listdir(restore)) == before
        assert "changed=3" in output
    else:
        archives = ["dt-a1b2c3d4e5f0.tar.gz", "dt-a1b2c3d4e5f2.tar.zst"]
        assert sorted(os.listdir(restore)) == [*archives, "events", "newest", "orders"]
        assert len(list((restore / "events" / "shop").iterdir())) == 8
        assert f"{2 * FILES} files, " in output
        assert "changed=4" in output
        again = world.play_examples("dbs_download_extract")
        assert "changed=0" in again
        said = f"--config=/etc/mongorestore.yml --stopOnError --dir={restore / 'events'}\n"
        assert (world.directory / "mongorestore.txt").read_text() == said


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_ends_the_command_ends_the_work(world: Any, restore: Path, large: str, is_killed: bool) -> None:
    """Also where it is killed, and leaves its worker, which has a session of its own."""
    process = Process(
        ["ansible", "localhost", "-e", world.interpreter, "-m", EXTRACT, "-a", f"{large} progress_interval=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **world.environment, "PATH": world.path},
    )
    until(lambda: process.poll() is not None or (restore / "large.part" / "new" / "root").exists())
    assert process.poll() is None, process.outputs()[0]
    if is_killed:
        process.kill()
    else:
        interrupt(process)
    process.outputs()
    assert process.returncode != 0
    until(lambda: not (restore / "large.part").exists())
    assert not (restore / "large").exists()


def test_keys_do_not_reach_the_host(world: Any, restore: Path) -> None:
    """They come with defaults of the group of all modules, and are of no use there."""
    keys = "access_key_id=LTAI-of-no-use access_key_secret=of-no-use-at-all"
    extract(
        world,
        f"src={restore}/dt-a1b2c3d4e5f0.tar.gz dest={restore}/out {keys}",
        "-vvv",
        ANSIBLE_INJECT_INVOCATION="true",
    )
    assert '"access_key_id": null' in world.output
    assert '"access_key_secret": null' in world.output
