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
  - Downloads the file of a finished download task of Alibaba Cloud Database Backup (DBS) to a managed host. Can also download all files
    that a task wrote to a bucket of the Object Storage Service (OSS).
  - The module downloads over several connections at the same time. If a connection, the link, the module or the host fails, the download
    continues where it stopped. The module checks the file with the CRC-64 of the storage, and installs it completely or not at all.
  - The keys stay on the controller. It calls the operations C(DescribeDownloadBackupSetStorageInfo) and C(DescribeDownloadTask) of the DBS
    API, version 2021-01-01, or the operations of OSS, and sends links to the managed host. If a link expires before the end, the
    controller gets a new one.
  - Needs the RAM action C(dbs:DescribeDownloadBackupSetStorageInfo). With O(instance_name), also needs C(dbs:DescribeDownloadTask). For
    files in your own bucket, needs C(oss:ListObjects) and C(oss:GetObject).
  - During the download, the module prints a line of progress on the controller about every O(progress_interval).
  - >-
    Options by topic. Source: O(task_id), O(instance_name), O(cluster_name), O(url), O(oss_path), O(bucket). Destination: O(dest),
    O(force), O(backup). Check: O(checksum). Speed: O(connections), O(limit_rate). Interruptions: O(keep_partial), O(sync),
    O(stall_timeout), O(outage_timeout). Links: O(duration), O(force_https). Owner and mode: O(mode), O(owner), O(group), O(attributes),
    O(selevel), O(serole), O(setype), O(seuser), O(unsafe_writes). Progress: O(progress), O(progress_interval).
    Connection: see the notes.
options:
  task_id:
    description:
      - The ID of the download task whose files to download. C(TaskId) in the API.
      - Exactly one of this, O(url) and O(oss_path) is required.
    type: str
  instance_name:
    description:
      - If not set, the module assumes that the task is finished and has the target URL. If set, the module first gets the status and the
        target of the task from the service.
      - The ID of the instance that the task belongs to. C(InstanceName) in the API.
    type: list
    elements: str
    aliases: [instance_names, instance_id, instance_ids, db_instance_id, db_instance_ids]
  url:
    description:
      - A link to a file, as P(apsaradb.backup.dbs_download_location#lookup) returns it, or any other link that begins with C(http://) or
        C(https://). It needs no keys, and is not renewed when it expires. If it redirects to another link that expires or fails, the
        module requests the first link again.
      - Anybody who has a signed link can download the file. Use a variable or a lookup. Do not put the link on a command line, because
        recent versions of ansible-core quote it in errors.
    type: str
  oss_path:
    description:
      - The source in your own bucket, where tasks with the target OSS write. C(oss://bucket/path) is an object, or all objects below a
        path. C(oss://bucket) is the whole bucket.
    type: str
  dest:
    description:
      - The path of the file, or of a directory if it ends with C(/) or is one. In a directory, the file has the name of the object,
        without unsafe characters. Several files go to a directory, and keep their paths below it.
      - The directory of a file must exist, unless O(dest) ends with C(/), or several files are downloaded.
      - During the download, the data is in a file with the same name and C(.part) at the end. A file with C(.part.json) at the end records
        which parts are complete. After a failure, both files are kept. The next run checks them and continues, unless the object has
        changed.
      - The file system needs space for the file and for two copies of C(.part.json). If O(backup) is set and the file system has no hard
        links, it also needs space for a copy of the old file. The module reserves or checks the space before the download.
    type: path
    required: true
  force:
    description:
      - Whether to download the file again if it already exists with the right size and CRC-64, or with the right O(checksum).
    type: bool
    default: false
  backup:
    description:
      - Whether to keep the old file with another name. The result contains that name.
    type: bool
    default: false
  checksum:
    description:
      - The expected checksum of the file, in addition to the CRC-64, as C(algorithm:digest), for example C(sha256:…). Only for a single
        file.
      - If the file exists and has this checksum, it is not downloaded, and no request is sent to the storage.
    type: str
  connections:
    description:
      - The maximum number of connections of a download, from V(1) to V(64). Small files use fewer.
      - A download begins with two connections. It opens more if the network is the bottleneck, not the host.
      - A connection that is much slower than the others is replaced by a new one, up to three times. With one or two connections, this is
        also done below 64 KiB per second, unless O(limit_rate) may be the reason.
    type: int
    default: 8
  stall_timeout:
    description:
      - How long the download may receive no data, in seconds, from V(1) to V(86400). Until then, failed requests are repeated, unless
        O(max_retries) is V(0). After this time, the download fails.
    type: float
    default: 120.0
  outage_timeout:
    description:
      - How long the service may be unreachable when a new link is needed, in seconds, from V(0) to V(86400). Until then, the request is
        repeated, and data that arrives from the old link is kept. After this time, the download fails.
    type: float
    default: 120.0
  limit_rate:
    description:
      - The maximum rate of all connections together, in bytes per second, for example V(20M), which is 20
        times 1024² bytes, or V(1048576). At least V(1K). Units such as KiB are not known.
    type: str
  sync:
    description:
      - Whether to write the file to the disk before it is installed, so that it is complete even after a power failure. Most of it is
        written during the download. If the disk reports an error, the next run downloads the whole file again.
    type: bool
    default: true
  keep_partial:
    description:
      - Whether to keep the downloaded data after a failure, so that the next run can continue.
    type: bool
    default: true
  mode:
    description:
      - The mode of the file, as an octal number in quotes, such as V('0640'), or as a symbolic mode such as V(u=rw,g=r).
      - By default, only the owner can read a new file, and a replaced file keeps its mode and owner.
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
      - The module gets the link, requests one byte of the file, and returns what it would download.
      - For the ID V(dt-would-be-created), which M(apsaradb.backup.dbs_download_task) returns in check mode, the module sends no request.
        It returns that it would download a file of V(0) bytes, because the size is not known.
  diff_mode:
    support: full
    details: The diff shows the size and the CRC-64.
  idempotent:
    support: full
    details: A file that exists with the right content is not downloaded again. If the storage returns no CRC-64, this needs O(checksum).
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: With C(async), the link is not renewed. O(duration) must be long enough for the last part of the download to begin.
requirements:
  - On the managed host - Python 3.9 or newer, and nothing else
  - On the managed host - fastcrc is optional. It computes a CRC-64 about five times as fast as liblzma, and many times as fast as
    Python without liblzma
notes:
  - O(connect_timeout), O(read_timeout), O(max_retries), O(validate_certs) and O(ca_path) apply to the requests of the controller and to
    the downloads of the managed host. For a download, O(read_timeout) is the maximum time until a response begins, and the maximum time
    without data on one connection. O(request_timeout) and O(max_connections) apply only to the controller. O(connections),
    O(stall_timeout) and O(outage_timeout) apply only to the download.
  - Each of the two hosts reads settings that the task does not have from its own environment, such as proxies or
    E(APSARADB_BACKUP_CA_PATH). The task's C(environment) applies to both.
  - A link for the virtual private cloud works only there, and its traffic is free. Traffic over the Internet is charged.
    RV(bytes_transferred) counts every received byte, except one byte that is requested first to get the size of the file.
  - All parts of a file must come from the same object. The module compares size, ETag, CRC-64, version, type and last modification time.
    If the object was replaced, it is downloaded from the start. If the storage returns no ETag, CRC-64, version or last modification time,
    the module warns, and downloads the file in one response over one connection. A later run cannot continue such a download.
  - If the storage refuses a link, the module gets a new one if that can help. It gets up to five in a row if the link has expired, and one
    if the reason is not known. It gets no new link if the reason is an archived object, a policy or unpaid bills. The message says what to
    do.
  - If the service does not answer a request for a new link, or returns an internal error, the request is repeated until O(outage_timeout)
    is over. Data that arrives in the meantime is kept. If the service refuses the request, the module fails at once.
  - The complete file is renamed to its final name. The old file is never overwritten. O(unsafe_writes) has no effect.
  - A signal to the module ends the download. If Ansible is stopped on the controller, for example by Ctrl-C, the download ends within two
    minutes, or finishes before that. Another run during this time is refused. The data is kept.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_extract
  - module: apsaradb.backup.dbs_download_task_wait
  - plugin: apsaradb.backup.dbs_download_location
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Download the file of a task into a directory, with its own name
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    task_id: dt-a1b2c3d4e5f0
    dest: "{{ playbook_dir }}/"
  register: downloaded

- name: Show its size
  ansible.builtin.debug:
    msg: "{{ downloaded.dest }} has {{ downloaded.size }} bytes, {{ downloaded.bytes_transferred }} of them transferred now"

- name: Change its mode without another download
  apsaradb.backup.dbs_download_file:
    region: cn-hangzhou
    task_id: dt-a1b2c3d4e5f0
    dest: "{{ downloaded.dest }}"
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
  returned: success, and failure if the value is known and not zero
  type: str
  sample: /srv/restore/dt-a1b2c3d4e5f0_1482610001.tar.gz
size:
  description: The size of the file, in bytes. Of several files, see RV(bytes_total).
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 268435456
bytes_total:
  description: The size of all files together, in bytes.
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 268435456
bytes_transferred:
  description: The number of bytes that were received in this run, also unusable ones. The byte that is requested first, to get the size of
    the file, does not count.
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 268435456
bytes_resumed:
  description: The number of bytes of an earlier run that were correct and were used.
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 0
bytes_to_transfer:
  description: The number of bytes that would be transferred.
  returned: in check mode
  type: int
  sample: 268435456
resumes:
  description: How often the download continued after an interruption of a connection or of an earlier run.
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 0
attempts:
  description: How often the download was started. More than once if the object changed, or if its CRC-64 was wrong.
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 1
connections:
  description: The maximum number of connections at the same time, at most O(connections).
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 8
elapsed:
  description: The duration of the download, in seconds.
  returned: success, and failure if the value is known and not zero
  type: float
  sample: 2.514
rate:
  description: The average throughput, in bytes per second.
  returned: success, and failure if the value is known and not zero
  type: int
  sample: 106776236
network:
  description: The network of the link, V(public) or V(vpc).
  returned: success, and failure if the value is known and not zero
  type: str
  sample: public
files:
  description: The downloaded files, or the files that already existed.
  returned: success, and failure if the value is known and not zero
  type: list
  elements: dict
  contains:
    dest:
      description: The path of the file.
      type: str
      sample: /srv/restore/dt-a1b2c3d4e5f0_1482610001.tar.gz
    changed:
      description: Whether the file was downloaded, or its attributes, such as owner, group or mode, were changed.
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
      description: Its CRC-64 as a decimal number, C(x-oss-hash-crc64ecma). V(null) if the storage did not return it, or received no
        request.
      type: str
      sample: "11051210869376104954"
    etag:
      description: The ETag of the object. An ETag with a hyphen is not an MD5 checksum.
      type: str
      sample: 5D41402ABC4B2A76B9719D911017C592-3
    verified_by:
      description: How the content was verified - by C(crc64), C(checksum), both, or only by C(size).
      type: str
      sample: crc64
    bytes_to_transfer:
      description: The number of bytes of this file that would be transferred.
      type: int
      returned: in check mode, if the file would be downloaded
      sample: 268435456
    backup_file:
      description: The new path of the old file.
      type: str
      returned: O(backup) is set, and an old file existed
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
  description: The name of the user who owns RV(dest).
  returned: if RV(dest) exists at the end
  type: str
  sample: mysql
group:
  description: The name of the group of RV(dest).
  returned: if RV(dest) exists at the end
  type: str
  sample: mysql
uid:
  description: The numeric ID of the user who owns RV(dest).
  returned: if RV(dest) exists at the end
  type: int
  sample: 999
gid:
  description: The numeric ID of the group of RV(dest).
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
    - The error, for programs, as M(apsaradb.backup.dbs_download_task_info) returns it.
    - Its C(kind) can also be V(location) (a task has no files), V(storage) (the storage refuses the link), V(object) (the object keeps
      changing), V(verification) (the size or a checksum is wrong), V(destination) (the file cannot be written) or V(interruption) (the
      module was stopped).
    - If the storage refused the link, and the service refused a new one, this is the response of the service. C(storage) in it is the
      response of the storage.
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
