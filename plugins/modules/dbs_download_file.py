#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_file
short_description: Download the files of finished download tasks of database backups on Alibaba Cloud
version_added: 1.0.0
description:
  - Downloads the file of a finished download task of Alibaba Cloud Database Backup (DBS) to a managed host, or all that a task wrote
    to a bucket of the Object Storage Service (OSS).
  - The file is downloaded over several connections at the same time. After a failure of a connection, the link, the module or the
    host, the download continues where it was. The file is checked by the CRC-64 of the storage, and is put in place complete or
    not at all.
  - The keys stay on the controller. It calls the operations C(DescribeDownloadBackupSetStorageInfo) and C(DescribeDownloadTask) of the
    DBS API, version 2021-01-01, or the operations of OSS, and gives links to the managed host. When a link expires before the end,
    the controller gets another one.
  - Needs the RAM actions C(dbs:DescribeDownloadBackupSetStorageInfo), C(dbs:DescribeDownloadTask) with O(instance_name), and
    C(oss:ListObjects) and C(oss:GetObject) for files in a bucket of your own.
  - While it works, it prints a line of progress on the controller about every O(progress_interval).
  - >-
    Options by topic. What to download: O(task_id), O(instance_name), O(cluster_name), O(url), O(oss_path), O(bucket). Where to: O(dest),
    O(force), O(backup). Check: O(checksum). Speed: O(connections), O(limit_rate). If something breaks: O(keep_partial), O(sync),
    O(stall_timeout), O(outage_timeout). Links: O(duration), O(force_https). Owner and mode: O(mode), O(owner), O(group),
    O(attributes), O(selevel), O(serole), O(setype), O(seuser), O(unsafe_writes). Progress: O(progress), O(progress_interval).
    Connection: see the notes.
options:
  task_id:
    description:
      - The ID of the download task whose files to download. C(TaskId) in the API.
      - One of this, O(url) and O(oss_path) is required.
    type: str
  instance_name:
    description:
      - Without this option, the task is taken for a finished one with the target URL. With it, the module first asks the service for
        the state and the target of the task.
      - The ID of the instance that the task belongs to. C(InstanceName) in the API.
    type: list
    elements: str
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  url:
    description:
      - A link to a file, as P(apsaradb.backup.dbs_download_location#lookup) gives it, or any other that begins with C(http://) or
        C(https://). It needs no keys, and is not renewed when it expires. If it redirects to another link, and that one expires or fails, the module
        requests the first one again.
      - Whoever has a signed link can download the file. Give it by a variable or a lookup, not on a command line, which recent versions
        of ansible-core quote in errors.
    type: str
  oss_path:
    description:
      - What to download from your own bucket, where tasks with the target OSS write - an object, or all objects below a path, as
        C(oss://bucket/path), or the whole bucket, as C(oss://bucket).
    type: str
  dest:
    description:
      - The path of the file, or of a directory if it ends with C(/) or is one. In a directory, the file has the name of the object,
        without characters that could do harm. Several files go to a directory, and keep their paths below it.
      - The directory of a file must exist, unless O(dest) ends with C(/), or several files are downloaded.
      - During the download, the data is in a file beside it whose name ends with C(.part), and C(.part.json) records which parts are
        there. They are kept after a failure. The next run checks them and continues, unless the object has changed.
      - The file system must have space for the file, for C(.part.json) twice, and for a copy of the old file if O(backup) is set and
        there are no hard links. The space is reserved or checked before the first byte arrives.
    type: path
    required: true
  force:
    description:
      - Whether to download a file that already exists with the right size and CRC-64, or the right O(checksum).
    type: bool
    default: false
  backup:
    description:
      - Whether to keep the old file under another name, which is in the result.
    type: bool
    default: false
  checksum:
    description:
      - The checksum that the file must have besides the CRC-64, as C(algorithm:digest), for example C(sha256:…). For one file only.
      - A file that exists and has this checksum is not downloaded, and the storage is not asked.
    type: str
  connections:
    description:
      - The largest number of connections of a download, from V(1) to V(64). Small files use fewer.
      - A download begins with two, and opens the others when it waits for the network, and not for the host itself.
      - A connection that is much slower than the others is replaced by a new one, up to three times. With one or two connections, so is
        one below 64 KiB per second, unless O(limit_rate) may be the reason.
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
      - The largest rate of all connections together, in bytes per second, for example V(20M) or V(1048576), at least V(1K).
    type: str
  sync:
    description:
      - Whether to write the file to the disk before it is put in place, so that it is complete even after a power failure. Most of it is
        written during the download. If the disk reports an error, the next run downloads all of it again.
    type: bool
    default: true
  keep_partial:
    description:
      - Whether to keep the data after a failure, so that the next run continues with it.
    type: bool
    default: true
  mode:
    description:
      - The mode of the file, as an octal number in quotes, such as V('0640'), or as a symbolic mode such as V(u=rw,g=r).
      - Without it, only the owner can read a new file, and a file that is replaced keeps its mode and owner.
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
      - It gets the link, requests one byte of the file, and says what it would download.
      - For the ID V(dt-would-be-created), which M(apsaradb.backup.dbs_download_task) returns in check mode, it asks nobody. It says
        that it would download a file, of V(0) bytes, because the size is not known.
  diff_mode:
    support: full
    details: It shows size and CRC-64.
  idempotent:
    support: full
    details: A file that exists and is right is not downloaded again. If the storage gives no CRC-64, this needs O(checksum).
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: The link is then not renewed. Choose O(duration) so long that the last part of the download begins within it.
requirements:
  - On the managed host - Python 3.9 or newer, and nothing else
  - On the managed host - fastcrc is optional. It computes a CRC-64 about five times as fast as liblzma, and many times as fast as
    Python without liblzma
notes:
  - O(connect_timeout), O(read_timeout), O(max_retries), O(validate_certs) and O(ca_path) are for both, the requests of the
    controller and the downloads of the managed host. For a download, O(read_timeout) is how long an answer may take to begin, and
    how long one connection may then send nothing. O(request_timeout) and O(max_connections) are for the controller alone;
    O(connections), O(stall_timeout) and O(outage_timeout) for the download.
  - Each of the two hosts takes what the task does not set from its own environment, such as proxies or E(APSARADB_BACKUP_CA_PATH).
    The task's C(environment) is for both.
  - A link for the virtual private cloud works only there, and its traffic is free. Traffic over the Internet is charged.
    RV(bytes_transferred) counts every byte that arrived, except the first one, which is requested to learn about the file.
  - Every response with a part of a file must be of the same object, by its size, ETag, CRC-64, version, type and the time of its last
    change. If the object was replaced, it is downloaded from the start. If the storage gives neither ETag, CRC-64, version nor the
    time of the last change, the file is downloaded in one response over one connection, with a warning, and a later run cannot
    continue it.
  - If the storage refuses a link, the module gets a new one if that can help - up to five in a row if the link has expired, one if the
    reason is not known, and none for an archived object, a policy or unpaid bills. The message says what to do.
  - If the service that gives new links does not answer, or answers with an internal error, it is asked again until
    O(outage_timeout) is over, and data that arrives in the meantime is kept. If it refuses, the module ends at once.
  - A file is put in place by renaming, and the old one is never overwritten. O(unsafe_writes) has no effect.
  - A signal to the module ends the download. So does the end of Ansible on the controller, for example by Ctrl-C, but this can take
    two minutes, in which the download may finish. The data is kept. Until then, another run is refused.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_extract
  - module: apsaradb.backup.dbs_download_task_wait
  - plugin: apsaradb.backup.dbs_download_location
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Download the file of a task into a directory, under its own name
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    task_id: dt-a1b2c3d4e5f0
    dest: "{{ playbook_dir }}/"
  register: fetched

- name: Say what it is
  ansible.builtin.debug:
    msg: "{{ fetched.dest }} has {{ fetched.size }} bytes, of which {{ fetched.bytes_transferred }} were transferred now"

- name: Change its mode, without another download
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    task_id: dt-a1b2c3d4e5f0
    dest: "{{ fetched.dest }}"
    mode: "0640"

- name: Download all that a task wrote to a bucket
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    instance_name: rm-bp1a2b3c4d5e6f7g8
    task_id: dt-a1b2c3d4e5f1
    bucket: my-backups
    dest: "{{ playbook_dir }}/orders/"

- name: Download from a link, at most 20 MiB per second
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
  description: The number of bytes that arrived in this run, also those that could not be used. The first byte, which is
    requested to learn about the file, does not count.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 268435456
bytes_resumed:
  description: The number of bytes of an earlier run that were right and could be used.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 0
bytes_to_transfer:
  description: The number of bytes that would be transferred.
  returned: in check mode
  type: int
  sample: 268435456
resumes:
  description: How often the download continued after a connection or an earlier run was interrupted.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 0
attempts:
  description: How often the download began. It is more than once if the object changed, or if its CRC-64 was wrong.
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 1
connections:
  description: The largest number of connections at the same time, at most O(connections).
  returned: success, and in a failure as far as it is known, and not zero
  type: int
  sample: 8
elapsed:
  description: How long it took, in seconds.
  returned: success, and in a failure as far as it is known, and not zero
  type: float
  sample: 2.514
rate:
  description: The average throughput, in bytes per second.
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
      description: The size of the old file, in bytes. V(null) if there was none.
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
      description: How the content was verified - by C(crc64), C(checksum), both, or only by C(size).
      type: str
      sample: crc64
    bytes_to_transfer:
      description: How many bytes of it would be transferred.
      type: int
      returned: in check mode, if it would be fetched
      sample: 268435456
    backup_file:
      description: The name of the old file.
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
    - The kind is also V(location) if a task has no files, V(storage) if the storage refuses, V(object) if the object keeps
      changing, V(verification) if the size or a checksum is wrong, V(destination) if the file cannot be written, and V(interruption)
      if it was stopped.
    - If the storage refused the link, and the service refuses a new one, this is the response of the service, and C(storage) in it is
      that of the storage.
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
