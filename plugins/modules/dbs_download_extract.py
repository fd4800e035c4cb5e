#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_extract
short_description: Extract a downloaded database backup from Alibaba Cloud
version_added: 1.0.0
description:
  - Extracts the archive of a download task of Alibaba Cloud Database Backup (DBS) on the host that has it.
  - Supports C(.tar.gz), C(.tar.zst) and C(.tar). The module detects the format by the content, not by the name.
  - Such an archive can consist of several tars, one after the other. This module extracts all of them. C(tar -xzf) without
    C(--ignore-zeros) and M(ansible.builtin.unarchive) extract only the first one, and report success.
  - The module extracts all or nothing. It extracts to a temporary directory next to O(dest), with C(.part) at the end of its name. When
    this directory is complete, it is renamed to O(dest). After a failure, O(dest) is unchanged. If a run was killed, the next run removes
    its temporary directory.
  - A truncated or damaged archive is refused, and the message says where it is damaged. An archive is also refused if it would write
    outside of O(dest), also through links, or if it contains devices, named pipes or sparse files.
  - A C(.tar.zst) with a window of more than 128 MiB, as C(zstd --long) makes it, needs free memory of twice the window. With less memory,
    it is refused, and the message says how much it needs.
  - For an export of MongoDB, the module can join the files of each collection, as C(mongorestore) needs them. See O(layout).
  - During the extraction, the module prints a line on the controller about every O(progress_interval). It has the part of the archive that
    was read, the rate, the number of files and the estimated time left.
  - >-
    Options by topic. Source and destination: O(src), O(dest), O(force), O(keep_archive), O(layout), O(sync). Owner and mode: O(owner), O(group),
    O(mode), O(directory_mode). Limits: O(max_files), O(max_size). Progress: O(progress), O(progress_interval). The options of the
    connection have no effect.
options:
  src:
    description:
      - The path of the archive on the host. Use an absolute path. A relative path starts at the directory where modules run.
    type: path
    required: true
  dest:
    description:
      - The directory for the content, and for nothing else. Its parent directory must exist.
      - Allowed are a directory that does not exist, an empty one, or one with the content of O(src) from an earlier run. For others, see
        O(force).
      - It must not be a mount point, nor contain O(src).
      - A file with the name C(.apsaradb-backup.json) in it records what was extracted.
    type: path
    required: true
  force:
    description:
      - Whether to replace other or changed content of O(dest). The old content is then B(lost). It is replaced only when the new content
        is complete.
    type: bool
    default: false
  keep_archive:
    description:
      - Whether to keep O(src). With V(false), it is removed after it was extracted.
    type: bool
    default: true
  layout:
    description:
      - The layout of the files in O(dest).
      - V(as_is) - the layout of the archive.
      - V(mongorestore) - for an export of MongoDB, which has the format C(Bson), the layout that C(mongorestore --dir) reads. Each
        collection has one file C(<database>/<collection>.bson), with its indexes in C(<database>/<collection>.metadata.json)
        beside it. The databases are at the top of O(dest). Directories above them in the archive are left out.
      - The archive has the data of a collection in files such as C(<database>/<collection>/data/<collection>_0_part10.bson). They are joined
        in the order of both numbers, C(part10) after C(part9). While a file is appended to another, it needs disk space twice, unless
        the archive has the files of the collection in this order.
      - With V(mongorestore), an archive is refused if it has other files, or if the files of a collection are not complete. This is so if a
        number is missing between others, if data or metadata are missing, if an entry is there twice, or if the data are not BSON.
        The numbers begin with 0. Nothing tells whether files are missing after the last one.
      - A view has no data. The data of a time series are in the collection with C(system.buckets.) before its name.
      - C(mongorestore) decodes C(%) and C(+) in names of files, as in a URL. If the name of a collection in the archive has one of them, its
        metadata tell whether it is encoded already. Otherwise, the module encodes it. If the metadata do not tell it, and
        both are possible, the archive is refused.
    type: str
    choices: [as_is, mongorestore]
    default: as_is
  owner:
    description:
      - The owner of the extracted files and directories, as a user name or ID of the host. By default, the user who runs the module.
    type: str
  group:
    description:
      - The group of the extracted files and directories, as a group name or ID of the host. By default, the group of new
        files of that user.
    type: str
  mode:
    description:
      - The mode of files, as an octal number in quotes, from V('0000') to V('0777'). Modes, owners and times in
        the archive are ignored.
    type: raw
    default: '0600'
  directory_mode:
    description:
      - The mode of directories, including O(dest), as an octal number in quotes, from V('0700') to V('0777').
    type: raw
    default: '0700'
  max_files:
    description:
      - The maximum number of files, directories and links in an archive, from V(1) to V(1000000000). An archive with more is refused.
    type: int
    default: 1000000
  max_size:
    description:
      - The maximum total size of the files in an archive, from V(1) to 2⁶⁰ bytes. In bytes, or with a unit, such as V(10GB), which is 10
        times 1024³ bytes. Units such as KiB are not known. An archive with more is refused before more is written.
      - By default, the free space of the file system of O(dest).
    type: bytes
  sync:
    description:
      - Whether to write all files to the disk before O(dest) is renamed to its final name, so that it is complete even after a power
        failure.
      - This is done once for the whole file system. It takes longer if other programs write much data to it.
    type: bool
    default: true
extends_documentation_fragment:
  - apsaradb.backup.connection.ignored
  - apsaradb.backup.progress
  - apsaradb.backup.progress.job
  - apsaradb.backup.attributes
  - apsaradb.backup.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - The module reads the beginning of the archive, or all of it if O(dest) may already have the same content. It writes nothing.
      - If O(src) does not exist, for example because the step that downloads it ran in check mode, the module warns, and RV(format) and
        RV(archive_size) are V(null).
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Nothing is done if O(dest) was extracted from an archive with the same size and CRC-64, with the same O(layout). It must still have the same numbers of
        files, directories, links and bytes. For this check, the archive is read once. Modes and owners of existing files are not changed.
      - With O(keep_archive=false), nothing is also done if O(src) no longer exists and O(dest) still has its complete content.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
requirements:
  - On the managed host - Python 3.9 or newer
  - On the managed host - zstandard, for C(.tar.zst), unless Python is 3.14 or newer
  - On the managed host - fastcrc is optional. It computes a CRC-64 about five times as fast as liblzma
notes:
  - During the extraction, both the old and the new content of O(dest) need disk space.
  - If two entries have the same name, the later one is used, as in a tar with appended entries. With O(layout=mongorestore), such an
    archive is refused.
  - The layout V(ignore:mongorestore) follows the documentation of the service and the source code of C(mongorestore) 100. It was not tried
    with an export of the real service. Use a C(mongorestore) that supports the version of the server, and read what it prints. It
    ignores the file C(.apsaradb-backup.json) with a message.
  - If Ansible is stopped on the controller, for example by Ctrl-C, the extraction on the host ends within two minutes, and its temporary
    directory is removed.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_file
  - module: apsaradb.backup.dbs_download_location_info
  - module: ansible.builtin.unarchive
"""

EXAMPLES = r"""
- name: Extract a downloaded backup
  apsaradb.backup.dbs_download_extract:
    src: ~/restore/dt-a1b2c3d4e5f0.tar.gz
    dest: ~/restore/orders
  register: extracted

- name: Show what it contains
  ansible.builtin.debug:
    msg: "{{ extracted.files }} files, {{ extracted.unpacked_size | human_readable }}, at the top {{ extracted.roots | join(', ') }}"
  when: extracted.files is defined  # not in check mode

- name: Replace old content, let the group read it, and remove the archive
  apsaradb.backup.dbs_download_extract:
    src: ~/restore/dt-a1b2c3d4e5f1.tar.zst
    dest: ~/restore/newest
    force: true
    mode: "0640"
    directory_mode: "0750"
    max_size: 200GB
    keep_archive: false
    progress_interval: 60

- name: Extract an export of MongoDB for mongorestore
  apsaradb.backup.dbs_download_extract:
    src: ~/restore/dt-a1b2c3d4e5f2.tar.zst
    dest: ~/restore/events
    layout: mongorestore
  register: events

- name: Restore it, with the URI and the password of the server in a file of mode 0600
  ansible.builtin.command:
    cmd: mongorestore --config=/etc/mongorestore.yml --stopOnError --dir={{ events.dest | quote }}
  when: events is changed
"""

RETURN = r"""
src:
  description: The archive.
  returned: success
  type: str
  sample: /srv/restore/dt-a1b2c3d4e5f0.tar.gz
dest:
  description: The directory that holds the content, without links in its path.
  returned: success
  type: str
  sample: /srv/restore/orders
format:
  description: The format of the archive - V(tar), V(tar.gz) or V(tar.zst).
  returned: success
  type: str
  sample: tar.gz
archive_size:
  description: The size of the archive, in bytes.
  returned: success
  type: int
  sample: 268435456
archive_crc64:
  description:
    - The CRC-64 of the archive as a decimal number. OSS calls it C(x-oss-hash-crc64ecma).
  returned: success, in check mode only if nothing has to be extracted
  type: str
  sample: "11051210869376104954"
archives:
  description: The number of tars, one after the other, in the archive.
  returned: success, in check mode only if nothing has to be extracted
  type: int
  sample: 2
layout:
  description: The layout of the files in RV(dest), as O(layout).
  returned: success
  type: str
  sample: as_is
files:
  description: The number of files in RV(dest), including hard links.
  returned: success, in check mode only if nothing has to be extracted
  type: int
  sample: 120
directories:
  description: The number of directories in RV(dest), without RV(dest) itself.
  returned: success, in check mode only if nothing has to be extracted
  type: int
  sample: 44
links:
  description: The number of symbolic links in RV(dest).
  returned: success, in check mode only if nothing has to be extracted
  type: int
  sample: 0
unpacked_size:
  description: The total size of the files, in bytes.
  returned: success, in check mode only if nothing has to be extracted
  type: int
  sample: 1073741824
roots:
  description: The first 100 names at the top of RV(dest), sorted. A byte that is not UTF-8 is shown like V(\\xff).
  returned: success, in check mode only if nothing has to be extracted
  type: list
  elements: str
  sample: [dbs_target_file_path]
elapsed:
  description: The duration of the extraction, in seconds.
  returned: success
  type: float
  sample: 12.402
mode:
  description: The mode of RV(dest) itself.
  returned: if RV(dest) exists at the end
  type: str
  sample: "0700"
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
  description: Always V(directory), because RV(dest) is one.
  returned: if RV(dest) exists at the end
  type: str
  sample: directory
size:
  description: The size of the directory RV(dest) itself, in bytes. For its content, see RV(unpacked_size).
  returned: if RV(dest) exists at the end
  type: int
  sample: 4096
error:
  description:
    - The error, for programs. RV(ignore:msg) is the same error as a text.
    - V(configuration) - an option is wrong, or a package is missing.
    - V(archive) - the archive cannot be read, is damaged or has unsafe content.
    - V(destination) - O(dest) cannot be written or has other content.
    - V(interruption) - the module was stopped.
  returned: failure, unless Ansible itself refuses the options
  type: dict
  contains:
    kind:
      description: The kind of the error.
      type: str
      sample: archive
  sample:
    kind: archive
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_extract import (
    DownloadExtract,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(DownloadExtract)


if __name__ == "__main__":
    main()
