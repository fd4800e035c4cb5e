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
  - Makes sure that there is a download task of Alibaba Cloud Database Backup (DBS) for a backup set or a point in time, in a format
    and at a target; or that a failed one is retried.
  - A task for the same source, format and target that is live, or finished and not expired, is returned as it is, whoever created
    it. Of a target in OSS the service tells the path but not the bucket, so tasks for two buckets with the same path are the same.
    Neither are O(use_zstd) and the options for MongoDB told.
  - Where what the service lists of a task does not tell whether it is the same, O(on_uncertain) decides, and a warning and
    RV(uncertain_fields) say so. Of the formats, only V(CSV), V(SQL) and V(Parquet) are documented in lists; a task with the
    format V(csv-with-header) may be listed as V(csv), and one with V(qp.xb) or V(Bson) by another word. A task that is listed as
    V(csv) is taken for one with the format V(CSV).
  - Creating a task costs money. It is created once - the API knows no token for that, so the tasks that exist are listed before,
    and where the answer to the creation is lost, the tasks are listed again until the new one shows up. The creation is never
    sent a second time, but where the service certainly did nothing.
  - A task of a point in time is known by its C(backup_set_time), to the second.
  - Of two controllers that do the same at the same moment, the service refuses the second as long as the first task is live, and
    this module then returns that task. Nothing prevents a second task if the first is finished within that moment.
  - Calls the operations C(DescribeDownloadTask), C(CreateDownload) and C(RetryDownloadTask) of the DBS API, version 2021-01-01.
    Needs the RAM actions of these names, such as C(dbs:CreateDownload).
options:
  instance_name:
    description:
      - The ID of the instance. C(InstanceName) in the API.
    type: str
    required: true
    aliases: [instance_id, db_instance_id]
  state:
    description:
      - With V(present), there is a task for O(backup_set_id) or O(point_in_time).
      - With V(retried), a failed task is started again by C(RetryDownloadTask). A task that is live or finished is left as it is.
        Options that describe a new task are refused then, but for O(backup_set_id).
    type: str
    choices: [present, retried]
    default: present
  task_id:
    description:
      - With O(state=retried), the ID of the task; by default the newest failed task of the instance, or of O(backup_set_id) if that
        is set. C(TaskId) in the API.
    type: str
  backup_set_id:
    description:
      - The ID of the backup set to download. Mutually exclusive with O(point_in_time), and one of them is required with
        O(state=present). C(BakSetId) in the API.
      - With V(latest), in small letters, the newest full one of an RDS instance or PolarDB cluster that succeeded and can be used. It is found as
        M(apsaradb.backup.dbs_backup_set_info) does, with the RAM action C(rds:DescribeBackups) or C(dbs:DescribeBackupDataList),
        and O(backup_set_size) is then known. Once there is a newer one, another task is created.
      - Where nobody can say which is the newest, it fails, as O(apsaradb.backup.dbs_backup_set_info#module:latest) does.
    type: str
    aliases: [bak_set_id, backup_id]
  point_in_time:
    description:
      - The point in time to download. C(DownloadPointInTime) in the API.
      - Milliseconds since 1970, or ISO 8601 with a time zone, for example V(2026-01-31T00:00:00Z); a date alone, for example
        V(2026-01-31), which is its beginning in UTC; or so long before now, as V(-24h), in seconds (V(s)), minutes (V(m)), hours (V(h)),
        days (V(d)) or weeks (V(w)).
      - So long before now is another point in time, and so another task, in each run.
    type: str
    aliases: [download_point_in_time, restore_time]
  backup_set_size:
    description:
      - The size of the backup set in bytes, to be told to the service, and to estimate the fee. C(BakSetSize) in the API.
    type: int
    aliases: [bak_set_size]
  format:
    description:
      - The format of the files, in any case - V(Bson) is for MongoDB, V(qp.xb) for a physical backup. Required with
        O(state=present). C(FormatType) in the API.
    type: str
    choices: [CSV, csv-with-header, SQL, Parquet, Bson, qp.xb]
    aliases: [format_type]
  target_type:
    description:
      - Where the files go, in any case - V(URL), to be downloaded by a link, or V(OSS), a bucket of the Object Storage Service. C(TargetType) in the API.
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
      - Whether to compress with Zstandard in place of gzip. C(UseZstd) in the API.
    type: bool
  is_physical:
    description:
      - Whether to download the physical backup, which is what the format V(qp.xb) means. C(IsPhysical) in the API.
    type: bool
  primary_key_type_only:
    description:
      - For MongoDB instances. C(PrimaryKeyTypeOnly) in the API.
    type: bool
  is_cluster:
    description:
      - For MongoDB instances, whether it is a sharded cluster. C(IsCluster) in the API.
    type: bool
  admin_database:
    description:
      - For MongoDB instances, the database to authenticate against. C(AdminDatabase) in the API.
    type: str
  cluster_name:
    description:
      - For sharded MongoDB instances, the name of the cluster. C(ClusterName) in the API.
    type: str
  on_failed:
    description:
      - With O(state=present), what to do about a task for the same source, format and target that has failed - fail (V(error)), or
        retry it (V(retry)). Failed tasks cost nothing, and block new ones of their instance.
    type: str
    choices: [error, retry]
    default: error
  on_expired:
    description:
      - With O(state=present), what to do about a task for the same source, format and target that has expired - create a new
        one (V(create)), which has to be paid for again, or fail (V(error)).
    type: str
    choices: [error, create]
    default: create
  on_uncertain:
    description:
      - With O(state=present), what to do about a task of which what the service lists does not tell whether it has the same source,
        format and target - use it with a warning (V(reuse)), fail (V(error)), or take it for another one (V(create)), which can mean
        to pay twice for the same.
      - V(auto) is V(error) for O(format=qp.xb) and a task that is listed as V(csv), V(SQL) or V(Parquet), whose files would be of no
        use if it really has that format. Otherwise it is V(reuse).
      - It does not matter where the task has expired and O(on_expired=create).
      - Where the service gives fewer tasks than it announces, and none of them will do, there may be one that it did not give. The
        module fails then, unless this is V(create).
    type: str
    choices: [auto, reuse, error, create]
    default: auto
  on_blocked:
    description:
      - An instance has one running or failed task at a time. What to do about a failed one that is not for the same source, format
        and target, and keeps a new one from being created - fail (V(error)), or start it again once, and wait until it is done
        (V(retry)). That needs O(wait_for_slot=true).
      - A task that is retried and finishes has to be paid for.
    type: str
    choices: [error, retry]
    default: error
  wait_for_slot:
    description:
      - An instance has one running or failed task at a time. Whether to wait, at most O(wait_timeout), until another one that is
        running is done, and then to create the task.
      - A new task is created only while the controller waits for it. If it is gone, the module ends within 90 seconds, and creates
        nothing.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the task is finished, at most O(wait_timeout), which begins anew after O(wait_for_slot).
    type: bool
    default: false
  wait_timeout:
    description:
      - How long to wait, in seconds, from V(0) to V(2592000); for the slot, and then once more for the task.
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
      - How long to look for the effect of a creation or retry, or for the task because of which it was refused, in seconds, from
        V(0) to V(3600). The list of tasks may lag behind.
    type: float
    default: 60.0
  outage_timeout:
    description:
      - How long the service may be out of reach while a task is waited for, in seconds, from V(0) to V(86400). After this
        time, the module fails; the task itself goes on. Used with O(wait) and O(wait_for_slot).
    type: float
    default: 120.0
  fee_per_gib:
    description:
      - The fee for converting a gibibyte, in the currency in which RV(estimated_fee) is to be. The default is the documented one in
        United States dollars.
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
    details: It lists the tasks, and returns what would be created with its size and fee. Its ID is V(dt-would-be-created), which
      the modules and the lookup that come after it understand in check mode.
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
    link: https://www.alibabacloud.com/help/en/dbs/developer-reference/api-dbs-2021-01-01-createdownload
  - name: RetryDownloadTask
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dbs/developer-reference/api-dbs-2021-01-01-retrydownloadtask
"""

EXAMPLES = r"""
- name: See what a download task would cost
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

- name: Create it unless there is one, and wait until it is finished
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

- name: The same for the newest backup set
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    backup_set_id: latest
    format: CSV

- name: Write the state of an instance at a point in time to a bucket
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: pc-bp9z8y7x6w5v4u3t2
    point_in_time: "2026-10-31T23:59:59+08:00"
    format: Parquet
    target_type: OSS
    target_bucket: my-backups
    target_path: restore/orders
    target_oss_region: cn-hangzhou

- name: Start the failed task of an instance again, if it has one
  apsaradb.backup.dbs_download_task:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    state: retried
"""

RETURN = r"""
task:
  description:
    - The task, with the fields that M(apsaradb.backup.dbs_download_task_info) returns.
    - In check mode, what it would be. One that would be created has the C(task_id) V(dt-would-be-created), and V(null) where only the
      service knows the value. With O(wait), it is V(finished).
  returned: success, and failure if a task was created or found before
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
  description: What was done - V(created), V(retried) or V(none); in check mode what would be, V(create), V(retry) or V(none).
  returned: success, and failure if a task was created or found before
  type: str
  sample: created
uncertain_fields:
  description:
    - The fields of RV(task) that leave open whether it has the source, format and target that were asked for, so that
      O(on_uncertain) decided. Empty if nothing is left open.
  returned: success, and failure if a task was created or found before
  type: list
  elements: str
  sample: []
backup_set_size:
  description:
    - The size of the backup set in bytes. V(null) if it is not known, or nothing was created.
    - For O(point_in_time) in check mode, that of the newest full backup set before it that can be used, which is about as large.
  returned: success, and failure if a task was created or found before
  type: int
  sample: 1073741824
backup_set_size_is_estimate:
  description: Whether RV(backup_set_size), and so RV(estimated_fee), is that of another backup set, as with O(point_in_time).
  returned: success, and failure if a task was created or found before
  type: bool
  sample: false
estimated_fee:
  description: RV(backup_set_size) in gibibytes times O(fee_per_gib). V(null) if the size is not known.
  returned: success, and failure if a task was created or found before
  type: float
  sample: 0.0313
retried_blocking_task_ids:
  description: The IDs of the tasks that were in the way and that O(on_blocked=retry) started again; in check mode, would start again.
  returned: success, and failure if there is one
  type: list
  elements: str
  sample: []
blocking_task:
  description:
    - In check mode, the running or failed task of the instance because of which the service may refuse to create another. V(null) if
      there is none, or nothing would be created.
  returned: success, and failure if a task was created or found before
  type: dict
  sample: null
error:
  description:
    - What went wrong, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - The kind is also V(slot_taken) if another task of the instance is in the way, which is then in C(blocking_task); V(state) if a
      task has failed, has expired or is uncertain; V(missing) if there is no backup set for O(backup_set_id=latest); V(wait) as
      M(apsaradb.backup.dbs_download_task_wait) returns it; and V(outcome_unknown) if the answer was lost and no effect has shown.
      If the slot did not become free in time, the kind is V(wait), and C(blocking_task) is there.
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
