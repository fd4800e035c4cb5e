#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_task_info
short_description: List the download tasks of database backups on Alibaba Cloud
version_added: 1.0.0
description:
  - Lists the download tasks of Alibaba Cloud Database Backup (DBS). Such a task belongs to the I(advanced download) feature. It converts a
    backup set of an RDS MySQL, RDS PostgreSQL, PolarDB for MySQL or MongoDB instance into files for download.
  - Calls the operation C(DescribeDownloadTask) of the DBS API, version 2021-01-01, and reads all its pages. The result is complete and has
    no duplicates, also if tasks are created in the meantime.
  - Needs the RAM action C(dbs:DescribeDownloadTask).
  - >-
    Options by topic. Which tasks: O(instance_name), O(task_ids), O(status), O(backup_set_id), O(datasource_id), O(cluster_name),
    O(task_type), O(start_time), O(end_time), O(target_type), O(format). Order and number: O(order), O(order_column), O(limit),
    O(page_size), O(current_page). Result: O(query), O(query_only). Connection: see the notes.
options:
  instance_name:
    description:
      - The IDs of the instances whose tasks are listed. C(InstanceName) in the API.
      - Several instances are queried at the same time, within O(max_connections).
    type: list
    elements: str
    required: true
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  task_ids:
    description:
      - Only tasks with these IDs. Reading ends when all are found. IDs that are not found are in
        RV(missing_task_ids).
      - An empty list means no filter, as in the other lists.
    type: list
    elements: str
    aliases: [task_id]
  status:
    description:
      - Only tasks with one of these statuses, case-insensitive. V(queuing), V(queued) and V(initialising) are also allowed. C(State) in
        the API.
    type: list
    elements: str
    choices: [initializing, queueing, running, finished, failed, expired]
    aliases: [state, states, download_status]
  backup_set_id:
    description:
      - Only tasks of the backup set with this ID. C(BackupSetId) in the API.
    type: str
    aliases: [bak_set_id, backup_id]
  datasource_id:
    description:
      - Only tasks of this data source of DBS, C(ds-<instance>_<region>). C(DatasourceId) in the API.
    type: str
    aliases: [data_source_id]
  cluster_name:
    description:
      - For sharded MongoDB instances, the name of the cluster. C(ClusterName) in the API.
    type: str
  task_type:
    description:
      - Only tasks of full backup sets (V(full)), or only tasks of points in time (V(pitr)). C(TaskType) in the API.
    type: str
    choices: [full, pitr]
  start_time:
    description:
      - Only tasks that were created at this time or later. C(StartTime) in the API.
      - ISO 8601 with a time zone, such as V(2026-01-31T00:00:00Z), milliseconds since 1970, a date, or a time before now. A date, such as
        V(2026-01-31), means 00:00 UTC. A time before now, such as V(-24h), is in seconds (V(s)), minutes (V(m)), hours (V(h)), days (V(d))
        or weeks (V(w)).
      - Tasks without a creation time pass this filter.
    type: str
  end_time:
    description:
      - Only tasks that were created at this time or earlier. C(EndTime) in the API.
      - Same formats as O(start_time), but a date means the end of that day in UTC. Tasks without a creation time pass this filter.
    type: str
  target_type:
    description:
      - Only tasks with one of these targets, case-insensitive - V(URL), a download link, or V(OSS), a path in a bucket of the Object
        Storage Service.
    type: list
    elements: str
    choices: [URL, OSS]
    aliases: [target_types]
  format:
    description:
      - Only tasks with one of these formats, case-insensitive.
    type: list
    elements: str
    choices: [CSV, csv-with-header, SQL, Parquet, Bson, qp.xb]
    aliases: [formats, format_type]
  order:
    description:
      - The order of RV(download_tasks) by creation time - newest first (V(desc)) or oldest first (V(asc)). C(OrderDirect) in the API.
    type: str
    choices: [asc, desc]
    default: desc
    aliases: [order_direct]
  order_column:
    description:
      - The field to order by. The service supports only the creation time. C(OrderColumn) in the API.
    type: str
    choices: [gmt_create]
    default: gmt_create
  page_size:
    description:
      - The number of tasks per request, from V(1) to V(1000). C(PageSize) in the API.
      - It changes the number of requests, not the result, unless O(current_page) is set. The service may return fewer tasks per request.
      - By default V(100). If the service refuses that, its own default is used.
    type: int
  current_page:
    description:
      - Read only the page with this number, instead of all pages. Page V(1) is the first one in the order of O(order). C(CurrentPage) in
        the API.
      - Filters that the service does not have are applied within that page. These are O(task_ids), O(target_type), O(format), and
        O(status) with several values or with a value that the service may spell in another way.
    type: int
    aliases: [page_number]
  limit:
    description:
      - The maximum number of tasks to return, from V(1) to V(1000000), in the order of O(order), for all instances together. Reading ends
        when they are found.
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
  - name: DescribeDownloadTask
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-describedownloadtask
"""

EXAMPLES = r"""
- name: List all download tasks of an instance, the newest first
  apsaradb.backup.dbs_download_task_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
  register: tasks

- name: Show tasks that are in progress
  ansible.builtin.debug:
    msg: "{{ item.task_id }} is {{ item.download_status }}, {{ item.progress_done }} of {{ item.progress_total }} tables"
  loop: "{{ tasks.download_tasks | rejectattr('download_status', 'in', ['finished', 'failed', 'expired']) }}"
  loop_control:
    label: "{{ item.task_id }}"

- name: Find the newest finished task of a backup set
  apsaradb.backup.dbs_download_task_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    backup_set_id: "1482610001"
    status: finished
    limit: 1

- name: Find failed tasks of several instances within a month
  apsaradb.backup.dbs_download_task_info:
    region: cn-hangzhou
    instance_name:
      - rm-bp1a2b3c4d5e6f7g8
      - pc-bp9z8y7x6w5v4u3t2
    status: failed
    start_time: "2026-10-01T00:00:00+08:00"
    end_time: "2026-11-01T00:00:00+08:00"

- name: Find tasks of the last day, and return only their IDs
  apsaradb.backup.dbs_download_task_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    start_time: -24h
    query: "download_tasks[].task_id"
    query_only: true

- name: Return the IDs and paths of tasks that wrote to OSS
  apsaradb.backup.dbs_download_task_info:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    target_type: OSS
    query: "download_tasks[].{id: task_id, path: target_path}"

- name: Set the region and the network for all modules of this collection
  module_defaults:
    group/apsaradb.backup.all:
      region: cn-hangzhou
      network: public
  block:
    - name: Look up two tasks
      apsaradb.backup.dbs_download_task_info:
        instance_name: rm-bp1a2b3c4d5e6f7g8
        task_ids:
          - dt-a1b2c3d4e5f6
          - dt-f6e5d4c3b2a1
"""

RETURN = r"""
download_tasks:
  description:
    - The tasks, ordered by creation, then by instance and ID.
    - All fields of the API are returned with their names in snake case, also fields that are newer than this collection. Fields without a
      value are V(null), but RV(download_tasks[].db_list) is an empty list.
  returned: success, without O(query_only=true)
  type: list
  elements: dict
  contains:
    task_id:
      description: The ID of the task. C(TaskId) in the API.
      type: str
      sample: dt-a1b2c3d4e5f6
    instance_name:
      description: The ID of the instance that was queried.
      type: str
      sample: rm-bp1a2b3c4d5e6f7g8
    region_code:
      description: The region of the task. C(RegionCode) in the API.
      type: str
      sample: cn-hangzhou
    download_status:
      description:
        - The status in a uniform spelling - V(initializing), V(queueing), V(running), V(finished), V(failed) or V(expired). A status that
          this collection does not know is in lower case. C(DownloadStatus) in the API.
      type: str
      sample: running
    progress:
      description: Finished tables and all tables, as the service returns them. C(Progress) in the API.
      type: str
      sample: 3/8
    progress_done:
      description: The number of finished tables. V(null) if it is not known.
      type: int
      sample: 3
    progress_total:
      description: The number of all tables. V(null) if it is not known.
      type: int
      sample: 8
    progress_percent:
      description: Finished tables in percent. V(null) while the task prepares and RV(download_tasks[].progress) is V(0/0).
      type: float
      sample: 37.5
    format:
      description: The format of the files, as the service returns it. C(Format) in the API.
      type: str
      sample: csv
    db_list:
      description: The databases. C(DbList) in the API.
      type: list
      elements: str
      sample: [orders, billing]
    backup_set_id:
      description: The ID of the backup set. C(BakSetId) in the API.
      type: str
      sample: "1482610001"
    bak_set_id:
      description: The same, by its name in the API.
      type: str
      sample: "1482610001"
    backup_set_time:
      description: The point in time of the data, in milliseconds since 1970. C(BackupSetTime) in the API.
      type: int
      sample: 1663162216000
    backup_set_time_iso:
      description: The same in ISO 8601, in UTC, to the second.
      type: str
      sample: "2022-09-14T13:30:16Z"
    gmt_create:
      description: When the task was created, in milliseconds since 1970. C(GmtCreate) in the API.
      type: int
      sample: 1663321957000
    gmt_create_iso:
      description: The same in ISO 8601, in UTC, to the second.
      type: str
      sample: "2022-09-16T09:52:37Z"
    expires_at:
      description:
        - The files of a finished task are certainly available until this time, in ISO 8601, in UTC.
        - Files are available for three days after the task finished. The service does not return that time, so this is three days after
          the creation. If M(apsaradb.backup.dbs_download_task) saw the task before it finished, this is three days after that moment.
        - V(null) for a task that is not finished or has expired. Also V(null) for the target V(OSS), because its files stay in the bucket.
        - The module warns if less than a day is left.
      type: str
      sample: "2022-09-19T09:52:37Z"
    export_data_size:
      description: The size of the data that was exported, in bytes. C(ExportDataSize) in the API.
      type: int
      sample: 1073741824
    import_data_size:
      description: The size of the data that was written to the target, in bytes. C(ImportDataSize) in the API.
      type: int
      sample: 268435456
    target_type:
      description: Where the files go, V(URL) or V(OSS). C(TargetType) in the API.
      type: str
      sample: OSS
    target_path:
      description:
        - For V(OSS), the path in the bucket. The service does not return the name of the bucket. C(TargetPath) in the API.
      type: str
      sample: restore/orders
  sample:
    - task_id: dt-a1b2c3d4e5f6
      instance_name: rm-bp1a2b3c4d5e6f7g8
      region_code: cn-hangzhou
      download_status: running
      progress: 3/8
      progress_done: 3
      progress_total: 8
      progress_percent: 37.5
      format: csv
      db_list: [orders, billing]
      backup_set_id: "1482610001"
      bak_set_id: "1482610001"
      backup_set_time: 1663162216000
      backup_set_time_iso: "2022-09-14T13:30:16Z"
      gmt_create: 1663321957000
      gmt_create_iso: "2022-09-16T09:52:37Z"
      expires_at: null
      export_data_size: 1073741824
      import_data_size: 268435456
      target_type: OSS
      target_path: restore/orders
count:
  description: The number of tasks in RV(download_tasks).
  returned: success, without O(query_only=true)
  type: int
  sample: 1
count_by_status:
  description:
    - The number of tasks in RV(download_tasks) by status. All known statuses are included. Tasks without a status count as V(unknown).
  returned: success, without O(query_only=true)
  type: dict
  sample:
    initializing: 0
    queueing: 0
    running: 1
    finished: 0
    failed: 0
    expired: 0
count_by_instance:
  description: The number of tasks in RV(download_tasks) by instance. All instances of O(instance_name) are included.
  returned: success, without O(query_only=true)
  type: dict
  sample:
    rm-bp1a2b3c4d5e6f7g8: 1
missing_task_ids:
  description:
    - The IDs of O(task_ids) that are not in RV(download_tasks), sorted. Such a task does not exist, belongs to another instance or region,
      or is excluded by another filter, O(limit) or O(current_page).
  returned: success, without O(query_only=true)
  type: list
  elements: str
  sample: []
query_result:
  description: The value of O(query). It can have any type.
  returned: success and O(query) is set
  type: raw
  sample: [dt-a1b2c3d4e5f6]
error:
  description: The error, for programs. RV(ignore:msg) is the same error as a text.
  returned: failure, unless Ansible itself refuses the options
  type: dict
  contains:
    kind:
      description:
        - V(configuration) - an option is wrong, or a package is missing.
        - V(connection) - there was no response.
        - V(answer) - the response could not be read.
        - V(service) - the service refused the request.
        - V(interruption) - a signal ended the module.
        - All options are checked before the first request, except whether O(query) fits the result.
        - The README of the collection lists all kinds.
      type: str
      sample: service
    action:
      description: The operation that was called.
      type: str
      sample: DescribeDownloadTask
    code:
      description: The service's error code, for the kind V(service).
      type: str
      sample: Forbidden.InstanceNotFound
    message:
      description: The error message of the service, for the kind V(service).
      type: str
      sample: The specified instance is not found.
    request_id:
      description: The request ID of the service, for its support, if the response had one.
      type: str
      sample: 5D285EB9-A443-592D-9F3D-A888FAC30001
    http_status:
      description: The HTTP status of the response, if there was one.
      type: int
      sample: 200
    access_denied_detail:
      description: The missing permission and the policy that denied it, if the service returns them.
      type: dict
      sample: {}
    attempts:
      description: How often the failed request was sent.
      type: int
      sample: 1
    elapsed:
      description: The duration of the failed request with its repetitions, in seconds.
      type: float
      sample: 0.208
  sample:
    kind: service
    action: DescribeDownloadTask
    code: Forbidden.InstanceNotFound
    message: The specified instance is not found.
    request_id: 5D285EB9-A443-592D-9F3D-A888FAC30001
    http_status: 200
    access_denied_detail: {}
    attempts: 1
    elapsed: 0.208
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task_info import (
    DownloadTaskInfo,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(DownloadTaskInfo)


if __name__ == "__main__":
    main()
