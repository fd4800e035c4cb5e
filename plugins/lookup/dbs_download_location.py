# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dbs_download_location
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
short_description: Get the download links or OSS paths of download tasks
version_added: 1.0.0
description:
  - Returns the download link of a finished download task of Alibaba Cloud Database Backup (DBS). For a task with the target OSS, returns
    the path in the bucket of the Object Storage Service (OSS).
  - Calls the operation C(DescribeDownloadBackupSetStorageInfo) of the DBS API, version 2021-01-01, once for each task with the target URL.
    If the terms are IDs and O(instance_name) is set, also calls C(DescribeDownloadTask) once for each instance. Needs the RAM actions
    C(dbs:DescribeDownloadBackupSetStorageInfo) and C(dbs:DescribeDownloadTask).
  - A lookup sees neither C(module_defaults) nor the keyword C(environment) of a task. Use its options, environment variables of the
    controller, or the section C(apsaradb_backup) of C(ansible.cfg).
  - Use C(no_log) for tasks that would show links. Anybody who has a link can download the files until it expires. The messages of this
    plugin never contain links.
  - >-
    Options by topic. Which tasks: O(_terms), O(instance_name), O(cluster_name). What to return: O(want), O(bucket), O(presign),
    O(duration), O(force_https). If there are no files: O(on_missing), O(on_unfinished). Connection: see the notes.
options:
  _terms:
    description:
      - The tasks, as IDs, or as objects that M(apsaradb.backup.dbs_download_task_info) returns.
      - A task with the target OSS must be an object, unless O(instance_name) is set.
    type: list
    elements: raw
    required: true
  instance_name:
    description:
      - Required for IDs of tasks with the target OSS. If not set, the plugin assumes that each ID belongs to a finished task with the
        target URL.
      - The IDs of the instances that the tasks belong to. C(InstanceName) in the API.
    type: list
    elements: str
    vars:
      - name: apsaradb_backup_instance_name
    ini:
      - section: apsaradb_backup
        key: instance_name
  want:
    description:
      - What to return for each task. V(location) is its link or its OSS path, depending on the target. V(url) is its link. V(oss_path) is
        its OSS path. V(details) is a dictionary with all values.
      - With O(presign), V(location) and V(url) return the links of all objects of a task with the target OSS, one after the other.
    type: str
    choices: [location, url, oss_path, details]
    default: location
    vars:
      - name: apsaradb_backup_want
extends_documentation_fragment:
  - apsaradb.backup.location.controller
  - apsaradb.backup.location.locating_controller
  - apsaradb.backup.connection.controller
notes:
  - A lookup runs on the controller, with the credentials of the controller. Each time Ansible evaluates its expression, it gets a new link
    from the service. The earlier link stays valid. To use a link more than once, store it in a variable with M(ansible.builtin.set_fact).
  - Use M(apsaradb.backup.dbs_download_location_info) if the credentials are on the managed host, to delegate the task, to repeat it with
    C(until), or to have a failure as the result of a task.
  - Do not loop over C(query()) of this lookup, because Ansible prints the items of a loop, and they contain links. Loop over the download
    tasks, and call the lookup within the task, with C(no_log), as in the examples.
  - Unknown options are refused.
  - In check mode, the ID V(dt-would-be-created), which M(apsaradb.backup.dbs_download_task) then returns, counts as the ID of a finished
    task. The service is not called for it, and its link is only a placeholder.
seealso:
  - module: apsaradb.backup.dbs_download_location_info
  - module: apsaradb.backup.dbs_download_task_info
  - name: DescribeDownloadBackupSetStorageInfo
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-describedownloadbackupsetstorageinfo
"""

EXAMPLES = r"""
- name: Download the files of a task
  ansible.builtin.get_url:
    url: "{{ lookup('apsaradb.backup.dbs_download_location', 'dt-a1b2c3d4e5f0', region='cn-hangzhou') }}"
    dest: "{{ playbook_dir }}/backup.tar.gz"
    mode: "0600"
  no_log: true

- name: Find the finished tasks of an instance
  apsaradb.backup.dbs_download_task_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    status: finished
  register: finished

- name: Download the files of all tasks with a link, and print no link
  ansible.builtin.get_url:
    url: "{{ lookup('apsaradb.backup.dbs_download_location', item, region='cn-hangzhou') }}"
    dest: "{{ playbook_dir }}/{{ item.task_id }}.tar.gz"
    mode: "0600"
  loop: "{{ finished.download_tasks | selectattr('target_type', 'equalto', 'URL') }}"
  loop_control:
    label: "{{ item.task_id }}"
  no_log: true

- name: Show the OSS paths of the other tasks
  ansible.builtin.debug:
    msg: "{{ query('apsaradb.backup.dbs_download_location', *paths, region='cn-hangzhou', bucket='my-backups') }}"
  vars:
    paths: "{{ finished.download_tasks | selectattr('target_type', 'equalto', 'OSS') }}"

- name: Show until when the links are valid
  ansible.builtin.debug:
    msg: "{{ details | map('dict2items') | map('rejectattr', 'key', 'search', 'url') | map('items2dict') }}"
  vars:
    urls: "{{ finished.download_tasks | selectattr('target_type', 'equalto', 'URL') }}"
    details: "{{ query('apsaradb.backup.dbs_download_location', *urls, region='cn-hangzhou', want='details', duration=300) }}"
"""

RETURN = r"""
_raw:
  description:
    - The links, paths or dictionaries, in the order of the terms. Tasks that O(on_missing) or O(on_unfinished) omit are not included.
    - With O(want=details), the dictionaries have C(task_id), C(instance_name), C(target_type), C(url), C(public_url), C(private_url),
      C(expiration_time) (ISO 8601 in UTC), C(oss_path), and with O(presign) the C(urls) of a task with the target OSS.
  type: list
  elements: raw
  sample:
    - oss://my-backups/restore/orders
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    BackupError,
    ConfigurationError,
    NotSetError,
    foreseen,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import (
    safe,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_location_info import (
    LOCATION_SPEC,
    LocationRequest,
    locate,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import (
    SHARED,
    completed,
    is_in_environment,
)

display = Display()

LOOKUP_SPEC: dict[str, dict[str, t.Any]] = {
    **LOCATION_SPEC,
    "instance_name": {"type": "list"},
}


class LookupModule(LookupBase):
    def run(
        self,
        terms: list[t.Any],
        variables: t.Optional[dict[str, t.Any]] = None,
        **kwargs: t.Any,
    ) -> list[t.Any]:
        try:
            _refuse_unknown(kwargs)
            self.set_options(var_options=variables, direct=kwargs)
            nearer = {
                *kwargs,
                *(
                    name.removeprefix("apsaradb_backup_")
                    for name in variables or ()
                ),
            }
            options = completed(
                {name: self._option(name, nearer) for name in LOOKUP_SPEC}
            )
            want = self.get_option("want")
            values: list[t.Any] = []
            check_mode = bool((variables or {}).get("ansible_check_mode"))
            with foreseen():
                request = LocationRequest.parse(
                    options, self._flatten(terms), check_mode
                )
                located = locate(
                    request, lambda text: display.warning(safe(text))
                )
            for found in located:
                values += [found] if want == "details" else _wanted(found, want)
        except BackupError as error:
            raise AnsibleLookupError(
                f"dbs_download_location: {error}{_explanation(error)}"
            ) from None
        return values

    def _option(self, name: str, nearer: t.Collection[str]) -> t.Any:
        """The value of an option; none where the environment comes before the configuration file that it is from."""
        is_near = bool(
            {name, *LOOKUP_SPEC[name].get("aliases", ())} & set(nearer)
        )
        return (
            None
            if name in SHARED and not is_near and is_in_environment(name)
            else self.get_option(name)
        )


def _refuse_unknown(given: t.Collection[str]) -> None:
    # Ansible itself passes allow_unsafe on in some versions.
    known = {
        "want",
        "allow_unsafe",
        *LOOKUP_SPEC,
        *(
            alias
            for option in LOOKUP_SPEC.values()
            for alias in option.get("aliases", ())
        ),
    }
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigurationError(
            f"{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not known: the options are"
            f" {', '.join(sorted(['want', *LOOKUP_SPEC]))}."
        )


def _explanation(error: BackupError) -> str:
    if not isinstance(error, NotSetError):
        return ""
    return (
        " A lookup runs on the controller: it sees neither module_defaults nor the environment of a task. Give it the option, or set"
        " the variable for the controller."
    )


def _wanted(found: t.Mapping[str, t.Any], want: str) -> list[t.Any]:
    """The values of one task."""
    if found["oss_path"] is None:
        if want == "oss_path":
            raise ConfigurationError(
                f"task {found['task_id']!r} has target_type URL and no OSS path: use want=location or want=url."
            )
        return [found["url"]]
    if "urls" in found and want != "oss_path":
        return list(found["urls"])
    if want == "url":
        raise ConfigurationError(
            f"task {found['task_id']!r} has target_type OSS and no link: use want=oss_path, or presign with bucket."
        )
    return [found["oss_path"]]
