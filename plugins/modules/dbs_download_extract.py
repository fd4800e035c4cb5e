#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_download_extract
short_description: Unpack a downloaded database backup from Alibaba Cloud
version_added: 1.0.0
description:
  - Unpacks the archive of a download task of Alibaba Cloud Database Backup (DBS) on the host where it lies.
  - Takes C(.tar.gz), C(.tar.zst) and C(.tar). The content of the file decides, not its name.
  - Such an archive can consist of several tars, one after the other. This module unpacks all of them. C(tar -xzf) without
    C(--ignore-zeros) and M(ansible.builtin.unarchive) unpack only the first one, and report success.
  - It unpacks all or nothing, in a directory beside O(dest) whose name ends with C(.part), and renames this to O(dest) when it is
    complete. After a failure, O(dest) is as it was. If a run was killed, the next one removes its remains.
  - An archive that is truncated or damaged is refused, and the message says where. An archive is also refused if its content would
    be written outside of O(dest), also through links, or if it holds devices, named pipes or sparse files.
  - A C(.tar.zst) whose window is larger than 128 MiB, as C(zstd --long) makes it, is unpacked if twice the memory of the window is
    available. Otherwise it is refused, and the message says how much it needs.
  - While it works, it prints a line on the controller about every O(progress_interval), with how much of the archive is read,
    rate, files and estimated time.
  - >-
    Options by topic. What and where to: O(src), O(dest), O(force), O(keep_archive), O(sync). Owner and mode: O(owner), O(group), O(mode),
    O(directory_mode). Limits: O(max_files), O(max_size). Progress: O(progress), O(progress_interval). The options of the
    connection have no effect.
options:
  src:
    description:
      - The archive, a path on the host. Give an absolute path. A relative one starts from the directory where modules run.
    type: path
    required: true
  dest:
    description:
      - The directory for the content, and nothing else. Its parent directory must exist.
      - It must not exist, be empty, or hold the content of O(src) from an earlier run. Otherwise, see O(force).
      - It must not be a mount point, nor contain O(src).
      - A file named C(.apsaradb-backup.json) in it records what was unpacked.
    type: path
    required: true
  force:
    description:
      - Whether to replace whatever O(dest) holds if it is not the content of O(src), or was changed since. The old content is replaced
        when the new content is complete, and is then B(lost).
    type: bool
    default: false
  keep_archive:
    description:
      - Whether to keep O(src). With V(false), it is removed once it is unpacked.
    type: bool
    default: true
  owner:
    description:
      - The owner of the extracted files and directories, a user name or ID of the host. By default the user that runs the module.
    type: str
  group:
    description:
      - The group of the extracted files and directories, a group name or ID of the host.
    type: str
  mode:
    description:
      - The mode of files, as an octal number in quotes, from V('0000') to V('0777'). Modes, owners and times in
        the archive are ignored.
    type: raw
    default: '0600'
  directory_mode:
    description:
      - The mode of directories, O(dest) among them, as an octal number in quotes, from V('0700') to V('0777').
    type: raw
    default: '0700'
  max_files:
    description:
      - The largest number of files, directories and links in an archive, from V(1) to V(1000000000). An archive with more is refused.
    type: int
    default: 1000000
  max_size:
    description:
      - The largest total size of the files in an archive, in bytes, or with a unit such as V(10GB), which is 10 times 1024³ bytes; from
        V(1) to 2⁶⁰ bytes. An archive with more is refused before so much is written.
      - By default, the free space in the file system of O(dest).
    type: bytes
  sync:
    description:
      - Whether to write all to the disk before O(dest) is put in place, so that it is complete even after a power failure.
      - This is done once for the whole file system, and takes longer while others write much to it.
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
      - It reads the beginning of the archive, or all of it if O(dest) may hold the same already, and writes nothing.
      - If O(src) does not exist, for example because the step that downloads it ran in check mode, there is a warning, and RV(format) and
        RV(archive_size) are V(null).
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Nothing is done if O(dest) was unpacked from an archive of the same size and CRC-64, and holds as many files, directories,
        links and bytes as then. For that the archive is read once. Modes and owners of what is there are left as they are.
      - With O(keep_archive=false), nothing is done either if O(src) is gone and O(dest) holds all that it gave.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
requirements:
  - On the managed host - Python 3.9 or newer
  - On the managed host - zstandard, for C(.tar.zst), unless Python is 3.14 or newer
  - On the managed host - fastcrc is optional. It computes a CRC-64 about five times as fast as liblzma
notes:
  - For some time, the old and the new content of O(dest) both need disk space.
  - If two entries have the same name, the later one wins, as in a tar with appended entries.
  - If Ansible is stopped on the controller, for example by Ctrl-C, the work on the host ends by itself within two minutes, and leaves
    nothing behind.
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_file
  - module: apsaradb.backup.dbs_download_location_info
  - module: ansible.builtin.unarchive
"""

EXAMPLES = r"""
- name: Unpack a downloaded backup
  apsaradb.backup.dbs_download_extract:
    src: ~/restore/dt-a1b2c3d4e5f0.tar.gz
    dest: ~/restore/orders
  register: unpacked

- name: Say what is in it
  ansible.builtin.debug:
    msg: "{{ unpacked.files }} files, {{ unpacked.unpacked_size | human_readable }}, at the top {{ unpacked.roots | join(', ') }}"
  when: unpacked.files is defined  # not so in check mode

- name: Replace what is there, let the group read it, and remove the archive
  apsaradb.backup.dbs_download_extract:
    src: ~/restore/dt-a1b2c3d4e5f1.tar.zst
    dest: ~/restore/newest
    force: true
    mode: "0640"
    directory_mode: "0750"
    max_size: 200GB
    keep_archive: false
    progress_interval: 60
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
  description: What the archive is - V(tar), V(tar.gz) or V(tar.zst).
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
    - The CRC-64 of the archive as a decimal number, which object storage calls C(x-oss-hash-crc64ecma).
  returned: success, in check mode only if nothing has to be unpacked
  type: str
  sample: "11051210869376104954"
archives:
  description: The number of tars, one after the other, in the archive.
  returned: success, in check mode only if nothing has to be unpacked
  type: int
  sample: 2
files:
  description: How many files RV(dest) holds. Hard links count, too.
  returned: success, in check mode only if nothing has to be unpacked
  type: int
  sample: 120
directories:
  description: How many directories RV(dest) holds, itself not counted.
  returned: success, in check mode only if nothing has to be unpacked
  type: int
  sample: 44
links:
  description: How many symbolic links RV(dest) holds.
  returned: success, in check mode only if nothing has to be unpacked
  type: int
  sample: 0
unpacked_size:
  description: The total size of the files, in bytes.
  returned: success, in check mode only if nothing has to be unpacked
  type: int
  sample: 1073741824
roots:
  description: The names at the top of RV(dest), sorted, the first 100. A byte that is no UTF-8 is like V(\\xff) in them.
  returned: success, in check mode only if nothing has to be unpacked
  type: list
  elements: str
  sample: [dbs_target_file_path]
elapsed:
  description: How long it took, in seconds.
  returned: success
  type: float
  sample: 12.402
mode:
  description: The mode of RV(dest) itself.
  returned: if RV(dest) exists at the end
  type: str
  sample: "0700"
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
  description: That RV(dest) is a directory.
  returned: if RV(dest) exists at the end
  type: str
  sample: directory
size:
  description: The size of RV(dest) itself, which says nothing of its content, for which see RV(unpacked_size).
  returned: if RV(dest) exists at the end
  type: int
  sample: 4096
error:
  description:
    - What went wrong, for programs; RV(ignore:msg) says the same to people.
    - The kind is V(configuration) if the options cannot work, V(archive) if the archive cannot be read, is damaged or holds what
      must not be unpacked, V(destination) if O(dest) cannot be written or holds something else, V(interruption) if the module
      was told to end.
  returned: failure, unless Ansible itself refuses the options
  type: dict
  contains:
    kind:
      description: What kind of error it is.
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
