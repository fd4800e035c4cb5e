#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_backup_set_info
short_description: List the backup sets of database instances on Alibaba Cloud
version_added: 1.0.0
description:
  - Lists the backup sets of RDS instances and PolarDB for MySQL clusters, in the same form for both. Download tasks can be created from
    these backup sets.
  - For RDS instances, calls the operation C(DescribeBackups) of the RDS API, version 2014-08-15, and needs the RAM action
    C(rds:DescribeBackups). For PolarDB clusters, calls C(DescribeBackupDataList) of the DBS API, version 2021-01-01, and needs
    C(dbs:DescribeBackupDataList). Reads all pages.
  - >-
    Options by topic. Which backup sets: O(instance_name), O(source), O(backup_set_id), O(status), O(mode), O(method), O(start_time),
    O(end_time), O(latest), O(limit). No result: O(on_missing). Result: O(recoverable), O(query), O(query_only).
    Connection: see the notes.
options:
  instance_name:
    description:
      - The IDs of the instances and clusters. C(DBInstanceId) or C(InstanceName) in the APIs.
    type: list
    elements: str
    required: true
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  source:
    description:
      - The service that lists the backup sets. With V(auto), it depends on the beginning of the ID - V(pc-) is PolarDB, and V(rm-),
        V(rr-), V(pgm-) and V(pgr-) are RDS. The backup sets of MongoDB instances (V(dds-)) cannot be listed.
    type: str
    choices: [auto, rds, polardb]
    default: auto
  backup_set_id:
    description:
      - Only the backup set with this ID. C(BackupId) in the APIs.
    type: str
    aliases: [bak_set_id, backup_id]
  status:
    description:
      - Only backup sets that succeeded, or only those that failed, case-insensitive. C(BackupStatus) in the APIs.
      - With O(latest), V(success) by default.
    type: str
    choices: [success, failed]
    aliases: [backup_status]
  mode:
    description:
      - Only backup sets that were made by schedule (V(Automated)), or only those that a user started (V(Manual)), case-insensitive.
        C(BackupMode) in the APIs.
    type: str
    choices: [Automated, Manual]
    aliases: [backup_mode]
  method:
    description:
      - Only backup sets that were made with this method, case-insensitive. C(BackupMethod) in the APIs.
    type: str
    choices: [Physical, Logical, Snapshot]
    aliases: [backup_method]
  start_time:
    description:
      - Only backup sets that began at this time or later. C(StartTime) in the APIs.
      - ISO 8601 with a time zone, such as V(2026-01-31T00:00:00Z), milliseconds since 1970, a date, or a time before now. A date, such as
        V(2026-01-31), means 00:00 UTC. A time before now, such as V(-24h), is in seconds (V(s)), minutes (V(m)), hours (V(h)), days (V(d))
        or weeks (V(w)).
      - Backup sets without a start time pass this filter.
    type: str
  end_time:
    description:
      - Only backup sets that began at this time or earlier. C(EndTime) in the APIs.
      - Same formats as O(start_time), but a date means the end of that day in UTC. Backup sets without a start time pass this filter.
    type: str
  latest:
    description:
      - Whether to return only the newest backup set of each instance. With O(status=success), the default here, it is the newest usable
        full backup set.
      - The module fails if it is not certain which one that is. This happens if the service returns fewer backup sets than it announces.
        It also happens if a backup set has no start time, and did not end before the others began.
    type: bool
    default: false
  on_missing:
    description:
      - What to do if an instance has no backup set that fits. V(error) fails. V(skip) returns the backup sets of the other instances.
    type: str
    choices: [error, skip]
    default: skip
  limit:
    description:
      - The maximum number of backup sets to return, from V(1) to V(1000000). The newest ones of all instances together are returned.
    type: int
  query:
    description:
      - A JMESPath expression to apply to the result. Its value is RV(query_result).
      - If the value is V(null), the module warns, because a wrong name also gives V(null).
      - Needs the Python package C(jmespath) on the host that runs the module.
    type: str
  query_only:
    description:
      - Whether to return only RV(query_result) and C(changed), for a short result. Needs O(query).
    type: bool
    default: false
  recoverable:
    description:
      - Whether to return in RV(recoverable) to which points in time each instance can be restored.
      - For RDS instances, this calls C(DescribeLocalAvailableRecoveryTime), and needs the RAM action of that name. It works for MySQL,
        PostgreSQL and MariaDB. For PolarDB clusters, all backup sets that succeeded are listed.
    type: bool
    default: false
requirements:
  - On the host that runs the module - jmespath, if O(query) is set
extends_documentation_fragment:
  - apsaradb.backup.connection
  - apsaradb.backup.attributes
  - apsaradb.backup.attributes.info_module
  - apsaradb.backup.attributes.action_group
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_task
    description: Creates a download task for a backup set.
  - name: DescribeBackups
    description: The operation in the API reference of RDS.
    link: https://www.alibabacloud.com/help/en/rds/apsaradb-rds-for-mysql/api-rds-2014-08-15-describebackups-mysql
  - name: DescribeBackupDataList
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-describebackupdatalist
"""

EXAMPLES = r"""
- name: Find out which points in time of an instance can be restored
  apsaradb.backup.dbs_backup_set_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    start_time: -7d
    recoverable: true
  register: known

- name: Show from when until when
  ansible.builtin.debug:
    msg: "{{ item.value.earliest }} to {{ item.value.latest }}"
  loop: "{{ known.recoverable | dict2items }}"
  loop_control:
    label: "{{ item.key }}"

- name: Find the newest good backup set of an instance
  apsaradb.backup.dbs_backup_set_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    latest: true
    on_missing: error
  register: newest

- name: Show which backup set that is
  ansible.builtin.debug:
    msg: "{{ item.backup_set_id }} of {{ item.backup_start_time }}, {{ item.backup_size | human_readable }}"
  loop: "{{ newest.backup_sets }}"
  loop_control:
    label: "{{ item.instance_name }}"

- name: List the manual backups of a month, of an instance and a cluster
  apsaradb.backup.dbs_backup_set_info:
    region: cn-hangzhou
    instance_name:
      - rm-bp1a2b3c4d5e6f7g8
      - pc-bp9z8y7x6w5v4u3t2
    mode: Manual
    start_time: "2026-10-01T00:00:00+08:00"
    end_time: "2026-11-01T00:00:00+08:00"
"""

RETURN = r"""
backup_sets:
  description:
    - The backup sets, newest first. Backup sets without a start time come last, with a warning. The module also warns if the service
      returns fewer backup sets than it announces.
    - Other fields of the APIs are included with their names in snake case, except links to backup files. Anybody who has such a link can
      download the backup.
  returned: success, without O(query_only=true)
  type: list
  elements: dict
  contains:
    backup_set_id:
      description: The ID of the backup set, as other modules take it. C(BackupId) in the APIs.
      type: str
      sample: "1482610001"
    backup_id:
      description: The same, by its name in the APIs.
      type: str
      sample: "1482610001"
    instance_name:
      description: The ID of the instance that was queried.
      type: str
      sample: rm-bp1a2b3c4d5e6f7g8
    region_code:
      description: The region that was queried.
      type: str
      sample: cn-hangzhou
    backup_status:
      description: V(success), V(failed), or another status of the service in lower case. C(BackupStatus) in the APIs.
      type: str
      sample: success
    backup_mode:
      description: V(Automated) or V(Manual). C(BackupMode) in the APIs.
      type: str
      sample: Automated
    backup_method:
      description: V(Physical), V(Logical) or V(Snapshot). C(BackupMethod) in the APIs.
      type: str
      sample: Physical
    backup_type:
      description: V(FullBackup), or an incremental one. C(BackupType) in the APIs.
      type: str
      sample: FullBackup
    backup_size:
      description: The size in bytes. C(BackupSize) in the APIs.
      type: int
      sample: 1073741824
    backup_start_time:
      description: When the backup began, in ISO 8601, in UTC. C(BackupStartTime) in the APIs.
      type: str
      sample: "2026-01-31T00:00:00Z"
    backup_end_time:
      description: When the backup ended, in ISO 8601, in UTC. C(BackupEndTime) in the APIs.
      type: str
      sample: "2026-01-31T00:05:00Z"
    consistent_time:
      description: The point in time of the data, in seconds since 1970. C(ConsistentTime) in the APIs.
      type: int
      sample: 1769817600
    consistent_time_iso:
      description: The same in ISO 8601, in UTC.
      type: str
      sample: "2026-01-31T00:00:00Z"
    is_avail:
      description: Whether the backup set can be used. C(IsAvail) in the APIs.
      type: bool
      sample: true
    engine:
      description: The database engine. C(Engine) in the APIs.
      type: str
      sample: MySQL
    engine_version:
      description: Its version. C(EngineVersion) in the APIs.
      type: str
      sample: "8.0"
  sample:
    - backup_set_id: "1482610001"
      backup_id: "1482610001"
      instance_name: rm-bp1a2b3c4d5e6f7g8
      region_code: cn-hangzhou
      backup_status: success
      backup_mode: Automated
      backup_method: Physical
      backup_type: FullBackup
      backup_size: 1073741824
      backup_start_time: "2026-01-31T00:00:00Z"
      backup_end_time: "2026-01-31T00:05:00Z"
      consistent_time: 1769817600
      consistent_time_iso: "2026-01-31T00:00:00Z"
      is_avail: true
      engine: MySQL
      engine_version: "8.0"
count:
  description: The number of backup sets in RV(backup_sets).
  returned: success, without O(query_only=true)
  type: int
  sample: 1
count_by_instance:
  description: The number of backup sets in RV(backup_sets) by instance. All instances of O(instance_name) are included.
  returned: success, without O(query_only=true)
  type: dict
  sample:
    rm-bp1a2b3c4d5e6f7g8: 1
recoverable:
  description:
    - For each instance, the first (C(earliest)) and the last (C(latest)) point in time to which it can be restored, in ISO 8601, in UTC.
      Both are V(null) if there is no such time, for example without backup sets. A point in time for M(apsaradb.backup.dbs_download_task)
      must lie between them.
    - If C(told_by) is V(service), the service returned both times, from backup sets and logs. If it is V(backup_sets), these are the times
      of the oldest and the newest usable full backup set. Logs may reach further, but the service does not return that.
    - The module fails if a response has only one of the two times, or something else than times.
    - V(null) without O(recoverable=true).
  returned: success, without O(query_only=true)
  type: dict
  sample:
    rm-bp1a2b3c4d5e6f7g8:
      earliest: "2026-01-24T00:00:00Z"
      latest: "2026-01-31T08:41:29Z"
      told_by: service
query_result:
  description: The value of O(query). It can have any type.
  returned: success and O(query) is set
  type: raw
  sample: ["1482610001"]
error:
  description:
    - The error, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - The kind can also be V(missing), with O(on_missing=error).
  returned: failure
  type: dict
  sample:
    kind: configuration
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_backup_set_info import (
    BackupSetInfo,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(BackupSetInfo)


if __name__ == "__main__":
    main()
