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
  - With O(retries), retries tasks that failed, and continues to wait for them.
  - Each poll is one request per instance. Instances whose tasks are done are no longer polled.
  - Calls the operation C(DescribeDownloadTask) of the DBS API, version 2021-01-01. Needs the RAM action
    C(dbs:DescribeDownloadTask), and with O(retries) the operation and RAM action C(RetryDownloadTask),
    C(dbs:RetryDownloadTask).
  - While it waits, it prints a line on the controller when a task changes its state, and about every O(progress_interval), with
    finished tables, rate and estimated time. For more than ten tasks, it prints ten lines and a summary.
  - Transient errors are retried. Once the service has answered, an outage may last as long as O(outage_timeout). A service
    that does not answer the first request is an error, as in other modules.
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
      - If neither this nor O(backup_set_ids) is set, the module waits for all tasks that are under way at the start. A task that is
        finished already is not among them, so name the task or the backup set if that may be. If none is under way, see
        O(on_nothing).
      - Mutually exclusive with O(backup_set_ids).
    type: list
    elements: str
    aliases: [task_id]
  backup_set_ids:
    description:
      - The IDs of backup sets. The module waits for the newest task of each. If that has expired, it waits for a newer one until
        O(appear_timeout) is over.
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
      - When a task is done - when it is V(finished), or when it has V(ended), be it finished, failed or expired.
      - With V(finished), a failed or expired task is a failure.
    type: str
    choices: [finished, ended]
    default: finished
  timeout:
    description:
      - How long to wait at most, in seconds, from V(0) to V(2592000), which is 30 days, retries included. With V(0), the tasks
        must be done already.
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
      - Pauses become longer while tasks prepare, and shorter when their progress says that the end is near.
    type: float
    default: 60.0
  outage_timeout:
    description:
      - How long the service may be out of reach while tasks are waited for, in seconds, from V(0) to V(86400). It is asked
        again at the usual intervals; after this time, the wait fails.
    type: float
    default: 120.0
  appear_timeout:
    description:
      - How long a task may be missing from the list, in seconds, from V(0) to V(86400). A new task may be listed late.
      - For the same time, a task that was retried may still be listed as failed. After it, that is another failure.
    type: float
    default: 120.0
  on_missing:
    description:
      - What to do about a task that has not shown up within O(appear_timeout) - fail (V(error)), or go on without it
        (V(skip)). Its ID is in RV(missing_ids) either way.
    type: str
    choices: [error, skip]
    default: error
  on_nothing:
    description:
      - What to do if neither O(task_ids) nor O(backup_set_ids) is set, and no task is under way - fail (V(error)), or return no task
        (V(skip)).
      - In check mode, it is a warning, because a task that an earlier step would create does not exist.
    type: str
    choices: [error, skip]
    default: error
  fail_fast:
    description:
      - Whether to fail as soon as one task fails. With V(false), the module waits for the others first. A task that is retried has
        not failed yet.
    type: bool
    default: true
  retries:
    description:
      - How often each task that failed is retried, from V(0) to V(100). C(RetryDownloadTask) in the API.
      - A task is never retried more often than this, also if a response is lost. A task that then fails again is a failure.
      - Alibaba Cloud does not document whether a retry is charged.
    type: int
    default: 0
  progress_interval:
    description:
      - How often to print progress if no state changes, in seconds, from V(1) to V(86400).
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
      - It returns the present states at once, neither waits nor retries, and says in RV(retried) what it would retry.
      - If one of O(task_ids) has expired, it fails, as without check mode. What an earlier step could change, such as a task that failed
        or does not exist, is a warning.
      - The ID V(dt-would-be-created), which M(apsaradb.backup.dbs_download_task) returns in check mode, is taken for that of a task
        that is finished.
  diff_mode:
    support: full
    details: It shows which tasks were retried.
  idempotent:
    support: full
    details: It changes nothing without O(retries). Tasks that are finished are neither waited for nor retried.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
notes:
  - A signal ends the module at once, and its result holds what was known. If Ansible itself is stopped on the controller, for
    example by Ctrl-C, nobody reads that result, but the lines of progress remain.
  - A failed task blocks new tasks of its instance until it is retried. The files of a task can be downloaded for three days after
    it finished. Then it is expired.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_task_info
  - ref: wait_for_download_tasks role <ansible_collections.apsaradb.backup.wait_for_download_tasks_role>
    description: A role on this module, for runbooks.
  - name: DescribeDownloadTask
    description: The operation in the API reference of DBS.
    link: https://www.alibabacloud.com/help/en/dms/developer-reference/api-dbs-2021-01-01-describedownloadtask
"""

EXAMPLES = r"""
- name: Wait for all download tasks of an instance that are under way
  apsaradb.backup.dbs_download_task_wait:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    timeout: 7200

- name: Wait for the newest task of a backup set, and look less often
  apsaradb.backup.dbs_download_task_wait:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    backup_set_ids: "1482610001"
    poll_interval: 30
    poll_interval_max: 300

- name: Wait for all tasks that are under way, if any, and retry each that fails once
  apsaradb.backup.dbs_download_task_wait:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    on_nothing: skip
    retries: 1

- name: Wait until tasks of two instances have ended, well or not
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

- name: Name those that did not finish
  ansible.builtin.debug:
    msg: "{{ ended.download_tasks | rejectattr('download_status', 'equalto', 'finished') | map(attribute='task_id') }}"
"""

RETURN = r"""
download_tasks:
  description:
    - The tasks that were waited for with their last states, the newest first, with the fields that
      M(apsaradb.backup.dbs_download_task_info) returns.
  returned: always, once the options are accepted
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
  returned: always, once the options are accepted
  type: int
  sample: 1
count_by_status:
  description: The number of tasks in RV(download_tasks) by state. The known states are always there.
  returned: always, once the options are accepted
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
  returned: always, once the options are accepted
  type: list
  elements: str
  sample: []
pending_task_ids:
  description: The IDs of the tasks that are not done.
  returned: always, once the options are accepted
  type: list
  elements: str
  sample: []
missing_ids:
  description: Those of O(task_ids) or O(backup_set_ids) that have not shown up.
  returned: always, once the options are accepted
  type: list
  elements: str
  sample: []
retried:
  description: How often each task was retried, by its ID; tasks that were not are left out. In check mode, those that would be.
  returned: always, once the options are accepted
  type: dict
  sample: {}
elapsed:
  description: How long the module waited, in seconds.
  returned: always, once the options are accepted
  type: float
  sample: 312.402
polls:
  description: The number of polls.
  returned: always, once the options are accepted
  type: int
  sample: 17
error:
  description:
    - What went wrong, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - The kind is also V(wait), with a C(reason) that is V(failed), V(timed_out) or V(nothing), if what was waited for did
      not come, and V(interruption) if the module was told to end.
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
