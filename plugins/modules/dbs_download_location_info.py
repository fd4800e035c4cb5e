#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_location_info
short_description: Get the download links or OSS paths of download tasks
version_added: 1.0.0
description:
  - Returns the download links of finished download tasks of Alibaba Cloud Database Backup (DBS). For tasks with the target OSS, returns
    the path in the bucket of the Object Storage Service (OSS).
  - Calls the operation C(DescribeDownloadBackupSetStorageInfo) of the DBS API, version 2021-01-01, once for each task with the
    target URL, and C(DescribeDownloadTask) once for each instance. Needs the RAM actions
    C(dbs:DescribeDownloadBackupSetStorageInfo) and C(dbs:DescribeDownloadTask).
  - Use C(no_log) on the task, because the result contains links. Anybody who has a link can download the files until it expires.
  - >-
    Options by topic. Which tasks: O(instance_name), O(task_ids), O(cluster_name). Links and paths: O(bucket), O(presign),
    O(duration), O(force_https). If there are no files: O(on_missing), O(on_unfinished). Connection: see the notes.
options:
  instance_name:
    description:
      - The IDs of the instances that the tasks belong to. C(InstanceName) in the API.
    type: list
    elements: str
    required: true
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  task_ids:
    description:
      - The IDs of the tasks.
    type: list
    elements: str
    required: true
    aliases: [task_id]
extends_documentation_fragment:
  - apsaradb.backup.location
  - apsaradb.backup.location.locating
  - apsaradb.backup.connection
  - apsaradb.backup.attributes
  - apsaradb.backup.attributes.info_module
  - apsaradb.backup.attributes.action_group
attributes:
  check_mode:
    support: full
    details: The ID V(dt-would-be-created), which M(apsaradb.backup.dbs_download_task) returns in check mode, counts as the ID of a
      finished task. The service is not called for it, and its link is only a placeholder.
  idempotent:
    support: full
    details: The module changes nothing. The service issues a new link each time.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - plugin: apsaradb.backup.dbs_download_location
    plugin_type: lookup
  - module: apsaradb.backup.dbs_download_task_info
"""

EXAMPLES = r"""
- name: Get the link to the files of a task
  apsaradb.backup.dbs_download_location_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    task_ids: dt-a1b2c3d4e5f0
  no_log: true
  register: found

- name: Show until when the link is valid
  ansible.builtin.debug:
    msg: "{{ found.locations[0].expiration_time }}"

- name: Get links or paths of two tasks, and omit unfinished tasks
  apsaradb.backup.dbs_download_location_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    task_ids:
      - dt-a1b2c3d4e5f0
      - dt-a1b2c3d4e5f1
    bucket: my-backups
    on_unfinished: warn
  no_log: true
"""

RETURN = r"""
locations:
  description: The locations of the files, in the order of O(task_ids), without tasks that O(on_missing) or O(on_unfinished) omit.
  returned: success
  type: list
  elements: dict
  contains:
    task_id:
      description: The ID of the task.
      type: str
      sample: dt-a1b2c3d4e5f0
    instance_name:
      description: The ID of its instance.
      type: str
      sample: rm-bp1a2b3c4d5e6f7g8
    target_type:
      description: The target of the files, V(URL) or V(OSS).
      type: str
      sample: OSS
    url:
      description: The link for O(network), or the other link if the service returned only that one. V(null) if the target is OSS.
      type: str
      sample: null
    public_url:
      description: The link for the Internet. C(PublicUrl) in the API.
      type: str
      sample: null
    private_url:
      description: The link for the virtual private cloud. C(PrivateUrl) in the API.
      type: str
      sample: null
    expiration_time:
      description: Until when the links are valid, in ISO 8601, in UTC. C(ExpirationTime) in the API.
      type: str
      sample: "2026-01-31T02:00:00Z"
    oss_path:
      description: The path in the bucket, as C(oss://bucket/path) if O(bucket) is set. V(null) if the target is URL.
      type: str
      sample: oss://my-backups/restore/orders
    urls:
      description: The links of all objects under the path.
      returned: O(presign) is set and the target is OSS
      type: list
      elements: str
      sample: []
  sample:
    - task_id: dt-a1b2c3d4e5f0
      instance_name: rm-bp1a2b3c4d5e6f7g8
      target_type: OSS
      url: null
      public_url: null
      private_url: null
      expiration_time: null
      oss_path: oss://my-backups/restore/orders
error:
  description:
    - The error, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - The kind can also be V(location), if a task does not exist or has no files.
  returned: failure
  type: dict
  sample:
    kind: location
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_location_info import (
    DownloadLocationInfo,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(DownloadLocationInfo)


if __name__ == "__main__":
    main()
