#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_task
short_description: Create or retry a download task of a database backup on Alibaba Cloud
version_added: 1.0.0
description:
  - Creates a download task of Alibaba Cloud Database Backup (DBS) for a backup set or a point in time, unless the task exists. Can also
    retry a failed task.
  - Creating a task costs money, so it is created exactly once. If a task for the same source, format and target exists and has not
    expired, the module uses it, also if somebody else created it. If the response to the creation is lost, the module lists the tasks
    until the new one is listed. It sends the creation again only if the service certainly did nothing.
  - The service does not list all parameters of a task. For the target OSS, it lists the path but not the bucket, so the module cannot tell
    apart tasks for two buckets with the same path. It lists neither O(use_zstd) nor the options for MongoDB.
  - If the list does not show whether a task is the same, O(on_uncertain) applies. The module then warns, and returns RV(uncertain_fields).
    For lists of tasks, only the formats V(CSV), V(SQL) and V(Parquet) are documented. A task with the format V(csv-with-header) may be
    listed as V(csv). A task with V(qp.xb) or V(Bson) may be listed with another word. The module treats a task that is listed as V(csv) as
    V(CSV).
  - The module recognises a task of a point in time by its C(backup_set_time), to the second.
  - If two controllers create the same task at the same moment, the service refuses the second creation while the first task is in
    progress. The module then returns the first task. If the first task finishes within that moment, a second task can be created.
  - Calls the operations C(DescribeDownloadTask), C(CreateDownload) and C(RetryDownloadTask) of the DBS API, version 2021-01-01.
    Needs the RAM actions of these names, such as C(dbs:CreateDownload).
  - >-
    Options by topic. Source: O(instance_name), O(backup_set_id), O(point_in_time), O(backup_set_size). Action: O(state), O(task_id).
    Format: O(format), O(use_zstd), O(is_physical). Target: O(target_type), O(target_bucket), O(target_path), O(target_oss_region).
    MongoDB: O(primary_key_type_only), O(is_cluster), O(admin_database), O(cluster_name). Existing tasks: O(on_failed), O(on_expired),
    O(on_uncertain), O(on_blocked). Waiting: O(wait), O(wait_for_slot), O(wait_timeout), O(poll_interval), O(poll_interval_max),
    O(confirm_timeout), O(outage_timeout). Cost: O(fee_per_gib). Progress: O(progress), O(progress_interval). Connection: see the notes.
options:
  instance_name:
    description:
      - The ID of the instance. C(InstanceName) in the API.
    type: str
    required: true
    aliases: [instance_id, db_instance_id]
  state:
    description:
      - With V(present), a task for O(backup_set_id) or O(point_in_time) is created, unless one exists.
      - With V(retried), a failed task is retried with C(RetryDownloadTask). A task that is in progress or finished is not changed. Options
        for a new task are then not allowed, except O(backup_set_id).
    type: str
    choices: [present, retried]
    default: present
  task_id:
    description:
      - With O(state=retried), the ID of the task. By default, the newest failed task of the instance, or of O(backup_set_id) if that is
        set. C(TaskId) in the API.
    type: str
  backup_set_id:
    description:
      - The ID of the backup set to download. With O(state=present), exactly one of this and O(point_in_time) is required. C(BakSetId) in
        the API.
      - V(latest), in lower case, is the newest usable full backup set of an RDS instance or PolarDB cluster. To find it, the module lists
        the backup sets, which needs the RAM action C(rds:DescribeBackups) or C(dbs:DescribeBackupDataList). It also sets
        O(backup_set_size). If there is a newer backup set at the next run, that run creates another task.
      - With V(latest), the module fails if it is not certain which backup set is the newest, as with
        O(apsaradb.backup.dbs_backup_set_info#module:latest).
    type: str
    aliases: [bak_set_id, backup_id]
  point_in_time:
    description:
      - The point in time to download. C(DownloadPointInTime) in the API.
      - ISO 8601 with a time zone, such as V(2026-01-31T00:00:00Z), milliseconds since 1970, a date, or a time before now. A date, such as
        V(2026-01-31), means 00:00 UTC. A time before now, such as V(-24h), is in seconds (V(s)), minutes (V(m)), hours (V(h)), days (V(d))
        or weeks (V(w)).
      - A time before now is a different point in time in each run, so each run creates another task.
    type: str
    aliases: [download_point_in_time, restore_time]
  backup_set_size:
    description:
      - The size of the backup set in bytes. It is sent to the service, and used to estimate the fee. C(BakSetSize) in the API.
    type: int
    aliases: [bak_set_size]
  format:
    description:
      - The format of the files, case-insensitive. V(Bson) is for MongoDB, V(qp.xb) for a physical backup. Required with O(state=present).
        C(FormatType) in the API.
    type: str
    choices: [CSV, csv-with-header, SQL, Parquet, Bson, qp.xb]
    aliases: [format_type]
  target_type:
    description:
      - The target of the files, case-insensitive - V(URL), a download link, or V(OSS), a bucket of the Object Storage Service.
        C(TargetType) in the API.
    type: str
    choices: [URL, OSS]
    default: URL
  target_bucket:
    description:
      - The name of the bucket. Required with the target OSS. C(TargetBucket) in the API.
    type: str
    aliases: [bucket]
  target_path:
    description:
      - The path in the bucket. Required with the target OSS. C(TargetPath) in the API.
    type: str
  target_oss_region:
    description:
      - The region of the bucket. Required with the target OSS. C(TargetOssRegion) in the API.
    type: str
  use_zstd:
    description:
      - Whether to compress the files with Zstandard instead of gzip. C(UseZstd) in the API.
    type: bool
  is_physical:
    description:
      - Whether to download the physical backup, as the format V(qp.xb) does. C(IsPhysical) in the API.
    type: bool
  primary_key_type_only:
    description:
      - For MongoDB instances, whether the primary keys are unique. The API requires it for MongoDB. C(PrimaryKeyTypeOnly) in the API.
    type: bool
  is_cluster:
    description:
      - For MongoDB instances, whether the instance is a sharded cluster. The API requires it for MongoDB. C(IsCluster) in the API.
    type: bool
  admin_database:
    description:
      - For MongoDB instances, the name of the authentication database, for example V(admin). The API requires it for MongoDB.
        C(AdminDatabase) in the API.
    type: str
  cluster_name:
    description:
      - For sharded MongoDB instances, the name of the cluster. C(ClusterName) in the API.
    type: str
  on_failed:
    description:
      - What to do if a task for the same source, format and target has failed. V(error) fails. V(retry) retries the task. Only for
        O(state=present). A failed task costs nothing, but it blocks new tasks of its instance.
    type: str
    choices: [error, retry]
    default: error
  on_expired:
    description:
      - What to do if a task for the same source, format and target has expired. V(create) creates a new task, which costs money again.
        V(error) fails. Only for O(state=present).
    type: str
    choices: [error, create]
    default: create
  on_uncertain:
    description:
      - What to do if the list does not show whether a task has the same source, format and target. V(reuse) uses the task, with a warning.
        V(error) fails. V(create) creates another task, so you may pay twice for the same files. Only for O(state=present).
      - V(auto) means V(reuse), with one exception. For O(format=qp.xb) and a task that is listed as V(csv), V(SQL) or V(Parquet), it means
        V(error), because the files are useless if the task really has that format.
      - This option has no effect if the task has expired and O(on_expired=create).
      - If the service returns fewer tasks than it announces, and no returned task fits, a fitting task may still exist. The module then
        fails, unless this is V(create).
    type: str
    choices: [auto, reuse, error, create]
    default: auto
  on_blocked:
    description:
      - What to do if a failed task for another source, format or target blocks the new one. V(error) fails. V(retry) retries the failed
        task once, and waits until it is done. V(retry) needs O(wait_for_slot=true).
      - An instance can have only one running or failed task at a time.
      - You pay for a retried task when it finishes.
    type: str
    choices: [error, retry]
    default: error
  wait_for_slot:
    description:
      - Whether to wait, at most O(wait_timeout), until another task of the instance is done, and then to create the new task. An instance
        can have only one running or failed task at a time.
      - The task is created only if the controller still waits for the result. If the controller is stopped, the module ends within 90
        seconds, and creates nothing.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait, at most O(wait_timeout), until the task is finished. The time spent for O(wait_for_slot) does not count.
    type: bool
    default: false
  wait_timeout:
    description:
      - The maximum time of each wait, for the slot and for the task, in seconds, from V(0) to V(2592000), which is 30 days.
    type: float
    default: 3600.0
  poll_interval:
    description:
      - The shortest pause between two polls, in seconds, from V(0.1) to V(3600).
    type: float
    default: 10.0
  poll_interval_max:
    description:
      - The longest pause between two polls, in seconds, from O(poll_interval) to V(3600).
    type: float
    default: 60.0
  confirm_timeout:
    description:
      - How long to look for a change in the list after a creation or retry, in seconds, from V(0) to V(3600). The service may list a new
        task late. If another task blocks the new one, the module looks for that task for the same time.
    type: float
    default: 60.0
  outage_timeout:
    description:
      - How long the service may be unreachable during O(wait) and O(wait_for_slot), in seconds, from V(0) to V(86400). After this time,
        the module fails, but the task continues.
    type: float
    default: 120.0
  fee_per_gib:
    description:
      - The fee for the conversion of one gibibyte, for RV(estimated_fee). The default is the documented fee in US dollars. With a fee in
        another currency, the estimate is in that currency.
    type: float
    default: 0.03125
extends_documentation_fragment:
  - apsaradb.backup.connection
  - apsaradb.backup.progress
  - apsaradb.backup.progress.job
  - apsaradb.backup.attributes
  - apsaradb.backup.attributes.action_group
attributes:
  check_mode:
    support: full
    details: The module lists the tasks, and returns the task that would be created, with its size and fee. Its ID is
      V(dt-would-be-created). In check mode, the other modules and the lookup accept that ID.
  diff_mode:
    support: full
  idempotent:
    support: full
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_backup_set_info
  - module: apsaradb.backup.dbs_download_task_wait
  - module: apsaradb.backup.dbs_download_location_info
  - name: CreateDownload
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-createdownload
  - name: RetryDownloadTask
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-retrydownloadtask
"""

EXAMPLES = r"""
- name: Find out what a download task would cost
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    backup_set_id: "1482610009"
    format: CSV
  check_mode: true
  register: planned

- name: Show size and fee
  ansible.builtin.debug:
    msg: "{{ planned.backup_set_size }} bytes, {{ planned.estimated_fee }} USD"

- name: Create the task unless it exists, and wait until it is finished
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    backup_set_id: "1482610009"
    format: CSV
    on_failed: retry
    on_blocked: retry
    wait_for_slot: true
    wait: true
    wait_timeout: 14400

- name: Create a task for the newest backup set
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    backup_set_id: latest
    format: CSV

- name: Write the data of a point in time to a bucket
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: pc-bp9z8y7x6w5v4u3t2
    point_in_time: "2026-10-31T23:59:59+08:00"
    format: Parquet
    target_type: OSS
    target_bucket: my-backups
    target_path: restore/orders
    target_oss_region: cn-hangzhou

- name: Retry the failed task of an instance, if there is one
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    state: retried
"""

RETURN = r"""
task:
  description:
    - The task, with the fields that M(apsaradb.backup.dbs_download_task_info) returns.
    - In check mode, the task as it would be. A task that would be created has the C(task_id) V(dt-would-be-created), and V(null) for
      values that only the service knows. With O(wait), its status is V(finished).
  returned: success, and failure after a task was created or found
  type: dict
  sample:
    task_id: dt-a1b2c3d4e5f0
    instance_name: rm-bp1a2b3c4d5e6f7g8
    region_code: cn-hangzhou
    download_status: initializing
    progress: 0/0
    progress_done: 0
    progress_total: 0
    progress_percent: null
    format: CSV
    db_list: [orders, billing]
    backup_set_id: "1482610001"
    bak_set_id: "1482610001"
    backup_set_time: 1663162216000
    backup_set_time_iso: "2022-09-14T13:30:16Z"
    gmt_create: 1663321957000
    gmt_create_iso: "2022-09-16T09:52:37Z"
    expires_at: null
    export_data_size: 0
    import_data_size: 0
    target_type: URL
    target_path: null
action:
  description: What was done - V(created), V(retried) or V(none). In check mode, what would be done - V(create), V(retry) or V(none).
  returned: success, and failure after a task was created or found
  type: str
  sample: created
uncertain_fields:
  description:
    - The fields of RV(task) that do not show whether it has the requested source, format and target, so that O(on_uncertain) applied.
      Empty if the task certainly has them.
  returned: success, and failure after a task was created or found
  type: list
  elements: str
  sample: []
backup_set_size:
  description:
    - The size of the backup set in bytes. V(null) if it is not known, or if no task was created.
    - For O(point_in_time) in check mode, an estimate - the size of the newest usable full backup set before that time.
  returned: success, and failure after a task was created or found
  type: int
  sample: 1073741824
backup_set_size_is_estimate:
  description: Whether RV(backup_set_size) and RV(estimated_fee) are those of another backup set, as with O(point_in_time).
  returned: success, and failure after a task was created or found
  type: bool
  sample: false
estimated_fee:
  description: RV(backup_set_size) in gibibytes times O(fee_per_gib). V(null) if the size is not known.
  returned: success, and failure after a task was created or found
  type: float
  sample: 0.0313
retried_blocking_task_ids:
  description: The IDs of the blocking tasks that O(on_blocked=retry) retried, or would retry in check mode.
  returned: success, and failure if a task was retried
  type: list
  elements: str
  sample: []
blocking_task:
  description:
    - In check mode, the running or failed task of the instance that may block the new one. V(null) if there is no such task, or if no task
      would be created.
  returned: success, and failure after a task was created or found
  type: dict
  sample: null
error:
  description:
    - The error, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - Its C(kind) can also be V(slot_taken) (another task of the instance blocks the new one), V(state) (a task has failed, has expired or
      is uncertain), V(missing) (no backup set for O(backup_set_id=latest)), V(outcome_unknown) (the response was lost, and no effect was
      found) or V(wait), as in M(apsaradb.backup.dbs_download_task_wait).
    - C(blocking_task) is the blocking task, with V(slot_taken) if it is known, and with V(wait) if the slot did not become free in time.
  returned: failure
  type: dict
  sample:
    kind: slot_taken
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task import (
    DownloadTaskModule,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(DownloadTaskModule)


if __name__ == "__main__":
    main()
