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
  - Takes C(.tar.gz), C(.tar.zst) and C(.tar), told apart by what is in the file, whatever its name.
  - Such an archive can be several tars, one after the other, of which C(tar -xzf) without C(--ignore-zeros) and
    M(ansible.builtin.unarchive) unpack the first, and report success. This module unpacks all of them.
  - It unpacks all or nothing. The content grows in a directory beside O(dest), named like it with C(.part) at the end, and is
    renamed to O(dest) when it is complete. After a failure O(dest) is as it was. What a run that was killed left behind is
    removed by the next one.
  - An archive that is truncated or damaged is refused, and the message says where. So is one whose content would get out of
    O(dest), also by way of links, and one that holds devices, named pipes or sparse files.
  - A C(.tar.zst) whose window is larger than 128 MiB, as C(zstd --long) makes it, is unpacked if twice the memory of the window is
    available. Otherwise it is refused, and the message says how much it needs.
  - While it works, it prints a line on the controller about every O(progress_interval), with how much of the archive is read,
    rate, files and estimated time. The lines are on the standard output, as all that Ansible displays.
options:
  src:
    description:
      - The archive, a path on the host. A relative path starts from where modules run, so better give an absolute one.
    type: path
    required: true
  dest:
    description:
      - The directory that shall hold the content, and nothing else. The directory that it is in must exist.
      - It must not exist, or be empty, or hold what O(src) gave in an earlier run. For anything else see O(force).
      - It must not be a mount point, nor contain O(src).
      - A file named C(.apsaradb-backup.json) in it records what was unpacked.
    type: path
    required: true
  force:
    description:
      - Whether to replace whatever O(dest) holds, if it is not what O(src) gave, or was altered since. It is replaced when the
        new content is complete, and B(lost) then.
    type: bool
    default: false
  keep_archive:
    description:
      - Whether to keep O(src). With V(false), it is removed once it is unpacked.
    type: bool
    default: true
  owner:
    description:
      - Whose files and directories become, a name or a number of the host. By default the user's that runs the module.
    type: str
  group:
    description:
      - The group of files and directories, a name or a number of the host.
    type: str
  mode:
    description:
      - The mode of files, as an octal number in quotes, from V('0000') to V('0777'). What the archive says of modes, owners and
        times is not taken over.
    type: raw
    default: '0600'
  directory_mode:
    description:
      - The mode of directories, O(dest) among them, as an octal number in quotes, from V('0700') to V('0777').
    type: raw
    default: '0700'
  max_files:
    description:
      - How many files, directories and links an archive may hold, from V(1) to V(1000000000). One that holds more is refused
        when that shows.
    type: int
    default: 1000000
  max_size:
    description:
      - How much its files may hold together, in bytes, or with a unit such as V(10GB), which is 10 times 1024³ bytes; from V(1) to
        2⁶⁰ bytes. An archive that holds more is refused before that much is written.
      - By default, what is free in the file system of O(dest).
    type: bytes
  sync:
    description:
      - Whether to bring all to the disk before O(dest) is put in place, so that it is complete after a power failure, too.
      - It is done once for the file system, and so takes longer while others write much to it.
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
      - If O(src) does not exist, as where the task that fetches it only says that it would, that is a warning, and RV(format) and
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
  - zstandard, for C(.tar.zst), unless Python is 3.14 or newer
  - fastcrc is optional - it computes a CRC-64 about five times as fast as liblzma
notes:
  - For a while O(dest) takes the room of both its old and its new content.
  - Of two entries of one name the later one wins, as in a tar that was appended to.
  - If Ansible is ended on the controller, by Ctrl-C for example, the work on the host ends by itself within two minutes, and
    leaves nothing behind.
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
  description: How many tars, one after the other, the archive is made of.
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
  description: What the files hold together, in bytes.
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
