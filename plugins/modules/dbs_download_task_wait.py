#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_task_wait
short_description: Wait until download tasks of database backups on Alibaba Cloud are done
version_added: 1.0.0
description:
  - Waits until download tasks of Alibaba Cloud Database Backup (DBS) are done, and fails if one of them fails or expires.
  - With O(retries), the module retries failed tasks, and continues to wait for them.
  - Each poll is one request per instance. An instance is no longer polled when its tasks are done.
  - Calls the operation C(DescribeDownloadTask) of the DBS API, version 2021-01-01. Needs the RAM action C(dbs:DescribeDownloadTask). With
    O(retries), also calls C(RetryDownloadTask), which needs C(dbs:RetryDownloadTask).
  - While the module waits, it prints a line on the controller when the status of a task changes, and about every O(progress_interval). A
    line has the finished tables, the rate and the estimated time left. For more than ten tasks, the module prints ten lines and a summary.
  - Requests are repeated after transient errors. After the first response of the service, an outage may last as long as O(outage_timeout).
    If the service does not answer the first request, the module fails, as the other modules do.
  - >-
    Options by topic. Which tasks: O(instance_name), O(task_ids), O(backup_set_ids), O(cluster_name). Until when: O(until), O(timeout),
    O(fail_fast), O(retries). If tasks are missing: O(appear_timeout), O(on_missing), O(on_nothing). Polling: O(poll_interval),
    O(poll_interval_max), O(outage_timeout). Progress: O(progress), O(progress_interval). Connection: see the notes.
options:
  instance_name:
    description:
      - The IDs of the instances whose tasks to wait for. C(InstanceName) in the API.
    type: list
    elements: str
    required: true
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  task_ids:
    description:
      - The IDs of the tasks to wait for.
      - If neither this nor O(backup_set_ids) is set, the module waits for all tasks that are in progress at the start. Tasks that are
        already finished are not included. If a task may already be finished, set this or O(backup_set_ids). If no task is in progress, see
        O(on_nothing).
      - Mutually exclusive with O(backup_set_ids).
    type: list
    elements: str
    aliases: [task_id]
  backup_set_ids:
    description:
      - The IDs of backup sets. The module waits for the newest task of each. If that task has expired, the module waits for a newer one
        until O(appear_timeout) is over.
      - Mutually exclusive with O(task_ids).
    type: list
    elements: str
    aliases: [backup_set_id, bak_set_id, backup_id]
  cluster_name:
    description:
      - For sharded MongoDB instances, the name of the cluster. C(ClusterName) in the API.
    type: str
  until:
    description:
      - The status to wait for - V(finished), or V(ended), which means finished, failed or expired.
      - With V(finished), the module fails if a task fails or expires.
    type: str
    choices: [finished, ended]
    default: finished
  timeout:
    description:
      - The maximum time to wait, in seconds, from V(0) to V(2592000), which is 30 days. Retries are included. With V(0), the tasks must
        already be done.
    type: float
    default: 3600.0
  poll_interval:
    description:
      - The shortest pause between two polls, in seconds, from V(0.1) to V(3600).
    type: float
    default: 10.0
  poll_interval_max:
    description:
      - The longest pause between two polls, in seconds, from V(0.1) to V(3600).
      - Pauses become longer while tasks prepare, and shorter when tasks are almost finished.
    type: float
    default: 60.0
  outage_timeout:
    description:
      - How long the service may be unreachable during the wait, in seconds, from V(0) to V(86400). The module continues to poll at the
        usual intervals. After this time, it fails.
    type: float
    default: 120.0
  appear_timeout:
    description:
      - How long a task may be missing from the list, in seconds, from V(0) to V(86400). The service may list a new task late.
      - For the same time, a retried task may still be listed as failed. After that, it counts as a new failure.
    type: float
    default: 120.0
  on_missing:
    description:
      - What to do if a task is not listed within O(appear_timeout). V(error) fails. V(skip) continues without the task. In both cases, its
        ID is in RV(missing_ids).
    type: str
    choices: [error, skip]
    default: error
  on_nothing:
    description:
      - What to do if neither O(task_ids) nor O(backup_set_ids) is set, and no task is in progress. V(error) fails. V(skip) returns no
        tasks.
      - In check mode, it is only a warning, because a task that an earlier step would create does not exist yet.
    type: str
    choices: [error, skip]
    default: error
  fail_fast:
    description:
      - Whether to fail as soon as one task fails. With V(false), the module first waits for the others. A task that can still be retried
        does not count as failed.
    type: bool
    default: true
  retries:
    description:
      - How often to retry each failed task, from V(0) to V(100). C(RetryDownloadTask) in the API.
      - A task is never retried more often than this, even if a response is lost. If it then fails again, the module fails.
      - Alibaba Cloud does not document whether a retry is charged.
    type: int
    default: 0
  progress_interval:
    description:
      - How often to print progress while no status changes, in seconds, from V(1) to V(86400).
      - If not set, the environment variable E(APSARADB_BACKUP_PROGRESS_INTERVAL) of the controller is used, and then C(progress_interval)
        in the section C(apsaradb_backup) of C(ansible.cfg).
    type: float
    default: 60.0
extends_documentation_fragment:
  - apsaradb.backup.progress
  - apsaradb.backup.connection
  - apsaradb.backup.attributes
  - apsaradb.backup.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - The module returns the current statuses at once. It neither waits nor retries. RV(retried) shows what it would retry.
      - If one of O(task_ids) has expired, the module fails, as without check mode. A task that failed or does not exist is only a warning,
        because an earlier step could change that.
      - The ID V(dt-would-be-created), which M(apsaradb.backup.dbs_download_task) returns in check mode, counts as the ID of a finished
        task.
  diff_mode:
    support: full
    details: The diff shows which tasks were retried.
  idempotent:
    support: full
    details: The module changes nothing without O(retries). It neither waits for finished tasks nor retries them.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
notes:
  - A signal ends the module at once. The result then holds the last known statuses. If Ansible itself is stopped on the controller, for
    example by Ctrl-C, that result is lost, but the printed lines of progress remain.
  - A failed task blocks new tasks of its instance until it is retried. The files of a task can be downloaded for three days after it
    finished. Then the task expires.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_task_info
  - ref: wait_for_download_tasks role <ansible_collections.apsaradb.backup.wait_for_download_tasks_role>
    description: A role for runbooks that uses this module.
  - name: DescribeDownloadTask
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-describedownloadtask
"""

EXAMPLES = r"""
- name: Wait for all download tasks of an instance that are in progress
  apsaradb.backup.dbs_download_task_wait:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    timeout: 7200

- name: Wait for the newest task of a backup set, and poll less often
  apsaradb.backup.dbs_download_task_wait:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    backup_set_ids: "1482610001"
    poll_interval: 30
    poll_interval_max: 300

- name: Wait for all tasks in progress, if any, and retry each failed task once
  apsaradb.backup.dbs_download_task_wait:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    on_nothing: skip
    retries: 1

- name: Wait until tasks of two instances are finished, failed or expired
  apsaradb.backup.dbs_download_task_wait:
    region: cn-hangzhou
    instance_name:
      - rm-bp1a2b3c4d5e6f7g8
      - pc-bp9z8y7x6w5v4u3t2
    task_ids:
      - dt-a1b2c3d4e5f0
      - dt-a1b2c3d4e5f1
    until: ended
  register: ended

- name: Show tasks that did not finish
  ansible.builtin.debug:
    msg: "{{ ended.download_tasks | rejectattr('download_status', 'equalto', 'finished') | map(attribute='task_id') }}"
"""

RETURN = r"""
download_tasks:
  description:
    - The tasks with their last status, newest first. They have the fields that M(apsaradb.backup.dbs_download_task_info) returns.
  returned: always, unless an option is wrong
  type: list
  elements: dict
  sample:
    - task_id: dt-a1b2c3d4e5f0
      instance_name: rm-bp1a2b3c4d5e6f7g8
      region_code: cn-hangzhou
      download_status: finished
      progress: 8/8
      progress_done: 8
      progress_total: 8
      progress_percent: 100.0
      format: csv
      db_list: [orders, billing]
      backup_set_id: "1482610001"
      bak_set_id: "1482610001"
      backup_set_time: 1663162216000
      backup_set_time_iso: "2022-09-14T13:30:16Z"
      gmt_create: 1663321957000
      gmt_create_iso: "2022-09-16T09:52:37Z"
      export_data_size: 1073741824
      import_data_size: 268435456
      target_type: URL
      target_path: dt-a1b2c3d4e5f0/dbs_target_file_path
count:
  description: The number of tasks in RV(download_tasks).
  returned: always, unless an option is wrong
  type: int
  sample: 1
count_by_status:
  description: The number of tasks in RV(download_tasks) by status. All known statuses are included.
  returned: always, unless an option is wrong
  type: dict
  sample:
    initializing: 0
    queueing: 0
    running: 0
    finished: 1
    failed: 0
    expired: 0
failed_task_ids:
  description: The IDs of the tasks that failed or expired, unless O(until=ended).
  returned: always, unless an option is wrong
  type: list
  elements: str
  sample: []
pending_task_ids:
  description: The IDs of the tasks that are not done.
  returned: always, unless an option is wrong
  type: list
  elements: str
  sample: []
missing_ids:
  description: The IDs of O(task_ids) or O(backup_set_ids) for which no task was listed.
  returned: always, unless an option is wrong
  type: list
  elements: str
  sample: []
retried:
  description: How often each retried task was retried, by its ID. In check mode, the tasks that would be retried.
  returned: always, unless an option is wrong
  type: dict
  sample: {}
elapsed:
  description: How long the module waited, in seconds.
  returned: always, unless an option is wrong
  type: float
  sample: 312.402
polls:
  description: The number of polls.
  returned: always, unless an option is wrong
  type: int
  sample: 17
error:
  description:
    - The error, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - Its C(kind) can also be V(wait) (the wait failed), with a C(reason) of V(failed), V(timed_out) or V(nothing), or V(interruption) (a
      signal ended the module).
  returned: failure
  type: dict
  sample:
    kind: wait
    reason: timed_out
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task_wait import (
    DownloadTaskWait,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(DownloadTaskWait)


if __name__ == "__main__":
    main()
