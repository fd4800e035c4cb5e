# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup and the module that say where files are, by Ansible's own commands."""

from __future__ import annotations

from typing import Any

import pytest

INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
LOOKUP = "apsaradb.backup.dbs_download_location"


def play(world: Any, *checks: str, check: bool = True, options: tuple[str, ...] = (), **environment: str) -> str:
    """A play that asserts what the lookup gives."""
    lines = "".join(f"          - >-\n            {line}\n" for line in checks)
    output: str = world.play(
        f"""
- hosts: localhost
  gather_facts: false
  vars:
    look: {LOOKUP}
    in_hangzhou: {{region: cn-hangzhou}}
    apsaradb_backup_instance_name: {INSTANCE}
  tasks:
    - name: Check
      ansible.builtin.assert:
        quiet: true
        that:
{lines}""",
        *options,
        check=check,
        **environment,
    )
    return output


def test_what_the_lookup_gives(filled: Any) -> None:
    play(
        filled,
        "lookup(look, 'dt-a1b2c3d4e5f0', region='cn-hangzhou') is match('https://dbs-.*[.]oss-cn-hangzhou[.]aliyuncs[.]com/')",
        "lookup(look, 'dt-a1b2c3d4e5f0', region='cn-hangzhou', network='vpc') is search('oss-cn-hangzhou-internal')",
        "lookup(look, 'dt-a1b2c3d4e5f0', region='cn-hangzhou', force_https=false) is match('http://')",
        "lookup(look, 'dt-a1b2c3d4e5f0', region='cn-hangzhou', https=false) is match('http://')",
        "lookup(look, 'dt-a1b2c3d4e5f1', region='cn-hangzhou') == 'restore/orders'",
        "lookup(look, 'dt-a1b2c3d4e5f1', region='cn-hangzhou', bucket='my-backups') == 'oss://my-backups/restore/orders'",
        "query(look, 'dt-a1b2c3d4e5f1', 'dt-a1b2c3d4e5f0', region='cn-hangzhou', want='details')"
        " | map(attribute='target_type') == ['OSS', 'URL']",
        "lookup(look, 'dt-a1b2c3d4e5f0', region='cn-hangzhou', want='details').expiration_time is match('20..-..-..T')",
        "query(look, ['dt-a1b2c3d4e5f1', 'dt-a1b2c3d4e5f3'], region='cn-hangzhou', on_unfinished='skip') | length == 1",
        "query(look, region='cn-hangzhou') == []",
    )


def test_options_from_everywhere(filled: Any) -> None:
    """Variables, the environment, and the configuration file."""
    configuration = filled.directory / "ansible.cfg"
    configuration.write_text("[apsaradb_backup]\nbucket = from-the-file\n")
    term = "lookup(look, 'dt-a1b2c3d4e5f1')"
    play(
        filled,
        f"{term} == 'oss://from-the-file/restore/orders'",
        ALIBABA_CLOUD_REGION_ID="cn-hangzhou",
        ANSIBLE_CONFIG=str(configuration),
    )
    play(
        filled,
        f"{term} == 'oss://from-the-env/restore/orders'",
        APSARADB_BACKUP_REGION="cn-hangzhou",
        APSARADB_BACKUP_BUCKET="from-the-env",
        ANSIBLE_CONFIG=str(configuration),
    )
    play(
        filled,
        f"{term} == 'oss://from-a-variable/restore/orders'",
        options=("-e", "apsaradb_backup_region=cn-hangzhou apsaradb_backup_bucket=from-a-variable"),
        APSARADB_BACKUP_BUCKET="from-the-env",
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("'dt-a1b2c3d4e5f3', region='cn-hangzhou'", "task 'dt-a1b2c3d4e5f3' is failed, not finished. Retry it."),
        ("'dt-gone', region='cn-hangzhou'", "task 'dt-gone' does not exist"),
        ("'dt-a1b2c3d4e5f1', region='cn-hangzhou', want='url'", "has target_type OSS and no link"),
        ("'dt-a1b2c3d4e5f0', region='cn-hangzhou', want='oss_path'", "has target_type URL and no OSS path"),
        (
            "'dt-a1b2c3d4e5f0', region='cn-hangzhou', duration=1",
            "duration 1 is out of range: give 300 to 86400 seconds.",
        ),
        ("'dt-a1b2c3d4e5f0', region='nowhere'", "region 'nowhere' is malformed"),
        ("'dt-a1b2c3d4e5f0'", "region"),
    ],
)
def test_failures(filled: Any, arguments: str, said: str) -> None:
    output = play(filled, f"lookup(look, {arguments})", check=False, options=("-vvvv",))
    assert said in output.replace("\\n", " ").replace("\n", " ")
    assert "Signature=" not in output
    assert filled.service.key.secret not in output


def test_a_warning(filled: Any) -> None:
    play(filled, "query(look, 'dt-a1b2c3d4e5f3', region='cn-hangzhou', on_unfinished='warn') == []")
    assert "Skipped: task 'dt-a1b2c3d4e5f3' is failed" in " ".join(filled.output.split())


def test_a_link_is_shown_nowhere(filled: Any) -> None:
    """Not even by -vvvvv, unless a task itself shows it."""
    play(
        filled,
        "lookup(look, 'dt-a1b2c3d4e5f0', region='cn-hangzhou') | length > 100",
        options=("-vvvvv",),
        ANSIBLE_DEBUG="1",
    )
    for secret in ("Signature=", "OSSAccessKeyId", filled.service.key.secret, filled.service.key.id):
        assert secret not in filled.output


def test_the_examples_of_the_lookup_run_as_they_stand(filled: Any) -> None:
    output = filled.play_examples("dbs_download_location", "-vvvv", kind="lookup")
    assert "oss://my-backups/restore/orders" in output
    assert "Signature=" not in output
    (task,) = [task for task in filled.service.account.tasks() if task.task_id == "dt-a1b2c3d4e5f0"]
    assert (filled.directory / "backup.tar.gz").read_bytes() == filled.service.objects_of(task)[0].read()


def test_the_examples_of_the_module_run_as_they_stand(filled: Any) -> None:
    output = filled.play_examples("dbs_download_location_info")
    assert "failed=0" in output
    assert "Signature=" not in output
