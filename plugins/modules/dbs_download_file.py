#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_file
short_description: Fetch the files of download tasks of database backups on Alibaba Cloud
version_added: 1.0.0
description:
  - Fetches the file of a finished download task of Alibaba Cloud Database Backup (DBS) to a managed host, or all that a task wrote
    to a bucket of the Object Storage Service (OSS).
  - The file is fetched over several connections at once, and goes on where it was after whatever broke - connections, the link,
    the module, the host. It is checked by the CRC-64 that the storage gives, and is put in its place whole, or not at all.
  - The controller finds the file and signs for it, with its own keys, by the operations C(DescribeDownloadBackupSetStorageInfo) and
    C(DescribeDownloadTask) of the DBS API, version 2021-01-01, or the operations of OSS. The managed host needs no keys, and gets
    links only. When one expires before all is there, the controller gets another.
  - Needs the RAM actions C(dbs:DescribeDownloadBackupSetStorageInfo), C(dbs:DescribeDownloadTask) with O(instance_name), and
    C(oss:ListObjects) and C(oss:GetObject) for files in a bucket of your own.
  - While it works, it prints a line of progress on the controller about every O(progress_interval).
options:
  task_id:
    description:
      - The ID of the download task whose files to fetch. C(TaskId) in the API.
      - One of this, O(url) and O(oss_path) is required.
    type: str
  instance_name:
    description:
      - The ID of the instance that the task belongs to. C(InstanceName) in the API.
      - With it, the service is asked for the state and the target of the task before. Without it, the task is taken for a finished
        one with the target URL.
    type: list
    elements: str
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  url:
    description:
      - A link to a file, as P(apsaradb.backup.dbs_download_location#lookup) gives it, or any other that begins with C(http://) or
        C(https://). No keys are needed. It is not renewed when it expires. If it redirects to another link, it is asked again once that
        one expires or fails.
      - A signed link is as good as a password. Give it by a variable or a lookup, not on a command line, which recent versions of
        ansible-core quote in errors.
    type: str
  oss_path:
    description:
      - What to fetch from a bucket of your own, as C(oss://bucket/path) - an object, or all objects below the path - or C(oss://bucket), all of it.
        This is what tasks with the target OSS write.
    type: str
  dest:
    description:
      - Where to put the file - its path, or that of a directory, if it ends with C(/) or there is such a directory. The name is
        then that of the object, without what could do harm in it. Several files go to a directory, and keep their paths below it.
      - The directory of a file must be there, unless O(dest) ends with C(/), or several files are fetched.
      - During the download, the file is C(.part) beside it, and C(.part.json) says what of it came. They are kept when something
        fails, and the next run continues with what it finds to be right in them, unless the object is another by then.
      - There must be room for the file, for C(.part.json) twice, as C(.part.json~) takes turns with it, and for a copy of what was there
        before if O(backup) is set and the file system has no hard links. It is taken, or checked, before the first byte comes.
    type: path
    required: true
  force:
    description:
      - Whether to download a file that already exists, and is what it should be by its size and CRC-64, or by O(checksum).
    type: bool
    default: false
  backup:
    description:
      - Whether to keep what was there before under another name, which is in the result.
    type: bool
    default: false
  checksum:
    description:
      - What the file must have, as C(algorithm:digest), for example C(sha256:…), besides the CRC-64. For one file only.
      - A file that is there and has it is not fetched, and the storage is not asked.
    type: str
  connections:
    description:
      - Over how many connections to fetch at the most, from V(1) to V(64). Small files are fetched over fewer.
      - It begins with two, and makes the others as soon as it is the network that it waits for, and not the host itself.
      - A connection that is far slower than the others is replaced by a new one, up to three times. So is one below 64 KiB a second
        where there are only one or two, unless O(limit_rate) may be what makes it slow.
    type: int
    default: 8
  stall_timeout:
    description:
      - How long nothing may arrive on any connection, in seconds, from V(1) to V(86400). Until then, failed requests are
        repeated, unless O(max_retries) is V(0). After this time, the download fails.
    type: float
    default: 120.0
  outage_timeout:
    description:
      - How long the service may be out of reach when a new link is needed, in seconds, from V(0) to V(86400). It is asked again
        in the meantime, and data that arrives on the old link is kept. After this time, the download fails.
    type: float
    default: 120.0
  limit_rate:
    description:
      - How fast to fetch at the most, in bytes a second, all connections together, for example V(20M) or V(1048576), at least V(1K).
    type: str
  sync:
    description:
      - Whether to wait until the file is on the disk before it is put in its place, so that it is whole even if the power fails.
        Much of it is brought there while more comes. If the disk does not keep it, the next run fetches all of it anew.
    type: bool
    default: true
  keep_partial:
    description:
      - Whether to keep what is there when something fails, to go on with it in the next run.
    type: bool
    default: true
  mode:
    description:
      - The mode of the file, as an octal number in quotes, such as V('0640'), or as a symbolic mode such as V(u=rw,g=r).
      - Without it, a new file can be read by its owner only, and a file that is replaced keeps its mode and owner.
    type: raw
extends_documentation_fragment:
  - ansible.builtin.files
  - apsaradb.backup.location
  - apsaradb.backup.connection.on_controller
  - apsaradb.backup.progress
  - apsaradb.backup.progress.job
  - apsaradb.backup.attributes
  - apsaradb.backup.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - It asks for the link, and for one byte of the file, and says what it would fetch.
      - For the ID V(dt-would-be-created), which M(apsaradb.backup.dbs_download_task) returns in check mode, it asks nobody, and says
        that it would fetch a file, of V(0) bytes as the size is not known.
  diff_mode:
    support: full
    details: It shows size and CRC-64.
  idempotent:
    support: full
    details: A file that is there and is what it should be is not fetched again. Where the storage gives no CRC-64, that takes O(checksum).
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: The link is not renewed then. Choose a O(duration) that is long enough for the last range to begin.
requirements:
  - Python 3.9 or newer on the managed host, and nothing else
  - fastcrc on the managed host is optional - it computes a CRC-64 about five times as fast as liblzma, and many times as fast as
    what is left where there is no liblzma either
notes:
  - O(connect_timeout), O(read_timeout), O(max_retries), O(validate_certs) and O(ca_path) are for both, the requests of the
    controller and the downloads of the managed host. For a download, O(read_timeout) is how long an answer may take to begin, and
    how long one connection may then send nothing. O(request_timeout) and O(max_connections) are for the controller alone;
    O(connections), O(stall_timeout) and O(outage_timeout) for the download.
  - What the task does not set is taken from the environment of either host for what that host asks - proxies, and variables such as
    E(APSARADB_BACKUP_CA_PATH). What the task's C(environment) says is for both.
  - A link for the virtual private cloud works in it only, and costs no traffic. Traffic over the Internet is charged; RV(bytes_transferred)
    counts every byte that arrived, whatever became of it, but for the one by which it learns what the file is.
  - Parts of a file come in several answers, which are compared by all that the storage says of the object - its size, ETag, CRC-64,
    version, type and the time of its last change. If it is replaced meanwhile, it is fetched from the start. A storage that gives
    neither ETag, CRC-64, version nor the time of the last change is asked for all of the file in one answer, over one connection.
    What comes of it is then not kept for a later run, and there is a warning.
  - If the storage refuses a link, a new one is asked for where that can help - up to five in a row if it has expired, one if the reason is
    not known, none for an archived object, a policy, unpaid bills and the like. The message says what to do.
  - If the service that gives new links does not answer, or answers with an internal error, it is asked again until
    O(outage_timeout) is over, and data that arrives in the meantime is kept. If it refuses, the module ends at once.
  - A file is put in its place by renaming it, and never written over. O(unsafe_writes) changes nothing.
  - A signal to the module ends the transfer. So does the end of Ansible on the controller, by Ctrl-C for example, but it can take
    two minutes, in which the transfer may come to its end. What was downloaded is kept; until then, another run is refused.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_extract
  - module: apsaradb.backup.dbs_download_task_wait
  - plugin: apsaradb.backup.dbs_download_location
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Fetch the file of a task into a directory, under the name that it has
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    task_id: dt-a1b2c3d4e5f0
    dest: "{{ playbook_dir }}/"
  register: fetched

- name: Say what it is
  ansible.builtin.debug:
    msg: "{{ fetched.dest }} has {{ fetched.size }} bytes, of which {{ fetched.bytes_transferred }} were transferred now"

- name: Give it another mode, and transfer nothing of it, as it is there
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    task_id: dt-a1b2c3d4e5f0
    dest: "{{ fetched.dest }}"
    mode: "0640"

- name: Fetch all that a task wrote to a bucket
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    task_id: dt-a1b2c3d4e5f1
    bucket: my-backups
    dest: "{{ playbook_dir }}/orders/"

- name: Fetch by a link, at 20 MiB a second at the most
  apsaradb.backup.dbs_download_file:
    url: "{{ lookup('apsaradb.backup.dbs_download_location', 'dt-a1b2c3d4e5f0', region='cn-hangzhou') }}"
    dest: "{{ playbook_dir }}/backup.tar.gz"
    limit_rate: 20M
"""

RETURN = r"""
dest:
  description: The path of the file, or of the directory if there are several.
  returned: success, and in a failure as far as it is known, and not zero
  type: str
  sample: /srv/restore/dt-a1b2c3d4e5f0_1482610001.tar.gz
size:
  description: The size of the file, in bytes. Of several files, see RV(bytes_total).
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 268435456
bytes_total:
  description: The size of all files together, in bytes.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 268435456
bytes_transferred:
  description: How many bytes of the file arrived in this run, whatever became of them. The byte that it asks for first, to learn
    what the file is, does not count.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 268435456
bytes_resumed:
  description: How many bytes an earlier run had left, and were right.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 0
bytes_to_transfer:
  description: How many bytes would be transferred.
  returned: in check mode
  type: int
  sample: 268435456
resumes:
  description: How often it went on where something had broken off, a connection or an earlier run.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 0
attempts:
  description: How often it began, which is more than once if the object changed meanwhile, or was not what its CRC-64 says.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 1
connections:
  description: Over how many connections it came at once, which is not more than O(connections).
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 8
elapsed:
  description: How long it took, in seconds.
  returned: success, and in a failure as far as it is known, and not zero
  type: float
  sample: 2.514
rate:
  description: The bytes that arrived by the time it took, in bytes a second.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 106776236
network:
  description: Which network the link is for, V(public) or V(vpc).
  returned: success, and in a failure as far as it is known, and not zero
  type: str
  sample: public
files:
  description: The files.
  returned: success, and in a failure as far as it is known, and not zero
  type: list
  elements: dict
  contains:
    dest:
      description: The path of the file.
      type: str
      sample: /srv/restore/dt-a1b2c3d4e5f0_1482610001.tar.gz
    changed:
      description: Whether it was fetched, or its owner, group, mode and the like were changed.
      type: bool
      sample: true
    size:
      description: Its size in bytes.
      type: int
      sample: 268435456
    size_before:
      description: The size of what was there before, in bytes. V(null) if nothing was there.
      type: int
      sample: null
    crc64:
      description: Its CRC-64 in decimal digits, C(x-oss-hash-crc64ecma). V(null) if the storage does not give it, or was not asked.
      type: str
      sample: "11051210869376104954"
    etag:
      description: The object's ETag. It is no MD5 if it has a hyphen.
      type: str
      sample: 5D41402ABC4B2A76B9719D911017C592-3
    verified_by:
      description: What it was found to be right by, C(crc64), C(checksum), both, or only its C(size).
      type: str
      sample: crc64
    bytes_to_transfer:
      description: How many bytes of it would be transferred.
      type: int
      returned: in check mode, if it would be fetched
      sample: 268435456
    backup_file:
      description: The name of what was there before.
      type: str
      returned: O(backup) is set, and something was there
      sample: /srv/restore/backup.tar.gz.4242.2026-01-31@02:00:00~
  sample:
    - dest: /srv/restore/dt-a1b2c3d4e5f0_1482610001.tar.gz
      changed: true
      size: 268435456
      size_before: null
      crc64: "11051210869376104954"
      etag: 5D41402ABC4B2A76B9719D911017C592-3
      verified_by: crc64
mode:
  description: The mode of RV(dest).
  returned: if RV(dest) exists at the end
  type: str
  sample: "0600"
owner:
  description: The name of the user whom RV(dest) belongs to.
  returned: if RV(dest) exists at the end
  type: str
  sample: mysql
group:
  description: The name of the group of RV(dest).
  returned: if RV(dest) exists at the end
  type: str
  sample: mysql
uid:
  description: The number of the user whom RV(dest) belongs to.
  returned: if RV(dest) exists at the end
  type: int
  sample: 999
gid:
  description: The number of the group of RV(dest).
  returned: if RV(dest) exists at the end
  type: int
  sample: 999
state:
  description: Whether RV(dest) is a V(file), or a V(directory) as for several files.
  returned: if RV(dest) exists at the end
  type: str
  sample: file
error:
  description:
    - What went wrong, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - The kind is also V(location) if a task has no files, V(storage) if the storage refuses, V(object) if the object changes all the
      time, V(verification) if what came is not what it should be, V(destination) if the file cannot be written, and V(interruption)
      if it was told to end.
    - If the storage refused the link, and the service refuses a new one, it is what the service said, and C(storage) in it is what the
      storage said.
  returned: failure
  type: dict
  sample:
    kind: storage
    code: AccessDenied
    message: Request has expired.
    request_id: 0A1B2C3D4E5F60718293A4B5
    http_status: 403
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_file import (
    DownloadFile,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(DownloadFile)


if __name__ == "__main__":
    main()
