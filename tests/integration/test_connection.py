# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the service is reached, by Ansible's own commands: defaults of the group, the environment of hosts and of tasks."""

from __future__ import annotations

from typing import Any

import pytest

INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
TASK = "dt-a1b2c3d4e5f0"

#: What every kind of plugin does with the same options.
EACH = f"""
    - name: By a module
      apsaradb.backup.dbs_download_task_info:
        instance_name: {INSTANCE}
      register: listed

    - name: By the action plugin of a module
      apsaradb.backup.dbs_download_file:
        task_id: {TASK}
        dest: "{{{{ playbook_dir }}}}/backup.tar.gz"

    - name: By a module that asks nobody
      apsaradb.backup.dbs_download_extract:
        src: "{{{{ playbook_dir }}}}/backup.tar.gz"
        dest: "{{{{ playbook_dir }}}}/backup"
"""
LOOKUP = f"""
    - name: By a lookup
      ansible.builtin.assert:
        that: lookup('apsaradb.backup.dbs_download_location', '{TASK}') is match('https?://')
        quiet: true
"""


def keys_of(world: Any) -> dict[str, str]:
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": world.service.key.id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": world.service.key.secret,
    }


#: Nothing that leads anywhere: no keys, no proxy, no authorities.
NOTHING = dict.fromkeys(
    [
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "HTTPS_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
    ],
    "",
)


@pytest.fixture
def reached(filled: Any) -> Any:
    """By its address, so that only the authority has to be known."""
    filled.service.habits.storage_host = "own"
    filled.service.habits.url_scheme = "https"
    filled.environment = {**filled.environment, **NOTHING}
    return filled


def play(world: Any, head: str, tasks: str, check: bool = True, **environment: str) -> str:
    text = f"- name: Reach it\n  hosts: localhost\n  gather_facts: false\n{head}  tasks:\n{tasks}"
    output: str = world.play(text, check=check, **environment)
    return output


def test_defaults_of_the_group(reached: Any) -> None:
    head = f"""
  module_defaults:
    group/apsaradb.backup.all:
      region: cn-hangzhou
      endpoint: {reached.service.url}
      ca_path: {reached.ca_path}
      network: auto
      access_key_id: {reached.service.key.id}
      access_key_secret: {reached.service.key.secret}
      request_timeout: 60
"""
    play(reached, head, EACH)
    assert (reached.directory / "backup").is_dir()


def test_variables_of_the_environment(reached: Any) -> None:
    play(
        reached,
        "",
        EACH + LOOKUP,
        APSARADB_BACKUP_ENDPOINT=reached.service.url,
        APSARADB_BACKUP_REGION="cn-hangzhou",
        APSARADB_BACKUP_NETWORK="",
        APSARADB_BACKUP_VALIDATE_CERTS="",
        APSARADB_BACKUP_CA_PATH=str(reached.ca_path),
        **keys_of(reached),
    )


def test_the_environment_of_a_task(reached: Any) -> None:
    """Its values are templates, and may be set at a play, and at a task over it."""
    head = f"""
  vars:
    key_id: {reached.service.key.id}
  environment:
    ALIBABA_CLOUD_ACCESS_KEY_ID: "{{{{ key_id }}}}"
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: {reached.service.key.secret}
    ALIBABA_CLOUD_REGION_ID: cn-hangzhou
    APSARADB_BACKUP_ENDPOINT: {reached.service.url}
    APSARADB_BACKUP_CA_PATH: {reached.ca_path}
    APSARADB_BACKUP_TOTAL_TIMEOUT: 60
"""
    after = """
    - name: See that it is that of the task alone
      ansible.builtin.assert:
        that: lookup('ansible.builtin.env', 'APSARADB_BACKUP_ENDPOINT') == ''
        quiet: true
"""
    play(reached, head, EACH + after)
    output = play(reached, head, LOOKUP, check=False, APSARADB_BACKUP_REGION="")
    assert "region is not set" in output
    assert "A lookup runs on the controller" in output
    assert "it sees neither module_defaults nor the environment of a task" in " ".join(output.split())


@pytest.mark.parametrize("how", ["the environment of the command", "the environment of the task"])
def test_a_bad_value_of_the_environment(reached: Any, how: str) -> None:
    variables = {"APSARADB_BACKUP_VALIDATE_CERTS": "perhaps", "APSARADB_BACKUP_REGION": "cn-hangzhou"}
    head = "  environment:\n" + "".join(f"    {name}: {value}\n" for name, value in variables.items())
    for tasks in (EACH.replace("By a module\n", "By a module\n      ignore_errors: true\n", 1), LOOKUP):
        if how == "the environment of the task" and tasks == LOOKUP:
            continue
        given = variables if how == "the environment of the command" else {}
        output = play(reached, "" if given else head, tasks, check=False, **given)
        said = "APSARADB_BACKUP_VALIDATE_CERTS 'perhaps' is not allowed: give true or false."
        assert " ".join(output.split()).replace("\\", "").count(said) >= (1 if tasks == LOOKUP else 2)
    assert not reached.service.calls


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("reigon='cn-hangzhou'", "reigon is not known: the options are access_key_id, access_key_secret, bucket,"),
        ("color='red', https=true, shape='round'", "color, shape are not known: the options are"),
    ],
)
def test_the_lookup_refuses_what_it_does_not_know(reached: Any, option: str, said: str) -> None:
    output = play(reached, "", LOOKUP.replace(f"'{TASK}'", f"'{TASK}', {option}"), check=False)
    assert said in " ".join(output.split())
    assert not reached.service.calls


@pytest.mark.parametrize("call", ["lookup({0}, wantlist=true)", "query({0})", "lookup({0}, errors='warn')"])
def test_the_lookup_takes_what_ansible_passes_on(filled: Any, call: str) -> None:
    term = call.format(f"'apsaradb.backup.dbs_download_location', '{TASK}', region_id='cn-hangzhou'")
    play(
        filled,
        "",
        f"""
    - ansible.builtin.assert:
        that: ({term}) | string is search('dbs_target_file_path|tar.gz')
        quiet: true
""",
    )
