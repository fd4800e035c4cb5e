#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_support_info
short_description: Check whether database instances on Alibaba Cloud support advanced download
version_added: 1.0.0
description:
  - Checks whether instances support the I(advanced download) feature of Alibaba Cloud Database Backup (DBS), which converts backup sets
    into files for download. If an instance does not support it, the module returns the reason, if the service gives one.
  - Calls the operation C(DescribeDownloadSupport) of the DBS API, version 2021-01-01. Needs the RAM action
    C(dbs:DescribeDownloadSupport).
  - >-
    Options by topic. Which instances: O(instance_name), O(cluster_name). Connection: see the notes.
options:
  instance_name:
    description:
      - The IDs of the instances. C(InstanceName) in the API.
    type: list
    elements: str
    required: true
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  cluster_name:
    description:
      - For sharded MongoDB instances, the name of the cluster. C(ClusterName) in the API.
    type: str
extends_documentation_fragment:
  - apsaradb.backup.connection
  - apsaradb.backup.attributes
  - apsaradb.backup.attributes.info_module
  - apsaradb.backup.attributes.action_group
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_task
  - name: DescribeDownloadSupport
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-describedownloadsupport
"""

EXAMPLES = r"""
- name: Check whether two instances support advanced download
  apsaradb.backup.dbs_download_support_info:
    region: cn-hangzhou
    instance_name:
      - rm-bp1a2b3c4d5e6f7g8
      - pc-bp9z8y7x6w5v4u3t2
  register: support

- name: Stop if one of them does not support it
  ansible.builtin.assert:
    that: support.all_supported
    fail_msg: "{{ support.instances | rejectattr('supported') }}"
"""

RETURN = r"""
instances:
  description: The instances, in the order of O(instance_name).
  returned: success
  type: list
  elements: dict
  contains:
    instance_name:
      description: The ID of the instance.
      type: str
      sample: rm-bp1a2b3c4d5e6f7g8
    region_code:
      description: The region that was queried.
      type: str
      sample: cn-hangzhou
    supported:
      description: Whether the instance supports advanced download. C(Data) in the API.
      type: bool
      sample: true
    reason:
      description: Why the instance is not supported - C(code) and C(message) of the service. V(null) if the service gives no reason.
      type: dict
      sample: null
  sample:
    - instance_name: rm-bp1a2b3c4d5e6f7g8
      region_code: cn-hangzhou
      supported: true
      reason: null
all_supported:
  description: Whether all instances support advanced download.
  returned: success
  type: bool
  sample: true
error:
  description: The error, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
  returned: failure
  type: dict
  sample:
    kind: configuration
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_support_info import (
    DownloadSupportInfo,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(DownloadSupportInfo)


if __name__ == "__main__":
    main()
